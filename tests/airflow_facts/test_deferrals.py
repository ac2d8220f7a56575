"""How deferrals end in Airflow 3.3.2."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR
from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent
from airflow.utils.session import create_session

from tests.airflow_facts.real import RealTask, defer, succeed


def resumed(task: RealTask) -> dict[str, Any]:
    """How the next process of the task continues: with which method and arguments."""
    resumptions: list[Any] = []

    class Operator(type(task.operator)):  # type: ignore[misc]
        def resume_execution(self, next_method: str, next_kwargs: dict[str, Any], context: Any) -> None:
            resumptions.append({"method": next_method, "arguments": next_kwargs})

    task.operator.__class__ = Operator
    task.run()
    assert len(resumptions) == 1
    return resumptions[0]  # type: ignore[no-any-return]


def fire(trigger_id: int, event: TriggerEvent) -> None:
    with create_session() as session:
        Trigger.submit_event(trigger_id, event, session=session)


# How a deferral ends


def test_an_event_resumes_the_task_in_the_same_try(deferred: RealTask) -> None:
    before = (deferred.id, deferred.numbers)
    deferred.resume_by_event({"ending": "finished"})
    assert (deferred.state, (deferred.id, deferred.numbers)) == ("queued", before)
    assert resumed(deferred) == {"method": "execute_complete", "arguments": {"event": {"ending": "finished"}}}


def test_a_deferral_that_times_out_resumes_the_task_to_fail(deferred: RealTask) -> None:
    before = (deferred.id, deferred.numbers)
    deferred.time_deferral_out()
    assert (deferred.state, (deferred.id, deferred.numbers), deferred.trigger_id) == ("scheduled", before, None)
    deferred.enqueue()
    assert resumed(deferred) == {"method": TRIGGER_FAIL_REPR, "arguments": {"error": "Trigger timeout"}}


def test_a_trigger_that_crashes_resumes_the_task_to_fail_and_passes_its_traceback_on(deferred: RealTask) -> None:
    before = (deferred.id, deferred.numbers)
    deferred.crash_trigger()
    assert (deferred.state, (deferred.id, deferred.numbers), deferred.trigger_id) == ("scheduled", before, None)
    deferred.enqueue()
    resumption = resumed(deferred)
    assert (resumption["method"], resumption["arguments"].pop("error")) == (TRIGGER_FAIL_REPR, "Trigger failure")
    assert "it crashed" in "".join(resumption["arguments"].pop("traceback"))
    assert resumption["arguments"] == {}


@pytest.mark.parametrize(
    ("end", "error"), [(RealTask.time_deferral_out, TaskDeferralTimeout), (RealTask.crash_trigger, TaskDeferralError)]
)
def test_an_operator_that_does_not_handle_that_fails_and_is_retried(
    deferred: RealTask, end: Callable[[RealTask], None], error: type[Exception]
) -> None:
    end(deferred)
    deferred.enqueue()
    assert isinstance(deferred.run(succeed).error, error)
    assert deferred.state == "up_for_retry"


def test_execution_timeout_does_not_end_a_deferral() -> None:
    task = RealTask(execution_timeout=timedelta(milliseconds=200)).queue()
    task.run(defer)
    assert task.trigger_timeout > datetime.now(UTC) + timedelta(minutes=50)


def test_a_success_event_ends_the_task_without_a_worker(deferred: RealTask) -> None:
    before = (deferred.id, deferred.numbers)
    fire(deferred.trigger_id, TaskSuccessEvent())
    assert (deferred.state, (deferred.id, deferred.numbers), deferred.trigger_id) == ("success", before, None)


@pytest.mark.parametrize("act", ["clear", "mark failed", "crash"])
def test_an_event_of_a_task_that_is_not_deferred_any_more_is_ignored(deferred: RealTask, act: str) -> None:
    acts: dict[str, Callable[[], None]] = {
        "clear": deferred.clear,
        "mark failed": deferred.mark_failed,
        "crash": deferred.crash_trigger,
    }
    trigger_id = deferred.trigger_id
    acts[act]()
    state = deferred.state
    fire(trigger_id, TriggerEvent("late"))
    assert deferred.state == state
    assert "late" not in str(deferred.next_kwargs)
