"""When which requests of one connection are made, and what their answers mean for the others. No loop, clock or I/O.

``now`` is a moment by a clock that never goes back, ``today`` the same one in epoch seconds, as deadlines are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_provider.core.budget import Budget, Lateness, Turns
from airflow_provider.core.trouble import Trouble
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.triggers.errands import Answer, Batch, Errand, Errands, MovedErrand, concerns_all

if TYPE_CHECKING:
    from airflow_provider.clients.waitable import Look
    from airflow_provider.core.waiting import Wait

TICK = 0.05
LONGEST_TICK = 0.25
"""Seconds between two moments at which requests are made: what becomes due in between is made in one go. Within these
bounds a twentieth of the interval, or what the budget takes for as many as are made in one go."""

IN_ONE_GO = 0.1
"""Seconds that the requests may take that one thread makes one after the other, before any of them is told. The second
costs half as much CPU as the first, which finds nothing in the processor's caches."""

MOST_IN_ONE_GO = 10

SAVED_UP = 0.25
"""Seconds for which requests may be held back until they can be made in one go, where the budget is spent."""

LOOKS_FOR_A_LOG = 4
"""Looks that come before each reading of a log, where looks are late."""


class Schedule:
    """The requests of one connection.

    :param per_second: how many may be sent, on average.
    :param fastest: seconds between two of the same, however short an interval was asked for.
    """

    def __init__(self, per_second: float, fastest: float) -> None:
        self.budget = Budget(per_second)
        self.trouble = Trouble()
        self.connections = 1
        """Requests that the client can make at a time."""
        self.running = 0
        self.is_late = False
        """Whether looks have begun to come too late since this was last set to false."""
        self._fastest = fastest
        self._errands = Errands()
        self._turns: Turns[Errand] = Turns()
        self._lateness = Lateness()
        self._failed: set[Errand] = set()
        """Those that have failed since anything was answered."""
        self._next_start = -math.inf
        self._took: float | None = None
        """Seconds that a request takes, of late."""
        self._looks = self._looks_before_log = 0

    # --- who waits ---

    def join(self, wait: Wait, name: str | None, now: float, today: float) -> None:
        """A new wait. :param name: of the request that answers for it and others, as the client has it."""
        errand = self._errands.join(wait, name, now)
        errand.fresh[wait] = None
        self._line_up(errand, now, today)

    def leave(self, wait: Wait) -> None:
        for errand in self._errands.leave(wait):
            self._turns.drop(errand)
            self._failed.discard(errand)

    def follow(self, wait: Wait, name: str | None, now: float, today: float) -> None:
        """A reference that has become more exact may be answered for by another request from now on."""
        errand = self._errands.of(wait)
        if errand and errand.name != name:
            self.leave(wait)
            due = now + max(self._fastest, wait.interval_now)
            self._line_up(self._errands.join(wait, name, due), now, today)

    def look_apart(self, wait: Wait, look: Look, now: float, today: float) -> None:
        """Look at one by itself; until that is done, the request for many is not made for it."""
        if home := self._errands.of(wait):
            moved = home.apart[wait] = MovedErrand(wait, look, now)
            self._line_up(moved, now, today)

    # --- whose turn it is ---

    def take(self, now: float, today: float) -> list[Batch]:
        """The requests to be made now, as far as budget and connections reach."""
        batches: list[Batch] = []
        tick = min(LONGEST_TICK, self._most_in_one_go() / self.budget.per_second)
        while now >= max(self._next_start, self.trouble.until) and self.running < self._most_at_once():
            asked = self._take_some(now, today)
            if not asked:
                break
            self.budget.spend(len(asked), now)
            self._looks += len(asked)
            self.running += 1
            batches.append(Batch(now, asked))
            tick = min(tick, *(errand.interval / 20 for errand, _ in asked))
        if batches:
            self._next_start = now + max(TICK, tick)
        return batches

    def next_moment(self, now: float) -> float:
        """When :meth:`take` will give something, unless something else happens before."""
        due = self._turns.next_due()
        if due is None or self.running >= self._most_at_once():
            return math.inf
        saved_up = min(self._most_in_one_go(), len(self._turns), max(1.0, SAVED_UP * self.budget.per_second))
        return max(due, now + self.budget.pause(now, saved_up), self._next_start, self.trouble.until)

    def due(self, now: float) -> list[Errand]:
        """The requests that wait for their turn."""
        return self._turns.due(now)

    def until_a_log(self, now: float, is_the_last: bool) -> float:
        """Seconds until a log may be read: logs leave half of what is saved up to the looks, and where looks are late
        most of the rest."""
        if self.trouble.is_on:
            return max(TICK, self.trouble.until - now)
        due = self._turns.next_due()
        if due is not None and due <= now:
            # The looks would take every request that the budget gives: they pay this one back.
            return 0.0 if self._looks >= self._looks_before_log else TICK
        return self.budget.pause(now, 1.0 if is_the_last else self.budget.most / 2)

    def until_asked(self, now: float) -> float:
        """Seconds until a request may be made that no wait needs."""
        # Where looks are late, they would take every request that the budget gives: they pay for this one.
        due = self._turns.next_due()
        needed = 1.0 - self.budget.most if due is not None and due <= now else 1.0
        return max(self.trouble.until - now, self.budget.pause(now, needed), 0.0)

    def note_log(self) -> None:
        """A log is read."""
        self._looks_before_log = self._looks + LOOKS_FOR_A_LOG

    # --- what came of it ---

    def judge(
        self,
        batch: Batch,
        answered: list[tuple[Errand, list[Wait], Answer]],
        now: float,
        today: float,
        waits: Iterable[Wait],
    ) -> ReleasePipelineError | None:
        """What answers mean for the whole connection; returns the error, if it is in trouble by them.

        :param waits: all there are.
        """
        errors = [answer for _, _, answer in answered if isinstance(answer, ReleasePipelineError)]
        if len(errors) < len(answered):
            self._failed.clear()
            self.trouble.note_answer(batch.started, now)
        else:
            self._failed.update(errand for errand, _, _ in answered if not isinstance(errand, MovedErrand))
        stop = next(filter(concerns_all, errors), None)
        if stop is None and errors and len(errors) == len(answered):
            is_nothing_answered = self.trouble.is_on or len(self._failed) >= len(self._errands)
            stop = errors[-1] if is_nothing_answered else None
        return stop if stop and self.note_trouble(stop, batch.started, now, today, waits) else None

    def note_trouble(
        self, error: ReleasePipelineError, started: float, now: float, today: float, waits: Iterable[Wait]
    ) -> bool:
        """Take in an error that concerns everything; returns whether it tells something new.

        :param started: when the request began that ended with it.
        """
        interval, left = math.inf, math.inf
        for wait in waits:
            interval = min(interval, wait.interval_in_trouble)
            left = min(left, math.inf if wait.deadline is None else wait.deadline - today)
        interval = self._fastest if interval == math.inf else max(self._fastest, interval)
        return self.trouble.note_error(error, started, now, interval, None if left == math.inf else left)

    def give_back(self, errands: Iterable[Errand], now: float, today: float) -> None:
        """Requests that were not made after all."""
        for errand in errands:
            errand.due = now
            errand.is_running = False
            self._line_up(errand, now, today)

    def is_over(self, batch: Batch, now: float) -> None:
        # What was really sent is counted by itself.
        self.budget.spend(-len(batch.asked), now)
        self.running -= 1
        took = (now - batch.started) / len(batch.asked)
        self._took = took if self._took is None else 0.7 * self._took + 0.3 * took

    def is_back(self, errand: Errand, now: float, today: float) -> None:
        """After its waits were told: a request waits for its next turn."""
        errand.is_running = False
        if isinstance(errand, MovedErrand):
            for wait in errand.waits:
                if home := self._errands.of(wait):
                    home.apart.pop(wait, None)
        else:
            self._line_up(errand, now, today)

    # --- inside ---

    def _line_up(self, errand: Errand, now: float, today: float) -> None:
        if errand.is_running or not errand.waits:
            return
        deadline = None if errand.deadline is None else now + errand.deadline - today
        due = errand.next_at(now, deadline)
        self._turns.put(errand, due, unseen_since=errand.asked, weight=errand.weight, deadline=deadline)

    def _take_some(self, now: float, today: float) -> list[tuple[Errand, list[Wait]]]:
        asked = []
        for errand, late in self._turns.take(now, min(self._most_in_one_go(), self.budget.affords(now))):
            interval = max(self._fastest, errand.interval)
            late = min(late, now - self.trouble.over_since)
            self.is_late = self._lateness.note(late, interval, now) or self.is_late
            if waits := errand.take(now, interval):
                asked.append((errand, waits))
            self._line_up(errand, now, today)
        return asked

    def _most_at_once(self) -> int:
        """As many as make up for the budget. While there is trouble, one request tries whether it is over."""
        if self.trouble.is_on:
            return 1
        needed = 2 + (self.budget.per_second * self._took if self._took is not None else math.inf)
        return int(min(self.connections, needed))

    def _most_in_one_go(self) -> int:
        if self.trouble.is_on or not self._took:
            return 1
        return int(min(MOST_IN_ONE_GO, max(1.0, IN_ONE_GO / self._took)))
