"""People decide in a real Airflow: they answer over its REST API, and the systems get to know it, once."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
import requests

from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.core.durations import DURATIONS
from airflow_provider.sandbox import seed
from tests.chaos import people
from tests.e2e.asking import APPROVED, Asking, answers, as_user, code_stream, execution, start, state_of, until
from tests.e2e.stage import Stage
from tests.support.code_stream_tasks import TWO_GATES, create_pipeline

POOL = "gates"


@pytest.fixture(autouse=True)
def _fresh(stage: Stage) -> None:
    stage.reset()


@contextmanager
def stopped_triggerer(stage: Stage) -> Iterator[None]:
    session = psutil.Process(stage.airflow.process.pid)
    triggerers = [each for each in session.children(recursive=True) if "triggerer" in " ".join(each.cmdline())]
    assert triggerers
    for each in triggerers:
        each.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for each in triggerers:
            each.send_signal(signal.SIGCONT)


def test_a_reviewer_answers_over_the_rest_api(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approvals", execution_id).until_it_asks()
    action = asking.action()
    for text in (APPROVED, execution_id, "`tag` = `1.4.2`", "Expires in Code Stream", "Requested by", "Link"):
        assert text in action["body"]
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
    with stopped_triggerer(stage):
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


def test_an_answer_before_the_deferral_has_landed_counts(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approval_slowly", execution_id)
    until(asking.action, "it asks")
    assert asking.state == "running"
    asking.answer("Approve", "at once")
    assert [each["comment"] for each in asking.result()["approvals"]] == ["at once"]
    assert len(answers(stage)) == 1


def test_a_user_who_may_only_view_cannot_answer(stage: Stage) -> None:
    asking = start(stage, "approvals", execution(stage)).until_it_asks()
    with pytest.raises(requests.HTTPError, match="403"):
        asking.answer("Approve", by=as_user(stage, "eve"))
    assert not asking.action()["response_received"]
    asking.answer("Reject")


def test_two_people_must_approve_and_nobody_else_may(stage: Stage) -> None:
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
    with stopped_triggerer(stage):
        asking.answer("Approve", "without a triggerer")
        assert [each["comment"] for each in asking.result()["approvals"]] == ["without a triggerer"]
    time.sleep(5)
    assert asking.state == "success"
    assert asking.action()["responded_by_user"]["id"] == "admin"
    assert len(answers(stage)) == 1


# --- approve=True


def at_a_gate(stage: Stage, dag_id: str = "gates", pipeline: str = APPROVED) -> Asking:
    """A task that asks about an approval of its own execution."""
    return begun_at_a_gate(stage, dag_id, pipeline).until_it_asks()


def begun_at_a_gate(stage: Stage, dag_id: str = "gates", pipeline: str = APPROVED) -> Asking:
    """The same, as soon as the question can be seen."""
    asking = Asking(stage, dag_id, stage.start(dag_id, {"pipeline": pipeline}))
    until(asking.action, "it asks")
    return asking


def executions(stage: Stage) -> list[dict[str, Any]]:
    found = stage.sandbox.control.executions("code_stream")
    return [each for each in found if each["pipeline"] in (APPROVED, TWO_GATES)]


def cancels(stage: Stage) -> list[int]:
    return [len(each["cancels"]) for each in executions(stage)]


def test_one_task_runs_a_pipeline_past_its_gate(stage: Stage) -> None:
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


def test_a_pipeline_is_canceled_when_its_task_is_marked_failed_while_it_asks(stage: Stage) -> None:
    asking = at_a_gate(stage)
    people.mark(stage.airflow.api, asking.ti, "failed")
    action = until(lambda: (seen := asking.action())["response_received"] and seen, "the required action closes")
    assert "the task is failed" in action["params_input"]["comment"]
    until(lambda: cancels(stage) == [1], "the execution is canceled")
    assert asking.state == "failed"
    assert answers(stage) == []


def test_a_pipeline_whose_approval_is_rejected_fails_its_task_without_a_retry(stage: Stage) -> None:
    asking = at_a_gate(stage)
    asking.answer("Reject", "not on a Friday")
    until(lambda: asking.state == "failed", "the task fails")
    assert cancels(stage) == [0]
    assert [each["responseMessage"] for each in answers(stage)] == ["rejected by admin: not on a Friday"]


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
    with stopped_triggerer(stage):
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
