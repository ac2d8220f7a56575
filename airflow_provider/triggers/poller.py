"""One poll for many waits: all waits of one connection in one event loop share a client, a login and a rhythm.

What a look means for a wait is decided in ``waiting.py``; who waits and why, in the triggers.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import structlog

from airflow_provider.exceptions import ReleasePipelineError, UnexpectedResponseError
from airflow_provider.progress import log_news
from airflow_provider.triggers.shared_client import SharedClient
from airflow_provider.waiting import News, Outcome, Pace, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider.clients.base import Observation, ReleaseClient

log = structlog.get_logger(logger_name=__name__)

FASTEST = 1.0
"""Seconds between two looks at the same execution, however short an interval was asked for."""

GATHER = 0.2
"""Seconds in which new waits are gathered: after a restart of the triggerer they arrive by the thousand."""

LINGER = 5.0
"""Seconds for which client and login outlive the last wait: the next task of a DAG often follows at once."""

ALONE = 10
"""References that one thread looks up one after the other, where no request answers for many."""

LISTS = 3
"""Requests that answer for many, which one thread makes one after the other: the second costs half as much CPU as the
first, which finds nothing in the processor's caches."""

TOLD_AT_ONCE = 50
"""Waits that are told what was seen before the loop may do something else: each may write lines to its task's log."""

SPREAD = 0.8
"""Part of the interval over which the requests of one look are spread."""


class Poller:
    """The waits of one connection in the running event loop. Ends by itself after the last of them."""

    def __init__(self, system: str, conn_id: str) -> None:
        self._conn_id = conn_id
        self._waits: dict[Wait, _Waiter] = {}
        self._new: set[Wait] = set()
        self._calls = 0
        self._woken = asyncio.Event()
        self._pace = Pace()
        self._client = SharedClient(system, conn_id)
        self._task = asyncio.create_task(self._run(), name=f"poll {system} {conn_id}", context=contextvars.Context())

    @property
    def ended(self) -> bool:
        return self._task.done()

    async def wait(self, wait: Wait) -> Outcome:
        """Wait until ``wait`` is over, sharing the polls of all others."""
        waiter = self._waits[wait] = _Waiter()
        self._new.add(wait)
        self._woken.set()
        try:
            return await waiter.outcome
        finally:
            self._waits.pop(wait, None)
            self._new.discard(wait)
            self._woken.set()

    async def call(self, action: Callable[[ReleaseClient], Any]) -> Any:
        """Run one action of the shared client in a thread.

        :raises ReleasePipelineError: the action's errors.
        """
        self._calls += 1
        self._woken.set()
        try:
            return await self._client.call(action)
        finally:
            self._calls -= 1

    async def _run(self) -> None:
        next_look = 0.0
        try:
            while await self._is_needed():
                await asyncio.sleep(GATHER)
                started = time.monotonic()
                is_whole = not self._new or started >= next_look
                waits = list(self._waits if is_whole else self._new)
                self._new.clear()
                if waits:
                    self._pace.note(await self._look(waits))
                # A vendor that names a moment means one after its answer; else the rhythm counts from look to look.
                planned = (time.monotonic() if self._pace.is_slowed else started) + self._pause()
                # Newcomers are looked at out of turn; the others keep their rhythm, unless all must slow down.
                next_look = planned if is_whole or self._pace.is_slowed else min(next_look, planned)
                await self._sleep_until(next_look)
        except BaseException as error:
            if isinstance(error, Exception):
                log.exception("The poll of connection %s ended", self._conn_id)
            for waiter in self._waits.values():
                waiter.abandon(error)
            raise
        finally:
            self._client.close()

    async def _is_needed(self) -> bool:
        while not self._waits:
            self._woken.clear()
            # A wait may have come in the very moment in which the time was over.
            if not await self._woken_within(LINGER) and not self._calls and not self._waits:
                return False
        return True

    async def _sleep_until(self, next_look: float) -> None:
        while self._waits and (left := next_look - GATHER - time.monotonic()) > 0:
            if self._new and not self._pace.is_slowed:
                return
            self._woken.clear()
            await self._woken_within(left)

    async def _woken_within(self, seconds: float) -> bool:
        # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with what it waits for.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                return await self._woken.wait()
        return False

    def _interval(self) -> float:
        return max(FASTEST, min((wait.interval_now for wait in self._waits), default=FASTEST))

    def _pause(self) -> float:
        now = time.time()
        deadlines = [left for wait in self._waits if (left := wait.until_deadline(now)) is not None]
        return max(GATHER, self._pace.pause(self._interval(), min(deadlines, default=None)))

    async def _look(self, waits: list[Wait]) -> ReleasePipelineError | None:
        """Look at all of them; returns the error that concerned the whole connection, if there was one."""
        failure: ReleasePipelineError | None = None

        async def look_at(batch: list[Wait]) -> None:
            nonlocal failure
            failure = await self._look_at(batch) or failure

        try:
            client = await self._client.get()
        except ReleasePipelineError as error:
            self._tell_all(waits, error)
            return error
        batches = list(_batches(client, waits))
        apart = SPREAD * self._interval() / len(batches)
        async with asyncio.TaskGroup() as looks:
            for batch in batches:
                if failure:
                    self._tell_all(batch, failure)
                    continue
                look = looks.create_task(look_at(batch))
                if self._pace.is_slowed:
                    await look  # after a failure, the first request asks whether the others may follow
                elif batch is not batches[-1]:
                    await asyncio.sleep(apart)
        return failure

    async def _look_at(self, batch: list[Wait]) -> ReleasePipelineError | None:
        refs = [wait.ref for wait in batch]
        try:
            client = await self._client.get()
            observations = await self._client.call(lambda client: client.fetch(refs))
        except ReleasePipelineError as error:
            self._tell_all(batch, error)
            return error
        except Exception as error:
            # One answer that trips a client must not end the waits of the whole connection.
            log.exception("A look failed in an unforeseen way")
            failure = UnexpectedResponseError(f"the answer could not be read: {type(error).__name__}")
            self._tell_all(batch, failure)
            return failure
        for place, (wait, seen) in enumerate(zip(batch, observations, strict=True), start=1):
            if place % TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)
            outcome, has_news = self._tell(wait, seen)
            if has_news and client.has_log(wait.ref) and (waiter := self._waits.get(wait)):
                waiter.log(await self._client.call(lambda client, wait=wait: log_news(client, wait)))
            self._end(wait, outcome)
        return None

    def _tell_all(self, waits: list[Wait], error: ReleasePipelineError) -> None:
        for wait in waits:
            self._end(wait, self._tell(wait, error)[0])

    def _tell(self, wait: Wait, seen: Observation | None) -> tuple[Outcome | None, bool]:
        """Tell one wait what was seen; returns how it ended, and whether anything has changed."""
        waiter = self._waits.get(wait)
        if waiter is None:
            return None, False
        now = time.time()
        outcome = wait.saw_no_change(now) if seen is None else wait.saw(seen, now)
        news = wait.news()
        waiter.log(news)
        return outcome, bool(news)

    def _end(self, wait: Wait, outcome: Outcome | None) -> None:
        if outcome and (waiter := self._waits.get(wait)):
            waiter.end(outcome)


