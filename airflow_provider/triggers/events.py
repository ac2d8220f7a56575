"""What the triggers of Airflow's ``AssetWatcher`` do alike: they share the looks at one thing, and tell what is new.

Light to import, as a DAG file does: what runs in the triggerer is imported there.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Hashable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider.exceptions import BadRequestError, Call
from airflow_provider.identifiers import got, seconds_of

if TYPE_CHECKING:
    from airflow_provider.core.news import Change
    from airflow_provider.triggers.event_stream import Producer, Reader, Round, Stream

POLL_INTERVAL = 60.0
"""Seconds between two looks: a watcher looks for ever, and a release may start a minute after its image was pushed."""

RUN_MADE_WITHIN = 10.0
"""Seconds within which Airflow's scheduler makes the run of an event, unless it is overloaded. 3.3.2 starts none for an
event that comes before: the next one that does start a run takes it along."""


class BadArgumentError(BadRequestError, TypeError):
    """An argument is wrong. A triggerer fails a trigger whose constructor raises a ``TypeError``; by any other error it
    ends itself, with all that it runs."""


class ReleaseEventTrigger(BaseEventTrigger):
    """Tells what happens at a vendor, for as long as an asset is watched.

    :param conn_id: the Airflow connection.
    :param poll_interval: seconds or ``timedelta`` between two looks. Of those who watch the same thing, the shortest.
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
        """What is looked at: those who name the same share the looks."""

    @property
    @abstractmethod
    def wanted(self) -> Any:
        """What is told of it, a JSON value: the cursor of who wants something else is another one."""

    @property
    @abstractmethod
    def about(self) -> str:
        """The same for people."""

    @abstractmethod
    def reader(self) -> Reader: ...

    @abstractmethod
    def is_wanted(self, change: Change) -> bool: ...

    def shared_stream_key(self) -> Hashable:
        return (self.system, self._conn_id, self.thing)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> Producer:
        from airflow_provider.triggers.event_stream import Producer

        return Producer(cls(**kwargs)._stream())

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Round]) -> AsyncIterator[TriggerEvent]:
        from airflow_provider.triggers.watcher import CursorStore, Watcher

        stream = self._stream()
        store = CursorStore(self.asset_state_store, [self.system, self.thing, self.wanted], self.about)
        with stream.seat(self.poll_interval) as seat:
            watcher = Watcher(stream, seat, store, self.is_wanted, self.about)
            told_at = -float("inf")
            async for seen in shared_stream:
                news = await watcher.take(seen)
                for number, told in enumerate(news, 1):
                    if number == len(news):
                        # By then the others have a run, or get the one that this starts.
                        await asyncio.sleep(told_at + RUN_MADE_WITHIN - time.monotonic())
                    yield TriggerEvent(told)
                    told_at = time.monotonic()
                watcher.has_told(seen)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Without Airflow's shared streams, which all versions have that this provider works with."""

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
