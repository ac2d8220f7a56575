"""What is due when: a heap of actions, so that a tick costs nothing for executions that merely wait."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count


class Timeline:
    """Actions in the order of their due times (epoch seconds); each gets the time at which it was due."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[float], None]]] = []
        self._count = count()

    def at(self, due: float, action: Callable[[float], None]) -> None:
        heapq.heappush(self._heap, (due, next(self._count), action))

    def run(self, now: float) -> None:
        """Runs everything that is due, including what those actions add before ``now``."""
        while self._heap and self._heap[0][0] <= now:
            due, _, action = heapq.heappop(self._heap)
            action(due)

    def clear(self) -> None:
        self._heap.clear()
