"""Reads the executions' own logs into the tasks' logs, beside the looks: few at a time, and no look waits for them."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from airflow_provider.core.lines import News
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.progress import log_news

if TYPE_CHECKING:
    from airflow_provider.clients.base import ReleaseClient
    from airflow_provider.core.waiting import Wait

READERS = 2
"""Logs that are read at a time; all other connections are for the looks."""

TAIL_READERS = 4
"""The same where some of them are read for the last time."""

TAIL_LIMIT = 2.0
"""Seconds for which the end of a wait is kept back, at most, for the last lines of its log."""

Tell = Callable[[list[News]], Awaitable[None]]
Read = Callable[["ReleaseClient"], list[News]]


class BuildLogs:
    """The logs of one connection's executions.

    :param call: makes a request in a thread.
    :param may_ask: returns when the vendor may be sent one; told whether it is for the last lines of a log.
    """

    def __init__(
        self, call: Callable[[Read], Awaitable[list[News]]], may_ask: Callable[[bool], Awaitable[None]]
    ) -> None:
        self._call, self._may_ask = call, may_ask
        self.connections = 8
        """Of the client: half of them, at most, are for logs."""
        self._tells: dict[Wait, Tell] = {}
        self._wanted: dict[Wait, None] = {}
        self._tails: dict[Wait, asyncio.Event] = {}
        self._reading: set[Wait] = set()
        self._readers: set[asyncio.Task[None]] = set()

    def want(self, wait: Wait, tell: Tell) -> None:
        """Read what is new, when there is time, and tell it."""
        self._tells[wait] = tell
        self._wanted[wait] = None
        most = min(TAIL_READERS if self._tails else READERS, max(1, self.connections // 2))
        if len(self._readers) < most:
            # In no task's context: else whatever it logs would go into that one's log.
            reader = asyncio.create_task(self._read_on(), name="build logs", context=contextvars.Context())
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)

    async def tail(self, wait: Wait, tell: Tell) -> None:
        """The last lines of an execution that is over, before its task's log is closed; not for long."""
        is_read = self._tails[wait] = asyncio.Event()
        self.want(wait, tell)
        try:
            async with asyncio.timeout(TAIL_LIMIT):
                await is_read.wait()
        except TimeoutError:
            await tell([News(f"  | the end of the log of {wait.ref['id']} could not be read within {TAIL_LIMIT:g} s")])
        finally:
            del self._tails[wait]

    def forget(self, wait: Wait) -> None:
        """Tell no more of it: its task's log is closed."""
        self._tells.pop(wait, None)
        self._wanted.pop(wait, None)

    def close(self) -> None:
        for reader in self._readers:
            reader.cancel()

    def _next(self) -> Wait | None:
        # Of thousands, the first few tell.
        waits = itertools.chain(self._tails, self._wanted)
        return next((wait for wait in waits if wait in self._wanted and wait not in self._reading), None)

    async def _read_on(self) -> None:
        while self._next():
            await self._may_ask(bool(self._tails))
            if wait := self._next():
                await self._read(wait)

    async def _read(self, wait: Wait) -> None:
        del self._wanted[wait]
        is_read = self._tails.get(wait)
        self._reading.add(wait)
        try:
            news = await self._call(lambda client: log_news(client, wait))
            if tell := self._tells.get(wait):
                await tell(news)
        except ReleasePipelineError:
            # The connection cannot be read any more: the looks say so.
            pass
        finally:
            self._reading.discard(wait)
        if is_read:
            is_read.set()
