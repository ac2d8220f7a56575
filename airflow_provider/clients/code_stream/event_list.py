"""Lists of trigger events: the path of each type, and reading down to a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from airflow_provider.clients.code_stream.event_document import event_time
from airflow_provider.clients.code_stream.fields import Document
from airflow_provider.clients.code_stream.lists import down_to
from airflow_provider.clients.code_stream.wire import Wire

EVENT_PATHS = {"docker": "/registry-events", "git": "/git-events", "gerrit": "/gerrit-events"}
NEWEST_EVENT_FIRST = "_createTimeInMicros desc"


def events_path(wire: Wire, event_type: str) -> str:
    """:raises BadRequestError: there is no such type."""
    if event_type not in EVENT_PATHS:
        raise wire.bad_request(f"event_type must be one of {', '.join(EVENT_PATHS)}, got {event_type!r}")
    return EVENT_PATHS[event_type]


def newest_events(
    wire: Wire, event_type: str, where: str | None = None, since: datetime | None = None, limit: int | None = None
) -> Iterator[Document]:
    """Events, newest first, read during iteration; see :meth:`~.events.Events.list`."""
    rows = wire.rows(events_path(wire, event_type), where=where, order=NEWEST_EVENT_FIRST, limit=limit)
    return down_to(since, rows, event_time)
