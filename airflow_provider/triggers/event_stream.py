"""One poll for all watchers of one thing: each gets the vendor's list, and determines what is new to it.

Airflow's shared streams carry it to them, and report when the events that they made of it are in Airflow's database
(``airflow.triggers.shared_stream``). What is new is decided in ``core/changes.py``.
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
from airflow_provider.triggers.polls import POLL
from airflow_provider.unforeseen import unforeseen

if TYPE_CHECKING:
    from airflow_provider.core.changes import Reading

log = structlog.get_logger(logger_name=__name__)

MIN_INTERVAL = 1.0
"""Seconds between two polls, however short an interval was asked for."""

WHOLE_EVERY = 600.0
"""Seconds after which a list is read to its end again: some changes show only then."""

UNWATCHED_INTERVAL = 60.0
"""Seconds between polls of a stream whose last watcher is just leaving."""

CANCELED_WITHIN = 2.0
"""Seconds within which a triggerer that reports events as stored has also canceled the watchers removed before that.
It drops the events of those and reports them as stored all the same, in the message that orders the cancel."""


class ChangesReader(Protocol):
    """Reads in a thread what happened to one thing, such as
    :class:`~airflow_provider.clients.quay.tag_changes.TagChanges`."""

    def read(self, client: Any, since: float | None, whole: bool) -> Reading: ...


class Round:
    """The result of one poll.

    :param place: the system that was polled.

    Attribute ``is_done``: whether all watchers have processed it, and the events of those that still watch are in
    Airflow's database.
    """

    def __init__(self, place: str, reading: Reading) -> None:
        self.place, self.reading = place, reading
        self.is_done = False
        self._callbacks: list[Callable[[], Awaitable[None]]] = []

    @property
    def has_events(self) -> bool:
        return bool(self._callbacks)

    def when_done(self, callback: Callable[[], Awaitable[None]]) -> None:
        """For a watcher that has made events of it."""
        self._callbacks.append(callback)

    async def end(self, is_clean: bool) -> None:
        """:param is_clean: whether no watcher failed on it. If one did, it is not known here which: each finds out for
        itself, with the next round."""
        self.is_done = True
        for callback in self._callbacks if is_clean else ():
            await callback()


class Seat:
    """One watcher's subscription to a stream.

    :param interval: seconds between polls that it asks for.

    Attribute ``since``: how far back the next poll must reach for it, in epoch seconds; ``None`` while not known.
    Attribute ``is_taken``: whether the watcher is still there.
    """

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.since: float | None = None
        self.is_taken = True


class Stream:
    """The polls of one watched thing.

    :param about: what is watched, for the log.
    """

    def __init__(self, system: str, conn_id: str, about: str, reader: ChangesReader) -> None:
        self._system, self._conn_id, self._about, self._reader = system, conn_id, about, reader
        self._seats: list[Seat] = []
        self._woken = asyncio.Event()
        self._whole_due = -float("inf")
        self._pace = Pace()
        self._failures = 0

    @contextmanager
    def seat(self, interval: float) -> Iterator[Seat]:
        """Subscribe. A watcher that joins later soon gets a whole list."""
        seat = Seat(max(MIN_INTERVAL, interval))
        self._seats.append(seat)
        self._whole_due = -float("inf")
        self.wake()
        try:
            yield seat
        finally:
            seat.is_taken = False
            self._seats.remove(seat)

    def wake(self) -> None:
        """Poll soon, whatever the interval."""
        self._woken.set()

    async def rounds(self) -> AsyncIterator[Round]:
        """The results of polls, forever: no outage ends them."""
        while True:
            self._woken.clear()
            seen = await self._poll()
            if seen:
                yield seen
            await asyncio.sleep(MIN_INTERVAL)
            interval = min((seat.interval for seat in self._seats), default=UNWATCHED_INTERVAL)
            await self._woken_within(self._pace.pause(interval) - MIN_INTERVAL)

    async def _woken_within(self, seconds: float) -> None:
        if self._pace.is_slowed:
            # Polls fail, or the vendor has asked to wait: that takes precedence over watchers that want to continue.
            await asyncio.sleep(seconds)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._woken.wait()

    async def _poll(self) -> Round | None:
        since = min((seat.since for seat in self._seats if seat.since is not None), default=None)
        is_whole = time.monotonic() >= self._whole_due
        due = time.monotonic() + WHOLE_EVERY

        def read(client: Any) -> Round:
            return Round(client.place, self._reader.read(client, since, is_whole))

        try:
            seen: Round = await shared_poller(self._system, self._conn_id).call_in_turn(read)
        except ReleasePipelineError as error:
            self._note(error)
            return None
        except Exception as error:
            self._note(unforeseen(error, POLL, self._system))
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
                log.info("Polling %s over connection %s works again", self._about, self._conn_id)
        elif failures & (failures + 1) == 0:
            # The first, second, fourth, eighth... of an outage.
            log.warning(
                "Could not poll %s over connection %s (failure %d), will retry: %s",
                self._about,
                self._conn_id,
                self._failures,
                error,
            )


class Producer(SharedStreamProducer):
    """A stream in the form in which Airflow carries it to its watchers."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def open_stream(self) -> AsyncIterator[tuple[Round, Round]]:
        async for seen in self._stream.rounds():
            yield seen, seen

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        if any(item.broker_payload.has_events for item in batch):
            await asyncio.sleep(CANCELED_WITHIN)
        for item in batch:
            await item.broker_payload.end(item.outcome.is_clean)


_streams: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[Hashable, Stream]] = WeakKeyDictionary()


def shared_stream(key: Hashable, make: Callable[[], Stream]) -> Stream:
    """The stream of one watched thing in the running event loop, for as long as somebody holds it."""
    streams = _streams.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
    stream = streams.get(key)
    if stream is None:
        stream = streams[key] = make()
    return stream
