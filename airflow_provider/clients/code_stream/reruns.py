"""Reruns and resumes of trigger events: what they lead to, before and after the event says so.

A rerun bears no marker. What it led to is known by what was there before: the event's link, and the ids of the newest
events and executions that could be taken for it. Where two could be it, nobody's is followed.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from airflow_provider.clients.code_stream.api import NEWEST_FIRST, CodeStreamApi
from airflow_provider.clients.code_stream.calls import Decode, Page
from airflow_provider.clients.code_stream.events import (
    EVENT_PATHS,
    came_from_rerun,
    delivery_error,
    event_time,
    has_moved,
    is_since,
    linked_execution,
)
from airflow_provider.clients.code_stream.executions import execution_ref, is_alike, request_time, state_of
from airflow_provider.clients.code_stream.fields import Json, as_text, id_from_link, id_of, parse_time
from airflow_provider.clients.decoding import decoder
from airflow_provider.clients.waitable import Intent, Observation, concerns_one_execution, start_window
from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import Call, ConflictError, Effect, NotFoundError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

CLOCK_TOLERANCE = timedelta(seconds=DURATIONS.clock_tolerance)
"""By how much two machines' clocks may be apart, and so the time of a rerun and that of what it led to."""
KNOWN_FOR = 2 * CLOCK_TOLERANCE
"""How far back the events and executions before a rerun are noted: further than any later look for it reaches."""
MOST_KNOWN = 100
"""Events, and executions, that are noted before a rerun: the newest."""

_EVENTS: Decode[dict[str, Any]] = decoder(Page[dict[str, Any]])
_OLDEST = datetime.min.replace(tzinfo=UTC)

_PASSED_ON = (
    "event_type",
    "action",
    "link_before",
    "index_before",
    "status_before",
    "resumed_before",
    "since",
    "start_timeout",
)
_PASSED_ON_AS_JSON = ("known_events", "known_executions")


