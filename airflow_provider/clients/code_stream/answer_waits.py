"""Waits for the answer to an approval (user operation) of Code Stream, whoever gives it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from airflow_provider.clients.code_stream.approval_list import asked_for, checked, pending_operations
from airflow_provider.clients.code_stream.approvals import Approvals
from airflow_provider.clients.code_stream.fields import Document, id_of
from airflow_provider.clients.code_stream.references import ANSWER
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.waitable import Found, Intent, Waitable
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

NOBODY_ANSWERS = ("CANCELED", "EXPIRED")
"""Statuses of a user operation that has ended without an answer."""


class AnswerWaits(Waitable):
    """References hold the ``id`` of the user operation. The state is ``WAITING`` until it is answered, then
    ``SUCCEEDED`` if it was approved, ``FAILED`` if it was rejected, and ``CANCELED`` if nobody can answer it any more.
    """

    kind: ClassVar[str] = ANSWER

    def __init__(self, wire: Wire, approvals: Approvals) -> None:
        self._wire, self._approvals = wire, approvals

    def observe(self, ref: ExecutionRef) -> Execution:
        return self._judged(ref, checked(self._wire, ref, self._approvals.get(ref["id"])))

    def group(self, ref: ExecutionRef) -> str | None:
        return "answers"

    def fetch(self, refs: Sequence[ExecutionRef], seen: Sequence[Execution | None]) -> list[Found]:
        """One list of pending user operations; those that are no longer in it are polled on their own."""
        pending = {id_of(each): each for each in pending_operations(self._wire)}
        found: list[Found] = []
        for ref, last in zip(refs, seen, strict=True):
            operation = pending.get(ref["id"])
            if operation is None:
                found.append(partial(self.observe_or_error, ref))
            else:
                found.append(last or self._judged(ref, operation))
        return found

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        raise self._wire.bad_request("an approval cannot be canceled")

    def find_started(self, intent: Intent) -> list[Execution]:
        raise self._wire.bad_request("an answer cannot be started")

    def _judged(self, ref: ExecutionRef, operation: Document) -> Execution:
        return asked_for(self._wire, ref, operation, self._state_of(str(operation.get("status") or "")))

    def _state_of(self, status: str) -> ExecutionState:
        if status.upper() == "ACTIVE":
            return ExecutionState.WAITING
        if self._wire.words.is_taken("approve", status):
            return ExecutionState.SUCCEEDED
        if self._wire.words.is_taken("reject", status):
            return ExecutionState.FAILED
        return ExecutionState.CANCELED if status.upper() in NOBODY_ANSWERS else ExecutionState.UNKNOWN
