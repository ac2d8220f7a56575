"""Waits for an approval (user operation) of Code Stream to appear: a known one, or a future one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from airflow_provider.clients.code_stream.approval_list import (
    asked_for,
    checked,
    ended_unasked,
    operation_for,
    pending_operations,
)
from airflow_provider.clients.code_stream.approvals import Approvals
from airflow_provider.clients.code_stream.execution_waits import ExecutionWaits
from airflow_provider.clients.code_stream.references import APPROVAL, execution_reference
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.waitable import Found, Intent, Observation, PendingObservation, Waitable
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState


class ApprovalWaits(Waitable):
    """References hold the ``id``, or "" and the ``execution_id`` or ``pipeline`` that will ask.

    :param executions: observed as well: an execution that has ended no longer asks.
    """

    kind: ClassVar[str] = APPROVAL

    def __init__(self, wire: Wire, approvals: Approvals, executions: ExecutionWaits) -> None:
        self._wire, self._approvals, self._executions = wire, approvals, executions

    def observe(self, ref: ExecutionRef) -> Execution:
        if ref["id"]:
            return asked_for(self._wire, ref, checked(self._wire, ref, self._approvals.get(ref["id"])))
        if pending := operation_for(pending_operations(self._wire), ref):
            return asked_for(self._wire, ref, pending)
        if awaited := ref.get("execution_id"):
            execution = self._executions.observe(execution_reference(awaited))
            if execution.state.is_terminal:
                return _ended_unasked(ref, execution)
        return _not_asked_yet(ref)

    def group(self, ref: ExecutionRef) -> str | None:
        return None if ref.get("id") else "approvals"

    def fetch(self, refs: Sequence[ExecutionRef], seen: Sequence[Execution | None]) -> list[Found]:
        """One list of pending user operations; executions without one are polled for whether they have ended."""
        pending = pending_operations(self._wire)
        found: dict[int, Found] = {}
        not_asking: dict[int, Execution] = {}
        for index, (ref, last) in enumerate(zip(refs, seen, strict=True)):
            if operation := operation_for(pending, ref):
                found[index] = asked_for(self._wire, ref, operation)
            elif ref.get("execution_id"):
                not_asking[index] = last or _not_asked_yet(ref)
            else:
                found[index] = last or _not_asked_yet(ref)
        if not_asking:
            executions = [execution_reference(refs[index]["execution_id"]) for index in not_asking]
            observed = self._executions.fetch(executions, [None] * len(executions))
            for (index, waiting), execution in zip(not_asking.items(), observed, strict=True):
                judge = partial(_not_asked, waiting)
                found[index] = partial(_then, execution, judge) if callable(execution) else judge(execution)
        return [found[index] for index in range(len(refs))]

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        raise self._wire.bad_request("an approval cannot be canceled")

    def find_started(self, intent: Intent) -> list[Execution]:
        raise self._wire.bad_request("an approval cannot be started")


def _then(pending: PendingObservation, judge: Callable[[Observation], Observation]) -> Observation:
    return judge(pending())


def _not_asked(waiting: Execution, execution: Observation) -> Observation:
    """The observation of a future approval, given that of its execution."""
    if isinstance(execution, ReleasePipelineError):
        return execution
    return _ended_unasked(waiting.ref, execution) if execution.state.is_terminal else waiting


def _not_asked_yet(ref: ExecutionRef) -> Execution:
    return Execution(dict(ref), ExecutionState.RUNNING, status="")


def _ended_unasked(ref: ExecutionRef, execution: Execution) -> Execution:
    return Execution(
        dict(ref),
        ExecutionState.FAILED,
        status=execution.status,
        url=execution.url,
        message=ended_unasked(execution),
    )
