"""The client of one connection in the triggerer: built once, called from the event loop, running in a few threads."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

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
from airflow_provider.hooks.masking import forget_here, mask_here
from airflow_provider.settings import CONNECTION_LIFETIME

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import Connection

    from airflow_provider.clients.base import ReleaseClient

log = structlog.get_logger(logger_name=__name__)


async def _connection(conn_id: str) -> Connection:
    """Read a connection from Airflow.

    ``dag.test()``, ``airflow dags test`` and ``airflow tasks test`` run a trigger in their own process, where Airflow
    3.3.2's supervisor takes no asynchronous calls, and a connection in the database would appear to be undefined. There
    it is read synchronously, in a thread.
    """
    from airflow.sdk.execution_time import task_runner

    supervisor = getattr(task_runner, "SUPERVISOR_COMMS", None)
    if supervisor is None or hasattr(supervisor, "asend"):
        return await BaseHook.aget_connection(conn_id)
    return await asyncio.to_thread(BaseHook.get_connection, conn_id)


class SharedClient:
    """:param system: which of the four systems.
    :param conn_id: the Airflow connection.

    Attribute ``on_sent``: called after each call with the number of requests that it sent.
    """

    def __init__(self, system: str, conn_id: str) -> None:
        self._system = system
        self._conn_id = conn_id
        self.on_sent: Callable[[int], None] = lambda requests: None
        self._lock = asyncio.Lock()
        self._client: ReleaseClient | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._fields: tuple[Any, ...] | None = None
        self._read_at = float("-inf")
        self.lifetime = CONNECTION_LIFETIME.value()
        """Seconds after which the Airflow connection is read again; its client is rebuilt only if it has changed."""

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
            self.on_sent(sent)

    def doubt(self, error: ReleasePipelineError) -> None:
        """After refused credentials, read the connection again before the next call: somebody may have corrected it."""
        if isinstance(error, AuthenticationError):
            self._read_at = float("-inf")

    def rest(self) -> None:
        """Close connections and threads once the running calls are done; the client keeps its login."""
        client, threads, self._threads = self._client, self._threads, None
        if client and threads:

            def close() -> None:
                # Closed last: a thread that makes several requests would open a new connection for the next one.
                threads.shutdown(wait=True)
                client.close()

            Thread(target=close, name=f"poll-{self._conn_id}-end").start()

    async def _ready(self) -> tuple[ReleaseClient, ThreadPoolExecutor]:
        async with self._lock:
            if self._client is None or time.monotonic() - self._read_at > self.lifetime:
                try:
                    await self._read_connection()
                except ReleasePipelineError as error:
                    if self._client is None:
                        raise
                    log.warning("Continuing with the connection as it was last read: %s", error)
                self._read_at = time.monotonic()
            if self._client is None:
                raise RuntimeError("a connection was read, but no client was built")
            if self._threads is None:
                most = self._client.transport.max_connections
                self._threads = ThreadPoolExecutor(most, f"poll-{self._conn_id}")
            return self._client, self._threads

    async def _read_connection(self) -> None:
        # Importing the hooks, the client and `requests` takes longer than the event loop may be blocked.
        hooks = await asyncio.to_thread(import_module, "airflow_provider.hooks.base")
        call = Call(system=self._system)
        try:
            connection = await _connection(self._conn_id)
        except AirflowNotFoundException:
            raise ConnectionConfigError(hooks.undefined(self._conn_id), call=call) from None
        except Exception as error:
            summary = f"could not read the connection {self._conn_id!r} from Airflow: {type(error).__name__}"
            raise ServerUnavailableError(summary, call=call, effect=Effect.NONE) from error
        fields = hooks.fields_of(connection)
        if fields == self._fields:
            return
        masks = _Masks()

        def build() -> ReleaseClient:
            client: ReleaseClient = hooks.hook_class(self._system).client_from(
                connection, attempts=1, mask=masks.add, forget=masks.forget
            )
            return client

        client = await asyncio.to_thread(build)
        masks.is_built = True
        self.rest()
        self._client, self._fields = client, fields


class _Masks:
    """Passes the secrets that a client obtains in its threads to Airflow's masker in the event loop.

    Attribute ``is_built``: whether the client is built, and secrets from now on are tokens, not the connection's own.
    """

    def __init__(self) -> None:
        self.is_built = False
        self._loop = asyncio.get_running_loop()

    def add(self, secret: str) -> None:
        from airflow.sdk.log import amask_secret

        if self.is_built:
            self._in_loop(mask_here, secret)
        else:
            # Also sends it to the supervisor, which blocks.
            asyncio.run_coroutine_threadsafe(amask_secret(secret), self._loop)

    def forget(self, secret: str) -> None:
        self._in_loop(forget_here, secret)

    def _in_loop(self, act: Callable[[str], None], secret: str) -> None:
        # A thread may outlive the event loop.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(act, secret)


_clients: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], SharedClient]] = WeakKeyDictionary()


def shared_client(system: str, conn_id: str) -> SharedClient:
    """The client of a connection in the running event loop: its login outlives the waits that needed it."""
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    if (system, conn_id) not in clients:
        clients[system, conn_id] = SharedClient(system, conn_id)
    return clients[system, conn_id]
