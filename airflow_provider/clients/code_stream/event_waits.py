"""Waits for future trigger events."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from airflow_provider.clients.code_stream.event_document import (
    delivery_error,
    event_time,
    linked_execution,
    matches,
    shown,
)
from airflow_provider.clients.code_stream.event_list import newest_events
from airflow_provider.clients.code_stream.fields import Document, id_of, parse_time
from airflow_provider.clients.code_stream.references import EVENT
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.memory import Recent
from airflow_provider.clients.waitable import (
    Found,
    Intent,
    Observation,
    Waitable,
    concerns_one_execution,
    or_own_error,
)
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

LATENESS = timedelta(minutes=1)
"""How much later than a younger event an event may appear in a list."""
WHOLE_EVERY = 600.0
"""Seconds after which all events are read again."""


class EventWaits(Waitable):
    """References hold the ``event_type``, ``filters`` and ``since``; the ``id`` is "" until the event arrives."""

    kind: ClassVar[str] = EVENT

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._known: Recent[tuple[str, ...], datetime] = Recent()
        """For each wait, the time of the newest event that was already examined and did not match."""
        self._read_whole: Recent[str, float] = Recent()
        """By event type, when (monotonic) all events were last read."""

    def observe(self, ref: ExecutionRef) -> Execution:
        return self._match(ref, newest_events(self._wire, ref["event_type"], since=self._since(ref)))

    def group(self, ref: ExecutionRef) -> str | None:
        return f"event: {ref.get('event_type')} events"

    def fetch(self, refs: Sequence[ExecutionRef], seen: Sequence[Execution | None]) -> list[Found]:
        """One list of events, read down to the newest one that all of these waits have examined."""
        try:
            events = self._unknown_events(refs)
        except ReleasePipelineError as error:
            if not concerns_one_execution(error):
                raise
            return [error] * len(refs)
        newest = max((moment for event in events if (moment := event_time(event))), default=None)
        return [self._found(ref, last, events, newest) for ref, last in zip(refs, seen, strict=True)]

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        raise self._wire.bad_request("an event cannot be canceled")

    def find_started(self, intent: Intent) -> list[Execution]:
        raise self._wire.bad_request("an event cannot be started")

    def _unknown_events(self, refs: Sequence[ExecutionRef]) -> list[Document]:
        now = time.monotonic()
        event_type = refs[0]["event_type"]
        # An event may change after it arrived, and match only then: now and then, all are read again.
        is_due = now - (self._read_whole.get(event_type) or -math.inf) > WHOLE_EVERY
        floors = []
        for ref, newest in zip(refs, self._known.get_all(map(_key, refs)), strict=True):
            since = parse_time(ref.get("since"))
            known = newest - LATENESS if newest and not is_due else None
            floors.append(max(since, known) if since and known else since or known)
        bounds = [floor for floor in floors if floor]
        oldest = min(bounds) if len(bounds) == len(floors) else None
        events = list(newest_events(self._wire, event_type, since=oldest))
        if is_due:
            self._read_whole.put(event_type, now)
        return events

    def _found(
        self, ref: ExecutionRef, last: Execution | None, events: Sequence[Document], newest: datetime | None
    ) -> Observation:
        found = or_own_error(lambda: self._match(ref, events))
        if isinstance(found, ReleasePipelineError):
            return found
        if found.state.is_terminal:
            self._known.drop(_key(ref))
            return found
        if newest:
            self._known.put(_key(ref), newest)
        return last or found

    def _match(self, ref: ExecutionRef, newest_first: Iterable[Document]) -> Execution:
        filters = self._filters(ref)
        since = self._since(ref)
        event = next((each for each in newest_first if matches(each, filters, since)), None)
        if event is None:
            return Execution(dict(ref), ExecutionState.RUNNING, status="")
        linked = linked_execution(event)
        return Execution(
            {**ref, "id": id_of(event)},
            ExecutionState.SUCCEEDED,
            status=str(event.get("executionStatus") or ""),
            url=self._wire.page_of(linked) if linked else None,
            message=delivery_error(ref["event_type"], event),
            outputs=shown(event, self._wire.transport.redact),
            started_at=event_time(event),
            finished_at=event_time(event),
        )

    def _filters(self, ref: ExecutionRef) -> Mapping[str, Any]:
        try:
            filters = json.loads(ref.get("filters") or "{}")
        except ValueError:
            filters = None
        if not isinstance(filters, dict):
            raise self._wire.bad_request(f"filters must be a JSON object, got {ref.get('filters')!r}")
        return filters

    def _since(self, ref: ExecutionRef) -> datetime | None:
        text = ref.get("since")
        moment = parse_time(text)
        if text and moment is None:
            raise self._wire.bad_request(f"since must be a date and time with its zone, got {text!r}")
        return moment


def _key(ref: ExecutionRef) -> tuple[str, ...]:
    return ref["event_type"], ref.get("filters", ""), ref.get("since", "")
