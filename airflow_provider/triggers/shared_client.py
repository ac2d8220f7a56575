"""The client of one connection in the triggerer: built once, called from the event loop, its calls in a few threads."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import TYPE_CHECKING, Any

import structlog
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_provider.exceptions import (
    AuthenticationError,
    Call,
    ConnectionConfigError,
    Effect,
    ReleasePipelineError,
    ServerUnavailableError,
)
from airflow_provider.settings import CONNECTION_LIFETIME

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Connection

    from airflow_provider.clients.base import ReleaseClient

log = structlog.get_logger(logger_name=__name__)

_FIELDS = ("host", "port", "schema", "login", "password", "extra")


async def _connection(conn_id: str) -> Connection:
    """What Airflow says of a connection.

    ``dag.test()``, ``airflow dags test`` and ``airflow tasks test`` run a trigger in their own process. The supervisor
    that Airflow 3.3.2 puts there takes no asynchronous calls, so that a connection in the database would seem to be
    undefined: there, it is read synchronously, in a thread.
    """
    from airflow.sdk.execution_time import task_runner

    supervisor = getattr(task_runner, "SUPERVISOR_COMMS", None)
    if supervisor is None or hasattr(supervisor, "asend"):
        return await BaseHook.aget_connection(conn_id)
    return await asyncio.to_thread(BaseHook.get_connection, conn_id)


class SharedClient:
    """:param system: which of the four systems.
    :param conn_id: the Airflow connection.
    :param on_sent: told after each call how many requests it sent.
    """

    def __init__(self, system: str, conn_id: str, on_sent: Callable[[int], None]) -> None:
        self._system = system
        self._conn_id = conn_id
        self._on_sent = on_sent
        self._lock = asyncio.Lock()
        self._built: tuple[ReleaseClient, ThreadPoolExecutor] | None = None
        self._fields: tuple[Any, ...] | None = None
        self._read_at = float("-inf")
        self.lifetime = CONNECTION_LIFETIME.value()
        """Seconds after which the Airflow connection is read again; its client is built anew only if it has changed."""

    async def get(self) -> ReleaseClient:
        """The client itself, for what needs no request.

        :raises ReleasePipelineError: the connection cannot be read.
        """
        return (await self._ready())[0]

    async def call(self, action: Callable[[ReleaseClient], Any]) -> Any:
        """Run one action of the client in a thread.

        :raises ReleasePipelineError: the action's errors, and those of reading the connection.
        """
        client, threads = await self._ready()
        sent = 0

        def call() -> Any:
            nonlocal sent
            before = client.transport.sent
            try:
                return action(client)
            finally:
                sent = client.transport.sent - before

        try:
            return await asyncio.get_running_loop().run_in_executor(threads, call)
        except ReleasePipelineError as error:
            self.doubt(error)
            raise
        finally:
            self._on_sent(sent)

    def doubt(self, error: ReleasePipelineError) -> None:
        """If credentials were refused, somebody may mend the connection: read it again before the next call."""
        if isinstance(error, AuthenticationError):
            self._read_at = float("-inf")

    def close(self) -> None:
        """Let go of connections and threads, after the calls that are under way."""
        built, self._built, self._fields = self._built, None, None
        if built:
            client, threads = built

            def close() -> None:
                # A thread that makes several requests would open a connection anew for the next one.
                threads.shutdown(wait=True)
                client.close()

            Thread(target=close, name=f"poll-{self._conn_id}-end").start()

    async def _ready(self) -> tuple[ReleaseClient, ThreadPoolExecutor]:
        async with self._lock:
            if self._built is None or time.monotonic() - self._read_at > self.lifetime:
                try:
                    await self._read_connection()
                except ReleasePipelineError as error:
                    if self._built is None:
                        raise
                    log.warning("Going on with the connection as it was read before: %s", error)
                self._read_at = time.monotonic()
            if self._built is None:
                raise RuntimeError("the client was closed while it was being built")
            return self._built

    async def _read_connection(self) -> None:
        from airflow.sdk.log import amask_secret

        from airflow_provider.hooks.base import hook_class

        call = Call(system=self._system)
        try:
            connection = await _connection(self._conn_id)
        except AirflowNotFoundException:
            raise ConnectionConfigError(f"connection {self._conn_id!r} is not defined", call=call) from None
        except Exception as error:
            summary = f"Airflow does not tell the connection {self._conn_id!r}: {type(error).__name__}"
            raise ServerUnavailableError(summary, call=call, effect=Effect.NONE) from error
        fields = tuple(getattr(connection, name) for name in _FIELDS)
        if fields == self._fields:
            return
        loop = asyncio.get_running_loop()

        def mask(secret: str) -> None:
            # Telling the supervisor blocks, and a client learns new tokens in its threads: let the loop do it.
            asyncio.run_coroutine_threadsafe(amask_secret(secret), loop)

        # Imports the client and `requests`, which takes longer than the loop may be blocked.
        hook = await asyncio.to_thread(hook_class, self._system)
        client = hook.client_from(connection, attempts=1, mask=mask)
        self.close()
        self._built = client, ThreadPoolExecutor(client.transport.max_connections, f"poll-{self._conn_id}")
        self._fields = fields
