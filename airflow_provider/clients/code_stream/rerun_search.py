"""Finds the execution of a rerun or resume of a trigger event, before and after the event links to it.

A rerun carries no marker. Its execution is recognized by what existed before: the event's link, and the ids of the
newest events and executions that could be mistaken for it. If there are two candidates, neither is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from msgspec.structs import replace

from airflow_provider.clients.code_stream.event_document import (
    came_from_rerun,
    event_time,
    has_moved,
    is_since,
    linked_execution,
)
from airflow_provider.clients.code_stream.events import Events
from airflow_provider.clients.code_stream.execution_document import (
    is_alike,
    just_started,
    request_time,
)
from airflow_provider.clients.code_stream.execution_list import runs_since
from airflow_provider.clients.code_stream.execution_waits import ExecutionWaits
from airflow_provider.clients.code_stream.executions import Executions
from airflow_provider.clients.code_stream.fields import Document, as_text, id_from_link, id_of, parse_time
from airflow_provider.clients.code_stream.references import EVENT, RERUN, SYSTEM, execution_reference
from airflow_provider.clients.code_stream.rerun_reference import (
    floor_of,
    in_time,
    known_before,
    may_be_from,
    not_started,
    rerun_reference,
    was_resumed,
)
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.waitable import Intent, start_window
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

_OLDEST = datetime.min.replace(tzinfo=UTC)

EventsSince = Callable[[str], Sequence[Document]]
"""The events of a type that came since a rerun, and perhaps earlier ones."""


class RerunSearch:
    """:param started: observes executions."""

    def __init__(self, wire: Wire, events: Events, executions: Executions, started: ExecutionWaits) -> None:
        self._wire, self._events, self._executions, self._started = wire, events, executions, started

    def find(self, intent: Intent) -> list[Execution]:
        """All that a rerun with this intent may have led to if its answer was lost, oldest first."""
        event = self._events.get(str(intent["event_type"]), str(intent["event_id"]))
        ref = rerun_reference(intent, self._wire.transport.server_time())
        found = self._led_to(ref, event, self.events_since([ref]))
        if parse_time(ref.get("since")) is None:
            return found
        latest = datetime.fromtimestamp(start_window(intent)[1], UTC)
        return [each for each in found if (each.started_at or latest) <= latest]

    def observe(self, ref: ExecutionRef, event: Document, events: EventsSince) -> Execution:
        """The execution of a rerun, or the rerun itself.

        :raises ConflictError: it may have led to any of several executions.
        """
        found = self._led_to(ref, event, events)
        if len(found) > 1:
            names = ", ".join(f"{each.ref['kind']} {each.id}" for each in found)
            raise self._wire.conflict(
                f"ambiguous: event {ref['id']} was rerun more than once at the same time, and each of {names} may be "
                "what this rerun led to. None of them is waited for or canceled; resolve it manually"
            )
        seen = found[0] if found else not_started(ref, event)
        return seen if seen.ref["kind"] != RERUN else in_time(seen)

    def events_since(self, refs: Sequence[ExecutionRef]) -> EventsSince:
        """The events of a type that may have come since the first of these reruns."""

        def events(event_type: str) -> Sequence[Document]:
            floors = [floor_of(ref) for ref in refs if ref["event_type"] == event_type]
            return self._events.list(event_type, since=min(floor for floor in floors if floor))

        return events

    def _led_to(self, ref: ExecutionRef, event: Document, events: EventsSince) -> list[Execution]:
        """The executions that a rerun may have led to, oldest first; a new event without one counts as queued."""
        if ref["action"] == "resume":
            return self._resumed(ref, event)
        if new_event := ref.get("new_event"):
            return self._of_new_events(ref, [self._events.get(ref["event_type"], new_event)])
        if has_moved(event, ref):
            return self._of_moved_event(ref, event)
        if not (floor := floor_of(ref)):
            return []
        event_type, known = ref["event_type"], known_before(ref, "known_events")
        younger = [
            each
            for each in events(event_type)
            if is_since(each, floor) and id_of(each) not in known and came_from_rerun(event_type, each, event)
        ]
        return self._of_new_events(ref, sorted(younger, key=lambda each: event_time(each) or _OLDEST))

    def _resumed(self, ref: ExecutionRef, event: Document) -> list[Execution]:
        if has_moved(event, ref):
            return [self._observed(linked_execution(event))]
        if before := id_from_link(ref["link_before"]):
            document = self._executions.get(before)
            if was_resumed(document, ref):
                return [self._started.judged(document)]
        return []

    def _of_new_events(self, ref: ExecutionRef, new_events: Sequence[Document]) -> list[Execution]:
        if len(new_events) == 1:
            execution_id = linked_execution(new_events[0])
            return [self._observed(execution_id) if execution_id else not_started(ref, new_events[0])]
        # It is not known which of them is whose: they are named, but not polled.
        return [replace(self._named(ref, each), started_at=event_time(each)) for each in new_events]

    def _named(self, ref: ExecutionRef, event: Document) -> Execution:
        if execution_id := linked_execution(event):
            return just_started(self._wire, execution_id)
        event_ref = {"system": SYSTEM, "kind": EVENT, "id": id_of(event), "event_type": ref["event_type"]}
        return Execution(event_ref, ExecutionState.QUEUED, status="")

    def _of_moved_event(self, ref: ExecutionRef, event: Document) -> list[Execution]:
        """Its execution, and others that reruns of it may have led to before it pointed to this one."""
        execution_id = linked_execution(event)
        document = self._executions.get(execution_id)
        floor = floor_of(ref)
        if execution_id == id_from_link(ref["link_before"]) or floor is None:
            return [self._started.judged(document)]
        if not may_be_from(ref, document):
            return []
        runs = runs_since(self._wire, as_text(event.get("pipeline")), as_text(event.get("project")), floor)
        found = [document, *_others_like(document, ref, runs)]
        return [self._started.judged(each) for each in sorted(found, key=lambda each: request_time(each) or _OLDEST)]

    def _observed(self, execution_id: str) -> Execution:
        return self._started.observe(execution_reference(execution_id))


def _others_like(document: Document, ref: ExecutionRef, runs: Iterator[Document]) -> Iterator[Document]:
    for each in runs:
        if id_of(each) != id_of(document) and is_alike(each, document) and may_be_from(ref, each):
            yield each
