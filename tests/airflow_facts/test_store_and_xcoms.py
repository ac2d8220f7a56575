"""What a task remembers in Airflow 3.3.2: its state store outlives attempts, its XComs do not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk import NEVER_EXPIRE
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType

from tests.airflow_facts.processes import Notes, end_after
from tests.airflow_facts.real import RealTask, defer, fail, succeed

KEY = "what_was_started"


def remember(operator: Any, context: Any) -> None:
    context["task_state_store"].set(KEY, {"id": 7})


def remember_and(script: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def both(operator: Any, context: Any) -> Any:
        remember(operator, context)
        return script(operator, context)

    return both


def recalled(task: RealTask) -> Any:
    """What the next process of a task reads."""
    seen: list[Any] = []
    task.run(lambda operator, context: seen.append(context["task_state_store"].get(KEY)))
    return seen[0]


# The state store


@pytest.mark.parametrize("script", [succeed, fail], ids=["success", "failure"])
def test_the_state_store_outlives_an_end_and_a_clear(script: Callable[..., Any]) -> None:
    task = RealTask(retries=0).queue()
    task.run(remember_and(script))
    task.clear()
    assert recalled(task.queue()) == {"id": 7}


def test_the_state_store_outlives_an_automatic_retry() -> None:
    task = RealTask().queue()
    task.run(remember_and(fail))
    assert recalled(task.queue()) == {"id": 7}


def test_the_state_store_outlives_a_deferral() -> None:
    task = RealTask().queue()
    task.run(remember_and(defer))
    task.resume_by_event()
    assert recalled(task) == {"id": 7}


def test_a_value_in_the_state_store_expires_after_30_days_by_default() -> None:
    task = RealTask().queue()
    task.run(remember)
    _, expires = task.stored(KEY)
    assert expires is not None
    assert abs(expires - datetime.now(UTC) - timedelta(days=30)) < timedelta(minutes=5)


def test_a_value_that_never_expires_stays_so_until_it_is_set_again() -> None:
    def remember_for_ever(operator: Any, context: Any) -> None:
        context["task_state_store"].set(KEY, 1, retention=NEVER_EXPIRE)

    task = RealTask().queue()
    task.run(remember_for_ever)
    assert task.stored(KEY) == (1, None)
    task.clear()
    task.queue().run(remember)
    assert task.stored(KEY)[1] is not None


def test_an_expired_value_is_still_there_until_somebody_cleans_up() -> None:
    def remember_for_a_moment(operator: Any, context: Any) -> None:
        context["task_state_store"].set(KEY, 1, retention=timedelta(microseconds=1))
        fail(operator, context)

    task = RealTask().queue()
    task.run(remember_for_a_moment)
    assert recalled(task.queue()) == 1


USES: dict[str, Callable[[Any], Any]] = {
    "set": lambda store: store.set(KEY, 1),
    "get": lambda store: store.get(KEY),
    "delete": lambda store: store.delete(KEY),
}


def try_out(use: Callable[[Any], Any], notes: Notes) -> Callable[[Any, Any], None]:
    def script(operator: Any, context: Any) -> None:
        try:
            notes.write(f"answer {use(context['task_state_store'])}")
        except AirflowRuntimeError as error:
            notes.write(f"{error.error.error.value} {(error.error.detail or {}).get('status_code')}")

    return script


@pytest.mark.parametrize("use", ["set", "delete"])
def test_a_write_by_an_attempt_that_was_cleared_is_refused_with_an_error_of_airflows_own(
    use: str, notes: Notes
) -> None:
    task = RealTask().queue()
    end_after(task, RealTask.clear, try_out(USES[use], notes), notes)
    assert notes.read() == ["go on", f"{ErrorType.API_SERVER_ERROR.value} 404"]


def test_a_read_by_an_attempt_that_was_cleared_finds_nothing_and_does_not_say_why(notes: Notes) -> None:
    task = RealTask().queue()
    task.run(remember_and(fail))
    end_after(task.queue(), RealTask.clear, try_out(USES["get"], notes), notes)
    assert notes.read() == ["go on", "answer None"]
    assert task.stored(KEY)[0] == {"id": 7}


def test_a_write_by_an_attempt_that_was_retried_since_is_refused(notes: Notes) -> None:
    def give_up(task: RealTask) -> None:
        task.miss_heartbeats()
        task.queue()

    task = RealTask().queue()
    end_after(task, give_up, try_out(USES["set"], notes), notes)
    assert notes.read() == ["go on", f"{ErrorType.API_SERVER_ERROR.value} 404"]


@pytest.mark.parametrize("act", ["mark failed", "missed heartbeat on the last try"])
def test_a_write_by_an_attempt_whose_task_has_failed_is_taken(act: str, notes: Notes) -> None:
    acts: dict[str, Callable[[RealTask], None]] = {
        "mark failed": RealTask.mark_failed,
        "missed heartbeat on the last try": RealTask.miss_heartbeats,
    }
    task = RealTask(retries=0).queue()
    end_after(task, acts[act], try_out(USES["set"], notes), notes)
    assert (notes.read(), task.stored(KEY)[0]) == (["go on", "answer None"], 1)
    assert task.state == "failed"


# XComs


def push(operator: Any, context: Any) -> None:
    context["ti"].xcom_push("marker", context["ti"].try_number)


def push_and(script: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def both(operator: Any, context: Any) -> Any:
        push(operator, context)
        return script(operator, context)

    return both


@pytest.mark.parametrize("is_cleared", [True, False], ids=["clear", "retry"])
def test_the_xcoms_of_an_attempt_stay_until_the_process_of_the_next_one_deletes_them(is_cleared: bool) -> None:
    task = RealTask().queue()
    task.run(push_and(fail))
    if is_cleared:
        task.clear()
    assert task.xcoms() == {"marker": 1}
    task.queue()
    assert task.xcoms() == {"marker": 1}
    seen = task.begin()
    # So a trigger of the attempt before can see them while the next one is running.
    assert (task.state, task.xcoms(), seen.xcom_keys_to_clear) == ("running", {"marker": 1}, ["marker"])


def test_the_process_of_the_next_attempt_deletes_the_xcoms_before_it_does_anything_else() -> None:
    seen: list[dict[str, Any]] = []
    task = RealTask().queue()
    task.run(push_and(fail))
    task.queue().run(lambda operator, context: seen.append(task.xcoms()))
    assert seen == [{}]


def test_a_deferral_keeps_the_xcoms() -> None:
    task = RealTask().queue()
    task.run(push_and(defer))
    task.resume_by_event()
    assert task.begin().xcom_keys_to_clear == []
    assert task.xcoms() == {"marker": 1}


def test_a_mark_keeps_the_xcoms() -> None:
    task = RealTask().queue()
    task.run(push_and(defer))
    task.mark_failed()
    assert task.xcoms() == {"marker": 1}


def test_an_xcom_of_an_attempt_that_was_cleared_is_taken(notes: Notes) -> None:
    task = RealTask().queue()
    end_after(task, RealTask.clear, push, notes)
    assert task.xcoms() == {"marker": 1}
