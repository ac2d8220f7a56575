"""How Airflow 3.3.2 counts: ``max_tries``, ``try_number``, the run's ``clear_number``, and a task instance's id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.executors.local_executor import LocalExecutor
from airflow.jobs.job import JobState
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider.core.generation import Attempt
from airflow_provider.operators.attempt import attempt_of
from tests.airflow_facts.real import RealTask, defer, fail, job_of_scheduler, scheduler, succeed


def fail_for_good(operator: Any, context: Any) -> None:
    raise AirflowFailException


def stay_queued(task: RealTask) -> None:
    assert task.state == "queued"


WAYS: dict[str, Callable[[RealTask], Any]] = {
    "success": lambda task: task.run(succeed),
    "failed": lambda task: task.run(fail_for_good),
    "up_for_retry": lambda task: task.run(fail),
    "deferred": lambda task: task.run(defer),
    "queued": stay_queued,
}


def test_an_automatic_retry_leaves_max_tries_and_counts_a_try() -> None:
    task = RealTask(retries=2)
    assert (task.try_number, task.max_tries) == (0, 2)
    for number in (1, 2, 3):
        task.queue()
        assert task.numbers == (number, 2)
        task.run(fail)
    assert task.state == "failed"


@pytest.mark.parametrize("state", WAYS)
def test_a_clear_sets_max_tries_to_try_number_plus_retries(state: str) -> None:
    task = RealTask(retries=3).queue()
    WAYS[state](task)
    assert (task.state, task.numbers) == (state, (1, 3))
    task.clear()
    assert (task.state, task.numbers) == (None, (1, 4))
    task.queue()
    assert task.numbers == (2, 4)


def test_a_clear_after_retries_were_lowered_by_one_sets_max_tries_to_the_same_number() -> None:
    task = RealTask(retries=3).queue()
    task.run(succeed)
    task.deploy_retries(2)
    assert task.max_tries == 3
    task.clear()
    assert task.max_tries == 3


def test_a_clear_of_a_running_task_leaves_max_tries_until_its_process_has_ended() -> None:
    task = RealTask(retries=3).queue()
    task.begin()
    task.clear()
    assert (task.state, task.numbers) == ("restarting", (1, 3))
    task.process_ended(is_clean=True)
    assert (task.state, task.numbers) == (None, (1, 4))
    task.queue()
    assert task.numbers == (2, 4)


@pytest.mark.parametrize("end", ["its worker is gone", "its supervisor has failed"])
@pytest.mark.parametrize("retries", [0, 3])
def test_a_clear_of_a_task_whose_worker_dies_leaves_max_tries_and_leads_to_a_retry_beyond_it(
    end: str, retries: int
) -> None:
    task = RealTask(retries=retries).queue()
    task.begin()
    task.clear()
    if end == "its worker is gone":
        task.miss_heartbeats()
    else:
        task.process_ended(is_clean=False)
    assert (task.state, task.numbers) == ("up_for_retry", (1, retries))
    task.queue()
    assert task.numbers == (2, retries)


def test_each_clear_of_any_task_of_a_run_counts_in_its_clear_number() -> None:
    task = RealTask().queue()
    task.run(succeed)
    assert task.clear_number == 0
    task.clear()
    task.queue().begin()
    task.clear()
    task.clear_beside()
    assert task.clear_number == 3


def test_a_clear_that_leaves_the_run_alone_does_not_count_in_its_clear_number() -> None:
    task = RealTask(retries=3).queue()
    task.run(succeed)
    task.clear_but_not_the_run()
    assert (task.state, task.numbers, task.clear_number) == (None, (1, 4), 0)


def test_an_automatic_retry_does_not_count_in_the_clear_number() -> None:
    task = RealTask().queue()
    task.run(fail)
    task.queue().run(fail)
    assert task.clear_number == 0


def test_a_worker_knows_all_of_these_numbers() -> None:
    attempts: list[Attempt] = []
    task = RealTask(retries=3).queue()
    task.run(lambda operator, context: attempts.append(attempt_of(context)))
    task.clear()
    task.queue().run(lambda operator, context: attempts.append(attempt_of(context)))
    assert attempts == [Attempt(1, 3, 0, 3), Attempt(2, 4, 1, 3)]


def test_a_worker_has_the_retries_that_are_deployed_now() -> None:
    attempts: list[Attempt] = []
    task = RealTask(retries=3).queue()
    task.run(fail)
    task.deploy_retries(1)
    task.queue().run(lambda operator, context: attempts.append(attempt_of(context)))
    assert attempts == [Attempt(2, 3, 0, 1)]


def test_a_deferral_keeps_try_number_and_id() -> None:
    task = RealTask().queue()
    before = (task.id, task.numbers)
    task.run(defer)
    assert (task.state, task.id, task.numbers) == ("deferred", *before)
    task.resume_by_event()
    assert (task.state, task.id, task.numbers) == ("queued", *before)


def test_a_retry_gets_another_id_when_the_attempt_before_it_fails() -> None:
    task = RealTask().queue()
    first = task.id
    task.run(fail)
    second = task.id
    assert (task.state, second == first) == ("up_for_retry", False)
    task.queue().begin()
    assert task.id == second


def test_the_last_failure_keeps_the_id() -> None:
    task = RealTask(retries=0).queue()
    first = task.id
    task.run(fail)
    assert (task.state, task.id) == ("failed", first)


@pytest.mark.parametrize("state", [*WAYS, "running"])
def test_a_clear_gives_another_id_at_once(state: str) -> None:
    task = RealTask().queue()
    if state == "running":
        task.begin()
    else:
        WAYS[state](task)
    before = task.id
    task.clear()
    assert task.id != before


@pytest.mark.parametrize("state", ["running", "queued"])
def test_a_new_scheduler_counts_a_try_beyond_max_tries_although_nobody_has_cleared_anything(state: str) -> None:
    # Executors that cannot take over the processes of a scheduler that is gone, LocalExecutor among them.
    assert LocalExecutor.try_adopt_task_instances is type(scheduler().executor).try_adopt_task_instances
    task = RealTask(retries=0).queue()
    if state == "running":
        task.begin()
    task.enqueue(job_of_scheduler(JobState.FAILED))
    before = task.id
    scheduler().adopt_or_reset_orphaned_tasks()
    assert (task.state, task.numbers, task.clear_number, task.id == before) == (None, (1, 0), 0, False)
    task.queue()
    assert task.numbers == (2, 0)


def test_a_new_scheduler_makes_a_resumed_task_begin_again() -> None:
    task = RealTask().queue()
    task.run(defer)
    task.resume_by_event()
    assert task.next_method == "execute_complete"
    task.enqueue(job_of_scheduler(JobState.FAILED))
    scheduler().adopt_or_reset_orphaned_tasks()
    task.queue()
    assert (task.numbers, task.next_method) == ((2, 3), None)
