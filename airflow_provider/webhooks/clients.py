"""The clients by which the API server asks a system what is true: one a connection, its login kept."""

from __future__ import annotations

import threading
import time
from typing import Any

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.hooks.base import fields_of, hook_class
from airflow_provider.settings import CONNECTION_LIFETIME

ATTEMPTS = 1
"""Of each call: the system that has sent the webhook waits for an answer, and comes again."""


class KeptClient:
    """For several threads.

    :param system: which of the systems.
    :param conn_id: the Airflow connection.
    """

    def __init__(self, system: str, conn_id: str) -> None:
        self._system, self._conn_id = system, conn_id
        self._lock = threading.Lock()
        self._client: ReleaseClient | None = None
        self._fields: tuple[Any, ...] = ()
        self._read_at = float("-inf")

    def get(self) -> ReleaseClient:
        """:raises Exception: Airflow does not tell the connection, or it is a wrong one."""
        with self._lock:
            if self._client is None or time.monotonic() - self._read_at > CONNECTION_LIFETIME.value():
                self._read()
            assert self._client is not None  # noqa: S101 - tells mypy what the line above made sure of
            return self._client

    def doubt(self) -> None:
        """Its credentials were refused: read the connection again, which somebody may have mended."""
        with self._lock:
            self._read_at = float("-inf")

    def _read(self) -> None:
        hook = hook_class(self._system)
        connection = hook.get_connection(self._conn_id)
        if (fields := fields_of(connection)) != self._fields:
            # The one before may be in use: it is closed with its last call.
            self._client, self._fields = hook.client_from(connection, attempts=ATTEMPTS), fields
        self._read_at = time.monotonic()


kept: dict[tuple[str, str], KeptClient] = {}
_lock = threading.Lock()


def kept_client(system: str, conn_id: str) -> KeptClient:
    with _lock:
        return kept.setdefault((system, conn_id), KeptClient(system, conn_id))
