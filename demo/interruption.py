"""Ctrl-C and other signals: they end the demo, but never between starting a process and recording it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Turns signals that end a process into ``KeyboardInterrupt``, even those that a shell has it ignore."""

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
        """Nothing is interrupted within this; an interruption that comes meanwhile takes effect at the end."""
        self._postponed = True
        yield
        self._postponed = False
        if self._requested:
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """Ignore interruptions from now on: the demo is already ending."""
        self._postponed = True
