"""The stand-in for VMware Code Stream / Aria Automation Pipelines."""

from __future__ import annotations

from airflow_provider.sandbox.code_stream.system import CodeStreamSystem

__all__ = ["CodeStreamSystem"]
