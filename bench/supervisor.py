"""Stands where the triggerer's supervisor is: hands out connections, and counts messages and log lines."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from typing import Any

from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ConnectionResult, GetConnection, GetTaskStates, TaskStatesResult


class CountingSupervisor:
    """The same for everybody, and kinder than the real one: its answers cost no round trip.

    :param connections: fields by connection id.
    """

    def __init__(self, connections: Mapping[str, Mapping[str, Any]]) -> None:
        self._connections = connections
        self.messages: Counter[str] = Counter()

    def install(self) -> None:
        task_runner.SUPERVISOR_COMMS = self  # type: ignore[assignment]

    def send(self, msg: Any) -> Any:
        self.messages[type(msg).__name__] += 1
        if isinstance(msg, GetConnection):
            blank = dict.fromkeys(("host", "schema", "login", "password", "port", "extra"))
            return ConnectionResult(conn_id=msg.conn_id, **{**blank, **self._connections[msg.conn_id]})
        if isinstance(msg, GetTaskStates):
            running = dict.fromkeys(msg.task_ids or (), "running")
            return TaskStatesResult(task_states=dict.fromkeys(msg.run_ids or (), running))
        return None

    async def asend(self, msg: Any) -> Any:
        return self.send(msg)


class CountingLog(io.RawIOBase):
    """The channel of log lines to the supervisor; each costs it at least one pass."""

    lines = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.lines += bytes(data).count(b"\n")
        return len(data)
