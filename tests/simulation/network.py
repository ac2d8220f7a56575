"""Requests from our processes to a vendor: they take time, and go wrong in every way that HTTP knows.

A request that was sent takes effect at the vendor whatever happens to the process that sent it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    Call,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
)
from tests.simulation.plan import Incident
from tests.simulation.world import Steps, World

CALL = Call(system="vendor")

CHECKED = ("send", "cancel", "action")
"""Sent in one step with the check whether they may be: their senders reach the point before them."""

_NOT_SENT: dict[str, Callable[[Incident, Call], ReleasePipelineError]] = {
    "lost before": lambda incident, call: ServerUnavailableError("connection reset", call=call, effect=Effect.UNKNOWN),
    "throttled": lambda incident, call: ThrottledError(
        "HTTP 429", call=call, effect=Effect.NONE, retry_after=incident.value
    ),
    "unauthorized": lambda incident, call: AuthenticationError("HTTP 401", call=call, effect=Effect.NONE),
    "forbidden": lambda incident, call: PermissionDeniedError("HTTP 403", call=call),
    "refused": lambda incident, call: BadRequestError("HTTP 400", call=call),
    "unreachable": lambda incident, call: ServerUnavailableError("connection refused", call=call, effect=Effect.NONE),
    "not found": lambda incident, call: NotFoundError("HTTP 404", call=call),
    "no route": lambda incident, call: NotFoundError("a gateway's HTTP 404", call=call, effect=Effect.NONE),
}


class Network:
    """Between our processes and one vendor.

    :param latest_effect: seconds after a time-out within which a request of so many seconds may still take effect.
    """

    def __init__(self, world: World, timeout: float, latest_effect: Callable[[float], float]) -> None:
        self.world = world
        self.timeout = timeout
        self.down_until = self.no_route_until = 0.0
        self._down_as, self._without_route = "unreachable", "no route"
        self._latest_effect = latest_effect
        self._slowness = world.plan.condition("slow vendor")
        self._counts: Counter[str] = Counter()
        self._faults = {
            (incident.on, incident.nth): incident
            for incident in world.plan.incidents
            if incident.kind.startswith("answer: ")
        }

    def go_down(self, seconds: float) -> None:
        self.down_until = max(self.down_until, self.world.now + seconds)
        self._down_as = self.world.random.choice(("unreachable", "lost before", "time-out", "no route"))

    def lose_route(self, seconds: float, *, looks_like_the_systems_own: bool) -> None:
        """A gateway that is being reconfigured does not find the path of executions.

        :param looks_like_the_systems_own: its 404 cannot be told from that of the system, which has no body.
        """
        self.no_route_until = max(self.no_route_until, self.world.now + seconds)
        self._without_route = "not found" if looks_like_the_systems_own else "no route"

    def request(self, name: str, sender: Any, serve: Callable[[], Any], about: str = "") -> Steps[Any]:
        """Send one request; returns the answer.

        :param serve: what the vendor does when the request arrives; may raise an error that it answers.
        :param about: the id of what it is about, which its path names.
        :raises ReleasePipelineError: by cause.
        """
        world = self.world
        if name not in CHECKED:
            world.point(f"{name} before", sender)
            yield 0.0
        self._counts[name] += 1
        fault = self._faults.get((name, self._counts[name]))
        kind = fault.kind.removeprefix("answer: ") if fault else ""
        if world.now < self.down_until:
            kind, fault = self._down_as, None
        elif name == "observe" and world.now < self.no_route_until:
            kind, fault = self._without_route, None
        if kind and world.keeps_story:
            world.note("network", f"{name} by {sender}: {kind}")
        call = CALL._replace(path=f"/executions/{about}") if about else CALL
        took = world.between(0.02, 0.3) + self._slowness * world.between(0.5, 1.5)
        if kind in _NOT_SENT:
            yield took
            world.point(f"{name} within", sender)
            yield 0.0
            raise _NOT_SENT[kind](fault or Incident(kind), call)
        if kind == "ignored" and name == "cancel":
            kind, serve = "", lambda: None
        error, delay = self._fate(kind, fault, took, call)
        answer: list[Any] = []
        if kind != "time-out":
            world.after(delay, self._arrive, name, sender, serve, answer)
        if error is None:
            yield delay + took
        else:
            yield self.timeout if kind.startswith("time-out") else took
        world.point(f"{name} after", sender)
        yield 0.0
        if error:
            raise error
        if isinstance(answer[0], ReleasePipelineError):
            raise answer[0]
        return answer[0]

    def _arrive(self, name: str, sender: Any, serve: Callable[[], Any], answer: list[Any]) -> None:
        try:
            answer.append(serve())
        except ReleasePipelineError as error:
            answer.append(error)
        self.world.point(f"{name} within", sender)

    def _fate(
        self, kind: str, fault: Incident | None, took: float, call: Call
    ) -> tuple[ReleasePipelineError | None, float]:
        """The error that replaces the answer, and the seconds until the request takes effect."""
        value = fault.value if fault else 0.0
        match kind:
            case "lost after" | "ignored":
                return ServerUnavailableError("answer lost", call=call, effect=Effect.UNKNOWN), took / 2
            case "time-out" | "time-out after effect":
                return ServerUnavailableError("timed out", call=call, effect=Effect.LATE), took / 2
            case "time-out before effect":
                late = value * self._latest_effect(self.timeout)
                return ServerUnavailableError("timed out", call=call, effect=Effect.LATE), self.timeout + late
            case "gateway before effect":
                late = value * self._latest_effect(took)
                return ServerUnavailableError("HTTP 504", call=call, effect=Effect.LATE), took + late
            case "slow":
                return None, value
            case _:
                return None, took / 2
