"""Events and approvals that are to come: what a sensor waits for before there is an execution or a user operation."""

from __future__ import annotations

import functools
import json
import math
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from airflow_provider.clients.code_stream.events import delivery_error, event_time, linked_execution, matches
from airflow_provider.clients.code_stream.executions import execution_ref
from airflow_provider.clients.code_stream.fields import (
    Json,
    fields_of,
    first_time,
    id_from_link,
    id_of,
    parse_time,
    without_secrets,
)
from airflow_provider.clients.code_stream.reruns import Reruns
from airflow_provider.clients.code_stream.watch import Watch
from airflow_provider.clients.memory import Recent
from airflow_provider.clients.waitable import Found, Look, Observation, concerns_one_execution
from airflow_provider.exceptions import BadRequestError, Call, ConflictError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

LATENESS = timedelta(minutes=1)
"""By how much an event may show in a list after a younger one did."""
WHOLE_EVERY = 600.0
"""Seconds after which all events are read again."""


UNTIL = "until"
"""Key of the reference of an approval that is watched until it is answered; else one that is there is a success."""


class _Expected(msgspec.Struct):
    """:param known: when the newest event came of those that were looked through for a wait."""

    known: datetime | None


class _Asked(msgspec.Struct):
    """:param execution_ref: by which the execution is watched that may ask for an approval."""

    execution_ref: ExecutionRef | None


