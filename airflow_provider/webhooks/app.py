"""The route ``POST /release-pipelines/webhooks/<endpoint>/<secret>``, mounted into Airflow's API server.

Written against ASGI itself: a framework would keep the path, with the secret in it, in places that logs and errors
show.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from airflow_provider.webhooks import handling
from airflow_provider.webhooks.bodies import Receive, RefusedError, SenderGoneError, read_body
from airflow_provider.webhooks.endpoints import (
    PREFIX,
    WebhookDeclarations,
    WebhookEndpoint,
    WebhookEndpoints,
    declared,
    matching,
)

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
AsgiSend = Callable[[MutableMapping[str, Any]], Awaitable[None]]

NOT_FOUND, TOO_LATE, TRY_AGAIN = 404, 408, handling.TRY_AGAIN
MASK = "***"

ANSWERED_WITHIN = 8.0
"""Seconds until the answer, including the time to read the body. Quay gives up after ten and sends again; an event that
is counted after the answer is recognized then."""
READ_EVERY = 30.0
"""Seconds after which the declarations are read again: rotating a secret in a secrets backend needs no restart."""
READ_WITHIN = 1.0
"""Seconds that a message waits for them to be read again: a command or a secrets backend may hang."""
THREADS = 4
"""Per endpoint, so that a system that hangs delays its own webhooks only."""
MOST_AT_ONCE = 32
"""Messages of one endpoint that are handled at once. Quay sends one after another, Cocktail one per build."""


class WebhookApp:
    """An ASGI application."""

    def __init__(self) -> None:
        self._endpoints: WebhookEndpoints | None = None
        self._problems: dict[str, str] = {}
        """Of endpoints that are declared wrongly."""
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._handling: dict[str, int] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: AsgiSend) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            return
        name, secret = _take_path(scope)
        try:
            status = await self._answer(scope, name, secret, receive)
        except SenderGoneError:
            return
        except Exception as error:
            # Its text may quote what was sent.
            log.error("A webhook failed: %s", _place_of(error))
            status = TRY_AGAIN
        await _respond(send, status)

    async def _answer(self, scope: Scope, name: str, secret: str, receive: Receive) -> int:
        endpoints = await self._declared()
        if endpoints is None:
            return TRY_AGAIN
        endpoint = matching(endpoints, name, secret)
        if scope["method"] == "POST" and name in self._problems and name not in endpoints:
            return TRY_AGAIN
        if endpoint is None or scope["method"] != "POST":
            return NOT_FOUND
        _show_path(scope, endpoint.name)
        if self._handling.get(endpoint.name, 0) >= MOST_AT_ONCE:
            return TRY_AGAIN
        self._handling[endpoint.name] = self._handling.get(endpoint.name, 0) + 1
        try:
            return await self._handle(scope, endpoint, receive)
        finally:
            self._handling[endpoint.name] -= 1

    async def _handle(self, scope: Scope, endpoint: WebhookEndpoint, receive: Receive) -> int:
        until = time.monotonic() + ANSWERED_WITHIN
        try:
            async with asyncio.timeout(ANSWERED_WITHIN):
                body = await read_body(receive, dict(scope["headers"]))
        except RefusedError as refused:
            log.warning("Webhook %s refused: %s", endpoint.name, refused.reason)
            return refused.status
        except TimeoutError:
            return TOO_LATE
        if endpoint.name not in self._pools:
            self._pools[endpoint.name] = ThreadPoolExecutor(THREADS, f"webhook-{endpoint.name}")
        pool = self._pools[endpoint.name]
        handled = asyncio.get_running_loop().run_in_executor(pool, handling.handle, endpoint, body)
        try:
            # The thread continues after a time-out, and what it counts is not counted twice.
            return await asyncio.wait_for(handled, max(0.0, until - time.monotonic()))
        except TimeoutError:
            log.warning("Webhook %s took over %g s: the system must send it again", endpoint.name, ANSWERED_WITHIN)
            return TRY_AGAIN

    async def _declared(self) -> WebhookEndpoints | None:
        """The declared endpoints; ``None`` while they could not be read."""
        if self._reading is None and (self._endpoints is None or time.monotonic() - self._read_at > READ_EVERY):
            self._reading = asyncio.create_task(self._read())
        if self._reading:
            await asyncio.wait([self._reading], timeout=READ_WITHIN)
        return self._endpoints

    async def _read(self) -> None:
        """In a thread: the option may come from a command or a secrets backend."""
        try:
            self._take(await asyncio.to_thread(declared))
        except Exception as error:
            # Those that were read before stay.
            log.error("Could not read which webhooks are declared: %s", _place_of(error))
        self._read_at, self._reading = time.monotonic(), None

    def _take(self, found: WebhookDeclarations) -> None:
        """One that is declared wrongly now stays as it was."""
        before = self._endpoints or {}
        self._endpoints = {**found.endpoints, **{name: before[name] for name in found.problems if name in before}}
        problems = {name: str(problem) for name, problem in found.problems.items()}
        for name, problem in problems.items():
            if self._problems.get(name) != problem:
                effect = "its earlier declaration counts" if name in before else "its messages are answered with 503"
                log.error("A webhook is declared wrongly, and %s: %s", effect, problem)
        self._problems = problems


def _take_path(scope: Scope) -> tuple[str, str]:
    """The two parts of the path below the mount point; the path is masked from now on for anything that logs it.

    Everything that handles the request shares this scope, Airflow's access log too, which reads it after the answer.
    """
    parts = str(scope["path"]).partition(f"{PREFIX}/")[2].split("/")
    _show_path(scope, MASK)
    return (parts[0], parts[1]) if len(parts) == 2 else ("", "")


def _show_path(scope: Scope, name: str) -> None:
    scope["path"] = f"{PREFIX}/{name}/{MASK}"
    scope["raw_path"] = scope["path"].encode()
    scope["query_string"] = b""


def _place_of(error: Exception) -> str:
    from airflow_provider.clients.unforeseen import place_of_error
    from airflow_provider.exceptions import ReleasePipelineError

    return str(error) if isinstance(error, ReleasePipelineError) else place_of_error(error)


async def _respond(send: AsgiSend, status: int) -> None:
    body = b"{}"
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
