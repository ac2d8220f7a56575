"""What a life is drawn from: one seed gives a policy, a vendor and a list of incidents, each of which may be left out.

Incidents happen at points of the life (a request is sent, a task is deferred, another incident is over), because the
moments in which things go wrong are short: random times would never hit them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from tests.simulation.themes import THEMES, acting, answering, asking, asking_about, triggering

CHARACTERS = ("marked", "busy", "one at a time", "window", "rerun")
"""Code Stream; Cocktail (marked, and one at a time); ServiceStage; Quay; a rerun event of Code Stream."""


class Incident(NamedTuple):
    """Something that happens, or a condition of the life where ``on`` is empty.

    :param kind: what happens; see ``incidents.py`` and, for answers to requests, ``network.py``.
    :param on: the point at which it happens.
    :param nth: how often the point must be reached.
    :param after: seconds after that.
    :param value: what it means depends on the kind; often seconds.
    :param task: which of the tasks, if the point does not determine it.
    """

    kind: str
    on: str = ""
    nth: int = 1
    after: float = 0.0
    value: float = 0.0
    task: int = 0

    @property
    def follows(self) -> int:
        """The place of the incident that it happens after; -1: none."""
        kind, _, place = self.on.partition(" ")
        return int(place) if kind == "incident" else -1


@dataclass
class Plan:
    """One life before it is lived.

    :param outcomes: how executions end, in the order in which they are started, and after how many seconds.
    """

    seed: int
    character: str
    policy: dict[str, Any]
    retries: int
    retry_delay: float
    outcomes: list[tuple[str, float]]
    incidents: list[Incident] = field(default_factory=list)

    def without(self, place: int) -> Plan:
        """The same life but for one incident; what was to follow it happens where it would have happened."""
        gone = self.incidents[place]
        kept = []
        for incident in self.incidents[:place] + self.incidents[place + 1 :]:
            followed = incident.follows
            if followed == place:
                incident = incident._replace(on=gone.on or "start", nth=gone.nth, after=gone.after + incident.after)
                followed = incident.follows
            if followed > place:
                incident = incident._replace(on=f"incident {followed - 1}")
            kept.append(incident)
        return replace(self, incidents=kept)

    @property
    def kind(self) -> str:
        """What its tasks do."""
        return str(self.policy.get("kind", "start"))

    def conditions(self, kind: str) -> list[float]:
        return [incident.value for incident in self.incidents if not incident.on and incident.kind == kind]

    def condition(self, kind: str) -> float:
        """The value of a condition; 0 if the life does not have it."""
        return next(iter(self.conditions(kind)), 0.0)


THEMED = 0.6
"""Part of the lives that are about something; see ``themes.py``."""

OF_ACTS = 0.07
"""Part of the lives in which a task acts on what others have started."""
OF_ANSWERS = 0.04
"""Part of the others in which a task answers an approval."""
OF_RELEASES = 0.04
"""Part of those left in which it is an approval of a release."""
OF_TRIGGERS = 0.03
"""Part of those left in which a task triggers a change by hand."""
WITH_GATES = 0.12
"""Part of those left in which people are asked about the gates of the execution."""
ASK_EVERY = 12
"""One life in so many is of a task that asks people about an approval: by its seed, so that the others stay as they
were."""
WITH_REUSED_IDS = 0.3
"""Part of the lives in which Airflow runs on SQLite, which may give a trigger the id of one before."""
ACTIONS = {"prepare": "choose", "find": "choose", "send": "action", "cancel": "action"}
"""The request of such a life in place of each of a start's."""

REQUESTS = ("prepare", "send", "find", "observe", "cancel")
_PHASES = ("before", "within", "after")
_STATES = ("queued", "running", "deferred", "up_for_retry", "success", "failed", "restarting")
_CALLS = ("save", "publish", "defer", "resume", "pause", "xcoms", "on_kill")

