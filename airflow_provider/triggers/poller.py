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

from airflow_provider.core.waiting import News, Outcome, Pace, Wait
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.progress import log_news
from airflow_provider.triggers.errands import Course, ask, concerns_all, plan_errands, unforeseen
from airflow_provider.triggers.shared_client import SharedClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider.clients.base import Observation, ReleaseClient

log = structlog.get_logger(logger_name=__name__)

FASTEST = 1.0
"""Seconds between two looks at the same execution, however short an interval was asked for."""

GATHER = 0.2
"""Seconds in which new waits are gathered: after a restart of the triggerer they arrive by the thousand."""

LINGER = 5.0
"""Seconds for which client and login outlive the last wait: the next task of a DAG often follows at once."""

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
        self._turn = 0
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
        try:
            client = await self._client.get()
        except ReleasePipelineError as error:
            await self._tell_all(waits, error)
            return error
        # While looks fail, another request asks each time whether the others may follow: one may fail by itself.
        self._turn = self._turn + 1 if self._pace.is_slowed else 0
        errands = plan_errands(client, waits, self._turn)
        apart = SPREAD * self._interval() / len(errands)
        course = Course()
        async with asyncio.TaskGroup() as looks:
            for errand in errands:
                if course.stopped_by:
                    await self._tell_all(chain.from_iterable(errand), course.stopped_by)
                    continue
                look = looks.create_task(self._run_errand(errand, course))
                if self._pace.is_slowed and not course.is_answered:
                    await look
                    if not course.is_answered:
                        course.stopped_by = course.stopped_by or course.last_error
                elif errand is not errands[-1]:
                    await asyncio.sleep(apart)
        return course.stopped_by or (None if course.is_answered else course.last_error)

    async def _run_errand(self, errand: list[list[Wait]], course: Course) -> None:
        requests = [[wait.ref for wait in batch] for batch in errand]
        try:
            client = await self._client.get()
            answers = await self._client.call(lambda client: ask(client, requests))
        except Exception as error:
            course.stopped_by = error if isinstance(error, ReleasePipelineError) else unforeseen(error)
            await self._tell_all(chain.from_iterable(errand), course.stopped_by)
            return
        for batch, answer in zip(errand, answers, strict=True):
            if not isinstance(answer, ReleasePipelineError):
                course.is_answered = True
                await self._tell_each(client, batch, answer)
                continue
            course.last_error = answer
            if concerns_all(answer):
                course.stopped_by = answer
                self._client.doubt(answer)
            await self._tell_all(batch, answer)

    async def _tell_each(self, client: ReleaseClient, batch: list[Wait], seen: list[Observation | None]) -> None:
        for place, (wait, each) in enumerate(zip(batch, seen, strict=True), start=1):
            if place % TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)
            outcome, has_news = self._tell(wait, each)
            if has_news and client.has_log(wait.ref) and (waiter := self._waits.get(wait)):
                waiter.log(await self._client.call(lambda client, wait=wait: log_news(client, wait)))
            self._end(wait, outcome)

    async def _tell_all(self, waits: Iterable[Wait], error: ReleasePipelineError) -> None:
        for place, wait in enumerate(waits, start=1):
            if place % TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)
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


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], Poller]] = WeakKeyDictionary()


def shared_poller(system: str, conn_id: str) -> Poller:
    """The poller of a connection in the running event loop."""
    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    poller = pollers.get((system, conn_id))
    if poller is None or poller.ended:
        poller = pollers[system, conn_id] = Poller(system, conn_id)
    return poller
