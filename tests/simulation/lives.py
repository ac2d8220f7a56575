"""One life from its plan to its end."""

from __future__ import annotations

import random
import traceback
from typing import Any

from tests.simulation.acting import ActJudge, ActWorker
from tests.simulation.airflow import Airflow, Run, Task
from tests.simulation.answering import AnswerJudge, AnswerWorker
from tests.simulation.asked_invariants import AskJudge
from tests.simulation.asking import AskWorker
from tests.simulation.characters import SERVERS
from tests.simulation.gates import GateJudge, GateWorker
from tests.simulation.incidents import Incidents
from tests.simulation.invariants import Judge
from tests.simulation.plan import Plan
from tests.simulation.pushing import push_from
from tests.simulation.releasing import ReleaseJudge, ReleaseWorker
from tests.simulation.triggerers import Triggerers
from tests.simulation.triggering import TriggerJudge, TriggerWorker
from tests.simulation.workers import Worker
from tests.simulation.world import World

KINDS: dict[str, tuple[type[Worker], type[Judge]]] = {
    "start": (Worker, Judge),
    "act": (ActWorker, ActJudge),
    "answer": (AnswerWorker, AnswerJudge),
    "gate": (GateWorker, GateJudge),
    "release answer": (ReleaseWorker, ReleaseJudge),
    "trigger": (TriggerWorker, TriggerJudge),
    "ask": (AskWorker, AskJudge),
    "ask about a release": (AskWorker, AskJudge),
}
"""By kind of life: who runs a task's attempts, and who watches them."""


def _end_paused(servers: list[Any]) -> None:
    for each in servers:
        each.end_paused()


def live(plan: Plan, *, keeps_story: bool = False) -> World:
    """Live one life; the ``violations`` of the returned world say what went wrong."""
    random.seed(plan.seed)
    world = World(plan, keeps_story=keeps_story)
    server = SERVERS[plan.character]
    servers = [server(world, "vendor A"), server(world, "vendor B")]
    airflow = Airflow(world, {**plan.policy, "system": "vendor"})
    airflow.connection = servers[0]
    triggerers = Triggerers(world, airflow)
    worker_class, judge_class = KINDS[plan.kind]
    judge = world.judge = judge_class(world, airflow, servers)
    airflow.spawn = lambda task: worker_class(airflow, task, airflow.connection)
    airflow.start_trigger = triggerers.start
    airflow.on_success = judge.succeeds
    push_from(world, airflow, servers)
    world.perform = Incidents(world, airflow, triggerers, servers).perform
    world.at_evening = lambda: _end_paused(servers)
    _tasks(airflow, plan)
    for task in airflow.tasks:
        airflow.schedule(task)
    try:
        world.run()
        if not world.violations:
            judge.ends()
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        world.violate(f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})")
        if keeps_story:
            world.note("VIOLATION", traceback.format_exc())
    return world


def _tasks(airflow: Airflow, plan: Plan) -> None:
    run = Run()
    airflow.tasks.append(Task(airflow, "task", run, plan.retries))
    if plan.conditions("twin"):
        airflow.tasks.append(Task(airflow, "twin", Run(), plan.retries))
    if plan.conditions("mapped"):
        airflow.tasks.append(Task(airflow, "sibling", run, plan.retries))
