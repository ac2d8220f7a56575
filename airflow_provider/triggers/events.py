"""The base of the triggers for Airflow's ``AssetWatcher``: they share the polls of one thing, and fire for what is new.

Light to import, because DAG files import it: what runs in the triggerer is imported there.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Hashable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider.exceptions import BadRequestError, Call
from airflow_provider.identifiers import got, seconds_of

if TYPE_CHECKING:
    from airflow_provider.core.changes import Change
    from airflow_provider.triggers.event_stream import ChangesReader, Producer, Round, Stream

POLL_INTERVAL = 60.0
"""Seconds between two polls: a watcher polls forever, and a release may start a minute after its image was pushed."""

RUN_MADE_WITHIN = 10.0
"""Seconds within which Airflow's scheduler makes the run of an event, unless it is overloaded. 3.3.2 starts none for an
event of the asset that comes before: the next one that does start a run takes it along."""


class BadArgumentError(BadRequestError, TypeError):
    """An argument is wrong. A triggerer fails a trigger whose constructor raises a ``TypeError``; any other error stops
    the triggerer itself, with everything that it runs."""


class ReleaseEventTrigger(BaseEventTrigger):
    """Fires an event for each change at a vendor, for as long as an asset is watched.

    :param conn_id: the Airflow connection.
    :param poll_interval: seconds or ``timedelta`` between two polls; of several watchers of the same thing, the
        shortest counts.
    """

    system: ClassVar[str]

    def __init__(self, conn_id: str, poll_interval: float | timedelta) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._refuse(f"{self.system}_conn_id", None if _is_text(conn_id) else f"must be a text, {got(conn_id)}")
        self._conn_id = conn_id
        try:
            self.poll_interval = seconds_of(poll_interval)
        except ValueError as error:
            self._refuse("poll_interval", str(error))

    @property
    @abstractmethod
    def thing(self) -> str:
        """What is polled: triggers that name the same thing share the polls."""

    @property
    @abstractmethod
    def wanted(self) -> Any:
        """Which of its changes fire events, a JSON value: triggers that want other changes have another cursor."""

    @property
    @abstractmethod
    def about(self) -> str:
        """The same, as text for people."""

    @abstractmethod
    def reader(self) -> ChangesReader: ...

    @abstractmethod
    def is_wanted(self, change: Change) -> bool: ...

    def shared_stream_key(self) -> Hashable:
        return (self.system, self._conn_id, self.thing)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> Producer:
        from airflow_provider.triggers.event_stream import Producer

        return Producer(cls(**kwargs)._stream())

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Round]) -> AsyncIterator[TriggerEvent]:
        from airflow_provider.triggers.watcher import CursorStore, EventTurns, Watcher

        stream = self._stream()
        store = CursorStore(self.asset_state_store, [self.system, self.thing, self.wanted], self.about)
        with stream.seat(self.poll_interval) as seat:
            watcher = Watcher(stream, seat, store, self.is_wanted, self.about)
            turns = EventTurns(store.assets, RUN_MADE_WITHIN)
            async for seen in shared_stream:
                changes = await watcher.take(seen)
                for number, event in enumerate(changes, 1):
                    # When the last one is sent, the earlier ones have a run, or go into the one that it starts.
                    await asyncio.sleep(turns.take(after_all=number == len(changes)))
                    yield TriggerEvent(event)
                watcher.has_sent(seen)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Works without Airflow's shared streams. ``BaseTrigger`` demands it; all supported versions have them."""

        async def alone() -> AsyncIterator[Round]:
            async for seen in stream.rounds():
                yield seen
                await seen.end(is_clean=True)

        stream = self._stream()
        async for event in self.filter_shared_stream(alone()):
            yield event

    def _stream(self) -> Stream:
        from airflow_provider.triggers.event_stream import Stream, shared_stream

        make = lambda: Stream(self.system, self._conn_id, self.about, self.reader())  # noqa: E731
        return shared_stream(self.shared_stream_key(), make)

    def _refuse(self, name: str, problem: str | None) -> None:
        """:raises BadArgumentError: there is a problem."""
        if problem:
            raise BadArgumentError(f"{type(self).__name__}: {name} {problem}", call=Call(system=self.system))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
