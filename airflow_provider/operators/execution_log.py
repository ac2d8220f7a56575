"""Copies the execution's own log into the task's log while a worker waits, beside its polls."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread
from typing import TYPE_CHECKING

from airflow_provider.progress import TAIL_LIMIT, read_log_lines, too_slow

if TYPE_CHECKING:
    from airflow_provider.clients.base import ReleaseClient
    from airflow_provider.core.lines import LogLine
    from airflow_provider.core.waiting import Wait


class ExecutionLog:
    """The log of the one execution that a worker waits for. A slow one holds up the wait for two seconds at most, and
    never past its deadline.

    :param write: writes lines to the task's log.
    """

    def __init__(self, write: Callable[[list[LogLine]], None]) -> None:
        self._write = write
        self._reading: _Reading | None = None

    def copy(self, client: ReleaseClient, wait: Wait, *, is_last: bool) -> None:
        """Copy what is new. What does not arrive in time is copied by the next call.

        :param is_last: whether there will be no other call.
        """
        left = wait.until_deadline(time.time())
        limit = TAIL_LIMIT if left is None else max(0.0, min(left, TAIL_LIMIT))
        end = time.monotonic() + limit
        had_begun = self._reading is not None
        is_read = self._read(client, wait, end)
        if is_read and had_begun and is_last:
            # It was requested before the execution had ended.
            is_read = self._read(client, wait, end)
        if is_last and not is_read:
            self._write([too_slow(wait.ref, limit)])

    def _read(self, client: ReleaseClient, wait: Wait, end: float) -> bool:
        """Returns whether the answer has arrived."""
        reading = self._reading = self._reading or _Reading(client, wait)
        reading.join(max(0.0, end - time.monotonic()))
        if reading.is_alive():
            return False
        self._reading = None
        wait.log_offset = reading.offset
        self._write(reading.lines)
        return True


class _Reading(Thread):
    """One request, in a thread of its own: it may last longer than its caller may wait."""

    def __init__(self, client: ReleaseClient, wait: Wait) -> None:
        # The task's process must not wait for it at its end.
        super().__init__(name="execution log", daemon=True)
        self._client, self._ref = client, wait.ref
        self.offset = wait.log_offset
        self.lines: list[LogLine] = []
        self.start()

    def run(self) -> None:
        self.lines, self.offset = read_log_lines(self._client, self._ref, self.offset)
