"""A deferral that ended without an event: the trigger crashed, or Airflow's scheduler timed it out."""

from __future__ import annotations

import time
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent

from airflow_provider.core.durations import MOST_CRASHES
from airflow_provider.core.waiting import Ending, Outcome, named_exactly
from airflow_provider.exceptions import ExecutionTimeout
from airflow_provider.execution import Execution, ExecutionState
from airflow_provider.operators.cocktail import CocktailCancelBuildOperator
from airflow_provider.sensors import base as sensors
from airflow_provider.sensors.cocktail import CocktailBuildSensor
from tests.support.attempts import Task
from tests.support.endings import FINISHED
from tests.support.starters import ARGUMENTS, EVERY_STARTER, STARTERS, Starter, started
from tests.support.systems import Systems
from tests.support.turns import in_turns

SLOW = 0.1
"""Speed of the sandbox at which nothing ends by itself."""
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


@pytest.mark.parametrize(("name", "has_timed_out"), in_turns(STARTERS))
def test_a_deferral_that_ended_without_an_event_finds_its_execution_again(systems, name, has_timed_out):
    """It has ended in the meantime: the task ends with its result."""
    starter, error = STARTERS[name], TIMED_OUT if has_timed_out else CRASHED
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


STRANGER = {"system": "quay", "kind": "build", "id": "of another task", "place": "https://quay.example.com"}


def event_of_another_wait() -> TriggerEvent:
    """Airflow's SQLite reuses the id of a trigger: the late event of an old one resumes the task of the new one."""
    ended = Execution(STRANGER, ExecutionState.SUCCEEDED, "complete").to_result()
    return TriggerEvent(Outcome(Ending.FINISHED, ended, waited_for=named_exactly(STRANGER)).to_event())


STRANGE = {
    "another execution": event_of_another_wait,
    "an approval": lambda: TriggerEvent({"ended": "elsewhere", "asked_as": "of another task"}),
    "another provider": lambda: TriggerEvent({"status": "success"}),
    "no mapping": lambda: TriggerEvent(True),
    "nothing": lambda: TriggerEvent(None),
}


@pytest.mark.parametrize("event", STRANGE)
def test_the_event_of_a_trigger_of_anybody_ends_no_wait(systems, event):
    """All triggers share one table: the id may have been that of another provider's trigger."""
    systems.reset(SLOW)
    deferred = Deferred(systems, STARTERS["cocktail"])
    assert deferred.task.resume(STRANGE[event]()).state == "deferred"
    deferred.finish()
    assert deferred.task.resume_without_event(CRASHED).state == "success"
    assert deferred.execution["cancels"] == []


@EVERY_STARTER
def test_an_event_of_another_wait_ends_none(systems, starter):
    systems.reset(SLOW)
    deferred = Deferred(systems, starter)
    assert deferred.task.resume(event_of_another_wait()).state == "deferred"
    deferred.finish()
    assert deferred.task.resume_without_event(CRASHED).state == "success"
    assert deferred.execution["cancels"] == []


def test_an_event_of_another_wait_ends_no_act_and_no_sensor(systems):
    systems.reset(SLOW)
    starter = STARTERS["cocktail"]
    run_seq = Deferred(systems, starter).execution["id"]
    sensor = Task(lambda: CocktailBuildSensor(task_id="wait", build_run_seq=run_seq, deferrable=True))
    assert sensor.attempt().state == sensor.resume(event_of_another_wait()).state == "deferred"
    act = Task(lambda: CocktailCancelBuildOperator(task_id="cancel", build_run_seq=run_seq, deferrable=True))
    assert act.attempt().state == act.resume(event_of_another_wait()).state == "deferred"
    assert len(systems.requests("cocktail", "PUT")) == 1


def test_an_event_of_another_wait_ends_no_sensor_that_has_started_in_the_triggerer(systems, mocker):
    """The scheduler that starts its trigger renders no template, so that it passes on no name of what is waited for."""
    mocker.patch.object(sensors, "in_dag_test", lambda: False)
    systems.reset(SLOW)
    execution_id = Deferred(systems, STARTERS["cocktail"]).execution["id"]
    number = f"{{{{ '{execution_id}' }}}}"
    sensor = Task(lambda: CocktailBuildSensor(task_id="wait", build_run_seq=number, start_from_trigger=True))
    started_in_triggerer(sensor)
    assert sensor.resume(event_of_another_wait()).state == "deferred"
    own = {"system": "cocktail", "kind": "build_run", "id": execution_id, "build_seq": "", "tag": ""}
    ended = Execution({**own, "place": "here"}, ExecutionState.SUCCEEDED, "DONE").to_result()
    sensor = Task(lambda: CocktailBuildSensor(task_id="wait", build_run_seq=number, start_from_trigger=True))
    started_in_triggerer(sensor)
    event = TriggerEvent(Outcome(Ending.FINISHED, ended, waited_for=named_exactly(own)).to_event())
    assert sensor.resume(event).state == "success"


def started_in_triggerer(task: Task) -> None:
    """What a scheduler does in the place of a worker."""

    def defer(ti: Any) -> None:
        ti.state, ti.next_method, ti.next_kwargs = "deferred", "execute_complete", {}
        ti.try_number += 1

    task.change(defer)


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