class Awaited(Reruns):
    """The part of the client that knows references of the kinds ``event`` and ``approval``."""

    @property
    @abstractmethod
    def _watch(self) -> Watch:
        """Follows the executions that may ask for an approval."""

    @functools.cached_property
    def _read_whole(self) -> Recent[str, float]:
        """When (monotonic) all events of a type were read."""
        return Recent()

    # --- an event that is to come ---

    def _fetch_events(self, refs: Sequence[ExecutionRef]) -> list[Observation | None]:
        """One list for each type of events, read down to the newest that all of these waits know."""
        seen: list[Observation | None] = [None] * len(refs)
        told: list[_Expected | None] = self._receipts.values_of(refs)
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
                seen[place] = self._told_of_event(refs[place], told[place], events, newest)
        return seen

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
        events = self.list_events(event_type, since=min(bounds) if len(bounds) == len(floors) else None)
        if is_due:
            self._read_whole.put(event_type, now)
        return events

    def _told_of_event(
        self, ref: ExecutionRef, told: _Expected | None, events: Sequence[Json], newest: datetime | None
    ) -> Observation | None:
        try:
            found = self._look_for_event(ref, events)
        except BadRequestError as error:
            return error
        if told and not found.state.is_terminal:
            told.known = newest or told.known
            return None
        return self._receipts.hand_out(found, _Expected(newest))

    def _look_for_event(self, ref: ExecutionRef, newest_first: Iterable[Json]) -> Execution:
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
            url=self.execution_url(linked) if linked else None,
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
            raise self.bad_request(f"filters must be a JSON object, but is {ref.get('filters')!r}")
        return filters

    def _since(self, ref: ExecutionRef) -> datetime | None:
        text = ref.get("since")
        moment = parse_time(text)
        if text and moment is None:
            raise self.bad_request(f"since must be a date and time with its zone, but is {text!r}")
        return moment

    # --- an approval that is to come ---

    def _active_user_operations(self) -> list[Json]:
        found = self.list_user_operations("status eq 'ACTIVE'")
        return [each for each in found if str(each.get("status")).upper() == "ACTIVE"]

    def _fetch_approvals(self, refs: Sequence[ExecutionRef]) -> list[Found]:
        """One list of what waits for an answer; of executions that do not wait, only whether they ended."""
        told: list[_Asked | None] = self._receipts.values_of(refs)
        seen: list[Found] = [None] * len(refs)
        pending = self._active_user_operations()
        silent: list[int] = []
        for place, ref in enumerate(refs):
            if is_watched_for_its_answer(ref):
                operation = next((each for each in pending if id_of(each) == ref["id"]), None)
                if operation is None:
                    seen[place] = partial(self._look_or_error, ref)
                elif not told[place]:
                    seen[place] = self._receipts.hand_out(self._answered_or_not(ref, operation), _Asked(None))
            elif operation := _found(pending, ref):
                seen[place] = self._asked_for(ref, operation)
            elif ref.get("execution_id"):
                silent.append(place)
            elif not told[place]:
                seen[place] = self._receipts.hand_out(_not_asked_yet(ref), _Asked(None))
        watched = [
            before.execution_ref
            if (before := told[place]) and before.execution_ref
            else execution_ref(refs[place]["execution_id"])
            for place in silent
        ]
        for place, found in zip(silent, self._watch.fetch(watched), strict=True):
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
        return self._receipts.hand_out(_not_asked_yet(ref), _Asked(found.ref))

    def _look_for_approval(self, ref: ExecutionRef) -> Execution:
        if is_watched_for_its_answer(ref):
            return self._answered_or_not(ref, self.get_user_operation(ref["id"]))
        if ref["id"]:
            return self._asked_for(ref, self.get_user_operation(ref["id"]))
        if operation := _found(self._active_user_operations(), ref):
            return self._asked_for(ref, operation)
        if awaited := ref.get("execution_id"):
            execution = self.look(execution_ref(awaited))
            if execution.state.is_terminal:
                return _ended_unasked(ref, execution)
        return _not_asked_yet(ref)

    def _asked_for(self, ref: ExecutionRef, operation: Json) -> Execution:
        execution_id = _execution_of(operation)
        return Execution(
            {**ref, "id": id_of(operation)},
            ExecutionState.SUCCEEDED,
            status=str(operation.get("status") or ""),
            url=self.execution_url(execution_id) if execution_id else None,
            message=operation.get("summary") or None,
            outputs=without_secrets(operation),
            started_at=first_time(operation, "_requestedOnInMicros", "_createTimeInMicros", "createdAt"),
        )

    @abstractmethod
    def _state_of_answer(self, status: str) -> ExecutionState:
        """``WAITING`` for a user operation without an answer, ``CANCELED`` for one that nobody can answer any more."""

    def _answered_or_not(self, ref: ExecutionRef, operation: Json) -> Execution:
        asked = self._asked_for(ref, operation)
        return replace(asked, state=self._state_of_answer(asked.status))

    def watch_answer(self, user_operation_id: str) -> Execution:
        """An approval, with the reference by which it is watched until it is answered."""
        ref = {"system": self.system, "kind": "approval", "id": user_operation_id, UNTIL: "answered"}
        return self.look(ref)

    def describe_approval(self, approval: Execution) -> Json:
        """What a person must know who is to answer it, by names for people.

        :param approval: as of :meth:`watch_answer`.
        """
        operation = dict(approval.outputs)
        expires = first_time(operation, "_expiresOnInMicros", "expiresOnInMicros")
        execution_id = _execution_of(operation)
        execution = fields_of(self._execution_document(execution_id))
        index = operation.get("executionIndex")
        return {
            "Pipeline": operation.get("pipelineName") or execution.get("name"),
            "Execution": f"{index} ({execution_id})" if index is not None else execution_id,
            "Approval": operation.get("index") or approval.id,
            "Stage": " / ".join(_waiting_tasks(execution)),
            "Summary": operation.get("summary"),
            "Description": operation.get("description"),
            "Inputs": without_secrets(fields_of(execution.get("input"))),
            "Comments": execution.get("comments"),
            "Asked by": operation.get("requestedBy") or execution.get("_executedBy"),
            "Expires in Code Stream": expires.strftime("%Y-%m-%d %H:%M UTC") if expires else None,
            "Link": approval.url,
        }

    def _execution_document(self, execution_id: str) -> Json | None:
        try:
            return self.get_execution(execution_id) if execution_id else None
        except ReleasePipelineError as error:
            if not concerns_one_execution(error):
                raise
            return None

    def find_pending_approval(self, execution_id: str) -> str:
        """The id of the user operation that an execution waits for.

        :raises ConflictError: it waits for none now.
        """
        waiting = self.look({"system": self.system, "kind": "approval", "id": "", "execution_id": execution_id})
        if waiting.state is not ExecutionState.SUCCEEDED:
            raise ConflictError(
                waiting.message or f"execution {execution_id} waits for no approval now", call=Call(system=self.system)
            )
        return waiting.id


def is_watched_for_its_answer(ref: ExecutionRef) -> bool:
    return UNTIL in ref


def _waiting_tasks(execution: Json) -> list[str]:
    return [
        f"{stage}.{task}"
        for stage, stage_fields in fields_of(execution.get("stages")).items()
        for task, task_fields in fields_of(fields_of(stage_fields).get("tasks")).items()
        if str(fields_of(task_fields).get("status")).upper() == "WAITING"
    ]


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
        message=f"execution {execution.id} ended ({execution.status}) and waits for no approval",
    )


def _found(pending: Iterable[Json], ref: ExecutionRef) -> Json | None:
    return next((each for each in pending if _asks_for(each, ref)), None)


def _execution_of(operation: Json) -> str:
    """The link, where there is one: the vendor's own example has another id beside it."""
    return id_from_link(operation.get("executionLink")) or str(operation.get("executionId") or "")


def _asks_for(operation: Json, ref: ExecutionRef) -> bool:
    if execution_id := ref.get("execution_id"):
        return _execution_of(operation) == execution_id
    pipeline = ref.get("pipeline")
    return bool(pipeline) and pipeline in (operation.get("pipelineName"), operation.get("pipelineId"))
