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
from airflow_provider.operators.base import ReleaseOperator
from airflow_provider.operators.checking import rule_of
from airflow_provider.operators.starting import StartOperator

if TYPE_CHECKING:
    from typing import Unpack

    from airflow.sdk import Context

    from airflow_provider.clients.service_stage import ServiceStageClient
    from airflow_provider.clients.waitable import Intent
    from airflow_provider.execution import Execution, ExecutionRef
    from airflow_provider.operators.memory import Memory
    from airflow_provider.operators.shared_arguments import ReleaseArguments, StartArguments, WaitingArguments

TAKEN_WITHIN = 30.0
"""Seconds within which a release task must stop waiting for an approval after its answer was accepted."""
LOOK_PAUSE = 1.0
"""Seconds between two checks of that."""


class ServiceStageReleaseOperator(StartOperator["ServiceStageClient"]):
    """Start, retry, continue or roll back a release task and wait for its end.

    The result's ``outputs`` hold the execution record.

    :param pipeline: name or id of the release task. (templated)
    :param action: ``start`` (default), ``retry``, ``continue`` or ``rollback``. (templated)
    :param selected_tasks: only for ``start``: ``{stage: [task, ...]}``, default all tasks. (templated)
    :param on_retry: what an Airflow retry does after the release failed: ``restart`` (default) sends the action again,
        ``resume`` lets ServiceStage continue at the failed task (its action ``retry``).
    :param service_stage_conn_id: the Airflow connection. (templated)

    https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0248.html
    """

    system = "service_stage"
    deed = "{action} release task {pipeline!r}"
    told = ("selected_tasks",)
    template_fields = ("pipeline", "action", "selected_tasks", "service_stage_conn_id")

    def __init__(
        self,
        *,
        pipeline: str,
        action: Literal["start", "retry", "continue", "rollback"] = "start",
        selected_tasks: dict[str, list[str]] | None = None,
        on_retry: Literal["restart", "resume"] = "restart",
        service_stage_conn_id: str = "service_stage_default",
        **kwargs: Unpack[StartArguments],
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

    def intent(self, client: ServiceStageClient) -> dict[str, Any]:
        return {**client.releases.before_action(self.pipeline), "kind": "release", "action": self.action}

    def continuation(self, client: ServiceStageClient, failed: ExecutionRef) -> dict[str, Any] | None:
        if self.on_retry == "restart":
            return None
        before = client.releases.before_action(self.pipeline)
        if before["newest_record"] != failed["id"]:
            self.log.warning("Not continuing release %s, because a newer one was started since", failed["id"])
            return None
        return {**before, "kind": "release", "action": "retry"}

    def start(self, client: ServiceStageClient, intent: Intent) -> Execution:
        before = {"status": intent["status_before"], "last_trigger_at": intent["triggered_before"]}
        selected_tasks = self.selected_tasks if intent["action"] == "start" else None
        return client.releases.act(
            intent["pipeline_id"], intent["action"], selected_tasks=selected_tasks, before=before
        )


class ServiceStageStopReleaseOperator(ActOperator["ServiceStageClient"]):
    """Stop a release task and wait until it has stopped; it is no error if it has ended already.

    :param pipeline: name or id of the release task. (templated)
    :param service_stage_conn_id: the Airflow connection. (templated)

    https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0248.html
    """

    system = "service_stage"
    deed = "stop release task {pipeline!r}"
    template_fields = ("pipeline", "service_stage_conn_id")

    def __init__(
        self, *, pipeline: str, service_stage_conn_id: str = "service_stage_default", **kwargs: Unpack[WaitingArguments]
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.service_stage_conn_id = service_stage_conn_id

    def choose(self, client: ServiceStageClient) -> Execution:
        return client.releases.what_a_stop_ends(self.pipeline)

    def act(self, client: ServiceStageClient, target: Execution) -> Execution:
        return client.releases.stop(target.ref)


class ServiceStageApprovalOperator(ReleaseOperator["ServiceStageClient"]):
    """Answer an approval of a release task, and check that ServiceStage accepted the answer.

    An accepted rejection is a success of this task; the release itself fails.

    :param pipeline: name or id of the release task. (templated)
    :param task_name: name of the approval task, a short generated id. (templated)
    :param decision: ``approve`` or ``reject``. (templated)
    :param message: comment shown with the answer. (templated)
    :param service_stage_conn_id: the Airflow connection. (templated)

    https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0248.html
    """

    system = "service_stage"
    deed = "{decision} approval {task_name!r} of release task {pipeline!r}"
    template_fields = ("pipeline", "task_name", "decision", "message", "service_stage_conn_id")

    def __init__(
        self,
        *,
        pipeline: str,
        task_name: str,
        decision: Literal["approve", "reject"],
        message: str | None = None,
        service_stage_conn_id: str = "service_stage_default",
        **kwargs: Unpack[ReleaseArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline
        self.task_name = task_name
        self.decision = decision
        self.message = message
        self.service_stage_conn_id = service_stage_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        with self.begin(context) as client:
            deed = f"answered approval {self.task_name!r} of release task {self.pipeline!r}"
            memory = self.memory(context, client, "approval_answer", deed)
            notes = memory.recall()
            if notes and notes["task_name"] == self.task_name:
                self._answer_once(client, memory, notes)
            else:
                waiting = self._find_waiting(client)
                self.publish(context, waiting.to_result())
                self.log_lines([self.lines.asked(waiting.ref, waiting.message, None, waiting.url)])
                notes = {"task_name": self.task_name, "ref": waiting.ref}
                self._answer(client, memory, notes)
            answered = self._wait_until_taken(client, memory, notes["ref"])
            self.publish(context, answered.to_result())
            memory.note(notes, is_done=True)
            self.log_lines([self.lines.answer_taken(self.task_name, self.decision, answered)])
            return answered.to_result()

    def _find_waiting(self, client: ServiceStageClient) -> Execution:
        """The execution that is waiting for an approval now."""
        before = client.releases.before_action(self.pipeline)
        ref = {"system": self.system, "kind": "release", "id": before["newest_record"], "action": "approval"}
        waiting: Execution = client.look({**ref, "pipeline_id": before["pipeline_id"]})
        if waiting.state is not ExecutionState.WAITING:
            raise ConflictError(
                f"release task {self.pipeline!r} waits for no approval: it is {waiting.state} ({waiting.status})",
                call=Call(system=self.system),
            )
        return waiting

    def _answer_once(self, client: ServiceStageClient, memory: Memory, notes: dict[str, Any]) -> None:
        """Answer, unless an earlier attempt did, whatever the release is waiting for by now."""
        if notes.get("is_taken"):
            return
        if client.releases.is_waiting_for(notes["ref"], self.task_name) is not False:
            try:
                self._answer(client, memory, notes)
                return
            except (BadRequestError, ConflictError) as error:
                if self.task_name not in client.release_tasks.list_approvals(notes["ref"]["pipeline_id"]):
                    raise
                self.log.warning("Refused, as an approval is that has been answered: %s", error)
        self.log.warning("An earlier attempt's answer to %r was accepted", self.task_name)
        notes["is_taken"] = True
        memory.note(notes)

    def _answer(self, client: ServiceStageClient, memory: Memory, notes: dict[str, Any]) -> None:
        """Send the answer, and note what is known about it before and after."""
        memory.note(notes)
        try:
            self._send(client, notes["ref"])
        except ReleasePipelineError as error:
            if not error.effect.is_open:
                memory.forget()
            raise
        notes["is_taken"] = True
        memory.note(notes)

    def _send(self, client: ServiceStageClient, ref: ExecutionRef) -> None:
        try:
            client.releases.act(
                ref["pipeline_id"],
                "approval",
                task_name=self.task_name,
                approval_type="agree" if self.decision == "approve" else "refuse",
                message=self.message,
            )
        except BadRequestError as error:
            waiting = ", ".join(self._waiting_for(client, ref))
            summary = f"the answer to task_name {self.task_name!r} was refused; the release is waiting for: {waiting}"
            raise BadRequestError(summary, call=error.call) from error
        except ReleasePipelineError as error:
            if not error.effect.is_open or not self._was_taken(client, ref):
                raise

    def _was_taken(self, client: ServiceStageClient, ref: ExecutionRef) -> bool:
        """Whether an answer was certainly accepted; a failed poll does not tell."""
        try:
            return client.releases.is_waiting_for(ref, self.task_name) is False
        except ReleasePipelineError as error:
            self.log.warning("Could not check whether the answer was accepted: %s", error)
            return False

    def _waiting_for(self, client: ServiceStageClient, ref: ExecutionRef) -> list[str]:
        """For the text of an error, which a failed poll must not replace."""
        try:
            return list(client.releases.list_waiting_approvals(ref))
        except ReleasePipelineError as error:
            return [f"(not known: {error.summary})"]

    def _wait_until_taken(self, client: ServiceStageClient, memory: Memory, ref: ExecutionRef) -> Execution:
        """The release once it no longer waits for this answer."""
        deadline = time.time() + TAKEN_WITHIN
        while (
            is_waiting := client.releases.is_waiting_for(ref, self.task_name)
        ) is not False and time.time() < deadline:
            time.sleep(LOOK_PAUSE)
        if is_waiting:
            memory.forget()
            raise PermissionDeniedError(
                f"the answer to {self.task_name!r} was ignored: release task {self.pipeline!r} is still waiting for it "
                f"after {TAKEN_WITHIN:g} s; the connection's user is probably not one of its approvers",
                call=Call(system=self.system),
            )
        if is_waiting is None:
            others = [name for name in client.releases.list_waiting_approvals(ref) if name != self.task_name]
            names = ", ".join(others)
            self.log.warning("Release task %r is still waiting, probably for another of %s", self.pipeline, names)
        answered: Execution = client.look(ref)
        return answered
