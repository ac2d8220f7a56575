"""The clients with which the API server verifies messages: one per connection, which keeps its login."""

from __future__ import annotations

import threading
import time
from typing import Any

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.hooks.base import fields_of, hook_class
from airflow_provider.settings import CONNECTION_LIFETIME

ATTEMPTS = 1
"""Of each call: the system that sent the webhook waits for an answer, and sends again if it gets none."""


class KeptClient:
    """The client of a connection; safe to use from several threads.

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
        """:raises Exception: the connection could not be read from Airflow, or is invalid."""
        with self._lock:
            if self._client is None or time.monotonic() - self._read_at > CONNECTION_LIFETIME.value():
                self._read()
            assert self._client is not None  # noqa: S101 - for mypy: the lines above ensure it
            return self._client

    def doubt(self) -> None:
        """After refused credentials, read the connection again: somebody may have corrected it."""
        with self._lock:
            self._read_at = float("-inf")

    def _read(self) -> None:
        hook = hook_class(self._system)
        connection = hook.get_connection(self._conn_id)
        if (fields := fields_of(connection)) != self._fields:
            # The previous client may be in use: it is closed after its last call.
            self._client, self._fields = hook.client_from(connection, attempts=ATTEMPTS), fields
        self._read_at = time.monotonic()


kept: dict[tuple[str, str], KeptClient] = {}
_lock = threading.Lock()


def kept_client(system: str, conn_id: str) -> KeptClient:
    with _lock:
        return kept.setdefault((system, conn_id), KeptClient(system, conn_id))
