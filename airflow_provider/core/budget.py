"""Which polls are next, and how soon, when the requests per second to a vendor are limited."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import msgspec

Key = TypeVar("Key", bound=Hashable)

MADE_UP_FOR = 5.0
"""Seconds of unused budget that may be spent at once, such as when many executions end together."""

QUIET = 600.0
"""Seconds for which polls must have been on time before another warning that they are late."""


class Budget:
    """How many requests may be sent to one system: an average rate, whose unused part is saved up.

    :param per_second: the average; more than 0.
    """

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self.most = max(1.0, per_second * MADE_UP_FOR)
        self._left = self.most
        self._at: float | None = None

    def spend(self, requests: float, now: float) -> None:
        """Note that requests were sent, even if that exceeds the budget; a negative number gives some back."""
        self._left = min(self.most, self.left(now) - requests)
        self._at = now

    def left(self, now: float) -> float:
        """How many may be sent at once; negative after the budget was exceeded."""
        passed = 0.0 if self._at is None else max(0.0, now - self._at)
        return min(self.most, self._left + passed * self.per_second)

    def affords(self, now: float) -> int:
        """How many whole requests may be sent at once."""
        # After a pause, the requests that it was computed for must be there, whatever rounding does.
        return max(0, int(self.left(now) + 1e-6))

    def pause(self, now: float, requests: float = 1.0) -> float:
        """Seconds until this many may be sent at once."""
        return max(0.0, (min(requests, self.most) - self.left(now)) / self.per_second)


class _Turn(msgspec.Struct, Generic[Key], eq=False):
    key: Key
    due: float
    unseen_since: float
    rank: int
    deadline: float | None
    is_gone: bool = False


class _Queue(Generic[Key]):
    """Turns ordered by a number, the smallest first. A dropped one stays until it comes first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _Turn[Key]]] = []
        self._count = itertools.count()
        self._most = 64

    def push(self, number: float, turn: _Turn[Key]) -> None:
        if len(self._heap) >= self._most:
            self._heap = [entry for entry in self._heap if not entry[2].is_gone]
            heapq.heapify(self._heap)
            self._most = 64 + 2 * len(self._heap)
        heapq.heappush(self._heap, (number, next(self._count), turn))

    def first(self) -> _Turn[Key] | None:
        while self._heap and self._heap[0][2].is_gone:
            heapq.heappop(self._heap)
        return self._heap[0][2] if self._heap else None

    def pop(self) -> None:
        heapq.heappop(self._heap)


class Turns(Generic[Key]):
    """The order in which requests are made. All times are seconds of one clock.

    Of the requests that are due, those whose deadline has come are first, the earliest deadline before the others; then
    the one whose executions were not observed for the longest. For a request that answers n waits, that time counts the
    square root of n times: if not all can be made in time, this keeps the average age of all observations lowest, and
    starves no wait.
    """

    def __init__(self) -> None:
        self._turns: dict[Key, _Turn[Key]] = {}
        self._later: _Queue[Key] = _Queue()
        self._deadlines: _Queue[Key] = _Queue()
        self._due: dict[int, _Queue[Key]] = {}

    def __len__(self) -> int:
        return len(self._turns)

    def __contains__(self, key: Key) -> bool:
        return key in self._turns

    def put(self, key: Key, due: float, *, unseen_since: float, weight: int = 1, deadline: float | None = None) -> None:
        """Queue a request, or queue it anew.

        :param due: when it is to be made.
        :param unseen_since: when it was made last.
        :param weight: how many waits it answers.
        :param deadline: when it is due at the latest.
        """
        self.drop(key)
        if deadline is not None:
            due = min(due, deadline)
        # Requests of about the same weight share a queue: their order does not change over time.
        turn = self._turns[key] = _Turn(key, due, unseen_since, max(1, weight).bit_length() - 1, deadline)
        self._later.push(due, turn)

    def drop(self, key: Key) -> None:
        """Forget a request, if it is known."""
        if turn := self._turns.pop(key, None):
            turn.is_gone = True

    def next_due(self) -> float | None:
        """When the next one is due; may be in the past."""
        firsts = [queue.first() for queue in (self._later, *self._due.values())]
        return min((turn.due for turn in firsts if turn), default=None)

    def due(self, now: float) -> list[Key]:
        """All that are due, in no order."""
        return [turn.key for turn in self._turns.values() if turn.due <= now]

    def take(self, now: float, most: int, early: Callable[[Key], float] = lambda _: 0.0) -> list[tuple[Key, float]]:
        """Take the next ones out, at most ``most``, each with the seconds by which it is late.

        :param early: seconds before it is due at which one may go with others that are due.
        """
        self._wake(now)
        taken: list[tuple[Key, float]] = []
        while len(taken) < most and (turn := self._next(now)):
            self.drop(turn.key)
            taken.append((turn.key, now - turn.due))
        while 0 < len(taken) < most and (turn := self._later.first()) and turn.due <= now + early(turn.key):
            self.drop(turn.key)
            taken.append((turn.key, 0.0))
        return taken

    def _wake(self, now: float) -> None:
        while (turn := self._later.first()) and turn.due <= now:
            self._later.pop()
            self._due.setdefault(turn.rank, _Queue()).push(turn.unseen_since, turn)
            if turn.deadline is not None:
                self._deadlines.push(turn.deadline, turn)

    def _next(self, now: float) -> _Turn[Key] | None:
        late = self._deadlines.first()
        if late and late.deadline is not None and late.deadline <= now:
            return late
        firsts = [turn for queue in self._due.values() if (turn := queue.first())]
        return max(firsts, key=lambda turn: (now - turn.unseen_since) * 2 ** (turn.rank / 2), default=None)


class Lateness:
    """Whether to warn that polls are late: once, not for each wait."""

    def __init__(self) -> None:
        self._last: float | None = None

    def note(self, late: float, interval: float, now: float) -> bool:
        """Whether this late poll is worth a warning.

        :param late: seconds by which a poll came later than its interval.
        """
        if late <= interval:
            return False
        is_new = self._last is None or now - self._last > QUIET
        self._last = now
        return is_new