class _Waiter:
    """Who waits: where the outcome goes, and the context that leads log lines into the right task's log."""

    __slots__ = ("_context", "outcome")

    def __init__(self) -> None:
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._context = contextvars.copy_context()

    def log(self, news: list[News]) -> None:
        for line in news:
            self._context.run(log.warning if line.is_warning else log.info, line.text)

    def end(self, outcome: Outcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def abandon(self, error: BaseException) -> None:
        if self.outcome.done():
            return
        if isinstance(error, asyncio.CancelledError):
            self.outcome.cancel()
        else:
            self.outcome.set_exception(error)


def _batches(client: ReleaseClient, waits: list[Wait]) -> Iterator[list[Wait]]:
    """Waits that one request answers stay together, however many, a few such requests at a time; so do the others."""
    shared: dict[str, list[Wait]] = {}
    alone: list[Wait] = []
    for wait in waits:
        request = client.shared_request(wait.ref)
        (alone if request is None else shared.setdefault(request, [])).append(wait)
    lists = list(shared.values())
    for start in range(0, len(lists), LISTS):
        yield list(chain.from_iterable(lists[start : start + LISTS]))
    for start in range(0, len(alone), ALONE):
        yield alone[start : start + ALONE]


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], Poller]] = WeakKeyDictionary()


def shared_poller(system: str, conn_id: str) -> Poller:
    """The poller of a connection in the running event loop."""
    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    poller = pollers.get((system, conn_id))
    if poller is None or poller.ended:
        poller = pollers[system, conn_id] = Poller(system, conn_id)
    return poller
