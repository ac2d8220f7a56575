"""Waits for executions of Code Stream, cancels them, and finds them after a start whose answer was lost."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import ClassVar

from msgspec.structs import replace

from airflow_provider.clients.code_stream.execution_document import MAY_BE_ROLLED_BACK, read_execution
from airflow_provider.clients.code_stream.execution_list import marked_runs, newest_unfinished
from airflow_provider.clients.code_stream.execution_lookup import Lookup
from airflow_provider.clients.code_stream.execution_updates import Updates
from airflow_provider.clients.code_stream.execution_watch import Watch
from airflow_provider.clients.code_stream.executions import Executions
from airflow_provider.clients.code_stream.fields import Document
from airflow_provider.clients.code_stream.references import EXECUTION
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.memory import Doubts
from airflow_provider.clients.urls import path
from airflow_provider.clients.waitable import Found, Intent, Waitable
from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    ReleasePipelineError,
    ServerUnavailableError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState


class ExecutionWaits(Waitable):
    """References hold the execution's ``id`` only."""

    kind: ClassVar[str] = EXECUTION

    def __init__(self, wire: Wire, executions: Executions) -> None:
        self._wire, self._executions = wire, executions
        self._doubts = Doubts()
        lookup = Lookup(wire, executions.get)
        self._watch = Watch(Updates(wire), lookup, self.judged, partial(newest_unfinished, wire))

    def observe(self, ref: ExecutionRef) -> Execution:
        return self.judged(self._executions.get(ref["id"]))

    def group(self, ref: ExecutionRef) -> str | None:
        return "executions"

    def fetch(self, refs: Sequence[ExecutionRef], seen: Sequence[Execution | None]) -> list[Found]:
        return self._watch.fetch(refs)

    def needs_cancel(self, execution: Execution) -> bool:
        """A paused one does, because anybody can resume it. One that is being canceled needs no second cancel."""
        return not execution.state.is_terminal and execution.status.upper() != "CANCELING"

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        if self._is_ending(ref["id"]):
            return
        try:
            self._executions.cancel(ref["id"], reason)
        except (BadRequestError, ConflictError, ServerUnavailableError, UnexpectedResponseError):
            with suppress(ReleasePipelineError):
                if self._is_ending(ref["id"]):
                    return
            raise

    def settling_of(self, execution: Execution) -> float:
        """A failed execution may be rolled back, which is its end only then."""
        return DURATIONS.failed_settling if execution.status.upper() == MAY_BE_ROLLED_BACK else 0.0

    def note_unfinished(self, ref: ExecutionRef) -> None:
        self._doubts.note_unfinished(ref["id"])

    def is_marked(self, intent: Intent) -> bool:
        return True

    def find_started(self, intent: Intent) -> list[Execution]:
        pipeline_id, marker = str(intent["pipeline_id"]), str(intent["marker"])
        if not marker:
            raise self._wire.bad_request("marker must not be empty")
        found = marked_runs(self._wire, pipeline_id, marker, float(intent["since"]))
        return [self.judged(each) for each in found]

    def _is_ending(self, execution_id: str) -> bool:
        """Whether it has ended or is being canceled."""
        document = self._wire.get(path("/executions/{execution_id}", execution_id=execution_id), attempts=1)
        return not self.needs_cancel(read_execution(self._wire, document))

    def judged(self, document: Document) -> Execution:
        """The execution as a wait sees it: while a FAILED one may still be rolled back, it is running."""
        return self.believed(read_execution(self._wire, document))

    def believed(self, seen: Execution, *, was_unfinished: bool = False) -> Execution:
        """As :meth:`judged`.

        :param was_unfinished: whether it was observed unfinished, when its id was not known yet.
        """
        if was_unfinished and not self._doubts.was_unfinished(seen.id):
            self._doubts.note_unfinished(seen.id)
        if not seen.state.is_terminal:
            self._doubts.note_unfinished(seen.id)
        elif (settling := self.settling_of(seen)) and not self._doubts.is_believed(seen.id, settling):
            return replace(seen, state=ExecutionState.RUNNING, finished_at=None, rejected=None)
        return seen
