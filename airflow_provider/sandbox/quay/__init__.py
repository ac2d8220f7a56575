"""The stand-in for Red Hat Quay's API, its builds, scans and webhooks."""

from airflow_provider.sandbox.quay.system import QuaySystem

__all__ = ["QuaySystem"]
