"""Waiting for what comes about by itself, with a limit that a busy machine keeps too: it costs nothing if kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")
PATIENCE = 60.0
PAUSE = 0.01
LONGEST_PAUSE = 0.05
"""What takes a while is asked for less often: each question to the sandbox costs 5 ms of CPU, which others wait for."""


def until(
    read: Callable[[], Seen],
    holds: Callable[[Seen], object] = bool,
    seconds: float = PATIENCE,
    pause: float = PAUSE,
) -> Seen:
    """Call ``read`` until what it returns ``holds``; returns that.

    :param pause: seconds between the first two calls; it grows up to ``LONGEST_PAUSE``.
    :raises AssertionError: it did not happen; the text has what was seen last.
    """
    deadline = time.monotonic() + seconds
    while not holds(seen := read()):
        assert time.monotonic() < deadline, f"still {seen!r} after {seconds:g} s"
        time.sleep(pause)
        pause = max(pause, min(1.5 * pause, LONGEST_PAUSE))
    return seen


async def until_in_loop(
    read: Callable[[], Seen], holds: Callable[[Seen], object] = bool, seconds: float = PATIENCE
) -> Seen:
    """The same for what comes about in the running event loop."""
    deadline = time.monotonic() + seconds
    while not holds(seen := read()):
        assert time.monotonic() < deadline, f"still {seen!r} after {seconds:g} s"
        await asyncio.sleep(PAUSE)
    return seen
