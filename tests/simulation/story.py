"""Prints a life so that a person can read it, after removing everything without which it also fails."""

from __future__ import annotations

from dataclasses import replace

from tests.simulation.lives import live
from tests.simulation.plan import Plan
from tests.simulation.world import World


def shorten(plan: Plan) -> Plan:
    """The same life with fewer incidents, which still fails."""
    is_shorter = True
    while is_shorter:
        is_shorter = False
        for place in reversed(range(len(plan.incidents))):
            shorter = plan.without(place)
            if live(shorter).violations:
                plan, is_shorter = shorter, True
    for simpler in (replace(plan, retry_delay=0.0), replace(plan, outcomes=[("succeeded", 60.0)] * 8)):
        if live(simpler).violations:
            plan = simpler
    return plan


def render(plan: Plan) -> str:
    """The story of a life, one line for each event."""
    world = live(plan, keeps_story=True)
    settings = {**plan.policy, "retries": plan.retries, "retry_delay": plan.retry_delay}
    lines = [f"seed {plan.seed}, a vendor like {plan.character!r}"]
    lines.append("  " + ", ".join(f"{name}={value}" for name, value in settings.items()))
    lines += [f"  incident {number}: {_incident(plan, number)}" for number in range(len(plan.incidents))]
    lines += [f"{when:10.2f}  {who}: {what}" for when, who, what in _without_repeats(world)]
    return "\n".join(lines)


def _incident(plan: Plan, number: int) -> str:
    incident = plan.incidents[number]
    if incident.kind.startswith("answer: "):
        return f"{incident.kind} ({incident.value:.2f}) to {incident.on} number {incident.nth}"
    if not incident.on:
        return f"{incident.kind} ({incident.value:.2f})"
    return f"{incident.kind} ({incident.value:.2f}) {incident.after:.2f} s after {incident.on!r}, time {incident.nth}"


def _without_repeats(world: World) -> list[tuple[float, str, str]]:
    """The lines without repetitions: polls repeat the same for hours."""
    kept: list[tuple[float, str, str]] = []
    for line in world.story:
        if not kept or kept[-1][1:] != line[1:]:
            kept.append(line)
    return kept
