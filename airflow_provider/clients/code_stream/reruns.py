"""Reruns and resumes of trigger events, and the executions that they lead to.

``events.rerun`` sends the bare request. Here it is prepared: what exists before is noted, to recognize later what the
rerun led to.
"""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime
from typing import Any

from airflow_provider.clients.code_stream.event_document import came_from_rerun, has_moved, linked_execution
from airflow_provider.clients.code_stream.event_list import newest_events
from airflow_provider.clients.code_stream.events import Events
from airflow_provider.clients.code_stream.execution_document import just_started, read_execution
from airflow_provider.clients.code_stream.execution_list import runs_since
from airflow_provider.clients.code_stream.executions import Executions
from airflow_provider.clients.code_stream.fields import Document, as_text, id_of
from airflow_provider.clients.code_stream.references import RERUN
from airflow_provider.clients.code_stream.rerun_reference import (
    BEFORE_RESUME,
    CLOCK_TOLERANCE,
    rerun_reference,
    time_limit,
)
from airflow_provider.clients.code_stream.rerun_search import RerunSearch
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.waitable import Intent
from airflow_provider.exceptions import Effect, NotFoundError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

KNOWN_FOR = 2 * CLOCK_TOLERANCE
"""How far back the events and executions before a rerun are noted: further than any later search reaches."""
MOST_KNOWN = 100
"""The newest events, and as many executions, that are noted before a rerun."""


class Reruns:
    """:param search: finds the executions of reruns."""

    def __init__(self, wire: Wire, events: Events, executions: Executions, search: RerunSearch) -> None:
        self._wire, self._events, self._executions, self._search = wire, events, executions, search

    def intent(self, event_type: str, event_id: str, action: str = "rerun", *, force: bool = False) -> dict[str, Any]:
        """What ``find_started`` must know about a rerun or resume: also which executions are not what it led to.

        :param force: rerun it even if its last execution is still running.
        :raises ConflictError: that execution is still running.
        """
        self._events.check_action(action)
        event = self._events.get(event_type, event_id)
        linked: Document = {}
        if execution_id := linked_execution(event):
            try:
                linked = self._executions.get(execution_id)
            except NotFoundError as error:
                if error.effect is not Effect.REFUSED:
                    raise
        if linked and not force:
            self._check_over(read_execution(self._wire, linked), action)
        intent = {
            "kind": RERUN,
            "event_type": event_type,
            "event_id": event_id,
            "action": action,
            "link_before": as_text(event.get("executionLink")),
            "index_before": as_text(event.get("executionIndex")),
        }
        if action == "resume":
            before = {name: as_text(linked.get(field)) for name, field in BEFORE_RESUME.items()}
            return {**intent, **before}
        return {**intent, **self._known_before(event_type, event)}

    def start(self, intent: Intent) -> Execution:
        """Send the request that reruns (or resumes) the event of an intent.

        :raises ConflictError: somebody else has rerun it since :meth:`intent`, so that their executions could not be
            distinguished. Nothing was sent.
        """
        event_type, event_id = str(intent["event_type"]), str(intent["event_id"])
        if intent["action"] == "rerun" and (found := self._found_before_sending(intent)):
            raise self._wire.conflict(
                f"event {event_id} has led to {found[0].ref['kind']} {found[0].id} since this rerun was prepared: "
                "somebody else has rerun it, and the two executions could not be distinguished"
            )
        return self.follow(intent, self._events.rerun(event_type, event_id, intent["action"]))

    def follow(self, intent: Intent, event: Document) -> Execution:
        """The execution of a rerun, according to its answer. Sends no further request, so that nothing can fail.

        :param event: the answer: the event, which may still point to the old execution, or a new event.
        """
        ref = self.reference(intent)
        if has_moved(event, ref):
            return just_started(self._wire, linked_execution(event))
        if id_of(event) not in ("", ref["id"]):
            ref["new_event"] = id_of(event)
        # There may have been pauses between the intent and the request.
        return Execution(ref | time_limit(intent, time.time()), ExecutionState.QUEUED, status="")

    def reference(self, intent: Intent) -> ExecutionRef:
        """The reference of what a rerun with this intent leads to.

        :param intent: with ``since`` (epoch seconds before the rerun), the new event is also found that some servers
            create instead of changing the old one; with ``start_timeout`` (seconds), the reference holds ``start_by``,
            epoch seconds of this machine's clock after which the rerun counts as failed.
        """
        return rerun_reference(intent, self._wire.transport.server_time())

    def _known_before(self, event_type: str, event: Document) -> dict[str, list[str]]:
        """The ids of the newest events and executions that could be mistaken for what the rerun leads to."""
        now = self._wire.transport.server_time()
        since = datetime.fromtimestamp(time.time() if now is None else now, UTC) - KNOWN_FOR
        newest = newest_events(self._wire, event_type, since=since)
        events = (each for each in newest if came_from_rerun(event_type, each, event))
        executions = runs_since(self._wire, as_text(event.get("pipeline")), as_text(event.get("project")), since)
        return {
            "known_events": [id_of(each) for each in itertools.islice(events, MOST_KNOWN)],
            "known_executions": [id_of(each) for each in itertools.islice(executions, MOST_KNOWN)],
        }

    def _found_before_sending(self, intent: Intent) -> list[Execution]:
        try:
            return self._search.find(intent)
        except ReleasePipelineError as error:
            # Whatever happened to these reads, the rerun itself was not sent.
            if error.effect.is_open:
                error.effect = Effect.NONE
            raise

    def _check_over(self, execution: Execution, action: str) -> None:
        may_resume = action == "resume" and execution.state is ExecutionState.PAUSED
        if not execution.state.is_terminal and not may_resume:
            raise self._wire.conflict(f"the event led to execution {execution.id}, which is still {execution.status}")
