"""Trigger events of Docker registries, Git and Gerrit: read, list, rerun and delete them, trigger one manually."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, cast

from airflow_provider.clients.code_stream.documents import Event, GerritTriggered
from airflow_provider.clients.code_stream.event_document import was_triggered_by_hand
from airflow_provider.clients.code_stream.event_list import events_path, newest_events
from airflow_provider.clients.code_stream.fields import id_of
from airflow_provider.clients.code_stream.lists import PAGE
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.rows import Rows
from airflow_provider.clients.urls import path


class Events:
    """The ``event_type`` is ``docker``, ``git`` or ``gerrit``.

    https://developer.broadcom.com/xapis/vrealize-automation-code-stream-api/latest/triggers/
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(
        self,
        event_type: str,
        where: str | None = None,
        *,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> Rows[Event]:
        """Trigger events, newest first.

        :param where: the ``$filter``.
        :param since: aware; older events are left out, and not even read if the server keeps to the requested order.
        """
        return cast("Rows[Event]", [*newest_events(self._wire, event_type, where, since, limit)])

    def get(self, event_type: str, event_id: str) -> Event:
        """One event; ``executionLink`` and ``executionStatus`` are set once it has led to an execution."""
        return cast("Event", self._wire.get(self._path(event_type, event_id)))

    def delete(self, event_type: str, event_id: str) -> Event:
        """Delete an event; returns it as it was. Its execution stays."""
        return cast("Event", self._wire.send("DELETE", self._path(event_type, event_id)))

    def rerun(self, event_type: str, event_id: str, action: Literal["rerun", "resume"] = "rerun") -> Event:
        """Start the event's pipeline again, or continue the execution that the event led to. Never repeated.

        Vendor pages: "Resume Or Rerun Event Using POST" (Docker), "... POST 1" (Gerrit), "... POST 2" (Git).

        :returns: the event, which may still point to the old execution; ``reruns`` can recognize that.
        """
        self.check_action(action)
        # The operation declares JSON as its type, although it has no body.
        headers = {"Content-Type": "application/json"}
        params = {"action": self._wire.words[action]}
        return cast(
            "Event", self._wire.send("POST", self._path(event_type, event_id), params, headers=headers, attempts=1)
        )

    def check_action(self, action: str) -> None:
        """Refuse what :meth:`rerun` would refuse, without any request."""
        if action not in ("rerun", "resume"):
            raise self._wire.bad_request(f"action must be rerun or resume, got {action!r}")

    def trigger_gerrit(self, change_id: str, project: str, trigger: str) -> GerritTriggered:
        """Trigger manually what a Gerrit change would trigger.

        :returns: ``message`` and ``pipelinesTriggered``, which holds names only.
        """
        body = {"changeId": change_id, "project": project, "trigger": trigger}
        for name, value in {"change_id": change_id, "project": project, "trigger": trigger}.items():
            if not value:
                raise self._wire.bad_request(f"{name} must not be empty")
        return cast("GerritTriggered", self._wire.send("POST", "/gerrit-events", body=body))

    def list_triggered_by_hand(self, change_id: str, project: str, trigger: str) -> Rows[Event]:
        """The newest Gerrit events that may come from manual triggers of this change, newest first."""
        events = self.list("gerrit", limit=PAGE)
        named = (cast("Event", {**each, "id": id_of(each)}) for each in events if id_of(each))
        return [each for each in named if was_triggered_by_hand(each, change_id, project, trigger)]

    def _path(self, event_type: str, event_id: str) -> str:
        return events_path(self._wire, event_type) + path("/{event_id}", event_id=event_id)