_MACHINES = {
    "kill process": 5,
    "kill machine": 4,
    "freeze worker": 5,
    "drain": 3,
    "airflow away": 2,
    "store away": 1,
    "scheduler restarts": 2,
    "vendor down": 2,
    "gateway away": 1,
    "execution_timeout": 1,
}
_TRIGGERERS = {
    "move trigger": 2,
    "restart triggerer": 2,
    "stall triggerer": 4,
    "trigger crashes": 2,
    "deferral times out": 2,
}
_PEOPLE = {
    "clear": 9,
    "clear without run": 2,
    "clear another": 3,
    "mark failed": 4,
    "mark success": 2,
    "skip": 1,
    "deploy retries": 3,
    "change connection": 2,
    "replace operator": 1,
}
_COLLEAGUES = {
    "colleague starts": 3,
    "colleague cancels": 3,
    "colleague pauses": 2,
    "colleague resumes": 1,
    "crowd": 1,
}
_FAULTS = {
    "lost before": 3,
    "lost after": 5,
    "time-out": 2,
    "time-out after effect": 3,
    "time-out before effect": 5,
    "gateway before effect": 3,
    "throttled": 3,
    "unauthorized": 1,
    "forbidden": 1,
    "refused": 2,
    "unreachable": 2,
    "slow": 2,
    "not found": 2,
    "ignored": 1,
}
_CONDITIONS = {
    "worker clocks": 3,
    "vendor clock": 2,
    "triggerer clock": 2,
    "no vendor clock": 1,
    "lists lag": 3,
    "reads lag": 1,
    "slow vendor": 1,
    "twin": 3,
    "mapped": 1,
    "slow queue": 2,
    "late cancel": 2,
    "no cancel": 1,
    "leads nowhere": 1,
    "disorder": 1,
    "taken back": 1,
    "pushes": 1,
}


def draw(seed: int) -> Plan:
    """The life of a seed."""
    chance = random.Random(seed)
    character = chance.choices(CHARACTERS, (5, 2, 3, 3, 2))[0]
    plan = Plan(
        seed,
        character,
        policy=_policy(chance),
        retries=chance.choice((0, 0, 1, 1, 2, 3)),
        retry_delay=chance.choice((0.0, 0.0, 5.0, 30.0, 60.0, 300.0)),
        outcomes=[_outcome(chance) for _ in range(8)],
    )
    plan.incidents = [Incident(kind, value=_value(kind, chance)) for kind in _some(_CONDITIONS, chance, (4, 4, 2, 1))]
    how_many: tuple[int, ...] = (3, 8, 14, 14, 10, 6, 4, 2)
    if chance.random() < THEMED:
        theme = chance.choices([each for each, _ in THEMES], [weight for _, weight in THEMES])[0]
        theme(plan, chance)
        how_many = (14, 10, 6, 4)
    for _ in range(chance.choices(range(len(how_many)), how_many)[0]):
        plan.incidents.append(_incident(plan, chance))
    if seed % ASK_EVERY == 1:
        _make_ask(plan, chance)
    elif chance.random() < OF_ACTS:
        _make_act(plan, chance)
    elif chance.random() < OF_ANSWERS:
        _make_request(plan, chance, "answer")
    elif chance.random() < OF_RELEASES:
        _make_request(plan, chance, "release answer")
    elif chance.random() < OF_TRIGGERS:
        _make_request(plan, chance, "trigger")
    elif chance.random() < WITH_GATES:
        _make_gates(plan, chance)
    if chance.random() < WITH_REUSED_IDS:
        plan.incidents.append(Incident("trigger ids are reused", value=1.0))
    plan.policy["callback"] = plan.kind == "start" and bool(plan.conditions("pushes"))
    return plan


