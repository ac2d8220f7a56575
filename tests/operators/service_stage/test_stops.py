"""The operator that stops a release."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.exceptions import ConflictError
from airflow_provider.operators.service_stage import ServiceStageStopReleaseOperator
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.attempts import Task, WorkerKilled
from tests.support.patching import patched
from tests.support.service_stage_tasks import BOTH_MODES, SHOP, SLOW, actions, cancels, start, state_of
from tests.support.until import until


def stop(**arguments: Any) -> TaskRun:
    return run_task(lambda: ServiceStageStopReleaseOperator(task_id="stop", poll_interval=0.1, **arguments))


@BOTH_MODES
def test_a_running_release_is_stopped(systems, deferrable):
    systems.switch("service_stage", task_seconds=1e6)
    execution_id = start()
    ended = stop(pipeline=SHOP, deferrable=deferrable)
    assert ended.error is None
    assert (ended.result["id"], ended.result["status"]) == (execution_id, "7")
    assert ended.xcoms["id"] == execution_id
    assert (state_of(systems, execution_id), cancels(systems)) == ("7", 1)


def test_a_release_that_is_stopping_is_not_stopped_again(systems):
    systems.reset(speed=SLOW)
    systems.force("service_stage", start(), "13")
    ended = stop(pipeline=SHOP, wait_for_completion=False)
    assert (ended.error, ended.result["state"], ended.result["status"]) == (None, "running", "13")
    assert actions(systems) == ["start"]


def test_a_retry_of_a_stop_leaves_the_version_alone_that_was_started_since(systems):
    systems.switch("service_stage", task_seconds=1e6)
    stopped = start()
    task = Task(lambda: ServiceStageStopReleaseOperator(task_id="stop", pipeline=SHOP, poll_interval=0.1))

    def dying(client: Any, target: Any) -> None:
        client.releases.stop(target.ref)
        raise WorkerKilled

    with patched(task.operator, "act", dying):
        assert isinstance(task.attempt().error, WorkerKilled)
    until(lambda: state_of(systems, stopped) == "7")
    fixed = start()
    again = task.attempt()
    assert again.error is None
    assert (state_of(systems, stopped), state_of(systems, fixed)) == ("7", "4")
    assert actions(systems) == ["start", "stop", "start"]


def test_a_retry_of_a_stop_of_what_had_stopped_leaves_the_version_alone_that_was_started_since(systems):
    systems.switch("service_stage", task_seconds=1e6)
    systems.force("service_stage", start(), "7")
    task = Task(lambda: ServiceStageStopReleaseOperator(task_id="stop", pipeline=SHOP, poll_interval=0.1))

    def die(*_: Any) -> None:
        raise WorkerKilled

    with patched(task.operator, "publish", die):
        assert isinstance(task.attempt().error, WorkerKilled)
    fixed = start()
    assert task.attempt().error is None
    assert state_of(systems, fixed) == "4"
    assert actions(systems) == ["start", "start"]


@pytest.mark.parametrize("fault", ["reset_after", "truncate"])
def test_a_stop_whose_answer_was_lost_counts_once_it_shows(systems, fault):
    systems.reset(speed=2)
    start()
    systems.fault("service_stage", fault, method="POST", path="/action$")
    ended = stop(pipeline=SHOP)
    assert (ended.error, ended.result["status"]) == (None, "7")
    assert actions(systems) == ["start", "stop"]


def test_a_stop_may_return_as_soon_as_it_was_accepted(systems):
    systems.reset(speed=SLOW)
    execution_id = start()
    ended = stop(pipeline=SHOP, wait_for_completion=False)
    assert (ended.state, ended.result["status"]) == ("success", "13")
    assert state_of(systems, execution_id) == "13"


@BOTH_MODES
@pytest.mark.parametrize("status", ["2", "3", "7", "11"])
def test_a_release_that_is_over_counts_as_stopped_and_is_left_alone(systems, deferrable, status):
    systems.force("service_stage", start(), status)
    ended = stop(pipeline=SHOP, deferrable=deferrable)
    assert (ended.state, ended.result["status"]) == ("success", status)
    assert actions(systems) == ["start"]


def test_a_release_task_that_was_never_executed_cannot_be_stopped(systems):
    ended = stop(pipeline=SHOP)
    assert isinstance(ended.error, ConflictError)
    assert "never executed" in str(ended.error)
