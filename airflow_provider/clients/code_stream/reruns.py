"""Reruns and resumes of trigger events: what they lead to, before and after the event says so."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from airflow_provider.clients.base import Intent, Observation, concerns_one_execution
from airflow_provider.clients.code_stream.api import NEWEST_FIRST, CodeStreamApi
from airflow_provider.clients.code_stream.calls import Page
from airflow_provider.clients.code_stream.events import (
    EVENT_PATHS,
    came_from_rerun,
    delivery_error,
    has_moved,
    is_since,
    linked_execution,
)
from airflow_provider.clients.code_stream.executions import execution_ref, state_of
from airflow_provider.clients.code_stream.fields import Json, as_text, id_from_link, parse_time
from airflow_provider.exceptions import Call, ConflictError, NotFoundError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

_EVENTS = msgspec.json.Decoder(Page[dict[str, Any]])


class Reruns(CodeStreamApi):
    """The part of the client that knows references of kind ``rerun``."""

    def before_rerun(self, event_type: str, event_id: str, action: str = "rerun") -> dict[str, str]:
        """The intent of a rerun or resume: what tells later whether the event led to another execution.

        :raises ConflictError: the execution that it led to before is still running.
        """
        if action not in self.event_actions:
            raise self.bad_request(f"action must be rerun or resume, but is {action!r}")
        event = self.get_event(event_type, event_id)
        if linked := linked_execution(event):
            with contextlib.suppress(NotFoundError):
                self._check_over(self.look(execution_ref(linked)), action)
        return {
            "kind": "rerun",
            "event_type": event_type,
            "event_id": event_id,
            "action": action,
            "link_before": as_text(event.get("executionLink")),
            "index_before": as_text(event.get("executionIndex")),
        }

    def awaited_by(self, intent: Intent) -> ExecutionRef:
        """The reference of what a rerun with this intent leads to.

        :param intent: with ``since``, the epoch seconds before the rerun, also the new event is found that some
            servers create instead of changing the old one.
        """
        names = ("event_type", "action", "link_before", "index_before", "since")
        texts = {name: as_text(intent.get(name)) for name in names}
        return {"system": self.system, "kind": "rerun", "id": str(intent["event_id"]), **texts}

    def follow_rerun(self, intent: Intent, event: Json) -> Execution:
        """What a rerun led to, as far as the answer to it tells: asks for nothing more, so that nothing can fail.

        :param event: the answer, which may still point to the old execution.
        """
        ref = self.awaited_by(intent)
        if not has_moved(event, ref):
            return Execution(ref, ExecutionState.QUEUED, status="")
        execution_id = linked_execution(event)
        return Execution(
            execution_ref(execution_id), ExecutionState.QUEUED, status="", url=self.execution_url(execution_id)
        )

    def _check_over(self, execution: Execution, action: str) -> None:
        may_go_on = action == "resume" and execution.state is ExecutionState.PAUSED
        if not execution.state.is_terminal and not may_go_on:
            raise ConflictError(
                f"the event led to execution {execution.id}, which is still {execution.status}",
                call=Call(system=self.system),
            )

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
                if not concerns_one_execution(error):
                    raise
                seen.append(error)
        return seen

    def _events_since(self, refs: Sequence[ExecutionRef]) -> Callable[[str], list[Json]]:
        """The events of a type that came since the first of these reruns."""

        def events(event_type: str) -> list[Json]:
            moments = [parse_time(ref.get("since")) for ref in refs if ref["event_type"] == event_type]
            return self.list_events(event_type, since=min(moment for moment in moments if moment))

        return events

    def _look_at_rerun(self, ref: ExecutionRef, event: Json, events: Callable[[str], list[Json]]) -> Execution:
        """:param events: those of a type that came since the rerun, or earlier."""
        if has_moved(event, ref):
            return self.look(execution_ref(linked_execution(event)))
        since = parse_time(ref.get("since"))
        if ref["action"] == "resume":
            if before := id_from_link(ref["link_before"]):
                document = self.get_execution(before)
                if _was_resumed(document, since):
                    return self._execution(document)
        elif since:
            event_type = ref["event_type"]
            younger = [
                each
                for each in events(event_type)
                if is_since(each, since) and came_from_rerun(event_type, each, event)
            ]
            if younger and linked_execution(younger[-1]):
                return self.look(execution_ref(linked_execution(younger[-1])))
        return Execution(
            dict(ref),
            ExecutionState.QUEUED,
            status=str(event.get("executionStatus") or ""),
            message=delivery_error(ref["event_type"], event),
        )


def _was_resumed(document: Json, since: datetime | None) -> bool:
    state = state_of(document)
    if not state.is_terminal or state is ExecutionState.SUCCEEDED:
        return True
    resumed = parse_time(document.get("resumed_at"))
    return bool(since and resumed and resumed >= since)