def _make_act(plan: Plan, chance: random.Random) -> None:
    """A task that does something about what others have started."""
    plan.policy |= {"action": chance.choice(("cancel", "cancel", "pause", "resume")), "finish_in_triggerer": False}
    plan.policy["kind"] = "act"
    if plan.character == "rerun":
        plan.character = "marked"
    kept = [incident for incident in plan.incidents if incident.kind != "replace operator"]
    if len(kept) == len(plan.incidents):
        plan.incidents = [_of_an_act(incident) for incident in kept]
    acting(plan, chance)


def _make_request(plan: Plan, chance: random.Random, kind: str) -> None:
    """A task that answers an approval or triggers something by hand, and waits for nothing."""
    plan.policy |= {"kind": kind, "deferrable": False, "finish_in_triggerer": False}
    plan.incidents = [_of_an_act(incident) for incident in plan.incidents if incident.kind != "replace operator"]
    (triggering if kind == "trigger" else answering)(plan, chance)


def _make_ask(plan: Plan, chance: random.Random) -> None:
    """A task that asks people about an approval of somebody else's execution."""
    timeout = chance.choice((None, 30.0, 120.0, 600.0))
    plan.policy |= {
        "kind": chance.choice(("ask", "ask about a release")),
        "deferrable": True,
        "wait_for_completion": True,
        "finish_in_triggerer": False,
        "has_retry_policy": chance.random() < 0.5,
        "approvers": chance.choice(((), (), ("ada", "bob"), ("ada", "bob", "rob"))),
        "not_requester": chance.random() < 0.3,
        "approvals": chance.choice((1, 1, 2)),
        "response_timeout": timeout,
        "on_no_response": "reject" if timeout is None else chance.choice(("reject", "approve", "fail")),
    }
    # Its deferrals time out when their own time is up.
    left_out = ("replace operator", "deferral times out")
    plan.incidents = [_of_an_act(incident) for incident in plan.incidents if incident.kind not in left_out]
    asking_about(plan, chance)


def _make_gates(plan: Plan, chance: random.Random) -> None:
    """A task that starts something and asks people about its gates."""
    plan.policy |= {"kind": "gate", "approve": True, "deferrable": True, "wait_for_completion": True}
    plan.policy |= {"fail_on_waiting": False, "finish_in_triggerer": False}
    if plan.character not in ("marked", "one at a time"):
        plan.character = "marked"
    asking(plan, chance)


def _of_an_act(incident: Incident) -> Incident:
    """The same incident, at an act's request instead of a start's."""
    request, _, phase = incident.on.partition(" ")
    return incident._replace(on=f"{ACTIONS.get(request, request)} {phase}".strip()) if incident.on else incident


def _policy(chance: random.Random) -> dict[str, Any]:
    return {
        "deferrable": chance.random() < 0.5,
        "wait_for_completion": chance.random() < 0.9,
        "cancel_on_kill": chance.random() < 0.9,
        "fail_on_waiting": chance.random() < 0.1,
        "on_canceled": "retry" if chance.random() < 0.25 else "fail",
        "timeout": chance.choice((None, None, 20.0, 90.0, 400.0, 1500.0)),
        "poll_interval": chance.choice((10.0, 20.0, 45.0)),
        "request_timeout": 30.0,
        "on_retry": "resume" if chance.random() < 0.25 else "restart",
        "finish_in_triggerer": chance.random() < 0.25,
    }


def _outcome(chance: random.Random) -> tuple[str, float]:
    state = chance.choices(("succeeded", "failed"), (7, 3))[0]
    return state, chance.choice((chance.uniform(1, 20), chance.uniform(20, 120), chance.uniform(120, 900)))


