"""Ctrl-C and its relatives: they end the demo, but never between starting a process and knowing of it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Turns what ends a process into ``KeyboardInterrupt``; it counts even where a shell had it ignored."""

    def __init__(self) -> None:
        self._requested = False
        self._postponed = False
        for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(signal_number, self._handle)

    def _handle(self, signal_number: int, frame: FrameType | None) -> None:
        self._requested = True
        if not self._postponed:
            raise KeyboardInterrupt

    @contextmanager
    def postponed(self) -> Iterator[None]:
        """Within, nothing is interrupted; what was asked for meanwhile happens at the end."""
        self._postponed = True
        yield
        self._postponed = False
        if self._requested:
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """From now on nothing interrupts: the end has begun."""
        self._postponed = True
