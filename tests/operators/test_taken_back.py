"""Ends that a vendor may take back: a pipeline that failed is rolled back, a late heartbeat brings an image build back.

Nothing else is started as long as the execution may run again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent
from pytest_mock import MockerFixture

from airflow_provider.core.commands import Command, Pause
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.waiting import Ending, Outcome
from airflow_provider.exceptions import ExecutionFailed, ExecutionTimeout
from tests.support.meanwhile import meanwhile
from tests.support.story import STARTERS, Story, let_nothing_end_by_itself
from tests.support.systems import Systems

TAKEN_BACK = pytest.mark.parametrize(
    ("name", "settling", "end", "going_on"),
    [
        ("code_stream pipeline", "failed_settling", "FAILED", "RUNNING"),
        ("quay", "expired_settling", "expired", "waiting"),
    ],
)


def waits(command: Command) -> bool:
    return isinstance(command, Pause)


def one_after_the_other(*acts: Callable[[], Any]) -> Callable[[Any], None]:
    """Do one of these each time."""
    left = list(acts)

    def act(_: Any) -> None:
        if left:
            left.pop(0)()

    return act


def forcing(story: Story, state: str) -> Callable[[], None]:
    """Puts the first execution into a state."""

    def force() -> None:
        story.systems.force(story.starter.system, story.executions()[0]["id"], state)

    return force


def ended_while_no_attempt_ran(systems: Systems, mocker: MockerFixture, name: str, settling: str, end: str) -> Story:
    """A task whose worker died after the start, and whose execution has an end that counts 0.3 s later."""
    let_nothing_end_by_itself(systems)
    mocker.patch.object(DURATIONS, settling, 0.3)
    story = Story(systems, STARTERS[name], deferrable=True)
    story.attempt_and_die(remembered=True)
    forcing(story, end)()
    return story


@TAKEN_BACK
def test_a_retry_starts_nothing_beside_an_execution_that_runs_again(systems, mocker, name, settling, end, going_on):
    story = ended_while_no_attempt_ran(systems, mocker, name, settling, end)
    with story.when(waits, one_after_the_other(forcing(story, going_on))):
        assert story.attempt().state == "deferred"
    assert story.seen() == {"starts": 1, "cancels": 0}


@TAKEN_BACK
def test_a_cleared_task_starts_nothing_beside_an_execution_that_runs_again(
    systems, mocker, name, settling, end, going_on
):
    story = ended_while_no_attempt_ran(systems, mocker, name, settling, end)
    story.task.clear()
    with story.when(waits, one_after_the_other(forcing(story, going_on))):
        assert story.attempt().state == "deferred"
    assert story.cancels() == [1, 0]


@TAKEN_BACK
def test_an_end_that_is_not_taken_back_counts_for_a_retry_after_a_while(systems, mocker, name, settling, end, going_on):
    story = ended_while_no_attempt_ran(systems, mocker, name, settling, end)
    assert story.attempt().state == "deferred"
    assert story.seen() == {"starts": 2, "cancels": 0}


def test_a_deadline_does_not_leave_alone_what_runs_again(systems, mocker):
    let_nothing_end_by_itself(systems)
    mocker.patch.object(DURATIONS, "failed_settling", 0.3)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=True, timeout=3600)
    assert story.attempt().state == "deferred"
    forcing(story, "FAILED")()
    with story.when(waits, one_after_the_other(forcing(story, "RUNNING"))):
        error = story.task.resume(TriggerEvent(Outcome(Ending.DEADLINE).to_event())).error
    assert isinstance(error, ExecutionTimeout)
    assert story.seen() == {"starts": 1, "cancels": 1}


def test_a_worker_doubts_the_failure_of_what_it_has_just_started(systems, mocker):
    let_nothing_end_by_itself(systems)
    mocker.patch.object(DURATIONS, "failed_settling", 3600.0)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=False)
    with story.when(waits, one_after_the_other(forcing(story, "FAILED"), forcing(story, "ROLLBACK_COMPLETED"))):
        error = story.attempt().error
    assert isinstance(error, ExecutionFailed)
    assert "ROLLBACK_COMPLETED" in str(error)


def test_a_triggerer_doubts_the_failure_of_what_a_worker_has_seen_running(systems, mocker):
    let_nothing_end_by_itself(systems)
    mocker.patch.object(DURATIONS, "failed_settling", 3600.0)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=True)
    trigger = story.task.trigger(story.attempt())
    (execution,) = story.executions()
    forcing(story, "FAILED")()
    before = len(systems.requests("code_stream", "GET", execution["id"]))

    def roll_back() -> bool:
        is_polled = len(systems.requests("code_stream", "GET", execution["id"])) > before
        if is_polled:
            forcing(story, "ROLLBACK_COMPLETED")()
        return is_polled

    with meanwhile(roll_back):
        event = story.task.fire(trigger)
    assert event.payload["execution"]["status"] == "ROLLBACK_COMPLETED"
