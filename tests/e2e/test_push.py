"""A callback of Cocktail ends the wait for its build: on real processes, Airflow on PostgreSQL."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import pytest
import requests

from demo.sandbox_server import SandboxServer
from tests.chaos.cluster import Cluster
from tests.e2e.conftest import CALLBACK_SECRET, Notified

ENDS, GOES_ON = "ends_by_push", "goes_on_after_push"

PUSHES = 4
"""Of each DAG. The figures of ``docs/webhooks.md`` are of more."""
BUILDS = (12, 13, 14, 15)
"""Of each, Cocktail runs one at a time."""

SETTLED = 8.0
"""Seconds after the deferral within which the first polls are made: until Airflow has surely noticed the worker's end,
which takes 3 s here, and twice an interval of 1 s."""
QUIET = 10.0
"""Seconds without a poll, ten times the interval that the tasks have asked for."""
SOON = 60.0
"""Seconds in which the next task begins, on however busy a machine, and far below the 600 s of the net."""


class Run(NamedTuple):
    """A DAG run and its build at Cocktail."""

    dag_id: str
    run_id: str
    build_run: str


class Stage:
    def __init__(self, airflow: Cluster, sandbox: SandboxServer) -> None:
        self._airflow, self.sandbox, self.api = airflow, sandbox, airflow.api
        self._numbers = itertools.count()

    def start(self, dag_id: str, build: int) -> Run:
        """Start a build, whose end is then waited for in the triggerer, with a poll now and then."""
        before = {each["id"] for each in self.sandbox.control.executions("cocktail")}
        run_id = self.api.trigger(dag_id, {"build": str(build), "tag": f"1.4.{next(self._numbers)}"})
        wait_for(lambda: self.state(dag_id, run_id, "build") == "deferred")
        (new,) = {each["id"] for each in self.sandbox.control.executions("cocktail")} - before
        return Run(dag_id, run_id, str(new))

    def end(self, run: Run) -> float:
        """Cocktail ends the build, and calls back; returns when."""
        now = time.time()
        self.sandbox.control.force("cocktail", run.build_run, "DONE")
        return now

    def call_back(self, build: int, build_run: int, state: str = "DONE") -> int:
        """What anybody may send who knows the URL."""
        numbers = {"buildSeq": build, "buildRunSeq": build_run}
        body = {"event": "BUILD_RUN_STATE", "target": numbers, "data": {**numbers, "runState": state}}
        url = f"http://127.0.0.1:{self._airflow.port}/release-pipelines/webhooks/builds/{CALLBACK_SECRET}"
        return requests.post(url, json=body, timeout=30).status_code

    def polls(self) -> int:
        return len(self.sandbox.control.requests("cocktail", "GET"))

    def task(self, dag_id: str, run_id: str, task_id: str) -> dict[str, Any]:
        (found,) = [each for each in self.api.task_instances(dag_id, run_id) if each["task_id"] == task_id]
        return found

    def state(self, dag_id: str, run_id: str, task_id: str) -> str | None:
        return self.task(dag_id, run_id, task_id)["state"]

    def begun(self, run: Run) -> float:
        """When the task after the build began; waits for it."""
        started = wait_for(lambda: self.task(run.dag_id, run.run_id, "follow")["start_date"])
        return datetime.fromisoformat(started).timestamp()

    def log_of(self, run: Run) -> str:
        lines = self.api.log_lines(run.dag_id, run.run_id, "build", 1)
        return "\n".join(str(line.get("event", "")) for line in lines)

    def cancels(self) -> int:
        return sum(len(each["cancels"]) for each in self.sandbox.control.executions("cocktail"))


@pytest.fixture(scope="module")
def stage(notified: Notified) -> Stage:
    notified.sandbox.control.switch("cocktail", step_seconds={"CREATE_IMAGE": 1e6})
    return Stage(notified.cluster, notified.sandbox)


def wait_for(condition: Callable[[], Any], limit: float = 120.0) -> Any:
    deadline = time.monotonic() + limit
    while not (seen := condition()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.2)
    return seen


@pytest.mark.parametrize("dag_id", [ENDS, GOES_ON])
def test_nothing_polls_between_the_start_and_the_push_and_the_next_task_begins_soon_after_it(
    stage: Stage, dag_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    took: list[float] = []
    while len(took) < PUSHES:
        runs = [stage.start(dag_id, build) for build in BUILDS[: PUSHES - len(took)]]
        time.sleep(SETTLED)
        before = stage.polls()
        time.sleep(QUIET)
        assert stage.polls() == before
        for run in runs:
            ended = stage.end(run)
            took.append(stage.begun(run) - ended)
            # The next one is measured while nothing else is going on.
            wait_for(lambda run=run: stage.api.dag_run(run.dag_id, run.run_id)["state"] == "success")
            result = stage.api.xcom(run.dag_id, run.run_id, "build")
            assert (result["id"], result["state"]) == (run.build_run, "succeeded")
    figures = statistics.quantiles(took, n=100, method="inclusive")
    with capsys.disabled():
        print(
            f"\n{dag_id}: {len(took)} pushes, p50 {figures[49]:.2f} s, p99 {figures[98]:.2f} s, max {max(took):.2f} s"
        )
    assert max(took) < SOON
    wait_for(lambda: f"Not canceling build run {runs[-1].build_run}" in stage.log_of(runs[-1]))
    assert stage.cancels() == 0


def test_pushes_of_others_wrong_numbers_and_repeats_wake_nobody(stage: Stage) -> None:
    one, other = stage.start(ENDS, 12), stage.start(GOES_ON, 15)
    time.sleep(SETTLED)
    # A build that goes on, builds of which nobody knows, and those of others.
    assert stage.call_back(12, int(one.build_run)) == 200
    assert stage.call_back(12, 999_999) == 200
    assert stage.call_back(15, int(one.build_run), "ERROR") == 200
    stage.end(other)
    stage.begun(other)
    assert [stage.call_back(15, int(other.build_run)) for _ in range(3)] == [200] * 3
    wait_for(lambda: stage.api.dag_run(*other[:2])["state"] == "success")
    assert stage.state(*one[:2], "build") == "deferred"
    stage.end(one)
    stage.begun(one)
    wait_for(lambda: stage.api.dag_run(*one[:2])["state"] == "success")
    assert stage.task(*other[:2], "build")["try_number"] == stage.task(*one[:2], "build")["try_number"] == 1
    assert stage.cancels() == 0
