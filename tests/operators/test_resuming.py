"""A deferral that ended without an event: the trigger crashed, or Airflow's scheduler timed it out."""

from __future__ import annotations

import time
from typing import Any

import pytest

from airflow_provider.core.durations import MOST_CRASHES
from airflow_provider.exceptions import ExecutionTimeout
from tests.attempts import Task
from tests.operators.test_starting import ARGUMENTS, EVERY_STARTER, STARTERS, Starter, started
from tests.systems import Systems

SLOW = 0.1
"""Speed of the sandbox at which nothing ends by itself."""
FINISHED = {"code_stream": "COMPLETED", "service_stage": "2", "cocktail": "DONE", "quay": "complete"}
CRASHED, TIMED_OUT = "Trigger failure", "Trigger timeout"


class Deferred:
    """A task that has started something and is deferred."""

    def __init__(self, systems: Systems, starter: Starter, **arguments: Any) -> None:
        self._systems, self._starter = systems, starter
        self._before = systems.executions(starter.system)
        self.task = Task(lambda: starter.build(systems, **ARGUMENTS, deferrable=True, **arguments))
        assert self.task.attempt().state == "deferred"

    @property
    def execution(self) -> dict[str, Any]:
        (execution,) = started(self._systems, self._starter, self._before)
        return execution

    def finish(self) -> None:
        self._systems.force(self._starter.system, self.execution["id"], FINISHED[self._starter.system])


@EVERY_STARTER
@pytest.mark.parametrize("error", [CRASHED, TIMED_OUT])
def test_a_deferral_that_ended_without_an_event_finds_its_execution_again(systems, starter, error):
    """It has ended meanwhile: the task ends with its result."""
    systems.reset(SLOW)
    deferred = Deferred(systems, starter)
    deferred.finish()
    assert deferred.task.resume_without_event(error).state == "success"
    assert deferred.execution["cancels"] == []


@EVERY_STARTER
def test_what_still_runs_is_waited_for_again_and_after_some_crashes_in_the_worker(systems, starter):
    systems.reset(SLOW)
    deferred = Deferred(systems, starter)
    for _ in range(MOST_CRASHES):
        assert deferred.task.resume_without_event(CRASHED).state == "deferred"
    deferred.finish()
    assert deferred.task.resume_without_event(CRASHED).state == "success"
    assert deferred.execution["cancels"] == []


@EVERY_STARTER
def test_what_is_past_its_deadline_is_canceled_once(systems, starter):
    systems.reset(SLOW)
    deferred = Deferred(systems, starter, timeout=1.5)
    time.sleep(1.5)
    ended = deferred.task.resume_without_event(TIMED_OUT)
    assert isinstance(ended.error, ExecutionTimeout)
    assert len(deferred.execution["cancels"]) == 1


def test_a_vendor_that_is_down_when_the_trigger_crashes_loses_nothing(systems):
    starter = STARTERS["service_stage"]
    deferred = Deferred(systems, starter)
    systems.fault(starter.system, "status", method="GET", status=503, times=6)
    resumed = deferred.task.resume_without_event(CRASHED)
    assert resumed.state == "deferred"
    assert deferred.execution["cancels"] == []
