"""Where the answers to what a run asks people come from: keys in the terminal, the demo itself, or Airflow only."""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import termios
import time
import tty
from typing import Self

from airflow_provider.core.approving import APPROVE, OPTIONS, REJECT

KEYS = {"a": OPTIONS[APPROVE], "r": OPTIONS[REJECT]}
READ_AT_ONCE = 1024


class Answers:
    """Leaves it to people in Airflow.

    :cvar hint: how to answer, for the person at the terminal.
    :cvar comment: sent with the answers that come from here.
    :cvar waits_for_people: whether the time that people take does not count.
    """

    hint = "Answer in Airflow"
    comment = ""
    waits_for_people = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def forget(self) -> None:
        """Drop what was typed before the question was asked."""

    def next(self, seconds: float) -> str | None:
        """The option as soon as one is chosen; ``None`` if none is within so many seconds."""
        time.sleep(seconds)
        return None


class ByItself(Answers):
    """Approves everything, because nobody is there."""

    hint = "Approved by itself in a moment, because of EXIT=1"
    comment = "by itself, because of EXIT=1"
    waits_for_people = False

    def next(self, seconds: float) -> str | None:
        super().next(seconds)
        return OPTIONS[APPROVE]


class Keys(Answers):
    """Single keys of a terminal, which are not echoed. Its mode is restored however ``with`` is left.

    :param terminal: its file descriptor.
    """

    hint = "Press a to approve or r to reject, or answer in Airflow"
    comment = "by a key in the terminal"

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._is_there = True

    def __enter__(self) -> Self:
        self._mode = termios.tcgetattr(self._terminal)
        # An interruption may come between any two lines, also of `__exit__`.
        atexit.register(self._restore)
        if self._is_ours():
            self._read_single_keys()
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        atexit.unregister(self._restore)

    def forget(self) -> None:
        if self._is_ours():
            termios.tcflush(self._terminal, termios.TCIFLUSH)

    def next(self, seconds: float) -> str | None:
        if not self._is_ours():
            return super().next(seconds)
        # Each time: a shell sets its own mode while this process is stopped or in the background.
        self._read_single_keys()
        ready, _, _ = select.select([self._terminal], [], [], seconds)
        return self._read() if ready else None

    def _read(self) -> str | None:
        try:
            typed = os.read(self._terminal, READ_AT_ONCE).decode(errors="replace").lower()
        except OSError:
            typed = ""
        # A terminal that is gone is ready at any time.
        self._is_there = bool(typed)
        return next((KEYS[key] for key in typed if key in KEYS), None)

    def _is_ours(self) -> bool:
        """Whether it exists and listens to us: reading it from the background would stop this process."""
        try:
            return self._is_there and os.tcgetpgrp(self._terminal) == os.getpgrp()
        except OSError:
            return False

    def _read_single_keys(self) -> None:
        tty.setcbreak(self._terminal, termios.TCSANOW)

    def _restore(self) -> None:
        # From the background, this would stop the process.
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._terminal, termios.TCSANOW, self._mode)
        signal.signal(signal.SIGTTOU, before)
