"""One look for all watchers of one thing: each is told what a vendor's list holds, and makes its own difference.

Airflow's shared streams carry it there, and tell when what watchers made of it stands in Airflow's database
(``airflow.triggers.shared_stream``). What is new is decided in ``core/news.py``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary

import structlog
from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

from airflow_provider.core.waiting import Pace
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.triggers.poller import shared_poller
from airflow_provider.unforeseen import unforeseen

if TYPE_CHECKING:
    from airflow_provider.core.news import Reading

log = structlog.get_logger(logger_name=__name__)

FASTEST = 1.0
"""Seconds between two looks, however short an interval was asked for."""

WHOLE_EVERY = 600.0
"""Seconds after which a list is read to its end again, for what only that can tell."""

CALM = 60.0
"""The interval of a stream without watchers: the last one is just leaving."""


class Reader(Protocol):
    """Reads what happened to one thing, in a thread; such as
    :class:`~airflow_provider.clients.quay.tag_changes.TagChanges`."""

    def read(self, client: Any, since: float | None, whole: bool) -> Reading: ...


class Round:
    """What one look has seen.

    :param place: the system that was asked.

    Attribute ``is_over``: whether every watcher is through with it, and what they made of it is in Airflow's database.
    """

    def __init__(self, place: str, reading: Reading) -> None:
        self.place, self.reading = place, reading
        self.is_over = False
        self._then: list[Callable[[], Awaitable[None]]] = []

    def when_over(self, act: Callable[[], Awaitable[None]]) -> None:
        self._then.append(act)

    async def end(self, is_clean: bool) -> None:
        """:param is_clean: whether no watcher has failed over it. If one has, nobody knows here which: each finds out
        by itself, with the next round."""
        self.is_over = True
        for act in self._then if is_clean else ():
            await act()


class Seat:
    """The place of one watcher.

    :param interval: seconds between looks that it asks for.

    Attribute ``since``: how far back the next look must reach for it (epoch seconds); ``None``: it does not know yet.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.since: float | None = None


class Stream:
    """The looks at one thing.

    :param about: what is looked at, for the log.
    """

    def __init__(self, system: str, conn_id: str, about: str, reader: Reader) -> None:
        self._system, self._conn_id, self._about, self._reader = system, conn_id, about, reader
        self._seats: list[Seat] = []
        self._woken = asyncio.Event()
        self._whole_due = -float("inf")
        self._pace = Pace()
        self._failures = 0

    @contextmanager
    def seat(self, interval: float) -> Iterator[Seat]:
        """Watch. Who comes late sees a whole list soon."""
        seat = Seat(max(FASTEST, interval))
        self._seats.append(seat)
        self._whole_due = -float("inf")
        self.wake()
        try:
            yield seat
        finally:
            self._seats.remove(seat)

    def wake(self) -> None:
        """Look soon, without regard to the interval."""
        self._woken.set()

    async def rounds(self) -> AsyncIterator[Round]:
        """What is seen, for ever: an outage ends nothing."""
        while True:
            self._woken.clear()
            seen = await self._look()
            if seen:
                yield seen
            await asyncio.sleep(FASTEST)
            interval = min((seat.interval for seat in self._seats), default=CALM)
            await self._woken_within(self._pace.pause(interval) - FASTEST)

    async def _woken_within(self, seconds: float) -> None:
        if self._pace.is_slowed:
            # Nobody is in a greater hurry than the vendor, who has asked to wait.
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._woken.wait()

    async def _look(self) -> Round | None:
        since = min((seat.since for seat in self._seats if seat.since is not None), default=None)
        is_whole = time.monotonic() >= self._whole_due
        due = time.monotonic() + WHOLE_EVERY

        def read(client: Any) -> Round:
            return Round(client.place, self._reader.read(client, since, is_whole))

        try:
            seen: Round = await shared_poller(self._system, self._conn_id).ask(read)
        except ReleasePipelineError as error:
            self._note(error)
            return None
        except Exception as error:
            self._note(unforeseen(error, "A look", self._system))
            return None
        if is_whole:
            self._whole_due = due
        self._note(None)
        return seen

    def _note(self, error: ReleasePipelineError | None) -> None:
        self._pace.note(error)
        failures, self._failures = self._failures, self._failures + 1 if error else 0
        if error is None:
            if failures:
                log.info("Looking at %s over connection %s works again", self._about, self._conn_id)
        elif failures & (failures + 1) == 0:
            # The first, second, fourth, eighth... of an outage.
            log.warning(
                "Could not look at %s over connection %s (failure %d), watching goes on: %s",
                self._about,
                self._conn_id,
                self._failures,
                error,
            )


class Producer(SharedStreamProducer):
    """A stream as Airflow carries it to its watchers."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def open_stream(self) -> AsyncIterator[tuple[Round, Round]]:
        async for seen in self._stream.rounds():
            yield seen, seen

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        for item in batch:
            await item.broker_payload.end(item.outcome.is_clean)


_streams: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[Hashable, Stream]] = WeakKeyDictionary()


def shared_stream(key: Hashable, make: Callable[[], Stream]) -> Stream:
    """The stream of one thing in the running event loop, for as long as somebody has it."""
    streams = _streams.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
    stream = streams.get(key)
    if stream is None:
        stream = streams[key] = make()
    return stream
