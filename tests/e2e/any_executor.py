"""What is so whenever people answer, under any executor: a test under LocalExecutor, and another one under Celery."""

from __future__ import annotations

import time

import pytest
import requests

from tests.chaos import people
from tests.e2e.asking import (
    APPROVED,
    answers,
    approve_and_kill_two_workers,
    as_user,
    at_a_gate,
    cancels,
    execution,
    start,
    state_of,
    until,
)
from tests.e2e.stage import Stage


def a_reviewer_answers_over_the_rest_api(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approvals", execution_id).until_it_asks()
    action = asking.action()
    for text in (APPROVED, execution_id, "`tag` = `1.4.2`", "Expires in Code Stream", "Requested by", "Link"):
        assert text in action["body"]
    for link in asking.links():
        assert link.startswith(f"{stage.airflow.url}/dags/approvals/runs/")
    asking.answer("Approve", "tests are green")
    result = asking.result()
    assert (result["status"], result["outputs"]["responseMessage"]) == (
        "APPROVED",
        "from the pipeline; approved by admin: tests are green",
    )
    (given,) = result["approvals"]
    assert (given["by"], given["comment"]) == ("admin", "tests are green")
    until(lambda: state_of(stage, "code_stream", execution_id) == "COMPLETED", "the execution goes on")
    assert len(answers(stage)) == 1
    with pytest.raises(requests.HTTPError, match="409"):
        asking.answer("Reject")


def an_answer_before_the_deferral_has_landed_counts(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approval_slowly", execution_id)
    until(asking.action, "it asks")
    assert asking.state == "running"
    asking.answer("Approve", "at once")
    assert [each["comment"] for each in asking.result()["approvals"]] == ["at once"]
    assert len(answers(stage)) == 1


def two_people_must_approve_and_nobody_else_may(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approval_by_two", execution_id).until_it_asks()
    with pytest.raises(requests.HTTPError, match="403"):
        asking.answer("Approve")
    ada, bob = as_user(stage, "ada"), as_user(stage, "bob")
    asking.answer("Approve", "first", by=ada)
    asking.until_it_asks_again()
    asking.answer("Approve", "me again", by=ada)
    asking.until_it_asks_again()
    assert answers(stage) == []
    asking.answer("Approve", "second", by=bob)
    assert [(each["by"], bool(each["refused"])) for each in asking.result()["approvals"]] == [
        ("ada", False),
        ("ada", True),
        ("bob", False),
    ]
    (sent,) = answers(stage)
    assert sent["responseMessage"] == "approved by ada: first; approved by bob: second"


def an_answer_outlives_the_workers_that_die_before_and_after_they_sent_it(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approval_in_the_end", execution_id).until_it_asks()
    approve_and_kill_two_workers(asking, "tests are green", by=as_user(stage, "ada"))
    assert [(each["by"], each["comment"]) for each in asking.result()["approvals"]] == [("ada", "tests are green")]
    assert asking.action()["responded_by_user"]["id"] == "ada"
    until(lambda: state_of(stage, "code_stream", execution_id) == "COMPLETED", "the execution goes on")
    assert [each["responseMessage"] for each in answers(stage)] == ["approved by ada: tests are green"]


def one_task_runs_a_pipeline_past_its_gate(stage: Stage) -> None:
    asking = at_a_gate(stage)
    asking.answer("Approve", "tests are green")
    result = asking.result()
    assert (result["state"], result["outputs"]) == ("succeeded", {"deployed": "1.4.2"})
    (given,) = result["approvals"]
    assert (given["by"], given["comment"]) == ("admin", "tests are green")
    # As late as a triggerer hears of the answer.
    time.sleep(5)
    assert cancels(stage) == [0]
    assert len(answers(stage)) == 1


def an_answer_to_a_gate_outlives_the_workers_that_die_before_and_after_they_sent_it(stage: Stage) -> None:
    asking = at_a_gate(stage)
    approve_and_kill_two_workers(asking, "tests are green", by=as_user(stage, "ada"))
    result = asking.result()
    assert (result["state"], result["outputs"]) == ("succeeded", {"deployed": "1.4.2"})
    assert [(each["by"], each["comment"]) for each in result["approvals"]] == [("ada", "tests are green")]
    assert asking.action()["responded_by_user"]["id"] == "ada"
    assert cancels(stage) == [0]
    assert [each["responseMessage"] for each in answers(stage)] == ["approved by ada: tests are green"]


def a_pipeline_is_canceled_when_its_task_is_marked_failed_while_it_asks(stage: Stage) -> None:
    asking = at_a_gate(stage)
    people.mark(stage.airflow.api, asking.ti, "failed")
    action = until(lambda: (seen := asking.action())["response_received"] and seen, "the required action closes")
    assert "the task is failed" in action["params_input"]["comment"]
    until(lambda: cancels(stage) == [1], "the execution is canceled")
    assert asking.state == "failed"
    assert answers(stage) == []


def a_pipeline_whose_approval_is_rejected_fails_its_task_without_a_retry(stage: Stage) -> None:
    asking = at_a_gate(stage)
    asking.answer("Reject", "not on a Friday")
    until(lambda: asking.state == "failed", "the task fails")
    assert cancels(stage) == [0]
    assert [each["responseMessage"] for each in answers(stage)] == ["rejected by admin: not on a Friday"]


APPROVALS = [
    a_reviewer_answers_over_the_rest_api,
    an_answer_outlives_the_workers_that_die_before_and_after_they_sent_it,
    an_answer_before_the_deferral_has_landed_counts,
    two_people_must_approve_and_nobody_else_may,
]
GATES = [
    one_task_runs_a_pipeline_past_its_gate,
    an_answer_to_a_gate_outlives_the_workers_that_die_before_and_after_they_sent_it,
    a_pipeline_is_canceled_when_its_task_is_marked_failed_while_it_asks,
    a_pipeline_whose_approval_is_rejected_fails_its_task_without_a_retry,
]
