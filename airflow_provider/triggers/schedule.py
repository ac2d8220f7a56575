"""When each poll of a connection is made, and what its answer means for the others. No event loop, clock or I/O.

``now`` is a time on a monotonic clock, ``today`` the same time in epoch seconds, in which deadlines are given.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_provider.core.budget import Budget, Lateness, Turns
from airflow_provider.core.trouble import Trouble
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.triggers.polls import EARLY, Batch, Poll, PollAnswer, Polls, SinglePoll, concerns_all

if TYPE_CHECKING:
    from airflow_provider.clients.waitable import PendingObservation
    from airflow_provider.core.waiting import Wait

TICK = 0.05
LONGEST_TICK = 0.25
"""Bounds, in seconds, for the time between two batches: what becomes due in between goes into one. Within them it is a
twentieth of the interval, or the time in which the budget allows the largest batch."""

BATCH_SECONDS = 0.1
"""Seconds that a batch may take: a thread makes its requests one after another, and the answers are delivered at the
end. Later requests need half as much CPU as the first, which finds the processor's caches cold."""

LARGEST_BATCH = 10

BATCH_DELAY = 0.25
"""Seconds for which polls may be held back to be made in one batch, when the budget is spent."""

POLLS_PER_LOG = 4
"""Polls made before each read of a log, when polls are late."""


