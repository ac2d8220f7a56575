"""The answer to an approval of a ServiceStage release: sent once, and checked to be accepted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog

from airflow_provider.core import lines
from airflow_provider.core.approving import APPROVE, decided_at_the_vendor
from airflow_provider.exceptions import (
    BadRequestError,
    Call,
    ConflictError,
    PermissionDeniedError,
    ReleasePipelineError,
)
from airflow_provider.execution import ExecutionState

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.clients.service_stage import ServiceStageClient
    from airflow_provider.core.approving import Question
    from airflow_provider.execution import Execution, ExecutionRef
    from airflow_provider.operators.memory import Memory
    from airflow_provider.operators.service_stage import ServiceStageApprovalOperator

log = structlog.get_logger(logger_name=__name__)

KEY = "approval_answer"
"""Key of the notes in the task state store."""
TAKEN_WITHIN = 30.0
"""Seconds in which a release task must stop waiting for an approval after its answer was accepted."""
POLL_PAUSE = 1.0
"""Seconds between two polls for that."""


def answer_once(
    operator: ServiceStageApprovalOperator,
    context: Context,
    client: ServiceStageClient,
    decision: str,
    message: str | None,
    asked: Question | None,
) -> tuple[Execution, str]:
    """Answer an approval, unless an earlier attempt did; returns the release as it is then, and the approval's name.

    :param asked: the question that was asked in Airflow; ``None``: answer what waits now.
    """
    named = repr(operator.task_name) if operator.task_name else "that waits"
    action = f"answered approval {named} of release task {operator.pipeline!r}"
    memory = operator.memory(context, client, KEY, action)
    earlier = memory.recall()
    if earlier and not _is_about(earlier, operator, asked):
        earlier = None
    if earlier and earlier.get("is_taken") and earlier["decision"] != decision:
        raise ConflictError(
            f"an earlier attempt has sent {earlier['decision']}, and ServiceStage has accepted it: {decision} was not "
            "sent. Clear this task to answer what waits then",
            call=Call(system=client.system),
        )
    about = earlier or _about(operator, context, client, asked)
    answer = RememberedAnswer(client, memory, {**about, "decision": decision, "message": message})
    if earlier:
        answer.send_unless_taken()
    else:
        answer.send()
    answered = answer.wait_until_taken()
    operator.publish(context, answered.to_result())
    answer.note_done()
    return answered, answer.task_name


def _is_about(notes: dict[str, Any], operator: ServiceStageApprovalOperator, asked: Question | None) -> bool:
    """Whether an earlier attempt was about to answer the same."""
    if asked:
        return bool(notes["task_name"] == asked.task_name and notes["ref"]["id"] == asked.ref["id"])
    is_same_pipeline = notes.get("pipeline", operator.pipeline) == operator.pipeline
    return is_same_pipeline and (not operator.task_name or notes["task_name"] == operator.task_name)


def _about(
    operator: ServiceStageApprovalOperator, context: Context, client: ServiceStageClient, asked: Question | None
) -> dict[str, Any]:
    """What is to be answered now."""
    if asked is None:
        waiting, task_name = operator.find(client)
        operator.publish(context, waiting.to_result())
        operator.log_lines([lines.asked(waiting.ref, waiting.message, None, waiting.url)])
        return {"task_name": task_name, "ref": waiting.ref, "pipeline": operator.pipeline}
    if client.releases.is_waiting_for(asked.ref, asked.task_name) is False:
        # The answer would reach whatever waits now, such as the approval of a later execution.
        raise operator.waits_for_none(client.observe(asked.ref), asked.arguments.get("pipeline"))
    return {"task_name": asked.task_name, "ref": asked.ref}


class RememberedAnswer:
    """The answer of a task that may die meanwhile: what is noted about it lets no later attempt send it twice.

    :param memory: the notes of the task.
    :param notes: ``ref`` of the release, ``task_name``, ``decision``, ``message``; and ``is_taken`` once the answer was
        accepted.
    """

    def __init__(self, client: ServiceStageClient, memory: Memory, notes: dict[str, Any]) -> None:
        self._client = client
        self._memory = memory
        self._notes = notes
        self._is_inferred = False
        """Whether only the state of the release shows that the answer was accepted."""

    @property
    def task_name(self) -> str:
        return str(self._notes["task_name"])

    def send(self) -> None:
        """Send the first answer."""
        try:
            self._send()
        except ReleasePipelineError as error:
            if not error.effect.is_open:
                self._memory.forget()
            raise

    def send_unless_taken(self) -> None:
        """Send the answer, unless an earlier attempt did, whatever the release is waiting for by now."""
        if self._notes.get("is_taken"):
            return
        ref, releases = self._notes["ref"], self._client.releases
        if releases.is_waiting_for(ref, self.task_name) is not False:
            try:
                # A refusal says nothing about the earlier attempt's answer: what is noted stays, so that no later
                # attempt answers another release.
                self._send()
                return
            except (BadRequestError, ConflictError) as error:
                is_known = self.task_name in self._client.release_tasks.list_approvals(ref["pipeline_id"])
                if not is_known or releases.is_waiting_for(ref, self.task_name):
                    raise
                log.warning("Refused, perhaps because it was already answered: %s", error)
        self._check_decision(self._client.observe(ref))
        log.warning("An earlier attempt's answer to %r was accepted", self.task_name)
        self._is_inferred = True

    def wait_until_taken(self) -> Execution:
        """The release once it no longer waits for this answer."""
        ref = self._notes["ref"]
        try:
            is_taken = wait_until_taken(self._client, ref, self.task_name)
        except PermissionDeniedError:
            self._memory.forget()
            raise
        if not is_taken:
            others = [name for name in self._client.releases.list_waiting_approvals(ref) if name != self.task_name]
            log.warning("The release is still waiting, probably for another approval: %s", ", ".join(others))
        answered: Execution = self._client.observe(ref)
        if self._is_inferred:
            # If it was waiting for this answer after all, somebody else may have answered meanwhile.
            self._check_decision(answered)
        return answered

    def note_done(self) -> None:
        """To be called once the task is about to succeed."""
        self._memory.note(self._notes, is_done=True)

    def _send(self) -> None:
        """Send the answer, and note what is known about it before and after."""
        notes = self._notes
        self._memory.note(notes)
        send(self._client, notes["ref"], self.task_name, notes["decision"], notes["message"])
        notes["is_taken"] = True
        self._memory.note(notes)

    def _check_decision(self, seen: Execution) -> None:
        check_decision(seen, self.task_name, str(self._notes["decision"]))


def send(client: ServiceStageClient, ref: ExecutionRef, task_name: str, decision: str, message: str | None) -> None:
    """Send the answer.

    :raises BadRequestError: refused; the error says what the release waits for.
    :raises ReleasePipelineError: it is not known whether it was accepted.
    """
    try:
        client.releases.act(
            ref["pipeline_id"],
            "approval",
            task_name=task_name,
            approval_type="agree" if decision == APPROVE else "refuse",
            message=message,
        )
    except BadRequestError as error:
        waiting = ", ".join(_waiting_for(client, ref))
        summary = f"the answer to task_name {task_name!r} was refused; the release is waiting for: {waiting}"
        raise BadRequestError(summary, call=error.call) from error
    except ReleasePipelineError as error:
        if not error.effect.is_open or not _was_taken(client, ref, task_name, decision):
            raise


def check_decision(seen: Execution, task_name: str, decision: str) -> None:
    """Check a release that no longer waits for an answer which an earlier attempt may have sent, but perhaps did not.

    :raises ConflictError: its state does not follow from this answer, so somebody else answered, or stopped it.
    """
    from airflow_provider.clients.service_stage.release_states import is_stopped

    # If it waits again, it does for the next approval. One that is being stopped still counts as running.
    is_next = seen.state is ExecutionState.WAITING
    is_stopping = seen.state is ExecutionState.RUNNING and is_stopped(seen)
    if is_stopping or (APPROVE if is_next else decided_at_the_vendor(seen.state)) != decision:
        doing = lines.doing(seen.state, seen.status)
        raise ConflictError(
            f"somebody else may have answered {task_name!r}: release {seen.id} {doing}, which is inconsistent with "
            f"the answer {decision}",
            call=Call(system=str(seen.ref["system"])),
        )


def _was_taken(client: ServiceStageClient, ref: ExecutionRef, task_name: str, decision: str) -> bool:
    """Whether an answer was accepted, as far as the release shows; a failed poll says nothing."""
    try:
        if client.releases.is_waiting_for(ref, task_name) is not False:
            return False
        check_decision(client.observe(ref), task_name, decision)
    except ReleasePipelineError as error:
        log.warning("Could not find out whether the answer was accepted: %s", error)
        return False
    return True


def _waiting_for(client: ServiceStageClient, ref: ExecutionRef) -> list[str]:
    """For the text of an error, which a failed poll must not replace."""
    try:
        return list(client.releases.list_waiting_approvals(ref))
    except ReleasePipelineError as error:
        return [f"(not known: {error.summary})"]


def wait_until_taken(client: ServiceStageClient, ref: ExecutionRef, task_name: str) -> bool:
    """Wait until the release no longer waits for this answer; returns whether that is certain.

    :raises PermissionDeniedError: it still does, so the answer was ignored.
    """
    deadline = time.time() + TAKEN_WITHIN
    while (is_waiting := client.releases.is_waiting_for(ref, task_name)) is not False and time.time() < deadline:
        time.sleep(POLL_PAUSE)
    if is_waiting:
        raise PermissionDeniedError(
            f"the answer to {task_name!r} was ignored: release task {ref['pipeline_id']} is still waiting for it after "
            f"{TAKEN_WITHIN:g} s; the connection's user is probably not one of its approvers",
            call=Call(system=client.system),
        )
    return is_waiting is False
