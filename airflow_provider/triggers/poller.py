"""One poller for many waits: all waits of a connection in an event loop share a client, a login and a budget.

``core/waiting.py`` decides what an observation means for a wait, ``schedule.py`` decides when each request is made, and
the triggers decide who waits and why.
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

from airflow_provider.core.lines import LogLine
from airflow_provider.core.waiting import Outcome, Wait
from airflow_provider.exceptions import Call, ReleasePipelineError, ServerUnavailableError
from airflow_provider.execution import Execution, ExecutionRef
from airflow_provider.settings import REQUESTS_PER_SECOND
from airflow_provider.storable import storable_text
from airflow_provider.triggers.build_logs import BuildLogs
from airflow_provider.triggers.polls import POLL, Batch, concerns_all
from airflow_provider.triggers.schedule import Schedule
from airflow_provider.triggers.shared_client import shared_client
from airflow_provider.unforeseen import unforeseen

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from airflow_provider.clients.base import ReleaseClient
    from airflow_provider.clients.waitable import Found, Observation

log = structlog.get_logger(logger_name=__name__)

AnswerT = TypeVar("AnswerT")

MIN_INTERVAL = 1.0
"""Seconds between two polls of the same execution, however short an interval was asked for."""

GATHER = 0.2
"""Seconds for which new waits are gathered: after a restart of the triggerer they arrive by the thousand."""

LINGER = 5.0
"""Seconds for which connections and threads outlive the last wait: the next task of a DAG often follows at once."""

DELIVERED_AT_ONCE = 50
"""Waits that get their observations before the event loop may do something else."""

LINES_AT_ONCE = 5
"""The same for lines of task logs. Writing one releases the interpreter lock, and a thread that is decoding an answer
gives it back only after 5 ms."""

LONGEST_BLOCK = 0.01
"""Seconds of delivering after which the event loop may do something else: one wait may have many long log lines."""

MOST_LINES = 100
"""Log lines that one poll may write to one task's log: each costs the event loop as much as a wait without any."""

MOST_CHARACTERS = 50_000
"""Characters in these lines: Airflow searches each for secrets."""

SPLIT_AFTER = 0.3
"""Seconds after which requests that are queued behind a slow one in a thread move to other threads."""

LAST_POLL = 5.0
"""Seconds after its deadline at which a wait ends although its last poll is not answered."""


