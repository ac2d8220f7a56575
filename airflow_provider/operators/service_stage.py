"""Operators for release tasks of Huawei Cloud ServiceStage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_provider.operators.acting import ActOperator
from airflow_provider.operators.approving import ApprovalOperator
from airflow_provider.operators.checking import rule_of
from airflow_provider.operators.gated import GatedStartOperator

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack

    from airflow.sdk import Context

    from airflow_provider.clients.service_stage import ServiceStageClient
    from airflow_provider.clients.waitable import Intent
    from airflow_provider.core.approving import Question
    from airflow_provider.execution import Execution, ExecutionRef
    from airflow_provider.operators.shared_arguments import ApprovalArguments, GatedStartArguments, WaitingArguments


class ServiceStageReleaseOperator(GatedStartOperator["ServiceStageClient"]):
    """Start, retry, continue or roll back a release task and wait for its end.

    The result's ``outputs`` hold the execution record.

    :param pipeline: name or id of the release task. (templated)
    :param action: ``start`` (default), ``retry``, ``continue`` or ``rollback``. (templated)
    :param selected_tasks: only for ``start``: ``{stage: [task, ...]}``, default all tasks. (templated)
    :param on_retry: what an Airflow retry does after the release failed: ``restart`` (default) sends the action again,
        ``resume`` lets ServiceStage continue at the failed task (its action ``retry``), except after a ``rollback``.
    :param service_stage_conn_id: the Airflow connection. (templated)

    https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0248.html
    """

    system = "service_stage"
    purpose = "{action} release task {pipeline!r}"
    logged_arguments = ("selected_tasks",)
    template_fields = ("pipeline", "action", "selected_tasks", "approvers", "service_stage_conn_id")

    def __init__(
        self,
        *,
        pipeline: str,
        action: Literal["start", "retry", "continue", "rollback"] = "start",
        selected_tasks: dict[str, list[str]] | None = None,
        on_retry: Literal["restart", "resume"] = "restart",
        service_stage_conn_id: str = "service_stage_default",
        **kwargs: Unpack[GatedStartArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.action = action
        self.selected_tasks = selected_tasks
        self.on_retry = on_retry
        self.service_stage_conn_id = service_stage_conn_id

    @rule_of("selected_tasks", "action")
    def _check_selection(self) -> None:
        if self.selected_tasks and self.action != "start":
            raise self.bad_argument("selected_tasks", f"is valid only with action='start', got action={self.action!r}")

    @rule_of("action")
    def _check_on_retry(self) -> None:
        if self.action == "rollback" and self.on_retry == "resume":
            raise self.bad_argument("on_retry", "must be restart with action='rollback', which cannot be continued")

    @property
    def rendered_purpose(self) -> str:
        return super().rendered_purpose.replace("rollback", "roll back", 1)

    def intent(self, client: ServiceStageClient) -> dict[str, Any]:
        return client.releases.intent(self.pipeline, self.action)

    def continuation(self, client: ServiceStageClient, failed: ExecutionRef) -> dict[str, Any] | None:
        if self.on_retry == "restart":
            return None
        intent = client.releases.intent(self.pipeline, "retry")
        if intent["pipeline_id"] != failed.get("pipeline_id"):
            # Each release task may count its records from 1.
            self.log.warning("Not continuing release %s, because it is of another release task", failed["id"])
            return None
        if intent["newest_record"] != failed["id"]:
            self.log.warning("Not continuing release %s, because a newer one was started since", failed["id"])
            return None
        return intent

    def start(self, client: ServiceStageClient, intent: Intent) -> Execution:
        selected_tasks = self.selected_tasks if intent["action"] == "start" else None
        return client.releases.act(
            intent["pipeline_id"], intent["action"], selected_tasks=selected_tasks, before=intent
        )


class ServiceStageStopReleaseOperator(ActOperator["ServiceStageClient"]):
    """Stop a release task and wait until it has stopped; it is no error if it has ended already.

    :param pipeline: name or id of the release task. (templated)
    :param service_stage_conn_id: the Airflow connection. (templated)

    https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0248.html
    """

    system = "service_stage"
    purpose = "stop release task {pipeline!r}"
    template_fields = ("pipeline", "service_stage_conn_id")

    def __init__(
        self, *, pipeline: str, service_stage_conn_id: str = "service_stage_default", **kwargs: Unpack[WaitingArguments]
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.service_stage_conn_id = service_stage_conn_id

    def choose(self, client: ServiceStageClient) -> Execution:
        return client.releases.find_stoppable(self.pipeline)

    def act(self, client: ServiceStageClient, target: Execution) -> Execution:
        return client.releases.stop(target.ref)


class ServiceStageApprovalOperator(ApprovalOperator["ServiceStageClient"]):
    """Answer an approval of a release task, and check that ServiceStage accepted the answer.

    Takes the arguments of :class:`~airflow_provider.operators.approving.ApprovalOperator`: without ``decision``, people
    are asked in Airflow. An accepted rejection is a success of this task; the release itself fails.

    :param pipeline: name or id of the release task. (templated)
    :param task_name: name of the approval task, a short generated id; default: the one that waits. (templated)
    :param decision: ``approve`` or ``reject``; ``None``: as people decide in Airflow. (templated)
    :param message: comment shown with the answer. (templated)
    :param approvers: ids of the only Airflow users who may answer. (templated)
    :param service_stage_conn_id: the Airflow connection. (templated)

    https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0248.html
    """

    system = "service_stage"
    purpose = "{decision} {named_approval} of release task {pipeline!r}"
    named_by = ("pipeline", "task_name")
    template_fields = ("pipeline", "task_name", "decision", "message", "approvers", "service_stage_conn_id")

    def __init__(
        self,
        *,
        pipeline: str,
        task_name: str | None = None,
        service_stage_conn_id: str = "service_stage_default",
        **kwargs: Unpack[ApprovalArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.task_name = task_name
        self.service_stage_conn_id = service_stage_conn_id

    @property
    def named_approval(self) -> str:
        return f"approval {self.task_name!r}" if self.task_name else "the approval that is waiting"

    def find(self, client: ServiceStageClient) -> tuple[Execution, str]:
        waiting = client.approvals.find_waiting(self.pipeline)
        if not self.task_name:
            return waiting, self._only_one(client, waiting.ref)
        if client.approvals.is_waiting_for(waiting.ref, self.task_name) is False:
            names = ", ".join(client.approvals.list_waiting(waiting.ref)) or "none any more"
            raise self.bad_argument(
                "task_name", f"must be one that the release is waiting for, {names}, got {self.task_name!r}"
            )
        return waiting, self.task_name

    def describe(self, client: ServiceStageClient, waiting: Execution, task_name: str) -> dict[str, Any]:
        return client.approvals.describe(waiting, task_name)

    def title(self, waiting: Execution, arguments: Mapping[str, str | None]) -> str:
        return f"release task {arguments.get('pipeline') or self.pipeline}, execution {waiting.id}"

    def answer(
        self,
        context: Context,
        client: ServiceStageClient,
        decision: str,
        message: str | None,
        asked: Question | None,
    ) -> dict[str, Any]:
        from airflow_provider.operators.release_answer import answer_once

        answered, task_name = answer_once(self, context, client, decision, message, asked)
        self.log_lines([self.lines.answer_taken(task_name, decision, answered)])
        return answered.to_result()

    def result_now(self, client: ServiceStageClient, ref: ExecutionRef) -> dict[str, Any]:
        return client.observe(ref).to_result()

    def _only_one(self, client: ServiceStageClient, ref: ExecutionRef) -> str:
        """The name of the approval task that waits, where it can be no other."""
        names = client.approvals.list_waiting(ref)
        if len(names) != 1:
            raise self.bad_argument("task_name", f"must be given: the release may wait for any of {', '.join(names)}")
        return names[0]
