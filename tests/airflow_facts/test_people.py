"""Which states people and policies leave in Airflow 3.3.2."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.utils.state import TaskInstanceState

from tests.airflow_facts.real import RealTask, defer, fail


@pytest.mark.parametrize("state", [TaskInstanceState.SUCCESS, TaskInstanceState.FAILED])
@pytest.mark.parametrize("before", ["running", "deferred", "up_for_retry", "queued"])
def test_a_mark_keeps_numbers_and_id(state: TaskInstanceState, before: str) -> None:
    task = RealTask().queue()
    ways: dict[str, Callable[[], Any]] = {
        "running": task.begin,
        "deferred": lambda: task.run(defer),
        "up_for_retry": lambda: task.run(fail),
        "queued": lambda: None,
    }
    ways[before]()
    attempt = (task.id, task.numbers, task.clear_number)
    assert task.state == before
    task.mark_by_hand(state)
    assert (task.state, (task.id, task.numbers, task.clear_number)) == (state, attempt)


def test_a_second_clear_schedules_a_task_whose_process_has_not_ended_yet() -> None:
    task = RealTask(retries=3).queue()
    task.begin()
    task.clear()
    task.clear()
    assert (task.state, task.numbers) == (None, (1, 4))
    task.queue().begin()
    assert task.numbers == (2, 4)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("running", "failed"),
        ("deferred", "skipped"),
        ("queued", "skipped"),
        ("up_for_retry", "skipped"),
        (None, "skipped"),
        ("success", "success"),
    ],
)
def test_fail_fast_fails_what_runs_and_skips_what_waits(before: str | None, after: str) -> None:
    task = RealTask(retries=0, fail_fast=True).queue()
    task.put_beside(before)
    task.run(fail)
    assert (task.state, task.state_beside) == ("failed", after)


@pytest.mark.parametrize("before", ["running", "deferred", "queued", "up_for_retry", "restarting", None])
def test_dagrun_timeout_skips_whatever_is_not_over(before: str | None) -> None:
    task = RealTask(dagrun_timeout=timedelta(microseconds=1))
    task.put_beside(before)
    task.schedule()
    assert task.state_beside == "skipped"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("running", "failed"),
        ("deferred", "failed"),
        ("queued", "skipped"),
        ("up_for_retry", "skipped"),
        (None, "skipped"),
    ],
)
def test_who_fails_a_run_fails_what_runs_or_is_deferred_and_skips_the_rest(before: str | None, after: str) -> None:
    task = RealTask()
    task.put_beside(before)
    task.fail_run()
    assert task.state_beside == after
