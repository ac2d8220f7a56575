"""The stand-in for Huawei Cloud ServiceStage release tasks and the part of IAM that they need."""

from __future__ import annotations

from airflow_provider.sandbox.service_stage.system import ServiceStageSystem

__all__ = ["ServiceStageSystem"]
