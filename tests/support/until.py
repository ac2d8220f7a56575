"""Waiting for what comes about by itself, with a limit that a busy machine keeps too: it costs nothing if kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")
PATIENCE = 60.0
PAUSE = 0.01


def until(
    read: Callable[[], Seen],
    holds: Callable[[Seen], object] = bool,
    seconds: float = PATIENCE,
    pause: float = PAUSE,
) -> Seen:
    """Call ``read`` until what it returns ``holds``; returns that.

    :param pause: seconds between two calls, for what each call costs something.
    :raises AssertionError: it did not happen; the text has what was seen last.
    """
    deadline = time.monotonic() + seconds
    while not holds(seen := read()):
        assert time.monotonic() < deadline, f"still {seen!r} after {seconds:g} s"
        time.sleep(pause)
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