class Poller:
    """Polls for all waits of one connection in the running event loop. Ends by itself after the last of them."""

    def __init__(self, system: str, conn_id: str) -> None:
        self._system, self._conn_id = system, conn_id
        self._waiters: dict[Wait, Waiter] = {}
        self._new: dict[Wait, None] = {}
        self._gathered_at = 0.0
        self._calls = 0
        self._woken = asyncio.Event()
        self._schedule = Schedule(REQUESTS_PER_SECOND.value(), MIN_INTERVAL)
        self._tasks: set[asyncio.Task[None]] = set()
        self._wakes_at = math.inf
        self._delivering, self._writing = asyncio.Lock(), asyncio.Lock()
        self._lines, self._yields_at = 0, 0.0
        """Lines written since the event loop last did something else, and when it must do so again."""
        self._current_client: ReleaseClient | None = None
        self._crash: BaseException | None = None
        self._client = shared_client(system, conn_id)
        self._client.on_sent = self._sent
        self._logs = BuildLogs(self._client.call, self._until_log_may_be_read)
        self._task = asyncio.create_task(self._run(), name=f"poll {system} {conn_id}", context=contextvars.Context())

    @property
    def ended(self) -> bool:
        return self._task.done()

    async def wait(self, wait: Wait) -> Outcome:
        """Wait until ``wait`` is over, sharing requests with all others."""
        waiter = self._waiters[wait] = Waiter()
        if not self._new:
            self._gathered_at = time.monotonic() + GATHER
            self._woken.set()
        self._new[wait] = None
        if wait.deadline is not None:
            waiter.end_by(wait.deadline + LAST_POLL, lambda: self._give_up(wait))
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
        """Run one action of the shared client in a thread, at once.

        :raises ReleasePipelineError: the action's errors.
        """
        self._calls += 1
        self._woken.set()
        try:
            return await self._client.call(action)
        finally:
            self._calls -= 1

    async def call_in_turn(self, action: Callable[[ReleaseClient], Any]) -> Any:
        """As :meth:`call`, but within the budget, and not while the connection is held back.

        Its result counts for the waits too: an error may mean trouble for them, an answer the end of trouble.

        :raises ReleasePipelineError: the action's errors.
        """
        self._calls += 1
        try:
            # Only time passing makes this true, so that there is no event to wait for.
            while (pause := self._schedule.call_delay(time.monotonic())) > 0:  # noqa: ASYNC110
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
                log.error("The poller of connection %s crashed", self._conn_id)
            cause = unforeseen(error, "The poller", self._system) if isinstance(error, Exception) else error
            for waiter in self._waiters.values():
                waiter.abandon(cause)
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
            # Until then, keep the time for which requests are held back: the next poller would not know it.
            linger = max(LINGER, self._schedule.trouble.until - time.monotonic())
            # A wait may have arrived just as the time ran out.
            if not await self._woken_within(linger) and not self._calls and not self._waiters:
                return False
        return True

    async def _woken_within(self, seconds: float) -> bool:
        # Not wait_for: in Python 3.11 it swallows a cancellation that arrives together with what it waits for.
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
            await self._deliver_all([(wait, error) for wait in self._waiters])
            return None

    def _start(self, client: ReleaseClient) -> None:
        """Admit new waits, and start the batches that are due."""
        now, today, schedule = time.monotonic(), time.time(), self._schedule
        self._current_client = client
        schedule.connections = self._logs.connections = client.transport.max_connections
        if self._new and now >= self._gathered_at:
            new, self._new = self._new, {}
            for wait in new:
                if wait.since is not None:
                    _ask_client(client.waits.note_unfinished, wait.ref)
                schedule.join(wait, _ask_client(client.waits.shared_request, wait.ref), now, today)
        for batch in schedule.take(now, today):
            self._spawn(self._run_batch(batch))
        if schedule.is_late:
            schedule.is_late = False
            log.warning(
                "Polls over connection %s run later than their poll_interval asks for: each execution that no list "
                "covers costs a request per poll, and %d requests are queued. At most %g are sent per second "
                "(configuration: [release_pipelines] requests_per_second), %d at a time (the connection's extra: "
                "max_connections)",
                self._conn_id,
                len(schedule.due(now)),
                schedule.budget.per_second,
                schedule.connections,
            )

    async def _run_batch(self, batch: Batch) -> None:
        """Make the requests of a batch, and deliver what they observed."""
        split = asyncio.get_running_loop().call_later(SPLIT_AFTER, self._split, batch)
        try:
            await self._client.call(batch.make)
        except Exception as error:
            batch.fail(error if isinstance(error, ReleasePipelineError) else unforeseen(error, POLL))
        finally:
            split.cancel()
        self._schedule.finish(batch, time.monotonic())
        await self._take_answers(batch)

    def _split(self, batch: Batch) -> None:
        """Let no request wait only because it is queued behind a slow one."""
        if len(batch.polls) > 1:
            self._schedule.put_back(batch.withdraw(), time.monotonic(), time.time())
            self._spawn(self._take_answers(batch))
            self._wake_if_due()

    async def _take_answers(self, batch: Batch) -> None:
        answered, schedule = batch.answers(), self._schedule
        trouble = schedule.judge(batch, answered, time.monotonic(), time.time(), self._waiters)
        observed: list[tuple[Wait, Found]] = []
        for _, waits, answer in answered:
            if isinstance(answer, ReleasePipelineError):
                self._client.doubt(answer)
                observed += [(wait, answer) for wait in waits]
            else:
                observed += zip(waits, answer, strict=True)
        await self._deliver_all(observed)
        for poll, _, _ in answered:
            schedule.requeue(poll, time.monotonic(), time.time())
        if trouble:
            # The other polls that are due would have got the same error, and it counts toward their error budgets.
            due = schedule.due(time.monotonic())
            others = [wait for poll in due for wait in poll.waits if wait not in poll.alone]
            await self._deliver_all([(wait, trouble) for wait in others])

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (crash := task.exception()):
            self._crash = crash
            self._woken.set()
        self._wake_if_due()

    def _sent(self, requests: int) -> None:
        self._schedule.budget.spend(requests, time.monotonic())

    async def _until_log_may_be_read(self, is_the_last: bool) -> None:
        # Only time passing makes this true, so that there is no event to wait for.
        while (pause := self._schedule.log_delay(time.monotonic(), is_the_last)) > 0:  # noqa: ASYNC110
            await asyncio.sleep(pause)
        self._schedule.note_log()

    # --- delivering ---

    async def _deliver_all(self, observed: list[tuple[Wait, Found]]) -> None:
        for start in range(0, len(observed), DELIVERED_AT_ONCE):
            async with self._delivering:
                self._yields_at = time.monotonic() + LONGEST_BLOCK
                for wait, found in observed[start : start + DELIVERED_AT_ONCE]:
                    if callable(found):
                        self._schedule.poll_alone(wait, found, time.monotonic(), time.time())
                    else:
                        await self._deliver_safely(wait, found)
                    await self._yield_to_loop()
                # The next delivery happens in another iteration of the event loop.
                await asyncio.sleep(0)

    async def _deliver_safely(self, wait: Wait, seen: Observation) -> None:
        """Deliver an observation; one that a wait cannot process affects no other wait."""
        try:
            await self._deliver(wait, seen)
        except Exception as error:
            what = f"Processing an observation of {wait.ref.get('kind')} {wait.ref.get('id')}"
            try:
                await self._deliver(wait, unforeseen(error, what, self._system))
            except Exception as again:
                # Airflow stores the text of the error with the trigger's failure, and this text may not be storable.
                if waiter := self._waiters.get(wait):
                    waiter.abandon(unforeseen(again, what, self._system))

    async def _deliver(self, wait: Wait, seen: Observation) -> None:
        waiter = self._waiters.get(wait)
        if waiter is None or waiter.outcome.done():
            return
        now, is_new = time.time(), seen is not wait.last
        outcome = wait.update(seen, now)
        if news := wait.new_lines():
            await self._log(waiter, shortened(news))
            if waiter.is_closed:
                return
        client = self._current_client
        if client and is_new and isinstance(seen, Execution):
            self._schedule.follow(wait, _ask_client(client.waits.shared_request, wait.ref), time.monotonic(), now)
            has_log = _ask_client(client.waits.has_log, wait.ref) if news else None
            if has_log:
                waiter.has_tail = outcome is not None
                if outcome is None:
                    self._logs.want(wait, partial(self._log, waiter))
        if outcome:
            waiter.end(outcome)
            self._schedule.leave(wait)

    async def _log(self, waiter: Waiter, news: list[LogLine]) -> None:
        """Write lines to a task's log; after every few, of all waits together, let the event loop do something else."""
        async with self._writing:
            for line in news:
                if waiter.is_closed:
                    return
                waiter.log(line)
                self._lines += 1
                await self._yield_to_loop()

    async def _yield_to_loop(self) -> None:
        """Let the event loop do something else, if it is time to."""
        if self._lines >= LINES_AT_ONCE or time.monotonic() >= self._yields_at:
            self._lines = 0
            await asyncio.sleep(0)
            self._yields_at = time.monotonic() + LONGEST_BLOCK

    def _give_up(self, wait: Wait) -> None:
        """End a wait at its deadline although no poll is answered."""
        waiter = self._waiters.get(wait)
        if waiter is None or waiter.outcome.done():
            return
        error = ServerUnavailableError("no poll was answered by the deadline", call=Call(system=self._system))
        if outcome := wait.update(error, time.time()):
            waiter.end(outcome)
            self._schedule.leave(wait)
        elif wait.deadline is not None:
            # The clock was set back in the meantime.
            waiter.end_by(wait.deadline + LAST_POLL, lambda: self._give_up(wait))


