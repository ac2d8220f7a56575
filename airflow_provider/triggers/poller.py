"""One poll for many waits: all waits of one connection in one event loop share a client, a login and a budget.

What a look means for a wait is decided in ``core/waiting.py``, when which request is made in schedule.py; who
waits and why, in the triggers.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import math
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import structlog

from airflow_provider.core.lines import News
from airflow_provider.core.waiting import Outcome, Wait
from airflow_provider.exceptions import Call, ReleasePipelineError, ServerUnavailableError
from airflow_provider.execution import Execution, ExecutionRef
from airflow_provider.settings import REQUESTS_PER_SECOND
from airflow_provider.storable import storable_text
from airflow_provider.triggers.build_logs import BuildLogs
from airflow_provider.triggers.errands import LOOK, Batch, concerns_all
from airflow_provider.triggers.schedule import Schedule
from airflow_provider.triggers.shared_client import shared_client
from airflow_provider.unforeseen import unforeseen

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from airflow_provider.clients.base import ReleaseClient
    from airflow_provider.clients.waitable import Found, Observation

log = structlog.get_logger(logger_name=__name__)

Answer = TypeVar("Answer")

FASTEST = 1.0
"""Seconds between two looks at the same execution, however short an interval was asked for."""

GATHER = 0.2
"""Seconds in which new waits are gathered: after a restart of the triggerer they arrive by the thousand."""

LINGER = 5.0
"""Seconds for which connections and threads outlive the last wait: the next task of a DAG often follows at once."""

TOLD_AT_ONCE = 50
"""Waits that are told what was seen before the loop may do something else."""

LINES_AT_ONCE = 5
"""The same for lines of the tasks' logs. Writing one lets go of the interpreter, and a thread that is decoding an
answer gives it back after 5 ms only."""

LONGEST_TURN = 0.01
"""Seconds of telling after which the loop may do something else: the news of one wait may be many and long."""

MOST_LINES = 100
"""Of one look, written to one task's log: each costs the loop as much as a wait without news."""

MOST_CHARACTERS = 50_000
"""Of these lines: Airflow looks for secrets in each."""

LONGEST_GO = 0.3
"""Seconds after which requests that stand behind another in one thread are made in other ones."""

LAST_LOOK = 5.0
"""Seconds after its deadline at which a wait ends without the answer to its last look."""


