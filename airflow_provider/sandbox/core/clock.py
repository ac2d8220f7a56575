"""The clock of the sandbox: the wall clock plus an offset that tests set, and the pace of executions."""

from __future__ import annotations

import time


class Clock:
    """Epoch seconds that can be advanced; ``speed`` shortens the durations of executions."""

    def __init__(self, speed: float = 1.0) -> None:
        self.speed = speed
        self._offset = 0.0

    def now(self) -> float:
        """Epoch seconds: the wall clock plus everything advanced so far."""
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Moves the clock; negative values move it back."""
        self._offset += seconds

    def pace(self, seconds: float) -> float:
        """The duration, in seconds, of something that nominally takes ``seconds``."""
        return seconds / self.speed

    def reset(self, speed: float) -> None:
        self.speed = speed
        self._offset = 0.0