class Reruns(CodeStreamApi):
    """The part of the client that knows references of kind ``rerun``."""

    def before_rerun(
        self, event_type: str, event_id: str, action: str = "rerun", *, force: bool = False
    ) -> dict[str, Any]:
        """The intent of a rerun or resume: what tells later whether the event led to another execution.

        :param force: rerun it although the execution that it led to before is still running.
        :raises ConflictError: that execution is still running.
        """
        self._check_event_action(action)
        event = self.get_event(event_type, event_id)
        linked: Json = {}
        if execution_id := linked_execution(event):
            with contextlib.suppress(NotFoundError):
                linked = self.get_execution(execution_id)
        if linked and not force:
            self._check_over(self._execution(linked), action)
        intent = {
            "kind": "rerun",
            "event_type": event_type,
            "event_id": event_id,
            "action": action,
            "link_before": as_text(event.get("executionLink")),
            "index_before": as_text(event.get("executionIndex")),
        }
        if action == "resume":
            before = {name: as_text(linked.get(field)) for name, field in _BEFORE_RESUME.items()}
            return {**intent, **before}
        return {**intent, **self._known_before(event_type, event)}

    def _known_before(self, event_type: str, event: Json) -> dict[str, list[str]]:
        """The ids of the newest events and executions that might be taken for what a rerun leads to."""
        now = self.server_time()
        since = datetime.fromtimestamp(time.time() if now is None else now, UTC) - KNOWN_FOR
        events = (each for each in self._events(event_type, since=since) if came_from_rerun(event_type, each, event))
        executions = self._runs_since(as_text(event.get("pipeline")), as_text(event.get("project")), since)
        return {
            "known_events": [id_of(each) for each in itertools.islice(events, MOST_KNOWN)],
            "known_executions": [id_of(each) for each in itertools.islice(executions, MOST_KNOWN)],
        }

    def start_rerun(self, intent: Intent) -> Execution:
        """Send the one request that reruns (or resumes) the event of an intent.

        :raises ConflictError: somebody else has rerun it since :meth:`before_rerun`: whose execution is whose could not
            be told any more. Nothing was sent then.
        """
        event_type, event_id = str(intent["event_type"]), str(intent["event_id"])
        if intent["action"] == "rerun" and (found := self._found_before_sending(intent)):
            raise ConflictError(
                f"event {event_id} has led to {found[0].ref['kind']} {found[0].id} since this rerun was prepared: "
                "somebody else has rerun it, and what this rerun leads to could not be told from that",
                call=Call(system=self.system),
            )
        return self.follow_rerun(intent, self.rerun_event(event_type, event_id, intent["action"]))

    def _found_before_sending(self, intent: Intent) -> list[Execution]:
        try:
            return self._find_rerun(intent)
        except ReleasePipelineError as error:
            # Whatever became of these reads: the rerun that they were for has not been sent.
            if error.effect.is_open:
                error.effect = Effect.NONE
            raise

    def awaited_by(self, intent: Intent) -> ExecutionRef:
        """The reference of what a rerun with this intent leads to.

        :param intent: with ``since``, the epoch seconds before the rerun, also the new event is found that some
            servers create instead of changing the old one; with ``start_timeout``, seconds, the reference holds
            ``start_by``, epoch seconds of this machine's clock after which it is looked at as failed.
        """
        texts = {name: as_text(intent[name]) for name in _PASSED_ON if name in intent}
        lists = {name: json.dumps(intent[name]) for name in _PASSED_ON_AS_JSON if name in intent}
        ref = {"system": self.system, "kind": "rerun", "id": str(intent["event_id"]), **texts, **lists}
        if "since" in intent:
            ref |= self._limit(intent, self._begun(intent))
        return ref

    def _begun(self, intent: Intent) -> float:
        """The time of the intent by this machine's clock."""
        there = self.server_time() if intent.get("clock") == "vendor" else None
        ahead = 0.0 if there is None else there - time.time()
        return float(intent["since"]) - ahead

    def _limit(self, intent: Intent, begun: float) -> dict[str, str]:
        seconds = intent.get("start_timeout")
        return {"start_by": f"{begun + float(seconds):.3f}"} if seconds else {}

    def follow_rerun(self, intent: Intent, event: Json) -> Execution:
        """What a rerun led to, as far as the answer to it tells: asks for nothing more, so that nothing can fail.

        :param event: the answer: the event, which may still point to the old execution, or the new one that it led to.
        """
        ref = self.awaited_by(intent)
        if has_moved(event, ref):
            return self._just_started(event)
        if id_of(event) not in ("", ref["id"]):
            ref["new_event"] = id_of(event)
        # Pauses may have come between the intent and the request.
        return Execution(ref | self._limit(intent, time.time()), ExecutionState.QUEUED, status="")

    def _just_started(self, event: Json) -> Execution:
        execution_id = linked_execution(event)
        url = self.execution_url(execution_id)
        return Execution(execution_ref(execution_id), ExecutionState.QUEUED, status="", url=url)

    def _check_over(self, execution: Execution, action: str) -> None:
        may_go_on = action == "resume" and execution.state is ExecutionState.PAUSED
        if not execution.state.is_terminal and not may_go_on:
            raise ConflictError(
                f"the event led to execution {execution.id}, which is still {execution.status}",
                call=Call(system=self.system),
            )

    # --- looking ---

    def _fetch_reruns(self, refs: Sequence[ExecutionRef]) -> list[Observation | None]:
        """One list of events for those that it reaches, and one for the events that came since."""
        seen: list[Observation | None] = []
        events: dict[str, Json] = {}
        for event_type, root in EVENT_PATHS.items():
            wanted = [ref["id"] for ref in refs if ref["event_type"] == event_type]
            events |= self._calls.newest(root, NEWEST_FIRST, wanted, _EVENTS)
        younger = functools.cache(self._events_since(refs))
        for ref, told in zip(refs, self._receipts.values_of(refs), strict=True):
            try:
                event = events.get(ref["id"]) or self.get_event(ref["event_type"], ref["id"])
                found = self._look_at_rerun(ref, event, younger)
                # What it led to is another wait from now on.
                seen.append(found if found.ref["kind"] != "rerun" else self._news(told, found))
            except ReleasePipelineError as error:
                if not concerns_one_execution(error) and not isinstance(error, ConflictError):
                    raise
                seen.append(error)
        return seen

    def _events_since(self, refs: Sequence[ExecutionRef]) -> Callable[[str], list[Json]]:
        """The events of a type that may have come since the first of these reruns."""

        def events(event_type: str) -> list[Json]:
            floors = [_floor(ref) for ref in refs if ref["event_type"] == event_type]
            return self.list_events(event_type, since=min(floor for floor in floors if floor))

        return events

    def _look_at_rerun(self, ref: ExecutionRef, event: Json, events: Callable[[str], list[Json]]) -> Execution:
        """:param events: those of a type that came since the rerun, or earlier.

        :raises ConflictError: it may have led to any of several executions.
        """
        found = self._led_to(ref, event, events)
        if len(found) > 1:
            names = ", ".join(f"{each.ref['kind']} {each.id}" for each in found)
            raise ConflictError(
                f"ambiguous: event {ref['id']} was rerun more than once at the same time, and each of {names} may be "
                "what this rerun led to. None of them is followed or canceled; resolve it manually",
                call=Call(system=self.system),
            )
        seen = found[0] if found else _not_started(ref, event)
        return seen if seen.ref["kind"] != "rerun" else _in_time(seen)

    def _find_rerun(self, intent: Intent) -> list[Execution]:
        """All that a rerun with this intent may have led to if nobody saw its answer, oldest first."""
        event = self.get_event(str(intent["event_type"]), str(intent["event_id"]))
        ref = self.awaited_by(intent)
        found = self._led_to(ref, event, self._events_since([ref]))
        if parse_time(ref.get("since")) is None:
            return found
        latest = datetime.fromtimestamp(start_window(intent)[1], UTC)
        return [each for each in found if (each.started_at or latest) <= latest]

    def _led_to(self, ref: ExecutionRef, event: Json, events: Callable[[str], list[Json]]) -> list[Execution]:
        """What a rerun may have led to, oldest first; a new event that has no execution yet as what is queued."""
        if ref["action"] == "resume":
            return self._resumed(ref, event)
        if new_event := ref.get("new_event"):
            return self._of_new_events(ref, [self.get_event(ref["event_type"], new_event)])
        if has_moved(event, ref):
            return self._of_moved_event(ref, event)
        if not (floor := _floor(ref)):
            return []
        event_type, known = ref["event_type"], _known(ref, "known_events")
        younger = [
            each
            for each in events(event_type)
            if is_since(each, floor) and id_of(each) not in known and came_from_rerun(event_type, each, event)
        ]
        return self._of_new_events(ref, sorted(younger, key=lambda each: event_time(each) or _OLDEST))

    def _resumed(self, ref: ExecutionRef, event: Json) -> list[Execution]:
        if has_moved(event, ref):
            return [self.look(execution_ref(linked_execution(event)))]
        if before := id_from_link(ref["link_before"]):
            document = self.get_execution(before)
            if _was_resumed(document, ref):
                return [self._execution(document)]
        return []

    def _of_new_events(self, ref: ExecutionRef, new_events: Sequence[Json]) -> list[Execution]:
        if len(new_events) == 1:
            execution_id = linked_execution(new_events[0])
            return [self.look(execution_ref(execution_id)) if execution_id else _not_started(ref, new_events[0])]
        # Which of them is whose may not be told: they are named, and not looked at.
        return [
            replace(
                self._just_started(each) if linked_execution(each) else _queued_event(ref, each),
                started_at=event_time(each),
            )
            for each in new_events
        ]

    def _of_moved_event(self, ref: ExecutionRef, event: Json) -> list[Execution]:
        """Its execution, and others that its reruns may have led to before it came to point to this one."""
        execution_id = linked_execution(event)
        document = self.get_execution(execution_id)
        floor = _floor(ref)
        if execution_id == id_from_link(ref["link_before"]) or floor is None:
            return [self._execution(document)]
        if not _may_be_from(ref, document):
            return []
        runs = self._runs_since(as_text(event.get("pipeline")), as_text(event.get("project")), floor)
        found = [document, *self._others_like(document, ref, runs)]
        return [self._execution(each) for each in sorted(found, key=lambda each: request_time(each) or _OLDEST)]

    def _others_like(self, document: Json, ref: ExecutionRef, runs: Iterator[Json]) -> Iterator[Json]:
        for each in runs:
            if id_of(each) != id_of(document) and is_alike(each, document) and _may_be_from(ref, each):
                yield each


