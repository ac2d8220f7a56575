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
    app.include_router(Control(world).router())


class Control:
    """What the control routes do."""

    def __init__(self, world: World) -> None:
        self._world = world

    def router(self) -> APIRouter:
        control = APIRouter(prefix="/_sandbox")
        control.get("/health")(self.health)
        control.post("/reset")(self.reset)
        control.post("/faults", status_code=201)(self.add_fault)
        control.get("/faults")(self.faults)
        control.delete("/faults")(self.clear_faults)
        control.get("/requests")(self.requests)
        control.get("/deliveries")(self.deliveries)
        control.get("/executions")(self.executions)
        for path in ("", "/"):
            control.get(path, response_class=HTMLResponse)(self.overview)
        one_execution = "/executions/{system}/{execution_id:path}"
        control.get(one_execution, response_class=HTMLResponse)(self.show)
        control.post(one_execution)(self.force_state)
        control.get("/switches")(self.switches)
        control.post("/switches")(self.set_switches)
        control.post("/actions")(self.act)
        control.post("/clock")(self.advance)
        return control

    async def health(self) -> dict[str, Any]:
        silent = [name for name, system in self._world.systems.items() if not await _answers(system.app)]
        if silent:
            raise HTTPException(503, f"no answer from {', '.join(silent)}")
        return {
            "status": "ok",
            "systems": list(self._world.systems),
            "now": self._world.clock.now(),
            "speed": self._world.clock.speed,
        }

    def reset(self, body: ResetBody | None = None) -> dict[str, Any]:
        self._world.reset(body.speed if body else None)
        return {"speed": self._world.clock.speed}

    def add_fault(self, body: FaultBody) -> dict[str, Any]:
        if body.system != ALL:
            self._known(body.system)
        return self._world.faults.add(**body.model_dump()).as_dict()

    def faults(self) -> list[dict[str, Any]]:
        return self._world.faults.all()

    def clear_faults(self) -> dict[str, Any]:
        self._world.faults.clear()
        return {}

    def requests(self, system: SystemQuery = None) -> list[dict[str, Any]]:
        return self._world.journal.entries(self._known(system))

    def deliveries(self, system: SystemQuery = None) -> list[dict[str, Any]]:
        return self._world.outbox.deliveries(self._known(system))

    def executions(self, system: SystemQuery = None) -> list[dict[str, Any]]:
        self._known(system)
        names = [system] if system is not None else list(self._world.systems)
        with self._world.lock:
            self._world.tick()
            return [{"system": name} | each for name in names for each in self._world.systems[name].executions()]

    def overview(self) -> str:
        """All executions, as a page for people."""
        return overview_page(self.executions(), self._world.systems)

    def show(self, system: str, execution_id: str) -> str:
        """One execution, as a page for people."""
        found = next((each for each in self.executions(system) if each["id"] == execution_id), None)
        if found is None:
            raise HTTPException(404, f"{system} has no execution {execution_id!r}")
        return execution_page(found)

    def force_state(self, system: str, execution_id: str, body: StateBody) -> dict[str, Any]:
        self._known(system)
        with self._world.lock:
            self._world.tick()
            try:
                self._world.systems[system].force_state(execution_id, str(body.state))
            except KeyError:
                raise HTTPException(404, f"{system} has no execution {execution_id!r}") from None
            except ValueError as error:
                raise HTTPException(400, f"state of {system} {error}, got {body.state!r}") from None
            return next(each for each in self._world.systems[system].executions() if each["id"] == execution_id)

    def switches(self, system: SystemQuery = None) -> dict[str, Any]:
        self._known(system)
        return {name: each.switches for name, each in self._world.systems.items() if system in (None, name)}

    def set_switches(self, body: SwitchesBody) -> dict[str, Any]:
        """Changes how a system behaves where its documentation is unclear; ``GET /switches`` lists them all."""
        self._known(body.system)
        with self._world.lock:
            try:
                self._world.systems[body.system].switches.change(body.model_extra or {})
            except ValueError as error:
                raise HTTPException(400, str(error)) from None
            return self._world.systems[body.system].switches

    def act(self, body: ActionBody) -> Any:
        """An action of one system; its ``actions.py`` has the actions and their fields."""
        self._known(body.system)
        with self._world.lock:
            try:
                return self._world.systems[body.system].act(body.action, body.model_extra or {})
            except ValueError as error:
                raise HTTPException(400, str(error)) from None

    def advance(self, body: ClockBody) -> dict[str, Any]:
        """Moves the clock of the sandbox by seconds: what is due by then happens, tokens and approvals expire, and
        each ``Date`` and time in an answer changes with it."""
        self._world.clock.advance(body.advance)
        self._world.tick()
        return {"now": self._world.clock.now()}

    def _known(self, system: str | None) -> str | None:
        if system is not None and system not in self._world.systems:
            raise HTTPException(400, f"system must be one of {', '.join(self._world.systems)}, got {system!r}")
        return system


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
