"""How a trigger event that is to come is waited for."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

import msgspec

from airflow_provider.clients.code_stream.event_document import delivery_error, event_time, linked_execution, matches
from airflow_provider.clients.code_stream.event_list import newest_events
from airflow_provider.clients.code_stream.fields import Json, id_of, parse_time, without_secrets
from airflow_provider.clients.code_stream.references import EVENT
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.memory import Receipts, Recent
from airflow_provider.clients.waitable import Found, Intent, Waitable, concerns_one_execution
from airflow_provider.exceptions import BadRequestError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

LATENESS = timedelta(minutes=1)
"""By how much an event may show in a list after a younger one did."""
WHOLE_EVERY = 600.0
"""Seconds after which all events are read again."""


class _Expected(msgspec.Struct):
    """:param known: when the newest event came of those that were looked through for a wait."""

    known: datetime | None


class EventWaits(Waitable):
    """References hold the ``event_type``, ``filters`` and ``since``; the ``id`` is "" until it has come."""

    kind: ClassVar[str] = EVENT

    def __init__(self, receipts: Receipts[Any], wire: Wire) -> None:
        super().__init__(receipts)
        self._wire = wire
        self._read_whole: Recent[str, float] = Recent()
        """When (monotonic) all events of a type were read."""

    def observe(self, ref: ExecutionRef) -> Execution:
        return self._match(ref, newest_events(self._wire, ref["event_type"], since=self._since(ref)))

    def group(self, ref: ExecutionRef) -> str | None:
        return f"event: {ref.get('event_type')} events"

    def fetch(self, refs: Sequence[ExecutionRef]) -> list[Found]:
        """One list for each type of events, read down to the newest that all of these waits know."""
        seen: list[Found] = [None] * len(refs)
        told: list[_Expected | None] = self.receipts.values_of(refs)
        for event_type in dict.fromkeys(ref["event_type"] for ref in refs):
            places = [place for place, ref in enumerate(refs) if ref["event_type"] == event_type]
            try:
                events = self._unknown_events(event_type, [(refs[place], told[place]) for place in places])
            except ReleasePipelineError as error:
                if not concerns_one_execution(error):
                    raise
                for place in places:
                    seen[place] = error
                continue
            newest = max((moment for event in events if (moment := event_time(event))), default=None)
            for place in places:
                seen[place] = self._told_now(refs[place], told[place], events, newest)
        return seen

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        raise self._wire.bad_request("what waits for an event cannot be canceled")

    def find_started(self, intent: Intent) -> list[Execution]:
        raise self._wire.bad_request("an event that is to come is not started from here")

    def _unknown_events(self, event_type: str, waits: Sequence[tuple[ExecutionRef, _Expected | None]]) -> list[Json]:
        now = time.monotonic()
        # An event can change after it came, and then match: all are read again at times.
        is_due = now - (self._read_whole.get(event_type) or -math.inf) > WHOLE_EVERY
        floors = []
        for ref, told in waits:
            since = parse_time(ref.get("since"))
            known = told.known - LATENESS if told and told.known and not is_due else None
            floors.append(max(since, known) if since and known else since or known)
        bounds = [floor for floor in floors if floor]
        oldest = min(bounds) if len(bounds) == len(floors) else None
        events = list(newest_events(self._wire, event_type, since=oldest))
        if is_due:
            self._read_whole.put(event_type, now)
        return events

    def _told_now(
        self, ref: ExecutionRef, told: _Expected | None, events: Sequence[Json], newest: datetime | None
    ) -> Found:
        try:
            found = self._match(ref, events)
        except BadRequestError as error:
            return error
        if told and not found.state.is_terminal:
            told.known = newest or told.known
            return None
        return self.receipts.hand_out(found, _Expected(newest))

    def _match(self, ref: ExecutionRef, newest_first: Iterable[Json]) -> Execution:
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
            outputs=without_secrets(event),
            started_at=event_time(event),
            finished_at=event_time(event),
        )

    def _filters(self, ref: ExecutionRef) -> Mapping[str, Any]:
        try:
            filters = json.loads(ref.get("filters") or "{}")
        except ValueError:
            filters = None
        if not isinstance(filters, dict):
            raise self._wire.bad_request(f"filters must be a JSON object, but is {ref.get('filters')!r}")
        return filters

    def _since(self, ref: ExecutionRef) -> datetime | None:
        text = ref.get("since")
        moment = parse_time(text)
        if text and moment is None:
            raise self._wire.bad_request(f"since must be a date and time with its zone, but is {text!r}")
        return moment