class Schedule:
    """The polls of one connection.

    :param per_second: requests that may be sent per second, on average.
    :param fastest: shortest interval of a poll in seconds, however short an interval its waits ask for.
    """

    def __init__(self, per_second: float, fastest: float) -> None:
        self.budget = Budget(per_second)
        self.trouble = Trouble()
        self.connections = 1
        """Requests that the client can make at the same time."""
        self.running = 0
        self.is_late = False
        """Whether polls have begun to run late since this was last set to false."""
        self._fastest = fastest
        self._polls = Polls()
        self._turns: Turns[Poll] = Turns()
        self._lateness = Lateness()
        self._failed: set[Poll] = set()
        """Polls that have failed since the last successful one."""
        self._next_start = -math.inf
        self._took: float | None = None
        """Seconds that a request takes, as a moving average."""
        self._polled = self._polled_before_log = 0

    # --- waits ---

    def join(self, wait: Wait, name: str | None, now: float, today: float) -> None:
        """Add a wait. :param name: the client's name for the request that answers it and others."""
        poll = self._polls.join(wait, name, now)
        poll.fresh[wait] = None
        self._line_up(poll, now, today)

    def leave(self, wait: Wait) -> None:
        for poll in self._polls.leave(wait):
            self._turns.drop(poll)
            self._failed.discard(poll)

    def follow(self, wait: Wait, name: str | None, now: float, today: float) -> None:
        """Move a wait to another poll, if its reference has become more exact and another request answers it now."""
        poll = self._polls.of(wait)
        if poll and poll.name != name:
            self.leave(wait)
            due = now + max(self._fastest, wait.interval_now)
            self._line_up(self._polls.join(wait, name, due), now, today)

    def poll_alone(self, wait: Wait, pending: PendingObservation, now: float, today: float) -> None:
        """Poll one execution on its own; until that is done, the shared poll leaves it out."""
        if home := self._polls.of(wait):
            single = SinglePoll(wait, pending, now)
            home.leave_out(wait, single)
            self._line_up(single, now, today)

    # --- turns ---

    def take(self, now: float, today: float) -> list[Batch]:
        """The batches to start now, as far as budget and connections allow."""
        batches: list[Batch] = []
        tick = min(LONGEST_TICK, self._largest_batch() / self.budget.per_second)
        # Polls that were made together stay together, because a batch of them costs less than each on its own.
        jitter = random.random()  # noqa: S311 - not for security
        while now >= max(self._next_start, self.trouble.until) and self.running < self._most_at_once():
            polls = self._take_some(now, today, jitter)
            if not polls:
                break
            self.budget.spend(len(polls), now)
            self._polled += len(polls)
            self.running += 1
            batches.append(Batch(now, polls))
            tick = min(tick, *(poll.interval / 20 for poll, _ in polls))
        if batches:
            self._next_start = now + max(TICK, tick)
        return batches

    def next_moment(self, now: float) -> float:
        """When :meth:`take` next has something to return, unless something else happens first."""
        due = self._turns.next_due()
        if due is None or self.running >= self._most_at_once():
            return math.inf
        enough = min(self._largest_batch(), len(self._turns), max(1.0, BATCH_DELAY * self.budget.per_second))
        return max(due, now + self.budget.pause(now, enough), self._next_start, self.trouble.until)

    def due(self, now: float) -> list[Poll]:
        """The polls that are due and not made yet."""
        return self._turns.due(now)

    def log_delay(self, now: float, is_the_last: bool) -> float:
        """Seconds until a log may be read: logs leave half of the saved budget to polls, and most of the rest while
        polls are late."""
        if self.trouble.is_on:
            return max(TICK, self.trouble.until - now)
        due = self._turns.next_due()
        if due is not None and due <= now:
            # Late polls would use up the whole budget: this request is taken out of theirs.
            return 0.0 if self._polled >= self._polled_before_log else TICK
        return self.budget.pause(now, 1.0 if is_the_last else self.budget.most / 2)

    def call_delay(self, now: float) -> float:
        """Seconds until a request may be made that no wait needs."""
        # Late polls would use up the whole budget: this request is taken out of theirs.
        due = self._turns.next_due()
        needed = 1.0 - self.budget.most if due is not None and due <= now else 1.0
        return max(self.trouble.until - now, self.budget.pause(now, needed), 0.0)

    def note_log(self) -> None:
        """Note that a log is being read."""
        self._polled_before_log = self._polled + POLLS_PER_LOG

    # --- results ---

    def judge(
        self,
        batch: Batch,
        answered: list[tuple[Poll, list[Wait], PollAnswer]],
        now: float,
        today: float,
        waits: Iterable[Wait],
    ) -> ReleasePipelineError | None:
        """Decide what answers mean for the whole connection; returns the error if they mean new trouble.

        :param waits: all waits of the connection.
        """
        errors = [answer for _, _, answer in answered if isinstance(answer, ReleasePipelineError)]
        if len(errors) < len(answered):
            self._failed.clear()
            self.trouble.note_answer(batch.started, now)
        else:
            self._failed.update(poll for poll, _, _ in answered if not isinstance(poll, SinglePoll))
        stop = next(filter(concerns_all, errors), None)
        if stop is None and errors and len(errors) == len(answered):
            have_all_failed = self.trouble.is_on or len(self._failed) >= len(self._polls)
            stop = errors[-1] if have_all_failed else None
        return stop if stop and self.note_trouble(stop, batch.started, now, today, waits) else None

    def note_trouble(
        self, error: ReleasePipelineError, started: float, now: float, today: float, waits: Iterable[Wait]
    ) -> bool:
        """Note an error that concerns all requests; returns whether it adds information.

        :param started: when the request began that failed with it.
        """
        interval, left = math.inf, math.inf
        for wait in waits:
            interval = min(interval, wait.interval_in_trouble)
            left = min(left, math.inf if wait.deadline is None else wait.deadline - today)
        interval = self._fastest if interval == math.inf else max(self._fastest, interval)
        return self.trouble.note_error(error, started, now, interval, None if left == math.inf else left)

    def put_back(self, polls: Iterable[Poll], now: float, today: float) -> None:
        """Queue polls again that were taken but not made."""
        for poll in polls:
            poll.due = now
            poll.is_running = False
            self._line_up(poll, now, today)

    def finish(self, batch: Batch, now: float) -> None:
        """Note that a batch is done."""
        # What was really sent is counted separately.
        self.budget.spend(-len(batch.polls), now)
        self.running -= 1
        took = (now - batch.started) / len(batch.polls)
        self._took = took if self._took is None else 0.7 * self._took + 0.3 * took

    def requeue(self, poll: Poll, now: float, today: float) -> None:
        """Queue a poll for its next turn, after its answer was delivered."""
        poll.is_running = False
        if isinstance(poll, SinglePoll):
            for wait in poll.waits:
                if home := self._polls.of(wait):
                    home.back(wait)
        else:
            self._line_up(poll, now, today)

    # --- internals ---

    def _line_up(self, poll: Poll, now: float, today: float) -> None:
        if poll.is_running or not poll.waits:
            return
        earliest = poll.deadline
        deadline = None if earliest is None else now + earliest - today
        due = poll.next_at(now, deadline)
        self._turns.put(poll, due, unseen_since=poll.polled_at, weight=poll.weight, deadline=deadline)

    def _take_some(self, now: float, today: float, jitter: float) -> list[tuple[Poll, list[Wait]]]:
        taken = []
        most = min(self._largest_batch(), self.budget.affords(now))
        for poll, late in self._turns.take(now, most, lambda poll: EARLY * poll.interval):
            interval = max(self._fastest, poll.interval)
            late = min(late, now - self.trouble.over_since)
            self.is_late = self._lateness.note(late, interval, now) or self.is_late
            if waits := poll.take(now, interval, jitter):
                taken.append((poll, waits))
            self._line_up(poll, now, today)
        return taken

    def _most_at_once(self) -> int:
        """As many batches as it takes to use the budget. During trouble, one request checks whether it is over."""
        if self.trouble.is_on:
            return 1
        needed = 2 + (self.budget.per_second * self._took if self._took is not None else math.inf)
        return int(min(self.connections, needed))

    def _largest_batch(self) -> int:
        if self.trouble.is_on or not self._took:
            return 1
        return int(min(LARGEST_BATCH, max(1.0, BATCH_SECONDS / self._took)))