class Poller:
    """The waits of one connection in the running event loop. Ends by itself after the last of them."""

    def __init__(self, system: str, conn_id: str) -> None:
        self._system, self._conn_id = system, conn_id
        self._waiters: dict[Wait, Waiter] = {}
        self._new: dict[Wait, None] = {}
        self._gathered_at = 0.0
        self._calls = 0
        self._woken = asyncio.Event()
        self._schedule = Schedule(REQUESTS_PER_SECOND.value(), FASTEST)
        self._tasks: set[asyncio.Task[None]] = set()
        self._wakes_at = math.inf
        self._telling, self._writing = asyncio.Lock(), asyncio.Lock()
        self._lines, self._turn_ends = 0, 0.0
        """Lines written since the loop last did something else, and when it is to do so again."""
        self._used: ReleaseClient | None = None
        self._crash: BaseException | None = None
        self._client = shared_client(system, conn_id)
        self._client.on_sent = self._sent
        self._logs = BuildLogs(self._client.call, self._may_read_a_log)
        self._task = asyncio.create_task(self._run(), name=f"poll {system} {conn_id}", context=contextvars.Context())

    @property
    def ended(self) -> bool:
        return self._task.done()

    async def wait(self, wait: Wait) -> Outcome:
        """Wait until ``wait`` is over, sharing the requests of all others."""
        waiter = self._waiters[wait] = Waiter()
        if not self._new:
            self._gathered_at = time.monotonic() + GATHER
            self._woken.set()
        self._new[wait] = None
        if wait.deadline is not None:
            waiter.end_by(wait.deadline + LAST_LOOK, lambda: self._give_up(wait))
        try:
            outcome = await waiter.outcome
            if waiter.has_tail:
                await self._logs.tail(wait, partial(self._log, waiter))
            return outcome
        finally:
            waiter.close()
            del self._waiters[wait]
            self._new.pop(wait, None)
            self._schedule.leave(wait)
            self._logs.forget(wait)
            if not self._waiters:
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

    async def ask(self, action: Callable[[ReleaseClient], Any]) -> Any:
        """As :meth:`call`, but in its turn: within the budget, and not while the connection is held back.

        What comes of it counts for the waits, too.

        :raises ReleasePipelineError: the action's errors.
        """
        self._calls += 1
        try:
            # No event tells of it: it comes with the time.
            while (pause := self._schedule.until_asked(time.monotonic())) > 0:  # noqa: ASYNC110
                await asyncio.sleep(pause)
            started = time.monotonic()
            try:
                answer = await self.call(action)
            except ReleasePipelineError as error:
                if concerns_all(error):
                    self._schedule.note_trouble(error, started, time.monotonic(), time.time(), self._waiters)
                raise
            self._schedule.trouble.note_answer(started, time.monotonic())
            return answer
        finally:
            self._calls -= 1
            self._woken.set()

    async def _run(self) -> None:
        try:
            while await self._is_needed():
                self._woken.clear()
                if client := await self._client_or_trouble():
                    self._start(client)
                now = time.monotonic()
                self._wakes_at = self._next_moment(now)
                await self._woken_within(self._wakes_at - now)
        except BaseException as error:
            if isinstance(error, Exception):
                log.error("The poll of connection %s ended", self._conn_id)
            told = unforeseen(error, "The poll", self._system) if isinstance(error, Exception) else error
            for waiter in self._waiters.values():
                waiter.abandon(told)
            raise
        finally:
            for task in self._tasks:
                task.cancel()
            self._logs.close()
            self._client.rest()

    async def _is_needed(self) -> bool:
        if self._crash:
            raise self._crash
        while not self._waiters:
            self._woken.clear()
            # Who is held back must not be forgotten: the next one would not know.
            linger = max(LINGER, self._schedule.trouble.until - time.monotonic())
            # A wait may have come in the very moment in which the time was over.
            if not await self._woken_within(linger) and not self._calls and not self._waiters:
                return False
        return True

    async def _woken_within(self, seconds: float) -> bool:
        # Not wait_for: in Python 3.11 it swallows a cancellation that comes together with what it waits for.
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds if seconds < math.inf else None):
                return await self._woken.wait()
        return False

    def _next_moment(self, now: float) -> float:
        moment = self._schedule.next_moment(now)
        return min(moment, max(self._gathered_at, self._schedule.trouble.until)) if self._new else moment

    def _wake_if_due(self) -> None:
        if self._next_moment(time.monotonic()) < self._wakes_at:
            self._woken.set()

    # --- requests ---

    async def _client_or_trouble(self) -> ReleaseClient | None:
        started = time.monotonic()
        if started < self._schedule.trouble.until:
            return None
        try:
            return await self._client.get()
        except ReleasePipelineError as error:
            self._schedule.note_trouble(error, started, time.monotonic(), time.time(), self._waiters)
            await self._tell_all([(wait, error) for wait in self._waiters])
            return None

    def _start(self, client: ReleaseClient) -> None:
        """Let new waits in, and make the requests whose turn it is."""
        now, today, schedule = time.monotonic(), time.time(), self._schedule
        self._used = client
        schedule.connections = self._logs.connections = client.transport.max_connections
        if self._new and now >= self._gathered_at:
            new, self._new = self._new, {}
            for wait in new:
                schedule.join(wait, _ask(client.shared_request, wait.ref), now, today)
        for batch in schedule.take(now, today):
            self._do(self._make(batch))
        if schedule.is_late:
            schedule.is_late = False
            log.warning(
                "Looks over connection %s come later than their poll_interval asks for: what no list covers costs a "
                "request for each look, and %d requests wait for their turn. No more than %g a second are made "
                "(configuration: [release_pipelines] requests_per_second), %d at a time (the connection's extra: "
                "max_connections)",
                self._conn_id,
                len(schedule.due(now)),
                schedule.budget.per_second,
                schedule.connections,
            )

    async def _make(self, batch: Batch) -> None:
        """Make some requests, and tell what was seen."""
        hurry = asyncio.get_running_loop().call_later(LONGEST_GO, self._hurry, batch)
        try:
            await self._client.call(batch.make)
        except Exception as error:
            batch.fail(error if isinstance(error, ReleasePipelineError) else unforeseen(error, LOOK))
        finally:
            hurry.cancel()
        self._schedule.is_over(batch, time.monotonic())
        await self._take_in(batch)

    def _hurry(self, batch: Batch) -> None:
        """Nobody waits for a request only because it stands behind one that takes long."""
        if len(batch.asked) > 1:
            self._schedule.give_back(batch.give_back(), time.monotonic(), time.time())
            self._do(self._take_in(batch))
            self._wake_if_due()

    async def _take_in(self, batch: Batch) -> None:
        answered, schedule = batch.answers(), self._schedule
        trouble = schedule.judge(batch, answered, time.monotonic(), time.time(), self._waiters)
        told: list[tuple[Wait, Found]] = []
        for _, waits, answer in answered:
            if isinstance(answer, ReleasePipelineError):
                self._client.doubt(answer)
                told += [(wait, answer) for wait in waits]
            else:
                told += zip(waits, answer, strict=True)
        await self._tell_all(told)
        for errand, _, _ in answered:
            schedule.is_back(errand, time.monotonic(), time.time())
        if trouble:
            # The others would have been told the same, and their error budget counts.
            due = schedule.due(time.monotonic())
            others = [wait for errand in due for wait in errand.waits if wait not in errand.apart]
            await self._tell_all([(wait, trouble) for wait in others])

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (crash := task.exception()):
            self._crash = crash
            self._woken.set()
        self._wake_if_due()

    def _sent(self, requests: int) -> None:
        self._schedule.budget.spend(requests, time.monotonic())

    async def _may_read_a_log(self, is_the_last: bool) -> None:
        # No event tells of it: it comes with the time.
        while (pause := self._schedule.until_a_log(time.monotonic(), is_the_last)) > 0:  # noqa: ASYNC110
            await asyncio.sleep(pause)
        self._schedule.note_log()

    # --- telling ---

    async def _tell_all(self, told: list[tuple[Wait, Found]]) -> None:
        for start in range(0, len(told), TOLD_AT_ONCE):
            async with self._telling:
                self._turn_ends = time.monotonic() + LONGEST_TURN
                for wait, found in told[start : start + TOLD_AT_ONCE]:
                    if callable(found):
                        self._schedule.look_apart(wait, found, time.monotonic(), time.time())
                    else:
                        await self._tell_surely(wait, found)
                    await self._give_way()
                # Whoever tells next does so in another turn of the loop.
                await asyncio.sleep(0)

    async def _tell_surely(self, wait: Wait, seen: Observation) -> None:
        """What one wait cannot take in concerns no other."""
        try:
            await self._tell(wait, seen)
        except Exception as error:
            log.warning("What was seen of %s %s cannot be told", wait.ref.get("kind"), wait.ref.get("id"))
            try:
                await self._tell(wait, unforeseen(error, "Telling it", self._system))
            except Exception as again:
                # Its text may be what nothing can store; Airflow would store it with the failure of the trigger.
                if waiter := self._waiters.get(wait):
                    waiter.abandon(unforeseen(again, "Telling it", self._system))

    async def _tell(self, wait: Wait, seen: Observation) -> None:
        waiter = self._waiters.get(wait)
        if waiter is None or waiter.outcome.done():
            return
        now, is_new = time.time(), seen is not wait.last
        outcome = wait.saw(seen, now)
        if news := wait.news():
            await self._log(waiter, shortened(news))
            if waiter.is_closed:
                return
        client = self._used
        if client and is_new and isinstance(seen, Execution):
            self._schedule.follow(wait, _ask(client.shared_request, wait.ref), time.monotonic(), now)
            has_log = _ask(client.has_log, wait.ref) if news else None
            if has_log:
                waiter.has_tail = outcome is not None
                if outcome is None:
                    self._logs.want(wait, partial(self._log, waiter))
        if outcome:
            waiter.end(outcome)
            self._schedule.leave(wait)

    async def _log(self, waiter: Waiter, news: list[News]) -> None:
        """Write lines to a task's log, and let the loop do something else after every few, of whichever wait."""
        async with self._writing:
            for line in news:
                if waiter.is_closed:
                    return
                waiter.log(line)
                self._lines += 1
                await self._give_way()

    async def _give_way(self) -> None:
        """Let the loop do something else, where enough was told."""
        if self._lines >= LINES_AT_ONCE or time.monotonic() >= self._turn_ends:
            self._lines = 0
            await asyncio.sleep(0)
            self._turn_ends = time.monotonic() + LONGEST_TURN

    def _give_up(self, wait: Wait) -> None:
        """No look is answered at its deadline: it ends all the same."""
        waiter = self._waiters.get(wait)
        if waiter is None or waiter.outcome.done():
            return
        error = ServerUnavailableError("no look was answered at the deadline", call=Call(system=self._system))
        if outcome := wait.saw(error, time.time()):
            waiter.end(outcome)
            self._schedule.leave(wait)
        elif wait.deadline is not None:
            # The clock was set back meanwhile.
            waiter.end_by(wait.deadline + LAST_LOOK, lambda: self._give_up(wait))


