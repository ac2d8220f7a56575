"""One poll for many waits: all waits of one connection in one event loop share a client, a login and a rhythm.

What a look means for a wait is decided in ``waiting.py``; who waits and why, in the triggers.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import structlog

from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.triggers.shared_client import SharedClient
from airflow_provider.waiting import Outcome, Pace, Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider.clients.base import Observation, ReleaseClient

log = structlog.get_logger(logger_name=__name__)

FASTEST = 1.0
"""Seconds between two looks at the same execution, however short an interval was asked for."""

GATHER = 0.2
"""Seconds in which new waits are gathered: after a restart of the triggerer they arrive by the thousand."""

LINGER = 5.0
"""Seconds for which client and login outlive the last wait: the next task of a DAG often follows at once."""

CHUNK = 200
"""References looked up in one call of a client."""


class Poller:
    """The waits of one connection in the running event loop. Ends by itself after the last of them."""

    def __init__(self, system: str, conn_id: str) -> None:
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
        waiter = _Waiter(asyncio.get_running_loop().create_future(), contextvars.copy_context())
        self._waits[wait] = waiter
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
                is_whole = time.monotonic() >= next_look
                waits = list(self._waits if is_whole else self._new)
                self._new.clear()
                await self._look(waits)
                planned = time.monotonic() + self._pause()
                # Newcomers are looked at out of turn; the others keep their rhythm, unless all must slow down.
                next_look = planned if is_whole or self._pace.is_slowed else min(next_look, planned)
                await self._sleep_until(next_look)
        except BaseException as error:
            for waiter in self._waits.values():
                waiter.abandon(error)
            raise
        finally:
            self._client.close()

    async def _is_needed(self) -> bool:
        while not self._waits:
            self._woken.clear()
            if not await self._woken_within(LINGER) and not self._calls:
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

    def _pause(self) -> float:
        if not self._waits:
            return 0.0
        now = time.time()
        deadlines = [left for wait in self._waits if (left := wait.until_deadline(now)) is not None]
        interval = max(FASTEST, min(wait.interval for wait in self._waits))
        return max(GATHER, self._pace.pause(interval, min(deadlines, default=None)))

    async def _look(self, waits: list[Wait]) -> None:
        error: ReleasePipelineError | None = None
        for start in range(0, len(waits), CHUNK):
            chunk = waits[start : start + CHUNK]
            refs = [wait.ref for wait in chunk]
            try:
                observations = await self._client.call(lambda client, refs=refs: client.fetch(refs))
            except ReleasePipelineError as failure:
                error = failure
                break
            for wait, seen in zip(chunk, observations, strict=True):
                self._tell(wait, seen)
        self._pace.note(error)
        if error:
            for wait in waits[start:]:
                self._tell(wait, error)

    def _tell(self, wait: Wait, seen: Observation) -> None:
        if waiter := self._waits.get(wait):
            waiter.tell(wait, seen)


class _Waiter:
    """Who waits: where the outcome goes, and the context that leads log lines into the right task's log."""

    __slots__ = ("context", "outcome")

    def __init__(self, outcome: asyncio.Future[Outcome], context: contextvars.Context) -> None:
        self.outcome = outcome
        self.context = context

    def tell(self, wait: Wait, seen: Observation) -> None:
        outcome = wait.saw(seen, time.time())
        for line in wait.news():
            self.context.run(log.warning if line.is_warning else log.info, line.text)
        if outcome and not self.outcome.done():
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
