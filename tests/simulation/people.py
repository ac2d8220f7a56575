"""Airflow's required actions, the people who answer them, and Airflow that resumes the task then."""

from __future__ import annotations

import math
from typing import Any

from airflow_provider.core.approving import OPTIONS
from tests.simulation.airflow import Airflow, Task

TOO_EARLY = 1.5
"""Seconds from a deferral within which Airflow 3.3.2 may fail a task by itself that is answered."""


class RequiredAction:
    """Airflow's row: it follows the task from attempt to attempt.

    :param about: what people are asked about.
    :param generation: of the task that asks.
    """

    def __init__(self, about: Any, generation: int = 0) -> None:
        self.about = about
        self.generation = generation
        self.until = math.inf
        """When the time to answer is over."""
        self.answer: dict[str, Any] | None = None
        self.is_closed = False
        self.is_noted = False
        """Whether the task remembers that it has asked this."""

    @property
    def is_open(self) -> bool:
        return self.answer is None and not self.is_closed


def give(airflow: Airflow, task: Task, action: RequiredAction, decision: str, person: str) -> None:
    """A person answers what is open; Airflow resumes the task if it is deferred."""
    world = airflow.world
    action.answer = {
        "chosen_options": [OPTIONS[decision]],
        "params_input": {},
        "responded_by_user": {"id": person, "name": person.title()},
        "responded_at": f"{world.now:.3f}",
    }
    world.note("a person", f"answers {decision} to {task} as {person}")
    world.judge.people_answer(task, action, decision, person)
    if task.state != "deferred":
        return
    world.point("answered", task.trigger.runs[-1] if task.trigger and task.trigger.runs else task)
    is_early = world.now - task.changed_at < TOO_EARLY
    airflow.resume(task, "answered", action.answer, "a person has answered")
    if is_early and world.random.random() < 0.7:
        task.is_ended_by_machine = True
        airflow.handle_failure(task, "answered before Airflow had heard of the end of its process")
