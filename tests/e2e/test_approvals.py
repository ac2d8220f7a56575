"""People decide in a real Airflow: they answer over its REST API, and the systems get to know it, once."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
import requests

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.sandbox import seed
from demo.airflow_api import AirflowApi
from tests.chaos import people
from tests.chaos.people import TaskInstance
from tests.e2e.stage import Stage, until

APPROVED = "Deploy shop with approval"


@dataclass
class Asking:
    """A run whose task asks people."""

    stage: Stage
    dag_id: str
    run_id: str

    @property
    def _path(self) -> str:
        return f"dags/{self.dag_id}/dagRuns/{self.run_id.replace('+', '%2B')}"

    @property
    def ti(self) -> TaskInstance:
        return TaskInstance(self.dag_id, self.run_id, "ask", -1)

    def action(self) -> dict[str, Any]:
        """The required action of the task; empty if there is none."""
        found = self.stage.airflow.api.call("GET", f"{self._path}/hitlDetails")["hitl_details"]
        return dict(found[0]) if found else {}

    def answer(self, option: str, comment: str | None = None, by: AirflowApi | None = None) -> None:
        path = f"{self._path}/taskInstances/ask/-1/hitlDetails"
        form = {"chosen_options": [option], "params_input": {"comment": comment}}
        (by or self.stage.airflow.api).call("PATCH", path, json=form, repeatable=False)

    @property
    def state(self) -> str | None:
        return self.stage.states(self.dag_id, self.run_id).get("ask")

    def until_it_asks(self) -> Asking:
        until(lambda: self.state, lambda seen: seen == "deferred")
        # Airflow 3.3.2 fails a task that is resumed before it has heard of the end of its process.
        time.sleep(3)
        return self

    def until_it_asks_again(self) -> None:
        until(lambda: self.state == "deferred" and not self.action()["response_received"])
        time.sleep(3)

    def result(self) -> dict[str, Any]:
        until(lambda: self.state, lambda state: state in ("success", "failed"))
        assert self.state == "success"
        returned: dict[str, Any] = self.stage.airflow.api.xcom(self.dag_id, self.run_id, "ask")
        return returned


def code_stream(stage: Stage) -> CodeStreamClient:
    login, password = next(iter(seed.CODE_STREAM_USERS.items()))
    return CodeStreamClient(f"{stage.sandbox.url}/code_stream", username=login, password=password)


def execution(stage: Stage) -> str:
    """An execution of Code Stream that waits for an approval; returns its id."""
    with code_stream(stage) as client:
        pipeline = client.pipelines.find(APPROVED, "retail")["id"]
        execution_id = client.pipelines.run(pipeline, inputs={"tag": "1.4.2"}).id
    until(lambda: state_of(stage, "code_stream", execution_id), lambda seen: seen == "WAITING")
    return execution_id


def state_of(stage: Stage, system: str, execution_id: str) -> str:
    found = stage.sandbox.control.executions(system)
    return next(str(each["state"]) for each in found if each["id"] == execution_id)


def answers(stage: Stage) -> list[dict[str, Any]]:
    """What Code Stream was answered since the last reset."""
    sent = stage.sandbox.control.requests("code_stream")
    return [each["body"] for each in sent if each["method"] == "PATCH" and "/user-operations/" in each["path"]]


def start(stage: Stage, dag_id: str, execution_id: str) -> Asking:
    return Asking(stage, dag_id, stage.start(dag_id, {"execution_id": execution_id}))


def as_user(stage: Stage, name: str) -> AirflowApi:
    passwords = json.loads((stage.airflow.home / "passwords.json").read_text())
    return AirflowApi(stage.airflow.url, name, passwords[name])


@pytest.fixture(autouse=True)
def _fresh(stage: Stage) -> None:
    stage.reset()


def test_a_reviewer_answers_over_the_rest_api(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approvals", execution_id).until_it_asks()
    action = asking.action()
    for told in (APPROVED, execution_id, "`tag` = `1.4.2`", "Expires in Code Stream", "Requested by", "Link"):
        assert told in action["body"]
    asking.answer("Approve", "tests are green")
    result = asking.result()
    assert (result["status"], result["outputs"]["responseMessage"]) == (
        "APPROVED",
        "from the pipeline; approved by admin: tests are green",
    )
    (given,) = result["approvals"]
    assert (given["by"], given["comment"]) == ("admin", "tests are green")
    until(lambda: state_of(stage, "code_stream", execution_id), lambda seen: seen == "COMPLETED")
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
    until(lambda: state_of(stage, "service_stage", release_id), lambda seen: seen == "5")
    asking = Asking(stage, "approval_of_release", stage.start("approval_of_release")).until_it_asks()
    assert "apr0v1" in asking.action()["body"]
    asking.answer("Reject", "not on a Friday")
    result = asking.result()
    assert [(each["decision"], each["by"]) for each in result["approvals"]] == [("reject", "admin")]
    until(lambda: state_of(stage, "service_stage", release_id), lambda seen: seen == "3")
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
    action = until(asking.action, lambda action: action["response_received"])
    assert action["responded_by_user"] is None
    assert "decided at the vendor" in action["params_input"]["comment"]
    (given,) = asking.result()["approvals"]
    assert (given["decision"], given["name"], given["comment"]) == ("approve", "release-bot", "decided at the vendor")
    assert len(answers(stage)) == 1


def test_a_task_that_is_marked_failed_while_it_asks_closes_the_question_and_cancels_nothing(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approvals", execution_id).until_it_asks()
    people.mark(stage.airflow.api, asking.ti, "failed")
    action = until(asking.action, lambda action: action["response_received"])
    assert "the task is failed" in action["params_input"]["comment"]
    assert asking.state == "failed"
    assert state_of(stage, "code_stream", execution_id) == "WAITING"
    assert answers(stage) == []


def test_an_answer_before_the_deferral_has_landed_counts(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approval_slowly", execution_id)
    until(asking.action)
    assert asking.state == "running"
    asking.answer("Approve", "at once")
    assert [each["comment"] for each in asking.result()["approvals"]] == ["at once"]
    assert len(answers(stage)) == 1


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
    until(lambda: state_of(stage, "code_stream", execution_id), lambda seen: seen == "FAILED")


def test_a_cleared_task_asks_again(stage: Stage) -> None:
    execution_id = execution(stage)
    asking = start(stage, "approvals", execution_id).until_it_asks()
    before = asking.action()["task_instance"]["id"]
    people.clear(stage.airflow.api, asking.ti)
    until(lambda: asking.action().get("task_instance", {}).get("id") not in (None, before))
    asking.until_it_asks_again()
    assert answers(stage) == []
    asking.answer("Approve", "the second time")
    assert [each["comment"] for each in asking.result()["approvals"]] == ["the second time"]
    assert len(answers(stage)) == 1


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


def at_a_gate(stage: Stage) -> Asking:
    """A task that asks about an approval of its own execution."""
    asking = Asking(stage, "gates", stage.start("gates"))
    until(asking.action)
    return asking.until_it_asks()


def executions(stage: Stage) -> list[dict[str, Any]]:
    return [each for each in stage.sandbox.control.executions("code_stream") if each["pipeline"] == APPROVED]


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
    action = until(asking.action, lambda action: action["response_received"])
    assert "the task is failed" in action["params_input"]["comment"]
    until(lambda: cancels(stage), lambda seen: seen == [1])
    assert asking.state == "failed"
    assert answers(stage) == []


def test_a_pipeline_whose_approval_is_rejected_fails_its_task_without_a_retry(stage: Stage) -> None:
    asking = at_a_gate(stage)
    asking.answer("Reject", "not on a Friday")
    until(lambda: asking.state, lambda seen: seen == "failed")
    assert cancels(stage) == [0]
    assert [each["responseMessage"] for each in answers(stage)] == ["rejected by admin: not on a Friday"]


def test_a_cleared_task_cancels_its_pipeline_and_asks_about_a_new_one(stage: Stage) -> None:
    asking = at_a_gate(stage)
    people.clear(stage.airflow.api, asking.ti)
    until(lambda: cancels(stage), lambda seen: seen == [1, 0])
    until(lambda: asking.action()["response_received"])
    asking.until_it_asks_again()
    asking.answer("Approve", "the second time")
    assert [each["comment"] for each in asking.result()["approvals"]] == ["the second time"]
    assert len(answers(stage)) == 1