class Waiter:
    """A trigger that waits: its outcome, and the context in which log lines go to the right task's log.

    Attributes ``has_tail``: the execution's own log may hold lines that were not copied yet; ``is_closed``: the trigger
    no longer waits, and its task's log takes no more lines.
    """

    __slots__ = ("_context", "_limit", "has_tail", "is_closed", "outcome")

    def __init__(self) -> None:
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.has_tail = self.is_closed = False
        self._context = contextvars.copy_context()
        self._limit: asyncio.TimerHandle | None = None

    def end_by(self, moment: float, give_up: Callable[[], None]) -> None:
        """Call ``give_up`` at this time, in epoch seconds, if nothing else has ended the wait by then."""
        seconds = max(0.0, moment - time.time())
        self._limit = asyncio.get_running_loop().call_later(seconds, give_up)

    def close(self) -> None:
        self.is_closed = True
        if self._limit:
            self._limit.cancel()

    def log(self, line: LogLine) -> None:
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


def shortened(news: list[LogLine]) -> list[LogLine]:
    """The first lines and the last one, which describes the whole execution."""
    lengths = itertools.accumulate(len(line.text) for line in news)
    kept = min(MOST_LINES, sum(length <= MOST_CHARACTERS for length in lengths))
    if kept == len(news) or len(news) < 3:
        return news
    first = max(0, kept - 2)
    return [*news[:first], LogLine(f"  ... {len(news) - first - 1} lines left out"), news[-1]]


def _ask_client(question: Callable[[ExecutionRef], AnswerT], ref: ExecutionRef) -> AnswerT | None:
    """What a client knows about a reference, without I/O; ``None`` if it cannot read it, which the poll will report."""
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
