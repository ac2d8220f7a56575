"""People decide in a real Airflow: they answer over its REST API, and the systems get to know it, once."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import requests

from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.sandbox import seed
from tests.chaos import people
from tests.e2e.any_executor import APPROVALS
from tests.e2e.asking import Asking, answers, as_user, code_stream, execution, start, state_of, until
from tests.e2e.stage import Stage


@pytest.fixture(autouse=True)
def _fresh(stage: Stage) -> None:
    stage.reset()


@pytest.mark.parametrize("promise", APPROVALS, ids=lambda promise: promise.__name__)
def test_under_any_executor(stage: Stage, promise: Callable[[Stage], None]) -> None:
    promise(stage)


def test_a_reviewer_rejects_a_release(stage: Stage) -> None:
    login = seed.connections(stage.sandbox.url)["service_stage"]
    with ServiceStageClient(
        login["host"],
        access_key=login["login"],
        secret_key=login["password"],
        **{name: value for name, value in login["extra"].items() if name in ("region", "project_id")},
    ) as client:
        pipeline_id = str(client.release_tasks.find("shop-release-approval")["id"])
        release_id = client.releases.act(pipeline_id, "start").id
    until(lambda: state_of(stage, "service_stage", release_id) == "5", "the release asks")
    asking = Asking(stage, "approval_of_release", stage.start("approval_of_release")).until_it_asks()
    assert "apr0v1" in asking.action()["body"]
    asking.answer("Reject", "not on a Friday")
    result = asking.result()
    assert [(each["decision"], each["by"]) for each in result["approvals"]] == [("reject", "admin")]
    until(lambda: state_of(stage, "service_stage", release_id) == "3", "the release fails")
    sent = [each["body"] for each in stage.sandbox.control.requests("service_stage") if each["method"] == "POST"]
    assert {
        "task_name": "apr0v1",
        "approval_type": "refuse",
        "message": "rejected by admin: not on a Friday",
    } in sent


def test_a_decision_at_the_vendor_closes_the_required_action_and_says_so(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approvals", execution_id).until_it_asks()
    with code_stream(stage) as client:
        client.approvals.answer(client.approvals.find_pending(execution_id), True, "by telephone")
    action = until(lambda: (seen := asking.action())["response_received"] and seen, "the required action closes")
    assert action["responded_by_user"] is None
    assert "decided at the vendor" in action["params_input"]["comment"]
    with pytest.raises(requests.HTTPError, match="409"):
        asking.answer("Reject")
    (given,) = asking.result()["approvals"]
    assert (given["decision"], given["name"], given["comment"]) == ("approve", "release-bot", "decided at the vendor")
    assert len(answers(stage)) == 1


def test_an_answer_after_the_vendor_has_decided_is_reported_as_too_late(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approvals", execution_id).until_it_asks()
    with stage.stopped_triggerer():
        with code_stream(stage) as client:
            client.approvals.answer(client.approvals.find_pending(execution_id), True, "by telephone")
        asking.answer("Reject", "not on a Friday")
        until(lambda: asking.state in ("failed", "up_for_retry"), "it fails")
    assert len(answers(stage)) == 1
    until(lambda: state_of(stage, "code_stream", execution_id) == "COMPLETED", "the execution goes on")


def test_a_task_that_is_marked_failed_while_it_asks_closes_the_question_and_cancels_nothing(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approvals", execution_id).until_it_asks()
    people.mark(stage.airflow.api, asking.ti, "failed")
    action = until(lambda: (seen := asking.action())["response_received"] and seen, "the required action closes")
    assert "the task is failed" in action["params_input"]["comment"]
    assert asking.state == "failed"
    assert state_of(stage, "code_stream", execution_id) == "WAITING"
    assert answers(stage) == []


def test_a_user_who_may_only_view_cannot_answer(stage: Stage) -> None:
    asking = start(stage, "approvals", execution(stage)).until_it_asks()
    with pytest.raises(requests.HTTPError, match="403"):
        asking.answer("Approve", by=as_user(stage, "eve"))
    assert not asking.action()["response_received"]
    asking.answer("Reject")


def test_whoever_triggered_the_run_is_asked_again_for_somebody_else(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approval_by_others", execution_id).until_it_asks()
    assert "admin triggered the run and may not answer" in asking.action()["body"]
    asking.answer("Approve")
    asking.until_it_asks_again()
    assert answers(stage) == []
    asking.answer("Approve", by=as_user(stage, "ada"))
    assert [each["by"] for each in asking.result()["approvals"] if not each["refused"]] == ["ada"]


def test_nobody_answers_in_time(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approval_in_time", execution_id)
    (given,) = asking.result()["approvals"]
    assert (given["decision"], given["by"]) == ("reject", "")
    assert "nobody answered in time" in asking.action()["params_input"]["comment"]
    until(lambda: state_of(stage, "code_stream", execution_id) == "FAILED", "the execution fails")


def test_a_cleared_task_asks_again(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approvals", execution_id).until_it_asks()
    before = asking.action()["task_instance"]["id"]
    people.clear(stage.airflow.api, asking.ti)
    until(lambda: asking.action().get("task_instance", {}).get("id") not in (None, before), "the new attempt")
    asking.until_it_asks_again()
    assert answers(stage) == []
    asking.answer("Approve", "the second time")
    assert [each["comment"] for each in asking.result()["approvals"]] == ["the second time"]
    assert len(answers(stage)) == 1


def test_an_answer_counts_while_the_triggerer_is_down_and_nothing_is_sent_twice_after(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approvals", execution_id).until_it_asks()
    with stage.stopped_triggerer():
        asking.answer("Approve", "without a triggerer")
        assert [each["comment"] for each in asking.result()["approvals"]] == ["without a triggerer"]
    time.sleep(5)
    assert asking.state == "success"
    assert asking.action()["responded_by_user"]["id"] == "admin"
    assert len(answers(stage)) == 1
