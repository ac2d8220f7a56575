"""The /_sandbox routes: reset, faults, switches, clock, and what happened so far."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, HTTPException, Query
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from starlette.types import ASGIApp, Message

from airflow_provider.sandbox.core.faults import ALL
from airflow_provider.sandbox.core.world import World
from airflow_provider.sandbox.page import execution_page, overview_page


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ResetBody(_Body):
    speed: float | None = Field(default=None, gt=0)


class FaultBody(_Body):
    """Which requests go wrong, and how; ``system`` is ``all`` for whichever.

    ``hostile`` answers with anything but answers, at random but the same for the same ``seed``: broken, huge, endless
    and deeply nested documents, gzip bombs, wrong types, every status and header, slow and cut ones. It does so until
    it is taken away, for ``times`` requests or with a ``probability``, takes ``seconds`` (3) for an answer at most, and
    never makes up the values in ``spared``: with the words of success there, each success that a client sees is wrong.
    """

    system: str
    fault: Literal[
        "latency",
        "status",
        "status_after",
        "reset_before",
        "reset_after",
        "truncate",
        "html",
        "expire_token",
        "hostile",
    ]
    method: str | None = None
    path: str | None = None
    times: int | None = Field(default=None, ge=1)
    probability: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = None
    after: int = Field(default=0, ge=0)
    seconds: float = Field(default=0.0, ge=0)
    status: int | None = Field(default=None, ge=200, le=599)
    headers: dict[str, str] = {}
    body: Any = None
    spared: list[Any] = []

    @field_validator("path")
    @classmethod
    def _is_a_regular_expression(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"path is no regular expression: {error}") from None
        return value

    @model_validator(mode="after")
    def _is_complete(self) -> FaultBody:
        if self.fault in ("status", "status_after") and self.status is None:
            raise ValueError(f"fault {self.fault} needs the field status")
        if self.fault == "latency" and not self.seconds:
            raise ValueError("fault latency needs the field seconds")
        if self.times is not None and self.probability is not None:
            raise ValueError("give times or probability, not both")
        if self.seed is not None and self.probability is None and self.fault != "hostile":
            raise ValueError("seed goes with probability or hostile only")
        return self


class StateBody(_Body):
    state: str | int


class SwitchesBody(BaseModel):
    model_config = ConfigDict(extra="allow")
    system: str


class ActionBody(SwitchesBody):
    action: str


class ClockBody(_Body):
    advance: float


SystemQuery = Annotated[str | None, Query()]


def add_control(app: FastAPI, world: World) -> None:
    """Adds the control routes under /_sandbox."""
    control = APIRouter(prefix="/_sandbox")

    def known(system: str | None) -> str | None:
        if system is not None and system not in world.systems:
            raise HTTPException(400, f"unknown system {system!r}; there are {', '.join(world.systems)}")
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
        names = [known(system)] if system is not None else list(world.systems)
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
                raise HTTPException(400, f"{system} has no state {body.state!r}: {error}") from None
            return next(each for each in world.systems[system].executions() if each["id"] == execution_id)

    @control.get("/switches")
    def switches(system: SystemQuery = None) -> dict[str, Any]:
        known(system)
        return {name: each.switches for name, each in world.systems.items() if system in (None, name)}

    @control.post("/switches")
    def set_switches(body: SwitchesBody) -> dict[str, Any]:
        """Changes how a system behaves where its contract leaves room; ``GET /switches`` shows names and values."""
        known(body.system)
        with world.lock:
            try:
                world.systems[body.system].set_switches(body.model_extra or {})
            except ValueError as error:
                raise HTTPException(400, str(error)) from None
            return world.systems[body.system].switches

    @control.post("/actions")
    def act(body: ActionBody) -> Any:
        """What one system alone can be made to do; see ``act`` of that system for its actions and their fields."""
        known(body.system)
        with world.lock:
            try:
                return world.systems[body.system].act(body.action, body.model_extra or {})
            except ValueError as error:
                raise HTTPException(400, str(error)) from None

    @control.post("/clock")
    def advance(body: ClockBody) -> dict[str, Any]:
        """Moves the clock of the sandbox by seconds, which tests and servers need not share: what is due by then
        happens, tokens and approvals expire, and each ``Date`` and time in an answer is told by it."""
        world.clock.advance(body.advance)
        world.tick()
        return {"now": world.clock.now()}

    app.include_router(control)


async def _answers(app: ASGIApp) -> bool:
    """Whether the system answers at all; a refusal is an answer."""
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
