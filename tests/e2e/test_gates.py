"""A task asks people about the approvals of its own execution (``approve=True``), in a real Airflow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from airflow_provider.core.durations import DURATIONS
from tests.chaos import people
from tests.e2e.any_executor import GATES
from tests.e2e.asking import answers, at_a_gate, begun_at_a_gate, cancels, code_stream, executions, until
from tests.e2e.stage import Stage
from tests.support.code_stream_tasks import TWO_GATES, create_pipeline

POOL = "gates"


@pytest.fixture(autouse=True)
def _fresh(stage: Stage) -> None:
    stage.reset()


@pytest.mark.parametrize("promise", GATES, ids=lambda promise: promise.__name__)
def test_under_any_executor(stage: Stage, promise: Callable[[Stage], None]) -> None:
    promise(stage)


def test_a_cleared_task_cancels_its_pipeline_and_asks_about_a_new_one(stage: Stage) -> None:
    asking = at_a_gate(stage)
    people.clear(stage.airflow.api, asking.ti)
    until(lambda: cancels(stage) == [1, 0], "the first is canceled, another one started")
    until(lambda: asking.action()["response_received"], "the question about the first one is closed")
    asking.until_it_asks_again()
    asking.answer("Approve", "the second time")
    assert [each["comment"] for each in asking.result()["approvals"]] == ["the second time"]
    assert len(answers(stage)) == 1


def test_an_answer_in_the_moment_of_the_deferral_counts_even_where_airflow_fails_the_task_for_it(stage: Stage) -> None:
    """Airflow 3.3.2 may not know yet that the process has ended that asked; a retry goes on then."""
    asking = begun_at_a_gate(stage)
    until(lambda: asking.state == "deferred", "it is deferred")
    asking.answer("Approve", "at once")
    assert [each["comment"] for each in asking.result()["approvals"]] == ["at once"]
    assert cancels(stage) == [0]
    assert len(answers(stage)) == 1


def test_one_task_asks_about_each_of_two_gates_with_a_text_that_is_true_of_both(stage: Stage) -> None:
    with code_stream(stage) as client:
        create_pipeline(client, "Test", "Prod")
    asking = at_a_gate(stage, pipeline=TWO_GATES)
    text = asking.action()["body"]
    assert "asks about each approval that its execution reaches" in text
    asking.answer("Approve", "of the test stage")
    asking.until_it_asks_again()
    action = asking.action()
    assert (action["body"], action["params_input"]) == (text, {})
    asking.answer("Approve", "of production")
    recorded = [(each["comment"], each["about"][-14:]) for each in asking.result()["approvals"]]
    assert recorded == [("of the test stage", "(Test.Approve)"), ("of production", "(Prod.Approve)")]
    assert [each["responseMessage"] for each in answers(stage)] == [
        "approved by admin: of the test stage",
        "approved by admin: of production",
    ]


def test_the_vendors_decision_counts_if_an_answer_comes_too_late_and_the_release_continues(stage: Stage) -> None:
    asking = at_a_gate(stage)
    with stage.stopped_triggerer():
        with code_stream(stage) as client:
            client.approvals.answer(client.approvals.find_pending(executions(stage)[0]["id"]), True, "by telephone")
        asking.answer("Reject", "not on a Friday")
        # A worker must have taken it before the triggerer closes the question.
        until(lambda: stage.airflow.api.xcom(asking.dag_id, asking.run_id, "ask", "approvals"), "it is taken")
    result = asking.result()
    (given,) = result["approvals"]
    assert (given["decision"], given["by"]) == ("reject", "admin")
    assert "too late" in given["refused"]
    assert (result["state"], cancels(stage), len(answers(stage))) == ("succeeded", [0], 1)


@contextmanager
def no_worker(stage: Stage) -> Iterator[None]:
    """No task of the pool gets a worker: what is scheduled stays so."""

    def resize(slots: int) -> None:
        body = {"pool": POOL, "slots": slots, "include_deferred": False}
        stage.airflow.api.call("PATCH", f"pools/{POOL}", json=body)

    resize(0)
    try:
        yield
    finally:
        resize(8)


@pytest.fixture
def _pool(stage: Stage) -> None:
    if stage.airflow.api.call("GET", f"pools/{POOL}", missing_ok=True) is None:
        stage.airflow.api.call("POST", "pools", json={"name": POOL, "slots": 8, "include_deferred": False})


@pytest.mark.usefixtures("_pool")
def test_a_pipeline_is_canceled_when_its_task_is_marked_failed_after_an_answer_and_before_its_worker(
    stage: Stage,
) -> None:
    asking = at_a_gate(stage, "gates_in_a_pool")
    with no_worker(stage):
        asking.answer("Approve", "too hasty")
        until(lambda: asking.state == "scheduled", "the answer has resumed it")
        people.mark(stage.airflow.api, asking.ti, "failed")
        until(lambda: cancels(stage) == [1], "the execution is canceled")
    assert asking.state == "failed"
    assert answers(stage) == []


@pytest.mark.usefixtures("_pool")
def test_a_task_that_is_marked_failed_long_after_an_answer_and_before_its_worker_cancels_nothing(stage: Stage) -> None:
    """A gap that docs/approvals.md names: Airflow ends the trigger once, for the answer, and never for the mark."""
    asking = at_a_gate(stage, "gates_in_a_pool")
    with no_worker(stage):
        asking.answer("Approve", "and nobody comes")
        until(lambda: asking.state == "scheduled", "the answer has resumed it")
        time.sleep(DURATIONS.trigger_kill_limit + 10)
        assert asking.state == "scheduled"
        people.mark(stage.airflow.api, asking.ti, "failed")
        time.sleep(5)
    assert asking.state == "failed"
    assert (cancels(stage), answers(stage)) == ([0], [])
