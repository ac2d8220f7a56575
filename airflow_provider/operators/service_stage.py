"""Operators for release tasks of Huawei Cloud ServiceStage."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider.exceptions import (
    BadRequestError,
    Call,
    ConflictError,
    PermissionDeniedError,
    ReleasePipelineError,
)
from airflow_provider.execution import ExecutionState
from airflow_provider.operators.acting import ActOperator
from airflow_provider.operators.attempt import guard
from airflow_provider.operators.connected import ReleaseOperator
from airflow_provider.operators.memory import Memory
from airflow_provider.operators.starting import StartOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.clients.base import Intent
    from airflow_provider.clients.service_stage import ServiceStageClient
    from airflow_provider.execution import Execution, ExecutionRef

TO_BE_APPROVED = "5"
TAKEN_WITHIN = 30.0
"""Seconds in which a release task must stop waiting for an approval after its answer was accepted."""


class ServiceStageReleaseOperator(StartOperator):
    """Start, retry, continue or roll back a release task and wait for its end.

    The result's ``outputs`` hold the execution record.

    :param pipeline: name or id of the release task. (templated)
    :param action: ``start`` (default), ``retry``, ``continue`` or ``rollback``. (templated)
    :param selected_tasks: only for ``start``: ``{stage: [task, ...]}``, default all tasks. (templated)
    :param on_retry: what an Airflow retry does after the release failed: ``restart`` (default) sends the action again,
        ``resume`` lets ServiceStage go on at the failed task (its action ``retry``).
    :param service_stage_conn_id: the Airflow connection. (templated)

    https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0248.html
    """

    system = "service_stage"
    template_fields = ("pipeline", "action", "selected_tasks", "service_stage_conn_id")

    def __init__(
        self,
        *,
        pipeline: str,
        action: Literal["start", "retry", "continue", "rollback"] = "start",
        selected_tasks: dict[str, list[str]] | None = None,
        on_retry: Literal["restart", "resume"] = "restart",
        service_stage_conn_id: str = "service_stage_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.action = action
        self.selected_tasks = selected_tasks
        self.on_retry = on_retry
        self.service_stage_conn_id = service_stage_conn_id
        self.require_one_of("on_retry", "restart", "resume")

    def check(self) -> None:
        self.require("pipeline")
        self.require_one_of("action", "start", "retry", "continue", "rollback")
        if self.selected_tasks and self.action != "start":
            raise self.bad_argument("selected_tasks", f"goes with action 'start' only, not with {self.action!r}")

    def intent(self, client: ServiceStageClient) -> dict[str, Any]:
        return {**client.before_action(self.pipeline), "kind": "release", "action": self.action}

    def continuation(self, client: ServiceStageClient, failed: ExecutionRef) -> dict[str, Any] | None:
        if self.on_retry == "restart":
            return None
        before = client.before_action(self.pipeline)
        if before["newest_record"] != failed["id"]:
            self.log.warning("Not going on with release %s: a newer one was started since", failed["id"])
            return None
        return {**before, "kind": "release", "action": "retry"}

    def start(self, client: ServiceStageClient, intent: Intent) -> Execution:
        before = {"status": intent["status_before"], "last_trigger_at": intent["triggered_before"]}
        selected_tasks = self.selected_tasks if intent["action"] == "start" else None
        return client.act(intent["pipeline_id"], intent["action"], selected_tasks=selected_tasks, before=before)


class ServiceStageStopReleaseOperator(ActOperator):
    """Stop a release task and wait until it has stopped; one that ended before is no error.

    :param pipeline: name or id of the release task. (templated)
    :param service_stage_conn_id: the Airflow connection. (templated)

    https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0248.html
    """

    system = "service_stage"
    template_fields = ("pipeline", "service_stage_conn_id")

    def __init__(self, *, pipeline: str, service_stage_conn_id: str = "service_stage_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.service_stage_conn_id = service_stage_conn_id

    def check(self) -> None:
        self.require("pipeline")

    def choose(self, client: ServiceStageClient) -> Execution:
        return client.what_a_stop_ends(self.pipeline)

    def act(self, client: ServiceStageClient, target: Execution) -> Execution:
        return client.stop(target.ref)


class ServiceStageApprovalOperator(ReleaseOperator):
    """Answer an approval that a release task waits for, and check that ServiceStage took the answer.

    A refusal that ServiceStage takes is a success of this task: the release itself fails.

    :param pipeline: name or id of the release task. (templated)
    :param task_name: name of the approval task, a short generated id. (templated)
    :param decision: ``approve`` or ``reject``. (templated)
    :param message: comment shown with the answer. (templated)
    :param service_stage_conn_id: the Airflow connection. (templated)

    https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0248.html
    """

    system = "service_stage"
    template_fields = ("pipeline", "task_name", "decision", "message", "service_stage_conn_id")

    def __init__(
        self,
        *,
        pipeline: str,
        task_name: str,
        decision: Literal["approve", "reject"] | None = None,
        message: str | None = None,
        service_stage_conn_id: str = "service_stage_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.task_name = task_name
        self.decision = decision
        self.message = message
        self.service_stage_conn_id = service_stage_conn_id

    def check(self) -> None:
        self.require("pipeline", "task_name")
        self.require_one_of("decision", "approve", "reject")

    def execute(self, context: Context) -> dict[str, Any]:
        self.check_arguments()
        with self.get_client() as client:
            guard(client, context)
            deed = f"answered approval {self.task_name!r} of release task {self.pipeline!r}"
            memory = Memory(context, client, "approval_answer", deed)
            notes = memory.recall()
            if notes and (answered := self._answered_before(notes, client)):
                self.publish(context, answered.to_result())
                memory.note(notes, is_done=True)
                return answered.to_result()
            waiting = self._find_waiting(client)
            self.publish(context, waiting.to_result())
            notes = {"task_name": self.task_name, "ref": waiting.ref}
            memory.note(notes)
            try:
                answered = self._answer(client, waiting)
            except ReleasePipelineError as error:
                if not error.effect.is_open:
                    memory.forget()
                raise
            notes = {**notes, "is_taken": True}
            memory.note(notes)
            answered = self._wait_until_taken(memory, client, answered)
            memory.note(notes, is_done=True)
            return answered.to_result()

    def _find_waiting(self, client: ServiceStageClient) -> Execution:
        """The execution that waits for an approval now."""
        before = client.before_action(self.pipeline)
        ref = {"system": self.system, "kind": "release", "id": before["newest_record"], "action": "approval"}
        waiting: Execution = client.look({**ref, "pipeline_id": before["pipeline_id"]})
        if waiting.state is not ExecutionState.WAITING:
            raise ConflictError(
                f"release task {self.pipeline!r} waits for no approval now: it is {waiting.state} ({waiting.status})",
                call=Call(system=self.system),
            )
        return waiting

    def _answered_before(self, notes: dict[str, Any], client: ServiceStageClient) -> Execution | None:
        """The execution that an earlier attempt answered; it may wait for another approval by now."""
        if notes["task_name"] != self.task_name:
            return None
        seen: Execution = client.look(notes["ref"])
        if seen.state is ExecutionState.WAITING and not notes.get("is_taken"):
            return None
        self.log.info("An earlier attempt has answered: %s is %s now", seen.id, seen.state)
        return seen

    def _answer(self, client: ServiceStageClient, waiting: Execution) -> Execution:
        try:
            return client.act(
                waiting.ref["pipeline_id"],
                "approval",
                task_name=self.task_name,
                approval_type="agree" if self.decision == "approve" else "refuse",
                message=self.message,
            )
        except BadRequestError as error:
            summary = f"the answer to task_name {self.task_name!r} was refused; the release is {waiting.message}"
            raise BadRequestError(summary, call=error.call) from error
        except ReleasePipelineError as error:
            if not error.effect.is_open:
                raise
            seen = client.look(waiting.ref)
            if seen.state is ExecutionState.WAITING:
                raise
            return seen

    def _wait_until_taken(self, memory: Memory, client: ServiceStageClient, answered: Execution) -> Execution:
        deadline = time.time() + TAKEN_WITHIN
        while answered.status == TO_BE_APPROVED and time.time() < deadline:
            time.sleep(0.5)
            answered = client.look(answered.ref)
        if answered.status != TO_BE_APPROVED:
            return answered
        others = [name for name in client.list_approval_tasks(answered.ref["pipeline_id"]) if name != self.task_name]
        if not others:
            memory.forget()
            raise PermissionDeniedError(
                f"the answer to {self.task_name!r} was ignored: release task {self.pipeline!r} still waits for it "
                f"after {TAKEN_WITHIN:g} s; the connection's user is probably not one of its approvers",
                call=Call(system=self.system),
            )
        self.log.warning("Release task %r still waits, probably for another of %s", self.pipeline, ", ".join(others))
        return answered
