"""The sandbox as one ASGI application, and as a server in a thread for tests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator
from types import TracebackType

import uvicorn
from fastapi import FastAPI

from airflow_provider.sandbox.cocktail.system import CocktailSystem
from airflow_provider.sandbox.code_stream.system import CodeStreamSystem
from airflow_provider.sandbox.control import add_control
from airflow_provider.sandbox.core.edge import Edge
from airflow_provider.sandbox.core.system import System
from airflow_provider.sandbox.core.world import World
from airflow_provider.sandbox.quay.system import QuaySystem
from airflow_provider.sandbox.service_stage.system import ServiceStageSystem

log = logging.getLogger(__name__)

TICK = 0.05
KINDS: tuple[type[System], ...] = (CodeStreamSystem, ServiceStageSystem, CocktailSystem, QuaySystem)


def create_app(speed: float = 1.0) -> Edge:
    """The whole sandbox: the systems, the control routes and the edge around them; ``.world`` holds the state.

    :param speed: how many times faster than their nominal pace executions run
    """
    world = World(KINDS, speed)
    app = FastAPI(lifespan=lambda _: _ticking(world), openapi_url=None)
    add_control(app, world)
    for name, system in world.systems.items():
        app.mount(f"/{name}", system.app)
    return Edge(app, world)


@contextlib.asynccontextmanager
async def _ticking(world: World) -> AsyncIterator[None]:
    async def run() -> None:
        while True:
            try:
                world.tick()
            except Exception:
                log.exception("Advancing the sandbox failed; trying again")
            await asyncio.sleep(TICK)

    ticker = asyncio.create_task(run())
    yield
    ticker.cancel()
    world.outbox.close()


def serve(app: Edge) -> uvicorn.Server:
    """A uvicorn server for the sandbox; with the plain asyncio loop, the edge can reset connections."""
    config = uvicorn.Config(
        app,
        loop="asyncio",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        # The edge sets Date, by the clock of the sandbox.
        date_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=75,
    )
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """:raises OSError: the address is in use, or does not belong to this machine."""
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    # asyncio leaves Nagle on for sockets made this way, which costs 40 ms an answer on a kept connection
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class SandboxServer:
    """The sandbox on a free port of 127.0.0.1, in a thread, for tests.

    ``with SandboxServer(speed=50) as sandbox: requests.get(f"{sandbox.url}/_sandbox/health")``
    """

    def __init__(self, speed: float = 1.0, port: int = 0) -> None:
        self._app = create_app(speed)
        self.world = self._app.world
        self._socket = listen("127.0.0.1", port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = serve(self._app)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="sandbox", daemon=True
        )

    def __enter__(self) -> SandboxServer:
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the sandbox did not start")
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()
