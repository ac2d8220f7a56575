"""The /_sandbox routes: reset, faults, switches, clock, and what has happened so far."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, HTTPException, Query
from fastapi.responses import HTMLResponse
from starlette.types import ASGIApp, Message

from airflow_provider.sandbox.control_bodies import (
    ActionBody,
    ClockBody,
    FaultBody,
    ResetBody,
    StateBody,
    SwitchesBody,
)
from airflow_provider.sandbox.core.faults import ALL
from airflow_provider.sandbox.core.world import World
from airflow_provider.sandbox.page import execution_page, overview_page

SystemQuery = Annotated[str | None, Query()]


def add_control(app: FastAPI, world: World) -> None:
    """Adds the control routes under /_sandbox."""
    control = APIRouter(prefix="/_sandbox")

    def known(system: str | None) -> str | None:
        if system is not None and system not in world.systems:
            raise HTTPException(400, f"system must be one of {', '.join(world.systems)}, got {system!r}")
        return system

    @control.get("/health")
    async def health() -> dict[str, Any]:
        silent = [name for name, system in world.systems.items() if not await _answers(system.app)]
        if silent:
            raise HTTPException(503, f"no answer from {', '.join(silent)}")
        return {"status": "ok", "systems": list(world.systems), "now": world.clock.now(), "speed": world.clock.speed}

    @control.post("/reset")
    def reset(body: ResetBody | None = None) -> dict[str, Any]:
        world.reset(body.speed if body else None)
        return {"speed": world.clock.speed}

    @control.post("/faults", status_code=201)
    def add_fault(body: FaultBody) -> dict[str, Any]:
        if body.system != ALL:
            known(body.system)
        return world.faults.add(**body.model_dump()).as_dict()

    @control.get("/faults")
    def faults() -> list[dict[str, Any]]:
        return world.faults.all()

    @control.delete("/faults")
    def clear_faults() -> dict[str, Any]:
        world.faults.clear()
        return {}

    @control.get("/requests")
    def requests_received(system: SystemQuery = None) -> list[dict[str, Any]]:
        return world.journal.entries(known(system))

    @control.get("/deliveries")
    def deliveries(system: SystemQuery = None) -> list[dict[str, Any]]:
        return world.outbox.deliveries(known(system))

    @control.get("/executions")
    def executions(system: SystemQuery = None) -> list[dict[str, Any]]:
        known(system)
        names = [system] if system is not None else list(world.systems)
        with world.lock:
            world.tick()
            return [{"system": name} | each for name in names for each in world.systems[name].executions()]

    @control.get("", response_class=HTMLResponse)
    @control.get("/", response_class=HTMLResponse)
    def overview() -> str:
        """All executions, as a page for people."""
        return overview_page(executions(), world.systems)

    @control.get("/executions/{system}/{execution_id:path}", response_class=HTMLResponse)
    def show(system: str, execution_id: str) -> str:
        """One execution, as a page for people."""
        found = next((each for each in executions(system) if each["id"] == execution_id), None)
        if found is None:
            raise HTTPException(404, f"{system} has no execution {execution_id!r}")
        return execution_page(found)

    @control.post("/executions/{system}/{execution_id:path}")
    def force_state(system: str, execution_id: str, body: StateBody) -> dict[str, Any]:
        known(system)
        with world.lock:
            world.tick()
            try:
                world.systems[system].force_state(execution_id, str(body.state))
            except KeyError:
                raise HTTPException(404, f"{system} has no execution {execution_id!r}") from None
            except ValueError as error:
                raise HTTPException(400, f"state of {system} {error}, got {body.state!r}") from None
            return next(each for each in world.systems[system].executions() if each["id"] == execution_id)

    @control.get("/switches")
    def switches(system: SystemQuery = None) -> dict[str, Any]:
        known(system)
        return {name: each.switches for name, each in world.systems.items() if system in (None, name)}

    @control.post("/switches")
    def set_switches(body: SwitchesBody) -> dict[str, Any]:
        """Changes how a system behaves where its documentation is unclear; ``GET /switches`` lists them all."""
        known(body.system)
        with world.lock:
            try:
                world.systems[body.system].switches.change(body.model_extra or {})
            except ValueError as error:
                raise HTTPException(400, str(error)) from None
            return world.systems[body.system].switches

    @control.post("/actions")
    def act(body: ActionBody) -> Any:
        """An action of one system; its ``actions.py`` has the actions and their fields."""
        known(body.system)
        with world.lock:
            try:
                return world.systems[body.system].act(body.action, body.model_extra or {})
            except ValueError as error:
                raise HTTPException(400, str(error)) from None

    @control.post("/clock")
    def advance(body: ClockBody) -> dict[str, Any]:
        """Moves the clock of the sandbox by seconds: what is due by then happens, tokens and approvals expire, and
        each ``Date`` and time in an answer changes with it."""
        world.clock.advance(body.advance)
        world.tick()
        return {"now": world.clock.now()}

    app.include_router(control)


async def _answers(app: ASGIApp) -> bool:
    """Whether the system answers; a refusal is an answer."""
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 0),
    }
    await app(scope, receive, send)
    return bool(statuses) and statuses[0] < 500
