"""Code Stream sensors in real Airflow against the sandbox: executions, trigger events, approvals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider.exceptions import ExecutionCanceled, ExecutionFailed, ExecutionRejected, NotFoundError
from airflow_provider.sensors.code_stream import (
    CodeStreamApprovalSensor,
    CodeStreamEventSensor,
    CodeStreamExecutionSensor,
)
from tests.airflow_runs import TaskRun, run_task
from tests.meanwhile import meanwhile
from tests.operators.test_code_stream import APPROVED, SHOP, SLOW, refuse, start, start_until_it_asks

BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["poke", "deferrable"])


@pytest.fixture(autouse=True)
def fast(systems) -> None:
    systems.reset(speed=60)


def wait(sensor: type, **arguments: Any) -> TaskRun:
    return run_task(lambda: sensor(task_id="wait", **{"poke_interval": 0.1, "timeout": 10, **arguments}))


def event(**arguments: Any) -> TaskRun:
    return wait(CodeStreamEventSensor, **arguments)


def deliver(systems, kind: str, **fields: Any) -> dict[str, Any]:
    return systems.act("code_stream", "deliver", kind=kind, fields=fields, inputs={"tag": "1"})


# --- executions


@BOTH_MODES
def test_an_execution_that_was_refused_is_rejected_even_before_the_first_look(systems, deferrable):
    execution_id = start_until_it_asks(systems)
    assert refuse()
    ended = wait(CodeStreamExecutionSensor, execution_id=execution_id, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionRejected)
    assert "rejected by release-bot" in str(ended.error)


@BOTH_MODES
def test_an_execution_that_is_refused_meanwhile_is_rejected(deferrable):
    execution_id = start(APPROVED)
    with meanwhile(refuse):
        ended = wait(CodeStreamExecutionSensor, execution_id=execution_id, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionRejected)


@BOTH_MODES
def test_a_canceled_execution_is_no_failed_one(systems, deferrable):
    execution_id = start()
    systems.force("code_stream", execution_id, "CANCELED")
    ended = wait(CodeStreamExecutionSensor, execution_id=execution_id, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionCanceled)


def test_the_outputs_of_an_execution_are_the_pipelines_output():
    ended = wait(CodeStreamExecutionSensor, execution_id=start())
    assert ended.result["outputs"] == {"deployed": "1.4.2"}


# --- events

# event type, filters, the field and value by which the event is known
FOUND = {
    "docker by tag": ("docker", {"tag": "1.4.3"}, ("tag", "1.4.3")),
    "docker by several": ("docker", {"repo": "shop", "repoNamespace": "acme", "tag": "1.4.3"}, ("tag", "1.4.3")),
    "git by commit": ("git", {"commitId": "4be2f10"}, ("subject", "Fix checkout")),
    "gerrit by number": ("gerrit", {"changeNumber": 18824}, ("changeNumber", 18824)),
    "gerrit by number as text": ("gerrit", {"changeNumber": "18824"}, ("changeNumber", 18824)),
    "any": ("docker", None, ("repo", "shop")),
}


@BOTH_MODES
@pytest.mark.parametrize(("event_type", "filters", "known_by"), FOUND.values(), ids=FOUND)
def test_an_event_that_matches_every_filter_is_found(event_type, filters, known_by, deferrable):
    ended = event(event_type=event_type, filters=filters, deferrable=deferrable)
    assert ended.error is None
    outputs = ended.result["outputs"]
    assert outputs[known_by[0]] == known_by[1]
    assert ended.result["id"] == ended.xcoms["id"] == outputs["id"]
    assert (ended.result["state"], ended.result["system"]) == ("succeeded", "code_stream")


NOT_FOUND = {
    "another value": ("docker", {"tag": "1.4.4"}),
    "one of two": ("docker", {"tag": "1.4.3", "repo": "cart"}),
    "part of a value": ("docker", {"tag": "1.4"}),
    "another kind": ("git", {"tag": "1.4.3"}),
    "no such field": ("docker", {"digest": "1"}),
}


@pytest.mark.parametrize(("event_type", "filters"), NOT_FOUND.values(), ids=NOT_FOUND)
def test_an_event_that_does_not_match_is_not_taken(event_type, filters):
    ended = event(event_type=event_type, filters=filters, timeout=0.2)
    assert isinstance(ended.error, AirflowSensorTimeout)


@BOTH_MODES
def test_an_event_that_comes_meanwhile_is_found_with_its_execution(systems, deferrable):
    delivered: list[dict[str, Any]] = []

    def come() -> bool:
        asked = systems.requests("code_stream", "GET", "/registry-events")
        if asked:
            delivered.append(deliver(systems, "docker", tag="2.0.0"))
        return bool(asked)

    with meanwhile(come):
        ended = event(event_type="docker", filters={"tag": "2.0.0"}, deferrable=deferrable)
    assert ended.result["id"] == delivered[0]["id"]
    assert ended.result["url"].endswith(delivered[0]["executionLink"].rpartition("/")[2])
    assert ended.xcoms["url"] == ended.result["url"]


@BOTH_MODES
@pytest.mark.parametrize("form", [lambda moment: moment, lambda moment: moment.isoformat()], ids=["datetime", "text"])
@pytest.mark.parametrize(("hours", "is_found"), [(3, True), (1, False)])
def test_only_events_after_a_moment_count(deferrable, form, hours, is_found):
    # The seed holds one that is two hours old.
    since = form(datetime.now(UTC) - timedelta(hours=hours))
    ended = event(event_type="docker", since=since, timeout=10 if is_found else 0.2, deferrable=deferrable)
    if is_found:
        assert ended.error is None
    else:
        assert isinstance(ended.error, AirflowSensorTimeout)


def test_of_several_events_the_newest_is_taken():
    # The seed holds two of them, two and thirty hours old.
    ended = event(event_type="docker", filters={"tag": "1.4.3"})
    age = datetime.now(UTC) - datetime.fromisoformat(ended.result["started_at"])
    assert timedelta(hours=1) < age < timedelta(hours=3)


# --- approvals


@BOTH_MODES
@pytest.mark.parametrize("named_by", ["execution_id", "pipeline"])
@pytest.mark.parametrize("is_asked_before", [True, False], ids=["before", "meanwhile"])
def test_a_pending_approval_is_found(systems, deferrable, named_by, is_asked_before):
    execution_id = start_until_it_asks(systems) if is_asked_before else start(APPROVED)
    name = {"execution_id": execution_id, "pipeline": APPROVED}[named_by]
    ended = wait(CodeStreamApprovalSensor, **{named_by: name}, deferrable=deferrable)
    assert ended.error is None
    outputs = ended.result["outputs"]
    assert (outputs["executionId"], outputs["status"], outputs["approvers"]) == (
        execution_id,
        "ACTIVE",
        ["release-bot"],
    )
    assert ended.result["id"] == ended.xcoms["id"] == outputs["id"]
    assert ended.result["url"].endswith(execution_id)


def test_an_approval_that_was_answered_is_not_pending(systems):
    start_until_it_asks(systems)
    assert refuse()
    ended = wait(CodeStreamApprovalSensor, pipeline=APPROVED, timeout=0.2)
    assert isinstance(ended.error, AirflowSensorTimeout)


def test_the_approval_of_another_execution_is_not_taken(systems):
    start_until_it_asks(systems)
    systems.act("code_stream", "script", pipeline=SHOP, task="Build.Unit", seconds=6000)
    ended = wait(CodeStreamApprovalSensor, execution_id=start(), timeout=0.2)
    assert isinstance(ended.error, AirflowSensorTimeout)


@BOTH_MODES
def test_an_execution_that_ends_without_asking_fails_the_wait_for_its_approval(deferrable):
    execution_id = start()
    ended = wait(CodeStreamApprovalSensor, execution_id=execution_id, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionFailed)
    assert "waits for no approval" in str(ended.error)


def test_a_pipeline_that_does_not_exist_is_not_waited_for():
    ended = wait(CodeStreamApprovalSensor, pipeline="Deploy shop with aproval")
    assert isinstance(ended.error, NotFoundError)
    assert repr(APPROVED) in str(ended.error)


def test_a_pipeline_name_of_several_projects_is_waited_for_in_all_of_them():
    ended = wait(CodeStreamApprovalSensor, pipeline="Smoke test", timeout=0.2)
    assert isinstance(ended.error, AirflowSensorTimeout)


def test_an_execution_that_waits_for_a_person_goes_on_being_waited_for(systems):
    systems.reset(speed=SLOW)
    execution_id = start(APPROVED)
    systems.force("code_stream", execution_id, "WAITING")

    def go_on() -> bool:
        looks = systems.requests("code_stream", "GET", f"/executions/{execution_id}")
        if len(looks) > 2:
            systems.force("code_stream", execution_id, "COMPLETED")
        return len(looks) > 2

    with meanwhile(go_on):
        ended = wait(CodeStreamExecutionSensor, execution_id=execution_id)
    assert ended.state == "success"
