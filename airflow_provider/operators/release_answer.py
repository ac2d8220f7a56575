"""The answer of a task to an approval of a ServiceStage release: what is remembered lets no retry send it twice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from airflow_provider.core import lines
from airflow_provider.core.approving import APPROVE
from airflow_provider.exceptions import (
    BadRequestError,
    Call,
    ConflictError,
    PermissionDeniedError,
    ReleasePipelineError,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.clients.service_stage import ServiceStageClient
    from airflow_provider.core.approving import Question
    from airflow_provider.execution import Execution
    from airflow_provider.operators.memory import Memory
    from airflow_provider.operators.service_stage import ServiceStageApprovalOperator

log = structlog.get_logger(logger_name=__name__)

KEY = "approval_answer"
"""Key of the notes in the task state store."""


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
    answered = answer.wait_until_accepted()
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
    client.approvals.require_waiting(asked.ref, asked.task_name)
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

    @property
    def _approve(self) -> bool:
        return bool(self._notes["decision"] == APPROVE)

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
        ref, approvals = self._notes["ref"], self._client.approvals
        if approvals.is_waiting_for(ref, self.task_name) is not False:
            try:
                # A refusal says nothing about the earlier attempt's answer: what is noted stays, so that no later
                # attempt answers another release.
                self._send()
                return
            except (BadRequestError, ConflictError) as error:
                is_known = self.task_name in self._client.release_tasks.list_approvals(ref["pipeline_id"])
                if not is_known or approvals.is_waiting_for(ref, self.task_name):
                    raise
                log.warning("Refused, perhaps because it was already answered: %s", error)
        approvals.check_decision(ref, self.task_name, self._approve)
        log.warning("An earlier attempt's answer to %r was accepted", self.task_name)
        self._is_inferred = True

    def wait_until_accepted(self) -> Execution:
        """The release once it no longer waits for this answer."""
        ref, approvals = self._notes["ref"], self._client.approvals
        try:
            is_certain = approvals.wait_until_accepted(ref, self.task_name)
        except PermissionDeniedError:
            self._memory.forget()
            raise
        if not is_certain:
            others = [name for name in approvals.list_waiting(ref) if name != self.task_name]
            log.warning("The release is still waiting, probably for another approval: %s", ", ".join(others))
        if self._is_inferred:
            # If it was waiting for this answer after all, somebody else may have answered meanwhile.
            return approvals.check_decision(ref, self.task_name, self._approve)
        answered: Execution = self._client.observe(ref)
        return answered

    def note_done(self) -> None:
        """To be called once the task is about to succeed."""
        self._memory.note(self._notes, is_done=True)

    def _send(self) -> None:
        """Send the answer, and note what is known about it before and after."""
        notes = self._notes
        self._memory.note(notes)
        self._client.approvals.answer(notes["ref"], self.task_name, self._approve, notes["message"])
        notes["is_taken"] = True
        self._memory.note(notes)
