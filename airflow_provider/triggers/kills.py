"""Lets a trigger finish its work in ``on_kill`` although Airflow cancels it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

_under_way: set[asyncio.Task[None]] = set()
"""Keeps the work alive: the event loop itself holds only weak references."""


async def shielded(work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Await some work for at most ``seconds``, although Airflow 3.3.2 cancels the running ``on_kill`` every second.

    :param work: runs in an asyncio task of its own, whose exceptions nothing reads.
    """
    task = asyncio.create_task(work)
    _under_way.add(task)
    task.add_done_callback(_under_way.discard)
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not task.done() and loop.time() < end:
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task}, timeout=end - loop.time())
