"""How an approval (user operation) of Code Stream is waited for: one that is to come, or one that is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import msgspec

from airflow_provider.clients.code_stream.approval_list import (
    asked_for,
    ended_unasked,
    operation_for,
    pending_operations,
)
from airflow_provider.clients.code_stream.approvals import Approvals
from airflow_provider.clients.code_stream.execution_waits import ExecutionWaits
from airflow_provider.clients.code_stream.references import APPROVAL, execution_reference
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.memory import Receipts
from airflow_provider.clients.waitable import Found, Intent, Look, Observation, Waitable
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState


class _Asked(msgspec.Struct):
    """:param execution_ref: by which the execution is watched that may ask for an approval."""

    execution_ref: ExecutionRef | None


class ApprovalWaits(Waitable):
    """References hold the ``id``, or "" and the ``execution_id`` or ``pipeline`` that is to ask.

    :param executions: watched meanwhile: one that has ended asks no more.
    """

    kind: ClassVar[str] = APPROVAL

    def __init__(self, receipts: Receipts[Any], wire: Wire, approvals: Approvals, executions: ExecutionWaits) -> None:
        super().__init__(receipts)
        self._wire, self._approvals, self._executions = wire, approvals, executions

    def observe(self, ref: ExecutionRef) -> Execution:
        if ref["id"]:
            return asked_for(self._wire, ref, self._approvals.get(ref["id"]))
        if operation := operation_for(pending_operations(self._wire), ref):
            return asked_for(self._wire, ref, operation)
        if awaited := ref.get("execution_id"):
            execution = self._executions.observe(execution_reference(awaited))
            if execution.state.is_terminal:
                return _ended_unasked(ref, execution)
        return _not_asked_yet(ref)

    def group(self, ref: ExecutionRef) -> str | None:
        return None if ref["id"] else "approvals"

    def fetch(self, refs: Sequence[ExecutionRef]) -> list[Found]:
        found: dict[int, Found] = {}
        for fetch, is_known in ((super().fetch, True), (self._fetch_pending, False)):
            places = [place for place, ref in enumerate(refs) if bool(ref["id"]) is is_known]
            if places:
                found.update(zip(places, fetch([refs[place] for place in places]), strict=True))
        return [found[place] for place in range(len(refs))]

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        raise self._wire.bad_request("what waits for an approval cannot be canceled")

    def find_started(self, intent: Intent) -> list[Execution]:
        raise self._wire.bad_request("an approval that is to come is not started from here")

    def _fetch_pending(self, refs: Sequence[ExecutionRef]) -> list[Found]:
        """One list of what waits for an answer; of executions that do not wait, only whether they ended."""
        told: list[_Asked | None] = self.receipts.values_of(refs)
        seen: list[Found] = [None] * len(refs)
        pending = pending_operations(self._wire)
        silent: list[int] = []
        for place, ref in enumerate(refs):
            if operation := operation_for(pending, ref):
                seen[place] = asked_for(self._wire, ref, operation)
            elif ref.get("execution_id"):
                silent.append(place)
            elif not told[place]:
                seen[place] = self.receipts.hand_out(_not_asked_yet(ref), _Asked(None))
        watched = [
            before.execution_ref
            if (before := told[place]) and before.execution_ref
            else execution_reference(refs[place]["execution_id"])
            for place in silent
        ]
        for place, found in zip(silent, self._executions.fetch(watched), strict=True):
            now = partial(self._not_asked, refs[place], told[place])
            seen[place] = partial(_then, found, now) if callable(found) else now(found)
        return seen

    def _not_asked(self, ref: ExecutionRef, told: _Asked | None, found: Observation | None) -> Observation | None:
        if found is None or isinstance(found, ReleasePipelineError):
            return found
        if found.state.is_terminal:
            return _ended_unasked(ref, found)
        if told:
            told.execution_ref = found.ref
            return None
        return self.receipts.hand_out(_not_asked_yet(ref), _Asked(found.ref))


def _then(look: Look, judge: Callable[[Observation | None], Observation | None]) -> Observation | None:
    return judge(look())


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
