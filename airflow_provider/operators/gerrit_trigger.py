"""Triggers pipelines for a Gerrit change once: a retry, or a trigger without an answer, only searches for its events.

Separate from code_stream.py, which every parsing of a DAG file imports.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog

from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import Call, ConflictError, Effect, ReleasePipelineError
from airflow_provider.storable import LONGEST_NAME, MOST_NAMES

if TYPE_CHECKING:
    from airflow_provider.clients.code_stream import CodeStreamClient
    from airflow_provider.clients.code_stream.documents import Event
    from airflow_provider.operators.memory import Memory

log = structlog.get_logger(logger_name=__name__)

KEY = "release_trigger"
"""Key of the notes in the task state store."""

POLL_PAUSE = 1.0
"""Seconds between two searches for the events of a trigger without an answer."""


class GerritTriggerAttempt:
    """:param memory: the notes of the task.
    :param change_id: of the Gerrit change.
    :param project: of the change.
    :param trigger: name of the Gerrit trigger.
    """

    def __init__(self, client: CodeStreamClient, memory: Memory, change_id: str, project: str, trigger: str) -> None:
        self._client = client
        self._memory = memory
        self._change_id = change_id
        self._project = project
        self._trigger = trigger

    def run(self) -> dict[str, Any]:
        """Trigger the change, unless an earlier attempt may have; returns the result of the task."""
        if notes := self._memory.recall():
            log.warning("An earlier attempt may have triggered the change, searching for its events")
            triggered = self._find(notes["known"])
        else:
            notes = {"known": [each["id"] for each in self._events()]}
            self._memory.note(notes)
            triggered = self._send(notes["known"])
        self._memory.note(notes, is_done=True)
        return triggered

    def _send(self, known: list[str]) -> dict[str, Any]:
        try:
            reply = self._client.events.trigger_gerrit(self._change_id, self._project, self._trigger)
            return self._result(reply.get("message"), reply.get("pipelinesTriggered"))
        except ReleasePipelineError as error:
            if not error.effect.is_open:
                self._memory.forget()
                raise
            log.warning("The trigger got no clear answer, searching for its events: %s", error)
            return self._find(known)

    def _find(self, known: list[str]) -> dict[str, Any]:
        """The result of a trigger without a clear answer; its events may appear late.

        :param known: ids of the earlier events.
        :raises ConflictError: no event appears.
        """
        end = time.time() + DURATIONS.settling
        while True:
            try:
                events = self._events()
            except ReleasePipelineError as error:
                if error.effect is Effect.REFUSED:
                    raise
                log.warning("Could not list the Gerrit events: %s", error)
                events = []
            if new := [each for each in events if each["id"] not in known]:
                return self._result(new[0].get("message"), sorted({str(each.get("pipeline")) for each in new}))
            if time.time() + POLL_PAUSE > end:
                raise ConflictError(
                    f"Gerrit change {self._change_id!r} may have been triggered, but none of its events appears: check "
                    "in Code Stream whether it was; clearing this task triggers it again",
                    call=Call(system=self._client.system),
                    effect=Effect.UNKNOWN,
                )
            time.sleep(POLL_PAUSE)

    def _events(self) -> list[Event]:
        return self._client.events.list_triggered_by_hand(self._change_id, self._project, self._trigger)

    def _result(self, message: object, names: object) -> dict[str, Any]:
        """:param names: as the vendor answers: the pipelines, unless something else takes their place."""
        redact, listed = self._client.transport.redact, names if isinstance(names, list) else []
        return {
            "message": redact(str(message or "")),
            "pipelinesTriggered": [redact(str(each), LONGEST_NAME) for each in listed[:MOST_NAMES]],
        }
