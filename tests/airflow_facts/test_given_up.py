"""What Airflow 3.3.2 refuses to an attempt that it has given up, and what the end of one causes."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.jobs.job import JobState
from airflow.sdk.api.client import ServerResponseError

from airflow_provider.operators.attempt import TaskAnswer, ask_in_time
from tests.airflow_facts.processes import Notes, end_after
from tests.airflow_facts.real import RealTask, client, defer, fail, job_of_scheduler, scheduler, succeed

# Requests of an attempt that Airflow has given up


def test_a_queued_task_that_was_marked_cannot_begin() -> None:
    task = RealTask().queue()
    task.mark_failed()
    with pytest.raises(ServerResponseError) as refused:
        task.begin()
    assert refused.value.response.status_code == 409


def test_a_queued_task_that_was_cleared_cannot_begin() -> None:
    task = RealTask().queue()
    stale = task.identity()
    task.clear()
    with pytest.raises(ServerResponseError) as refused:
        client().task_instances.start(stale.id, os.getpid(), datetime.now(UTC))
    assert refused.value.response.status_code == 404


@pytest.mark.parametrize("script", [succeed, fail, defer])
@pytest.mark.parametrize(("act", "state"), [(RealTask.mark_success, "success"), (RealTask.clear, "restarting")])
def test_what_a_given_up_attempt_reports_of_its_end_changes_nothing(
    act: Callable[[RealTask], None], state: str, script: Callable[..., Any], notes: Notes
) -> None:
    task = RealTask().queue()
    end_after(task, act, script, notes)
    assert task.state == state


@pytest.mark.parametrize(
    ("script", "retries", "state", "max_tries"),
    [(succeed, 0, None, 1), (fail, 1, None, 2), (fail, 0, "up_for_retry", 0), (defer, 0, None, 1)],
)
def test_a_clear_sets_max_tries_when_its_attempt_ends_by_itself_unless_that_was_a_failure_of_the_last_try(
    script: Callable[..., Any], retries: int, state: str | None, max_tries: int, notes: Notes
) -> None:
    task = RealTask(retries=retries).queue()
    is_clean = end_after(task, RealTask.clear, script, notes)
    task.process_ended(is_clean=is_clean)
    assert (task.state, task.max_tries) == (state, max_tries)


def push_an_xcom(operator: Any, context: Any) -> None:
    context["ti"].xcom_push("of", "the attempt that was given up")


def test_a_given_up_attempt_can_overwrite_an_xcom_of_the_next_one(notes: Notes) -> None:
    task = RealTask().queue()

    def clear_and_push(cleared: RealTask) -> None:
        cleared.clear()
        cleared.push_xcom("of", "the next attempt")

    end_after(task, clear_and_push, push_an_xcom, notes)
    assert task.xcoms()["of"] == "the attempt that was given up"


# Who has ended it?


def fail_elsewhere(task: RealTask) -> None:
    """A new scheduler resets the task, and its next attempt fails."""
    task.enqueue(job_of_scheduler(JobState.FAILED))
    scheduler().adopt_or_reset_orphaned_tasks()
    task.queue().mark_failed()


@pytest.mark.parametrize(
    ("act", "answer"),
    [
        (RealTask.mark_failed, TaskAnswer("failed", is_stale=False)),
        (RealTask.clear, TaskAnswer("restarting", is_stale=True)),
        (fail_elsewhere, TaskAnswer("failed", is_stale=True)),
    ],
)
def test_an_attempt_can_ask_whether_airflow_has_given_it_up(
    act: Callable[[RealTask], None], answer: TaskAnswer, notes: Notes
) -> None:
    task = RealTask(retries=0).queue()
    end_after(task, act, lambda operator, context: notes.write(ask_in_time(context)), notes)
    assert notes.read() == ["go on", str(answer)]
