"""The sensor of approvals."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider.exceptions import ExecutionFailed, NotFoundError
from airflow_provider.sensors.code_stream import (
    CodeStreamApprovalSensor,
    CodeStreamExecutionSensor,
)
from tests.support.code_stream_sensors import BOTH_MODES, wait
from tests.support.code_stream_tasks import APPROVED, SHOP, SLOW, refuse, start, start_until_it_asks
from tests.support.meanwhile import meanwhile


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
    assert "has no pending approval" in str(ended.error)


def test_a_pipeline_that_does_not_exist_is_not_waited_for():
    ended = wait(CodeStreamApprovalSensor, pipeline="Deploy shop with aproval")
    assert isinstance(ended.error, NotFoundError)
    assert repr(APPROVED) in str(ended.error)


def test_a_pipeline_name_of_several_projects_is_waited_for_in_all_of_them():
    ended = wait(CodeStreamApprovalSensor, pipeline="Smoke test", timeout=0.2)
    assert isinstance(ended.error, AirflowSensorTimeout)


def test_an_execution_that_waits_for_a_person_is_still_waited_for(systems):
    systems.reset(speed=SLOW)
    execution_id = start(APPROVED)
    systems.force("code_stream", execution_id, "WAITING")

    def go_on() -> bool:
        polls = systems.requests("code_stream", "GET", f"/executions/{execution_id}")
        if len(polls) > 2:
            systems.force("code_stream", execution_id, "COMPLETED")
        return len(polls) > 2

    with meanwhile(go_on):
        ended = wait(CodeStreamExecutionSensor, execution_id=execution_id)
    assert ended.state == "success"
