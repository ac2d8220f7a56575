"""The client of Red Hat Quay."""

from airflow_provider.clients.quay.client import QuayClient

__all__ = ["QuayClient"]
