"""Asset events of Code Stream: a trigger event of a Docker registry, of Git or of Gerrit has come in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider.identifiers import got
from airflow_provider.triggers.events import POLL_INTERVAL, ReleaseEventTrigger

if TYPE_CHECKING:
    from airflow_provider.clients.code_stream.event_changes import EventChanges
    from airflow_provider.core.changes import Change

EVENT_TYPES = ("docker", "git", "gerrit")

CHANGING = (
    "actionTaken",
    "executionIndex",
    "executionLink",
    "executionStatus",
    "message",
    "updatedAt",
    "updatedBy",
    "_updateTimeInMicros",
)
"""Fields that are set or changed after an event has arrived. A filter on them would miss events polled early."""


class CodeStreamEventTrigger(ReleaseEventTrigger):
    """Fires an asset event for each trigger event that comes in; see docs/events.md.

    ``AssetWatcher(name="shop pushes", trigger=CodeStreamEventTrigger("git", {"repo": "shop"}))``

    :param event_type: ``docker``, ``git`` or ``gerrit``.
    :param filters: fields of the event and the values that they must have, for example ``{"repo": ..., "tag": ...}``.
    :param code_stream_conn_id: the Airflow connection.
    :param poll_interval: seconds or ``timedelta`` between two polls. Triggers for the same event type share them.

    https://developer.broadcom.com/xapis/vrealize-automation-code-stream-api/latest/triggers/
    """

    system = "code_stream"

    def __init__(
        self,
        event_type: Literal["docker", "git", "gerrit"],
        filters: Mapping[str, str | int | bool] | None = None,
        code_stream_conn_id: str = "code_stream_default",
        poll_interval: float | timedelta = POLL_INTERVAL,
    ) -> None:
        super().__init__(code_stream_conn_id, poll_interval)
        is_type = event_type in EVENT_TYPES
        self._refuse("event_type", None if is_type else f"must be docker, git or gerrit, {got(event_type)}")
        self._refuse("filters", _filters_problem(filters))
        self.event_type = event_type
        self.filters = dict(sorted(filters.items())) if filters else {}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "airflow_provider.triggers.code_stream.CodeStreamEventTrigger", {
            "event_type": self.event_type,
            "filters": self.filters,
            "code_stream_conn_id": self._conn_id,
            "poll_interval": self.poll_interval,
        }

    @property
    def thing(self) -> str:
        return self.event_type

    @property
    def wanted(self) -> dict[str, Any]:
        return self.filters

    @property
    def about(self) -> str:
        matching = ", ".join(f"{name} {value}" for name, value in self.filters.items())
        return f"{self.event_type} events" + (f" with {matching}" if matching else "")

    def reader(self) -> EventChanges:
        from airflow_provider.clients.code_stream.event_changes import EventChanges

        return EventChanges(self.event_type)

    def is_wanted(self, change: Change) -> bool:
        from airflow_provider.clients.code_stream.event_document import matches

        return matches(change.payload["event"], self.filters, None)


def _filters_problem(filters: object) -> str | None:
    if filters is None:
        return None
    if not isinstance(filters, Mapping):
        return f"must be a mapping, got a {type(filters).__name__}"
    for name, value in filters.items():
        if not isinstance(name, str) or not name:
            return f"must name fields of the event, {got(name)}"
        if name in CHANGING:
            return f"must not name {name!r}, which changes after an event arrives: events polled before would be missed"
        if not isinstance(value, (str, int)) or value == "":
            return f"must give {name!r} a text, a number or a bool, {got(value)}"
    return None