class Waiter:
    """Who waits: where the outcome goes, and the context that leads log lines into the right task's log.

    Attributes ``has_tail``: the execution's own log may hold lines that were not told yet; ``is_closed``: nobody waits
    any more, and the task's log takes no more lines.
    """

    __slots__ = ("_context", "_limit", "has_tail", "is_closed", "outcome")

    def __init__(self) -> None:
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.has_tail = self.is_closed = False
        self._context = contextvars.copy_context()
        self._limit: asyncio.TimerHandle | None = None

    def end_by(self, moment: float, give_up: Callable[[], None]) -> None:
        """Call this at a moment, in epoch seconds, if nothing else has ended the wait."""
        seconds = max(0.0, moment - time.time())
        self._limit = asyncio.get_running_loop().call_later(seconds, give_up)

    def close(self) -> None:
        self.is_closed = True
        if self._limit:
            self._limit.cancel()

    def log(self, line: News) -> None:
        self._context.run(getattr(log, line.level), storable_text(line.text))

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


def shortened(news: list[News]) -> list[News]:
    """The first lines and the last one, which tells of the whole execution."""
    lengths = itertools.accumulate(len(line.text) for line in news)
    kept = min(MOST_LINES, sum(length <= MOST_CHARACTERS for length in lengths))
    if kept == len(news) or len(news) < 3:
        return news
    first = max(0, kept - 2)
    return [*news[:first], News(f"  ... {len(news) - first - 1} lines left out"), news[-1]]


def _ask(question: Callable[[ExecutionRef], Answer], ref: ExecutionRef) -> Answer | None:
    """What a client says of a reference, without I/O; nothing where that makes no sense to it: the look will say so."""
    try:
        return question(ref)
    except Exception as error:
        unforeseen(error, "Reading a reference", ref.get("system"))
        return None


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], Poller]] = WeakKeyDictionary()


def shared_poller(system: str, conn_id: str) -> Poller:
    """The poller of a connection in the running event loop."""
    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    poller = pollers.get((system, conn_id))
    if poller is None or poller.ended:
        poller = pollers[system, conn_id] = Poller(system, conn_id)
    return poller
