"""Polls the trigger events that come in, for asset events."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from airflow_provider.clients.code_stream.event_document import delivery_error, event_time, linked_execution, shown
from airflow_provider.clients.code_stream.fields import Json, id_of
from airflow_provider.clients.code_stream.references import SYSTEM
from airflow_provider.clients.placing import LONGEST_REASON
from airflow_provider.clients.times import from_epoch
from airflow_provider.core.changes import NEW, Change, Lane, Reading
from airflow_provider.core.durations import DURATIONS
from airflow_provider.storable import bounded, storable

if TYPE_CHECKING:
    from airflow_provider.clients.code_stream.client import CodeStreamClient
    from airflow_provider.clients.code_stream.documents import Event
    from airflow_provider.clients.rows import Rows


class EventChanges:
    """Reads the new events of one type.

    :param event_type: ``docker``, ``git`` or ``gerrit``.
    """

    def __init__(self, event_type: str) -> None:
        self._event_type = event_type

    def read(self, client: CodeStreamClient, since: float | None, whole: bool) -> Reading:
        """:param since: epoch seconds after which nothing may be missing; ``None``: only recent events.
        :param whole: makes no difference: events are never deleted or changed.
        """
        if since is None:
            newest = map(_time_of, _documents(client.events.list(self._event_type, limit=1)))
            since = max((at - DURATIONS.late_change for at in newest if at is not None), default=-math.inf)
        events = client.events.list(self._event_type, since=None if since == -math.inf else from_epoch(since))
        changes = [change for event in _documents(events) if (change := self._change(client, event))]
        return {NEW: Lane(changes, since, client.transport.server_time() or math.inf)}

    def _change(self, client: CodeStreamClient, event: Json) -> Change | None:
        at, name = _time_of(event), id_of(event)
        if at is None or not name:
            return None
        linked, moment = linked_execution(event), event_time(event)
        problem = delivery_error(self._event_type, event)
        payload = {
            "system": SYSTEM,
            "id": name,
            "event_type": self._event_type,
            "time": moment.isoformat() if moment else None,
            "execution_id": linked or None,
            "url": client.executions.url(linked) if linked else None,
            "message": None if problem is None else client.transport.redact(problem, LONGEST_REASON),
            "event": bounded(storable(shown(event, client.transport.redact))),
        }
        return Change(name, at, storable(payload))


def _documents(events: Rows[Event]) -> list[Json]:
    return cast("list[Json]", events)


def _time_of(event: Json) -> float | None:
    moment = event_time(event)
    return moment.timestamp() if moment else None
