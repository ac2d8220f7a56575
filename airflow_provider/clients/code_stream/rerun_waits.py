"""Waits for a rerun of a trigger event until it has led to an execution, which is waited for from then on."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

from airflow_provider.clients.code_stream.event_list import EVENT_PATHS, NEWEST_EVENT_FIRST
from airflow_provider.clients.code_stream.events import Events
from airflow_provider.clients.code_stream.execution_waits import ExecutionWaits
from airflow_provider.clients.code_stream.lists import Decode, Page
from airflow_provider.clients.code_stream.references import RERUN
from airflow_provider.clients.code_stream.rerun_search import RerunSearch
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.decoding import decoder
from airflow_provider.clients.memory import Doubts
from airflow_provider.clients.waitable import Found, Intent, Waitable, or_own_error
from airflow_provider.exceptions import Effect
from airflow_provider.execution import Execution, ExecutionRef

_EVENTS: Decode[dict[str, Any]] = decoder(Page[dict[str, Any]])


class RerunWaits(Waitable):
    """References hold the event's ``id`` and what existed before; see :mod:`.rerun_reference`.

    :param search: finds the executions of reruns.
    :param executions: cancels them.
    """

    kind: ClassVar[str] = RERUN

    def __init__(self, wire: Wire, events: Events, search: RerunSearch, executions: ExecutionWaits) -> None:
        self._wire, self._events, self._search, self._executions = wire, events, search, executions
        self._doubts = Doubts()

    def observe(self, ref: ExecutionRef) -> Execution:
        event = self._events.get(ref["event_type"], ref["id"])
        return self._judged(ref, self._search.observe(ref, event, self._search.events_since([ref])))

    def group(self, ref: ExecutionRef) -> str | None:
        return f"rerun: {ref.get('event_type')} events"

    def fetch(self, refs: Sequence[ExecutionRef], seen: Sequence[Execution | None]) -> list[Found]:
        """One list of events for as many as it contains, and one for the events that have come since."""
        event_type = refs[0]["event_type"]
        wanted, root = [ref["id"] for ref in refs], EVENT_PATHS.get(event_type)
        events = self._wire.newest(root, NEWEST_EVENT_FIRST, wanted, _EVENTS) if root else {}
        younger = functools.cache(self._search.events_since(refs))

        def observe(ref: ExecutionRef) -> Execution:
            event = events.get(ref["id"]) or self._events.get(event_type, ref["id"])
            return self._judged(ref, self._search.observe(ref, event, younger))

        return [or_own_error(functools.partial(observe, ref)) for ref in refs]

    def note_unfinished(self, ref: ExecutionRef) -> None:
        self._doubts.note_unfinished(_key(ref))

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        seen = self.observe(ref)
        if seen.ref["kind"] == RERUN:
            # It may appear in a moment: the caller should retry.
            raise self._wire.conflict(
                f"nothing to cancel: event {ref['id']} has not led to an execution yet", Effect.NONE
            )
        self._executions.cancel(seen.ref, reason)

    def find_started(self, intent: Intent) -> list[Execution]:
        return self._search.find(intent)

    def _judged(self, ref: ExecutionRef, seen: Execution) -> Execution:
        """An execution that failed before it was first observed may still be rolled back, like any other."""
        if seen.ref["kind"] != RERUN:
            return self._executions.believed(seen, was_unfinished=self._doubts.was_unfinished(_key(ref)))
        if not seen.state.is_terminal:
            self.note_unfinished(ref)
        return seen


def _key(ref: ExecutionRef) -> str:
    """Of one rerun of an event."""
    return f"{ref['id']} {ref.get('since', '')}"
