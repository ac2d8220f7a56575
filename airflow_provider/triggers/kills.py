"""What a trigger still does when it is told to end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

_under_way: set[asyncio.Task[None]] = set()
"""Keeps the work alive: the event loop itself holds only weak references."""


async def though_canceled(work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Await some work for so long, although Airflow 3.3.2 cancels the ``on_kill`` that it awaits about once a second.

    :param work: goes on in a task of its own, which nobody asks for what it raises.
    """
    task = asyncio.create_task(work)
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not task.done() and loop.time() < end:
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task}, timeout=end - loop.time())
