"""Connections that somebody points to another system, until the task of each has failed and named both."""

from __future__ import annotations

import time
from typing import Any

from demo.airflow_api import AirflowApi
from tests.chaos.plan import Release
from tests.chaos.task_logs import TaskLogs

AT_MOST = 300.0
"""Seconds after which it is put back although its task has not failed."""

Json = dict[str, Any]


class Connections:
    """:param changes: by the id of a connection, as it is and as somebody changes it.
    :param releases: whose connections these are.
    """

    def __init__(
        self, api: AirflowApi, logs: TaskLogs, changes: dict[str, tuple[Json, Json]], releases: list[Release]
    ) -> None:
        self._api = api
        self._logs = logs
        self._changes = changes
        self._releases = {each.conn_id: each for each in releases if each.conn_id}
        self._until: dict[str, float] = {}
        self.changed: set[str] = set()
        """Ids of those that were ever changed."""
        self.named: set[str] = set()
        """Ids of those whose tasks have failed and named both systems."""

    @property
    def away(self) -> set[str]:
        """Ids of those that lead elsewhere now."""
        return set(self._until)

    def change(self, conn_id: str) -> None:
        """:raises requests.RequestException: the API server is away."""
        self._api.save_connection(self._changes[conn_id][1])
        self.changed.add(conn_id)
        self._until[conn_id] = time.monotonic() + AT_MOST

    def check(self) -> list[str]:
        """Put back those whose tasks have failed; returns their ids.

        :raises requests.RequestException: the API server is away.
        """
        back = []
        for conn_id, until in list(self._until.items()):
            is_named = self._names_both(conn_id)
            if is_named or time.monotonic() > until:
                self._api.save_connection(self._changes[conn_id][0])
                del self._until[conn_id]
                back.append(conn_id)
            if is_named:
                self.named.add(conn_id)
        return back

    def _names_both(self, conn_id: str) -> bool:
        hosts = [each["host"] for each in self._changes[conn_id]]
        return self._logs.names_both(self._releases[conn_id], *hosts)
