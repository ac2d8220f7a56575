"""The gates of each system: which approval an execution has reached, and how its answer is sent.

``gate_attempt.py`` asks people and processes their answers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider.clients.code_stream.references import answer_reference
from airflow_provider.core.approving import APPROVE, Gate, GateQuestion
from airflow_provider.exceptions import BadRequestError, ConflictError
from airflow_provider.execution import Execution, ExecutionState

if TYPE_CHECKING:
    from airflow_provider.clients.code_stream import CodeStreamClient
    from airflow_provider.clients.service_stage import ServiceStageClient


class Gates(Protocol):
    """The gates of one system."""

    def find(self, waiting: Execution, passed: Collection[str]) -> Gate | None:
        """The approval that an execution waits for; ``None``: none is visible.

        :param passed: names of the gates that the execution has passed.
        """

    def answer(self, question: GateQuestion, message: str) -> None:
        """Send the decision, unless it was already accepted, and check that the system accepted it.

        :raises ConflictError: it has another answer, or can no longer be decided.
        """


class CodeStreamGates:
    """Each gate is a user operation of its own, with an id."""

    def __init__(self, client: CodeStreamClient) -> None:
        self._client = client

    def find(self, waiting: Execution, passed: Collection[str]) -> Gate | None:
        try:
            operation_id = self._client.approvals.find_pending(waiting.id)
        except ConflictError:
            return None
        approval = self._client.observe(answer_reference(operation_id))
        if approval.state is not ExecutionState.WAITING:
            # A list may still show an answered approval for a while.
            return None
        details = self._client.approvals.describe(approval)
        stage = f" ({details['Stage']})" if details["Stage"] else ""
        return Gate(ref=dict(approval.ref), name=f"{details['Approval']}{stage}", details=details)

    def answer(self, question: GateQuestion, message: str) -> None:
        self._client.approvals.answer(question.ref["id"], question.decision == APPROVE, message)


class ServiceStageGates:
    """Gates have names, and the release knows only which of them it waits for, if that."""

    def __init__(self, client: ServiceStageClient) -> None:
        self._client = client

    def find(self, waiting: Execution, passed: Collection[str]) -> Gate | None:
        approvals = self._client.approvals
        asking = approvals.list_waiting(waiting.ref)
        if asking and not approvals.is_waiting_for(waiting.ref, asking[0]):
            # The documented API does not show which one; they come in this order.
            asking = [name for name in asking if name not in passed]
        if not asking:
            return None
        name, *others = asking
        details = approvals.describe(waiting, name)
        if others:
            details["Or else for"] = ", ".join(others)
        return Gate(ref=dict(waiting.ref), name=name, task_name=name, details=details)

    def answer(self, question: GateQuestion, message: str) -> None:
        ref, name, approvals = question.ref, question.task_name, self._client.approvals
        approve = question.decision == APPROVE
        if approvals.is_waiting_for(ref, name) is False:
            # An earlier attempt's answer was accepted, or somebody else's.
            approvals.check_decision(ref, name, approve)
            return
        try:
            approvals.answer(ref, name, approve, message)
        except BadRequestError as error:
            if approvals.is_waiting_for(ref, name):
                raise
            # By now it probably waits for the next one, which these people were not asked about.
            if question.sends == 1:
                raise ConflictError(
                    f"the approval has probably been decided already: {error.summary}", call=error.call
                ) from error
            approvals.check_decision(ref, name, approve)
            return
        approvals.wait_until_accepted(ref, name)


GATES: dict[str, Callable[[Any], Gates]] = {
    "code_stream": CodeStreamGates,
    "service_stage": ServiceStageGates,
}
"""By system; each takes the client of its system."""
