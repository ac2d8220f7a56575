"""Who ended it? A person, a machine, a policy of the DAG, or somebody at the vendor: each has its own end.

What Airflow 3.3.2 leaves in each case is held to the real one in tests/airflow_facts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowTaskTimeout
from pytest_mock import MockerFixture

from airflow_provider import freeze_watch
from airflow_provider.core.commands import Cancel, Command, Observe, Pause
from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import ConflictError, ExecutionCanceled, ExecutionTimeout
from airflow_provider.hooks.base import hook_class
from airflow_provider.operators.starting import StartOperator
from airflow_provider.task_instances import task_state
from airflow_provider.triggers import execution
from tests.chaos.vendors import ENDED
from tests.support.attempts import WorkerKilled
from tests.support.meanwhile import meanwhile
from tests.support.patching import patched
from tests.support.story import EVERY_STARTER, SLOW, STARTERS, Story, let_nothing_end_by_itself, terminate
from tests.support.turns import in_rotation
from tests.support.until import until

ONE_START = {"starts": 1, "cancels": 0}
ONE_CANCEL = {"starts": 1, "cancels": 1}
FROZEN = 400.0
"""Seconds; Airflow gives a worker up after 300, and a triggerer after 30."""


def waits(command: Command) -> bool:
    """Whether the task is about to wait in the worker."""
    return isinstance(command, Pause)


def polls(command: Command) -> bool:
    return isinstance(command, Observe)


# --- a clear, and an execution that is not over


# What an error of a cancel means is the core's part, which is one for all systems.
@pytest.mark.parametrize(("name", "status"), in_rotation(STARTERS, [503, 403]))
def test_a_cleared_task_starts_nothing_beside_what_cannot_be_canceled_and_names_it(systems, name, status):
    starter = STARTERS[name]
    let_nothing_end_by_itself(systems)
    story = Story(systems, starter, deferrable=True)
    story.attempt_and_die(remembered=True)
    story.task.clear()
    for method in ("POST", "PUT", "DELETE"):
        systems.fault(starter.system, "status", method=method, status=status, times=1000)
    with patched(DURATIONS, "cleared_limit", 1.5):
        for _ in "the next attempt", "its retry":
            error = story.attempt().error
            assert isinstance(error, ConflictError)
            assert f"{story.executions()[0]['id']} at {systems.url}" in str(error)
            assert "could not be canceled" in str(error)
    assert (story.seen(), story.starts_sent()) == (ONE_START, 1)
    systems.clear_faults()
    assert story.attempt().state == "deferred"
    assert story.cancels() == [1, 0]


@pytest.mark.parametrize("name", ["code_stream pipeline", "code_stream rerun"])
def test_what_is_paused_continues_one_day_and_is_canceled_after_a_clear(systems, name):
    let_nothing_end_by_itself(systems)
    story = Story(systems, STARTERS[name], deferrable=True)
    story.attempt_and_die(remembered=True)
    systems.force("code_stream", story.executions()[0]["id"], "PAUSED")
    story.task.clear()
    assert story.attempt().state == "deferred"
    assert story.cancels() == [1, 0]


# --- execution_timeout


@EVERY_STARTER
def test_what_its_execution_timeout_has_canceled_is_over_for_the_retry_too(systems, starter):
    """A stop of ServiceStage leaves "paused", which a retry would otherwise go on waiting for."""
    let_nothing_end_by_itself(systems)
    story = Story(systems, starter, deferrable=False, execution_timeout=timedelta(hours=1))

    def time_out(operator: StartOperator) -> None:
        raise AirflowTaskTimeout

    with story.when(waits, time_out):
        ended = story.attempt()
    assert (type(ended.error), ended.state) == (AirflowTaskTimeout, "up_for_retry")
    assert story.seen() == ONE_CANCEL
    story.deploy(deferrable=True)
    assert story.attempt().state == "deferred"
    assert story.cancels() == [1, 0]
    assert story.record["ref"]["id"] == story.executions()[1]["id"]


# --- a machine


def freeze(mocker: MockerFixture) -> None:
    """From now on it looks as if this process had not run for long: only the clock advanced."""
    clock = freeze_watch.clock
    mocker.patch.object(freeze_watch, "clock", lambda: clock() + FROZEN)


@pytest.mark.parametrize("state", ["failed", "success", "skipped"])
def test_a_worker_that_was_frozen_takes_no_state_for_a_persons_act(systems, state, mocker, capsys):
    """A heartbeat time-out leaves "failed" on the last attempt, and the attempts after it leave anything."""
    systems.reset(SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=False)

    def act() -> None:
        story.task.mark(state)
        freeze(mocker)
        terminate()

    story.attempt_while(act)
    assert story.seen() == ONE_START
    log = capsys.readouterr().out
    assert f"Not canceling execution {story.executions()[0]['id']}" in log
    assert "this worker did not run for" in log
    assert "If a person ended the task, cancel it manually" in log


class Triggerer:
    """Runs the wait of a task that has deferred; another triggerer may have taken that over since."""

    def __init__(self, story: Story) -> None:
        self._story = story
        execution.freeze_watch()
        self._trigger = story.task.trigger(story.attempt())

    def comes_back(self) -> None:
        """And ends the wait, which is not its own any more."""
        self._story.task.kill(self._trigger)


@pytest.fixture
def triggerer() -> Iterator[type[Triggerer]]:
    execution.freeze_watch.cache_clear()
    yield Triggerer
    execution.freeze_watch().stop()
    execution.freeze_watch.cache_clear()


@EVERY_STARTER
def test_a_triggerer_that_comes_back_while_the_task_waits_in_a_queue_cancels_nothing(systems, starter, triggerer):
    systems.reset(SLOW)
    story = Story(systems, starter, deferrable=True)
    waiting = triggerer(story)
    story.task.mark("queued")
    waiting.comes_back()
    assert story.task.resume_without_event("Trigger timeout").state == "deferred"
    assert story.seen() == ONE_START


def test_a_triggerer_that_comes_back_when_a_new_scheduler_has_reset_the_task_cancels_nothing(systems, triggerer):
    """As after a clear, the task has no state then; a clear shows in that its next attempt deletes the XComs."""
    systems.reset(SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=True)
    waiting = triggerer(story)
    story.task.mark(None)
    waiting.comes_back()
    assert story.seen() == ONE_START


def test_a_triggerer_that_comes_back_while_a_worker_has_resumed_the_task_cancels_nothing(systems, triggerer):
    systems.reset(SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=True)
    waiting = triggerer(story)
    with story.when(polls, lambda operator: waiting.comes_back()):
        assert story.task.resume_without_event("Trigger timeout").state == "deferred"
    assert story.seen() == ONE_START


@pytest.mark.parametrize("state", ["failed", "up_for_retry"])
def test_a_triggerer_that_comes_back_when_a_resumed_worker_has_died_cancels_nothing(systems, state, triggerer):
    systems.reset(SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=True)
    waiting = triggerer(story)

    def die(operator: StartOperator) -> None:
        raise WorkerKilled

    with story.when(polls, die):
        story.task.resume_without_event("Trigger timeout")
    # What Airflow makes of that, with tries left and without.
    story.task.mark(state)
    waiting.comes_back()
    assert story.seen() == ONE_START


@pytest.fixture
def impatient(mocker: MockerFixture) -> None:
    """An Airflow that gives up workers and triggerers soon, and processes that were frozen for longer than that."""
    mocker.patch.dict(
        os.environ,
        AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT="20",
        AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD="10",
    )
    mocker.patch(f"{__name__}.FROZEN", 15.0)


@pytest.mark.usefixtures("impatient")
def test_a_worker_that_an_impatient_airflow_may_have_given_up_takes_no_state_for_a_persons_act(systems, mocker):
    systems.reset(SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=False)

    def act() -> None:
        story.task.mark("failed")
        freeze(mocker)
        terminate()

    story.attempt_while(act)
    assert story.seen() == ONE_START


@pytest.mark.usefixtures("impatient")
def test_a_triggerer_that_an_impatient_airflow_may_have_given_up_takes_no_state_for_a_persons_act(
    systems, triggerer, mocker
):
    systems.reset(SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=True)
    waiting = triggerer(story)
    story.task.mark("failed")
    freeze(mocker)
    waiting.comes_back()
    assert story.seen() == ONE_START


@pytest.mark.parametrize("state", ["failed", "skipped", "success"])
def test_a_triggerer_that_stalled_takes_no_state_for_a_persons_act(systems, state, triggerer, mocker, capsys):
    systems.reset(SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=True)
    waiting = triggerer(story)
    story.task.mark(state)
    freeze(mocker)
    waiting.comes_back()
    assert story.seen() == ONE_START
    assert "this triggerer did not run for" in capsys.readouterr().out


# --- a person


@EVERY_STARTER
def test_a_clear_is_a_persons_act_although_the_next_attempt_runs_before_it_has_deleted_the_xcoms(
    systems, starter, triggerer, mocker
):
    systems.reset(SLOW)
    mocker.patch.object(DURATIONS, "undecided_limit", 60.0)
    story = Story(systems, starter, deferrable=True)
    waiting = triggerer(story)
    story.task.clear()
    story.task.begin_another_attempt()
    asked = []

    def asked_twice_before_they_are_gone(**where: Any) -> str:
        asked.append(where)
        if len(asked) == 3:
            story.task.forget_xcoms()
        return task_state(**where)

    mocker.patch.object(execution, "task_state", asked_twice_before_they_are_gone)
    waiting.comes_back()
    assert story.seen() == ONE_CANCEL


def test_a_run_that_is_deleted_while_its_task_is_deferred_takes_its_execution_along(systems, triggerer, capsys):
    systems.reset(SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=True)
    waiting = triggerer(story)
    story.task.delete_run()
    waiting.comes_back()
    assert story.seen() == ONE_CANCEL
    assert "the task is gone" in capsys.readouterr().out


@EVERY_STARTER
def test_what_a_task_leaves_behind_that_was_marked_while_up_for_retry_ends_when_it_is_cleared(systems, starter):
    """No process of the task is there to learn of the mark: nothing is canceled before that."""
    let_nothing_end_by_itself(systems)
    story = Story(systems, starter, deferrable=True)
    story.attempt_and_die(remembered=True)
    story.task.mark("up_for_retry")
    story.task.mark("failed")
    assert story.seen() == ONE_START
    story.task.clear()
    assert story.attempt().state == "deferred"
    assert story.cancels() == [1, 0]


# --- a policy of the DAG


POLICIES = {"fail_fast": ("failed", "skipped"), "dagrun_timeout": ("skipped", "skipped")}
"""The state in which each leaves a task that runs, and one that is deferred."""


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_that_ends_a_running_task_cancels_and_the_log_says_who_it_may_have_been(systems, policy, capsys):
    systems.reset(SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=False)
    state, _ = POLICIES[policy]

    def act() -> None:
        story.task.mark(state)
        terminate()

    story.attempt_while(act)
    assert story.seen() == ONE_CANCEL
    assert f"the task is {state}: ended by a person, by fail_fast or by dagrun_timeout" in capsys.readouterr().out


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_that_ends_a_deferred_task_cancels_and_the_log_says_who_it_may_have_been(
    systems, policy, triggerer, capsys
):
    systems.reset(SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=True)
    waiting = triggerer(story)
    _, state = POLICIES[policy]
    story.task.mark(state)
    waiting.comes_back()
    assert story.seen() == ONE_CANCEL
    assert f"the task is {state}: ended by a person, by fail_fast or by dagrun_timeout" in capsys.readouterr().out


# --- somebody at the vendor


def cancel_there(story: Story) -> None:
    """A colleague cancels it in the system itself, and it ends."""
    with hook_class(story.starter.system)(story.task.operator.conn_id).get_conn() as client:
        client.cancel(story.record["ref"], "by hand")
    until(lambda: story.executions()[0]["state"] in ENDED, seconds=60)


def seen_by_the_triggerer(story: Story) -> Any:
    trigger = story.task.trigger(story.attempt())
    cancel_there(story)
    return story.task.resume(story.task.fire(trigger))


def seen_by_the_worker(story: Story) -> Any:
    story.deploy(deferrable=False)

    def cancel_it() -> bool:
        if not story.executions():
            return False
        until(lambda: story.record["ref"])
        cancel_there(story)
        return True

    with meanwhile(cancel_it):
        return story.attempt()


def seen_by_the_next_attempt(story: Story) -> Any:
    story.attempt_and_die(remembered=True)
    cancel_there(story)
    return story.attempt()


SEEN = (seen_by_the_triggerer, seen_by_the_worker, seen_by_the_next_attempt)
CANCELABLE = [name for name, starter in STARTERS.items() if starter.system != "service_stage"]
"""A stop of ServiceStage only pauses."""


# Who sees it makes a difference to the core only, which is one for all systems.
@pytest.mark.parametrize(("name", "see"), in_rotation(CANCELABLE, SEEN))
def test_what_somebody_canceled_at_the_vendor_is_not_started_again(systems, name, see: Callable[..., Any]):
    starter = STARTERS[name]
    let_nothing_end_by_itself(systems)
    story = Story(systems, starter, deferrable=True)
    ended = see(story)
    assert isinstance(ended.error, ExecutionCanceled)
    assert isinstance(ended.error, AirflowFailException), "Airflow would try again"
    assert (ended.state, story.starts_sent()) == ("failed", 1)
    story.task.clear()
    story.deploy(deferrable=True)
    assert story.attempt().state == "deferred"
    assert len(story.executions()) == 2


@pytest.mark.parametrize(("name", "see"), in_rotation(CANCELABLE, reversed(SEEN)))
def test_what_somebody_canceled_at_the_vendor_is_started_again_by_who_wants_it(systems, name, see: Callable[..., Any]):
    starter = STARTERS[name]
    let_nothing_end_by_itself(systems)
    story = Story(systems, starter, deferrable=True, on_canceled="retry")
    ended = see(story)
    if see is not seen_by_the_next_attempt:
        assert (ended.state, story.starts_sent()) == ("up_for_retry", 1)
        story.deploy(deferrable=True, on_canceled="retry")
        ended = story.attempt()
    assert ended.state == "deferred"
    assert story.starts_sent() == 2


# --- nobody: there is nothing to end


def test_a_rerun_that_leads_nowhere_is_over_at_its_deadline_at_once(systems, mocker):
    mocker.patch.object(DURATIONS, "deadline_cancel_limit", 30.0)
    systems.switch("code_stream", rerun="message_only")
    story = Story(systems, STARTERS["code_stream rerun"], deferrable=False, timeout=1.0)
    tried: list[StartOperator] = []
    with story.when(lambda command: isinstance(command, Cancel), tried.append):
        error = story.attempt().error
    assert isinstance(error, ExecutionTimeout)
    assert len(tried) <= 1
    assert story.executions() == []


def test_a_rerun_without_a_timeout_waits_ten_minutes_for_its_execution_to_show_up(systems, mocker):
    systems.switch("code_stream", rerun="message_only")
    story = Story(systems, STARTERS["code_stream rerun"], deferrable=True)
    trigger = story.task.trigger(story.attempt())
    assert trigger.deadline is None
    now = time.time
    mocker.patch.object(time, "time", lambda: now() + 601.0)
    event = story.task.fire(trigger)
    assert event.payload["execution"]["state"] == "failed"
    assert "did not start an execution within 600 s" in event.payload["execution"]["message"]


# --- nobody yet: what a list still shows is of before


LAGS = {
    "the status": {"record_status": False, "list_lag": 4.0},
    "the whole list": {"record_status": False, "list_lag": 4.0, "list_time_lags": True},
    "the list, and the records": {"list_lag": 4.0, "record_lag": 4.0, "list_time_lags": True},
}


@pytest.mark.parametrize("deferrable", [False, True], ids=["synchronous", "deferrable"])
@pytest.mark.parametrize("lags", LAGS.values(), ids=LAGS)
def test_the_success_of_the_release_before_that_a_list_still_shows_is_not_taken_for_the_new_one(
    systems, lags, deferrable
):
    story = Story(systems, STARTERS["service_stage"], deferrable=False)
    assert story.attempt().state == "success"
    systems.advance(300)
    systems.switch("service_stage", task_seconds=1e6, **lags)
    story.task.clear()
    story.deploy(deferrable=deferrable, timeout=2.0)
    ended = story.attempt()
    if deferrable:
        ended = story.task.resume(story.task.fire(story.task.trigger(ended)))
    assert isinstance(ended.error, ExecutionTimeout)
    assert story.cancels() == [0, 1]
