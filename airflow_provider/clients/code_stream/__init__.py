"""The client of VMware Aria Automation Pipelines (Code Stream)."""

from airflow_provider.clients.code_stream.client import CodeStreamClient

__all__ = ["CodeStreamClient"]