_BEFORE_RESUME = {"status_before": "status", "resumed_before": "resumed_at"}


def _floor(ref: ExecutionRef) -> datetime | None:
    """What came before this was there before the rerun, however the clocks are set."""
    since = parse_time(ref.get("since"))
    return since - CLOCK_TOLERANCE if since else None


def _known(ref: ExecutionRef, name: str) -> frozenset[str]:
    return frozenset(json.loads(ref.get(name) or "[]"))


def _may_be_from(ref: ExecutionRef, document: Json) -> bool:
    """Whether an execution may have come of a rerun: it was not there before."""
    if id_of(document) in _known(ref, "known_executions") | {id_from_link(ref["link_before"])}:
        return False
    floor, requested = _floor(ref), request_time(document)
    return floor is None or requested is None or requested >= floor.replace(microsecond=0)


def _was_resumed(document: Json, ref: ExecutionRef) -> bool:
    """Whether an execution has gone on since it was as the intent says."""
    if "resumed_before" in ref and as_text(document.get("resumed_at")) != ref["resumed_before"]:
        return True
    state = state_of(document)
    is_over_in_vain = state.is_terminal and state is not ExecutionState.SUCCEEDED
    return not is_over_in_vain and as_text(document.get("status")) != ref.get("status_before", "")


def _not_started(ref: ExecutionRef, event: Json) -> Execution:
    """A rerun whose execution is to come; the event tells why it may not."""
    return Execution(
        dict(ref),
        ExecutionState.QUEUED,
        status=str(event.get("executionStatus") or ""),
        message=delivery_error(ref["event_type"], event),
    )


def _queued_event(ref: ExecutionRef, event: Json) -> Execution:
    event_ref = {"system": ref["system"], "kind": "event", "id": id_of(event), "event_type": ref["event_type"]}
    return Execution(event_ref, ExecutionState.QUEUED, status="")


def _in_time(waiting: Execution) -> Execution:
    """The same rerun, failed if it should have led to an execution by now."""
    ref = waiting.ref
    if not ref.get("start_by") or time.time() < float(ref["start_by"]):
        return waiting
    within = f"within {float(ref['start_timeout']):g} s"
    failure = (
        f"event {ref['id']} has led to no execution {within}"
        if ref["action"] == "rerun"
        else f"the execution of event {ref['id']} has not gone on {within}"
    )
    return waiting.failed(failure + (f": {waiting.message}" if waiting.message else ""))