def _incident(plan: Plan, chance: random.Random) -> Incident:
    groups: list[tuple[dict[str, int], int]] = [(_MACHINES, 5), (_PEOPLE, 6), (_COLLEAGUES, 2), (_FAULTS, 5)]
    if plan.policy["deferrable"]:
        groups.append((_TRIGGERERS, 4))
    group = chance.choices([each for each, _ in groups], [weight for _, weight in groups])[0]
    kind = chance.choices(list(group), list(group.values()))[0]
    if group is _FAULTS:
        request = chance.choices(REQUESTS, (1, 7, 4, 3, 4))[0]
        return Incident(f"answer: {kind}", request, _nth(chance), value=_value(kind, chance))
    return Incident(kind, *_when(plan, chance), value=_value(kind, chance), task=int(chance.random() < 0.15))


def _when(plan: Plan, chance: random.Random) -> tuple[str, int, float]:
    """A point, how often it must be reached, and how many seconds later."""
    after = chance.choice((0.0, 0.0, chance.uniform(0, 2), chance.uniform(0, 10), chance.uniform(0, 60)))
    if chance.random() < 0.1:
        after = chance.uniform(60, 1000)
    way = chance.random()
    if way < 0.3 and plan.incidents and plan.incidents[-1].on and not plan.incidents[-1].kind.startswith("answer"):
        return f"incident {len(plan.incidents) - 1}", 1, after
    if way < 0.62:
        request = chance.choices(REQUESTS, (1, 6, 3, 3, 2))[0]
        return f"{request} {chance.choice(_PHASES)}", _nth(chance), after
    if way < 0.72:
        return chance.choice(_CALLS), _nth(chance), after
    if way < 0.97:
        return f"state {chance.choice(_STATES)}", _nth(chance), after
    return "start", 1, chance.uniform(0, 300)


def _nth(chance: random.Random) -> int:
    return chance.choices((1, 2, 3, 5), (6, 3, 1, 1))[0]


def _value(kind: str, chance: random.Random) -> float:
    """Mostly seconds."""
    match kind:
        case "worker clocks" | "triggerer clock" | "vendor clock":
            return chance.choice((-1, 1)) * chance.choice((chance.uniform(0, 5), chance.uniform(5, 120)))
        case "freeze worker":
            return chance.choice((chance.uniform(1, 30), chance.uniform(30, 320), chance.uniform(320, 900)))
        case "stall triggerer":
            return chance.choice((chance.uniform(1, 30), chance.uniform(30, 60), chance.uniform(60, 400)))
        case "airflow away" | "store away" | "vendor down" | "gateway away":
            return chance.choice((chance.uniform(1, 20), chance.uniform(20, 60), chance.uniform(60, 400)))
        case "scheduler restarts":
            # The next one resets at its start, or at one of its checks every five minutes.
            return chance.choice((chance.uniform(1, 40), chance.uniform(300, 330)))
        case "time-out before effect" | "gateway before effect":
            # Within half a minute, or up to ten minutes: how late depends on what a vendor's character allows.
            return chance.choice((chance.uniform(0, 0.1), chance.uniform(0, 1)))
        case "throttled":
            return chance.choice((1.0, 5.0, 30.0, 120.0, 400.0))
        case "slow":
            return chance.uniform(5, 29)
        case "slow vendor":
            return chance.uniform(1, 10)
        case "slow queue":
            return chance.choice((chance.uniform(5, 30), chance.uniform(30, 400)))
        case "late cancel":
            return chance.choice((chance.uniform(1, 20), chance.uniform(20, 90)))
        case "taken back":
            return chance.uniform(0.5, 4.5)
        case "lists lag" | "reads lag":
            return chance.uniform(0.5, 12)
        case "deploy retries":
            return float(chance.choice((0, 0, 1, 2, 3)))
        case "drain":
            return chance.choice((chance.uniform(5, 30), chance.uniform(30, 300)))
        case "crowd":
            return float(chance.randrange(1, 4))
        case _:
            return chance.random()


def _some(weights: dict[str, int], chance: random.Random, how_many: tuple[int, ...]) -> list[str]:
    count = chance.choices(range(len(how_many)), how_many)[0]
    return list(dict.fromkeys(chance.choices(list(weights), list(weights.values()), k=count)))
