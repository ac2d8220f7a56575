"""The client of Huawei Cloud ServiceStage."""

from airflow_provider.clients.service_stage.client import ServiceStageClient

__all__ = ["ServiceStageClient"]
