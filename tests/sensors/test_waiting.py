"""What every sensor promises, in poke, reschedule and deferrable mode, in real Airflow against the sandbox."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import ConflictError, ExecutionFailed
from airflow_provider.sensors.cocktail import CocktailBuildSensor
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.attempts import Task
from tests.support.meanwhile import meanwhile
from tests.support.turns import PAUSES, in_rotation, in_turns
from tests.support.watched import WATCHED

MODES = {
    "poke": {"mode": "poke"},
    "deferrable": {"deferrable": True},
    "ended in the triggerer": {"deferrable": True, "finish_in_triggerer": True},
}
EVERY_MODE = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
EVERY_EXECUTION = pytest.mark.parametrize("watched", WATCHED.values(), ids=WATCHED)


def watch(build: Callable[..., Any], *args: Any, **arguments: Any) -> TaskRun:
    return run_task(lambda: build(*args, **{"task_id": "watch", "poke_interval": 0.3, **arguments}))


@EVERY_EXECUTION
@EVERY_MODE
def test_it_ends_with_what_it_watches(systems, watched, mode):
    execution_id = watched.start()
    ended = watch(watched.build, execution_id, **mode)
    assert ended.error is None
    assert ended.state == "success"
    assert ended.result["id"] == execution_id
    assert ended.result["state"] == "succeeded"
    assert ended.xcoms["id"] == execution_id


# How it ends is the core's part, which is one for all systems.
@pytest.mark.parametrize(("name", "mode"), in_rotation(WATCHED, MODES))
def test_a_failed_execution_fails_it_even_with_soft_fail(systems, name, mode):
    watched = WATCHED[name]
    execution_id = watched.start()
    systems.force(watched.system, execution_id, watched.failed)
    ended = watch(watched.build, execution_id, soft_fail=True, **MODES[mode])
    assert ended.state == "failed"
    assert isinstance(ended.error, ExecutionFailed)
    assert execution_id in str(ended.error)


@pytest.mark.parametrize(("name", "mode", "soft_fail"), in_turns(WATCHED, MODES))
def test_a_timeout_fails_or_skips_and_cancels_nothing(systems, name, mode, soft_fail):
    watched = WATCHED[name]
    systems.reset(speed=0.1)
    execution_id = watched.start()
    ended = watch(watched.build, execution_id, timeout=0.8, soft_fail=soft_fail, **MODES[mode])
    assert ended.state == ("skipped" if soft_fail else "failed")
    assert soft_fail or isinstance(ended.error, AirflowSensorTimeout)
    (execution,) = [each for each in systems.executions(watched.system) if each["id"] == execution_id]
    assert execution["cancels"] == []


@pytest.mark.parametrize(("asked", "in_worker"), in_turns(PAUSES))
def test_no_pause_that_a_system_asks_for_outlasts_a_sensor(systems, asked, in_worker):
    watched = WATCHED["code_stream"]
    systems.reset(speed=0.1)
    execution_id = watched.start()
    asks_for_a_pause = {"status": 429, "headers": {"Retry-After": asked}, "probability": 1.0}
    systems.fault(watched.system, "status", method="GET", path="/executions/", **asks_for_a_pause)
    begun = time.monotonic()
    ended = watch(watched.build, execution_id, timeout=0.8, deferrable=not in_worker)
    assert isinstance(ended.error, AirflowSensorTimeout)
    # Less than one of the pauses.
    assert time.monotonic() - begun < 20


@EVERY_EXECUTION
def test_a_connection_that_is_changed_between_two_polls_is_not_followed(systems, elsewhere, watched):
    for each in (systems, elsewhere):
        each.reset(speed=0.001)
    execution_id = watched.start()
    before = len(systems.requests(watched.system, "GET"))

    def change() -> bool:
        # Another system may have another execution with the same number.
        has_polled = len(systems.requests(watched.system, "GET")) > before + 4
        if has_polled:
            elsewhere.connect()
        return has_polled

    with meanwhile(change):
        ended = watch(watched.build, execution_id, mode="reschedule", timeout=60)
    assert isinstance(ended.error, ConflictError)
    assert all(url in str(ended.error) for url in (systems.url, elsewhere.url))
    assert elsewhere.requests(watched.system, "GET", execution_id) == []


@EVERY_EXECUTION
def test_a_connection_that_is_changed_before_a_deferral_crashes_is_not_followed(systems, elsewhere, watched):
    for each in (systems, elsewhere):
        each.reset(speed=0.001)
    execution_id = watched.start()
    task = Task(lambda: watched.build(execution_id, task_id="watch", deferrable=True))
    task.attempt()
    assert task.state == "deferred"
    elsewhere.connect()
    ended = task.resume_without_event("Trigger failure")
    assert isinstance(ended.error, ConflictError)
    assert all(url in str(ended.error) for url in (systems.url, elsewhere.url))
    assert elsewhere.requests(watched.system, "GET", execution_id) == []


MAY_BE_TAKEN_BACK = pytest.mark.parametrize(
    ("name", "settling", "going_on", "end", "success"),
    [
        ("code_stream", "failed_settling", "RUNNING", "FAILED", "COMPLETED"),
        ("quay", "expired_settling", "building", "expired", "complete"),
    ],
)


def watch_one_that_goes(systems: Any, name: str, going_on: str, *steps: tuple[int, str]) -> TaskRun:
    """A sensor in reschedule mode, and an execution whose state is forced meanwhile.

    :param steps: after how many polls since the state before, and to what.
    """
    systems.reset(speed=0.001)
    watched = WATCHED[name]
    execution_id = watched.start()
    systems.force(name, execution_id, going_on)
    left, seen = list(steps), 0

    def force_the_next() -> bool:
        nonlocal seen
        polls = len(systems.requests(name, "GET", execution_id))
        if left and polls >= seen + left[0][0]:
            systems.force(name, execution_id, left.pop(0)[1])
            seen = polls
        return not left

    with meanwhile(force_the_next):
        return watch(watched.build, execution_id, mode="reschedule")


@MAY_BE_TAKEN_BACK
def test_an_end_that_is_taken_back_ends_no_sensor_that_polls_from_one_process_after_the_other(
    systems, mocker, name, settling, going_on, end, success
):
    mocker.patch.object(DURATIONS, settling, 3600.0)
    ended = watch_one_that_goes(systems, name, going_on, (1, end), (4, going_on), (1, success))
    assert ended.error is None
    assert ended.result["status"] == success


@MAY_BE_TAKEN_BACK
def test_an_end_that_may_be_taken_back_counts_after_a_while_in_reschedule_mode_too(
    systems, mocker, name, settling, going_on, end, success
):
    mocker.patch.object(DURATIONS, settling, 0.5)
    ended = watch_one_that_goes(systems, name, going_on, (1, end))
    assert isinstance(ended.error, ExecutionFailed)


def test_an_interval_that_grows_can_be_computed_after_any_number_of_polls():
    # Airflow has no public name for it.
    for max_wait in (None, 60.0):
        sensor = CocktailBuildSensor(task_id="wait", build_run_seq=1, exponential_backoff=True, max_wait=max_wait)
        interval = sensor._get_next_poke_interval(0.0, lambda: 0.0, 5000)  # noqa: SLF001
        assert 0 < interval <= (max_wait or sensor.timeout)
