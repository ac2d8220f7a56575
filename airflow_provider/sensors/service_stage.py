"""Sensors for release tasks of Huawei Cloud ServiceStage: releases and their approvals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider.sensors.base import ReleaseSensor

if TYPE_CHECKING:
    from typing import Unpack

    from airflow_provider.clients.service_stage import ServiceStageClient
    from airflow_provider.execution import ExecutionRef
    from airflow_provider.operators.shared_arguments import SensorArguments


class ServiceStageReleaseSensor(ReleaseSensor["ServiceStageClient"]):
    """Wait until an execution of a release task succeeds; fail if it does not.

    :param pipeline: name or id of the release task. (templated)
    :param execution_id: which execution; default: the last one. (templated)
    :param service_stage_conn_id: the Airflow connection. (templated)

    https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0248.html
    """

    system = "service_stage"
    purpose = "wait for a release of {pipeline!r}"
    logged_arguments = ("execution_id",)
    template_fields = ("pipeline", "execution_id", "service_stage_conn_id")

    def __init__(
        self,
        *,
        pipeline: str,
        execution_id: str | None = None,
        service_stage_conn_id: str = "service_stage_default",
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.execution_id = execution_id
        self.service_stage_conn_id = service_stage_conn_id

    def reference(self, client: ServiceStageClient) -> ExecutionRef:
        from airflow_provider.clients.service_stage.references import release_reference

        pipeline_id = str(client.release_tasks.find(self.pipeline)["id"])
        return release_reference(pipeline_id, str(self.execution_id or ""), "start")


class ServiceStageApprovalSensor(ReleaseSensor["ServiceStageClient"]):
    """Wait until a release task asks for an approval.

    The result's ``id`` is the execution that asks; its ``outputs`` hold the names that an answer needs: ``task_name``
    if it can only be one approval, and ``task_names``, all that may be asking.

    :param pipeline: name or id of the release task. (templated)
    :param service_stage_conn_id: the Airflow connection. (templated)

    https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0246.html
    """

    system = "service_stage"
    purpose = "wait for an approval of release task {pipeline!r}"
    template_fields = ("pipeline", "service_stage_conn_id")

    def __init__(
        self,
        *,
        pipeline: str,
        service_stage_conn_id: str = "service_stage_default",
        **kwargs: Unpack[SensorArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.service_stage_conn_id = service_stage_conn_id

    def reference(self, client: ServiceStageClient) -> ExecutionRef:
        from airflow_provider.clients.service_stage.references import pending_approval_reference

        return pending_approval_reference(str(client.release_tasks.find(self.pipeline)["id"]))
