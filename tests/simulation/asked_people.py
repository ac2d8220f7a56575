"""The people who are asked about an approval: some may answer and some may not, some are late, some never answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider.core.approving import APPROVE, REJECT
from tests.simulation.people import RequiredAction, give

if TYPE_CHECKING:
    from tests.simulation.airflow import Airflow, Task

PEOPLE = ("ada", "ada", "bob", "eve", "rob")
"""Those who see the question; rob has triggered the run."""
LATEST = 900.0
"""Seconds within which most of them answer."""
AT_LAST = 1200.0
"""Seconds after which somebody answers who may, if there is no deadline."""
AT_ONCE = 0.15
"""Part of the questions that somebody answers before the task has deferred, or just then."""
SILENT = 0.3
"""Part of the questions with a deadline that nobody answers."""
REJECTS = 0.25


def ask(airflow: Airflow, task: Task, action: RequiredAction) -> None:
    """People see what a task asks."""
    world = airflow.world
    world.note("people", f"are asked by {task} about {action.about}")
    has_deadline = world.plan.policy["response_timeout"] is not None
    if has_deadline and world.random.random() < SILENT:
        return
    if world.random.random() < AT_ONCE:
        _schedule(airflow, task, action, world.between(0.0, 0.2), world.random.choice(PEOPLE))
    for _ in range(world.random.choice((1, 1, 2))):
        _schedule(airflow, task, action, world.between(0.0, 1.0) ** 3 * LATEST, world.random.choice(PEOPLE))
    if not has_deadline:
        _schedule(airflow, task, action, AT_LAST, world.random.choice(("ada", "bob")))


def _schedule(airflow: Airflow, task: Task, action: RequiredAction, seconds: float, person: str) -> None:
    decision = REJECT if airflow.world.random.random() < REJECTS else APPROVE
    airflow.world.after(seconds, _answer, airflow, task, action, decision, person)


def _answer(airflow: Airflow, task: Task, action: RequiredAction, decision: str, person: str) -> None:
    """A person answers, unless Airflow refuses that: it is already answered, or closed, or theirs is not wanted."""
    world, approvers = airflow.world, airflow.policy["approvers"]
    if airflow.is_away:
        world.after(5.0, _answer, airflow, task, action, decision, person)
        return
    is_kept_out = approvers and person not in approvers and not world.plan.conditions("everybody may answer")
    if task.action is not action or not action.is_open or is_kept_out:
        world.counted["answers that Airflow refused"] += 1
        return
    give(airflow, task, action, decision, person)
