"""Copies the executions' own logs into the task logs, a few at a time, and without delaying polls."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from airflow_provider.core.lines import LogLine
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.progress import TAIL_LIMIT, new_log_lines, too_slow

if TYPE_CHECKING:
    from airflow_provider.clients.base import ReleaseClient
    from airflow_provider.core.waiting import Wait

READERS = 2
"""Logs that are read at a time; all other connections are left to the polls."""

TAIL_READERS = 4
"""The same, while some of them are read for the last time."""

Write = Callable[[list[LogLine]], Awaitable[None]]
Read = Callable[["ReleaseClient"], list[LogLine]]


class BuildLogs:
    """The logs of one connection's executions.

    :param call: makes a request in a thread.
    :param until_allowed: returns when a request may be sent; its argument: whether it is for the last lines of a log.
    """

    def __init__(
        self, call: Callable[[Read], Awaitable[list[LogLine]]], until_allowed: Callable[[bool], Awaitable[None]]
    ) -> None:
        self._call, self._until_allowed = call, until_allowed
        self.connections = 8
        """Of the client: at most half of them are for logs."""
        self._writes: dict[Wait, Write] = {}
        self._wanted: dict[Wait, None] = {}
        self._tails: dict[Wait, asyncio.Event] = {}
        self._reading: set[Wait] = set()
        self._readers: set[asyncio.Task[None]] = set()

    def want(self, wait: Wait, write: Write) -> None:
        """Copy what is new, when there is time."""
        self._writes[wait] = write
        self._wanted[wait] = None
        most = min(TAIL_READERS if self._tails else READERS, max(1, self.connections // 2))
        if len(self._readers) < most:
            # In no task's context: otherwise whatever the reader logs would go into that task's log.
            reader = asyncio.create_task(self._read_on(), name="build logs", context=contextvars.Context())
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)

    async def tail(self, wait: Wait, write: Write) -> None:
        """Copy the last lines of a finished execution before its task's log is closed, unless that takes too long."""
        is_read = self._tails[wait] = asyncio.Event()
        self.want(wait, write)
        try:
            async with asyncio.timeout(TAIL_LIMIT):
                await is_read.wait()
        except TimeoutError:
            await write([too_slow(wait.ref, TAIL_LIMIT)])
        finally:
            del self._tails[wait]

    def forget(self, wait: Wait) -> None:
        """Stop copying it: its task's log is closed."""
        self._writes.pop(wait, None)
        self._wanted.pop(wait, None)

    def close(self) -> None:
        for reader in self._readers:
            reader.cancel()

    def _next(self) -> Wait | None:
        # Lazy: the first few usually decide.
        waits = itertools.chain(self._tails, self._wanted)
        return next((wait for wait in waits if wait in self._wanted and wait not in self._reading), None)

    async def _read_on(self) -> None:
        while self._next():
            await self._until_allowed(bool(self._tails))
            if wait := self._next():
                await self._read(wait)

    async def _read(self, wait: Wait) -> None:
        del self._wanted[wait]
        is_read = self._tails.get(wait)
        self._reading.add(wait)
        try:
            news = await self._call(lambda client: new_log_lines(client, wait))
            if write := self._writes.get(wait):
                await write(news)
        except ReleasePipelineError:
            # The connection can no longer be read, which the polls report.
            pass
        finally:
            self._reading.discard(wait)
        if is_read:
            is_read.set()
