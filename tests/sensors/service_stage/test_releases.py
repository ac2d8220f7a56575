"""The ServiceStage sensor in real Airflow against the sandbox."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider.clients import retries
from airflow_provider.clients.service_stage.references import pending_approval_reference
from airflow_provider.exceptions import ExecutionFailed, ExecutionRejected, NotFoundError
from airflow_provider.hooks.service_stage import ServiceStageHook
from airflow_provider.sensors.service_stage import ServiceStageApprovalSensor, ServiceStageReleaseSensor
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.meanwhile import meanwhile
from tests.support.service_stage_tasks import (
    APPROVAL,
    APPROVED,
    SHOP,
    refuse,
    start,
    start_until_it_asks,
    start_until_it_asks_twice,
    state_of,
)
from tests.support.until import until

BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["poke", "deferrable"])


@pytest.fixture(autouse=True)
def fast(systems) -> None:
    systems.reset(speed=60)


def wait(pipeline: str = SHOP, **arguments: Any) -> TaskRun:
    arguments = {"poke_interval": 0.1, "timeout": 10, **arguments}
    return run_task(lambda: ServiceStageReleaseSensor(task_id="wait", pipeline=pipeline, **arguments))


@pytest.mark.parametrize("by", ["name", "id"])
def test_the_outputs_of_a_release_are_its_record(by):
    execution_id = start()
    with ServiceStageHook().get_conn() as client:
        pipeline = client.release_tasks.find(SHOP)
    ended = wait(pipeline[by], execution_id=execution_id)
    outputs = ended.result["outputs"]
    assert (str(outputs["id"]), outputs["pipeline_id"], outputs["status"]) == (execution_id, pipeline["id"], 2)


@BOTH_MODES
def test_an_earlier_execution_keeps_its_own_end(systems, deferrable):
    first = start()
    systems.force("service_stage", first, "3")
    second = start()
    systems.force("service_stage", second, "2")
    ended = wait(execution_id=first, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionFailed)
    assert first in str(ended.error)
    assert wait(deferrable=deferrable).result["id"] == second


@BOTH_MODES
@pytest.mark.parametrize("end", ["2", "3"], ids=["released", "failed"])
@pytest.mark.parametrize("list_time_lags", [False, True], ids=["the status lags", "the whole list lags"])
def test_the_end_of_the_release_before_that_a_list_still_shows_is_not_that_of_the_new_one(
    systems, list_time_lags, end, deferrable
):
    """As right after a task that starts it and does not wait, where records have no status of their own."""
    systems.force("service_stage", start(), end)
    systems.advance(300)
    systems.switch("service_stage", task_seconds=1e6, record_status=False, list_lag=4.0, list_time_lags=list_time_lags)
    ended = wait(execution_id=start(), deferrable=deferrable, timeout=2)
    assert isinstance(ended.error, AirflowSensorTimeout)


@BOTH_MODES
def test_the_end_that_only_a_list_shows_counts_once_it_cannot_be_of_the_release_before(systems, deferrable):
    systems.switch("service_stage", record_status=False)
    execution_id = start()
    systems.force("service_stage", execution_id, "2")
    systems.advance(61)
    assert wait(execution_id=execution_id, deferrable=deferrable).result["id"] == execution_id


@BOTH_MODES
def test_a_release_that_is_rolled_back_failed(systems, deferrable):
    execution_id = start()
    systems.force("service_stage", execution_id, "11")
    ended = wait(execution_id=execution_id, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionFailed)
    assert "rolled back" in str(ended.error)


@BOTH_MODES
def test_a_release_that_somebody_refuses_is_rejected(systems, deferrable):
    execution_id = start(APPROVED)
    with meanwhile(lambda: refuse(systems)):
        ended = wait(APPROVED, execution_id=execution_id, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionRejected)


@BOTH_MODES
def test_a_release_that_somebody_approves_ends_well(systems, deferrable):
    execution_id = start(APPROVED)
    until(lambda: state_of(systems, execution_id) == "5")

    def approve() -> bool:
        with ServiceStageHook().get_conn() as client:
            pipeline_id = str(client.release_tasks.find(APPROVED)["id"])
            client.releases.act(pipeline_id, "approval", task_name="apr0v1", approval_type="agree")
        return True

    with meanwhile(approve):
        ended = wait(APPROVED, deferrable=deferrable)
    assert (ended.error, ended.result["id"]) == (None, execution_id)


def test_a_release_task_that_was_never_executed_is_waited_for():
    assert isinstance(wait(timeout=0.2).error, AirflowSensorTimeout)


def test_a_release_task_that_is_not_there_is_not_waited_for():
    ended = wait("shop-relaese")
    assert isinstance(ended.error, NotFoundError)
    assert SHOP in str(ended.error)


@pytest.mark.parametrize(
    "mode", [{}, {"mode": "reschedule"}, {"deferrable": True}], ids=["poke", "reschedule", "defer"]
)
def test_an_outage_while_a_release_task_is_looked_up_ends_no_wait(systems, mode, mocker):
    mocker.patch.object(retries, "FIRST_PAUSE", 0.01)
    execution_id = start()
    systems.fault("service_stage", "status", method="GET", path="/pipelines", status=503, times=8)
    ended = wait(timeout=60, **mode)
    assert ended.error is None
    assert ended.result["id"] == execution_id


def test_an_outage_that_outlasts_the_timeout_ends_the_wait_before_it_is_deferred(systems, mocker):
    mocker.patch.object(retries, "FIRST_PAUSE", 0.01)
    systems.fault("service_stage", "status", method="GET", path="/pipelines", status=503, times=1000)
    ended = wait(timeout=0.5, deferrable=True)
    assert isinstance(ended.error, AirflowSensorTimeout)
    assert "503" in str(ended.error)


@BOTH_MODES
@pytest.mark.parametrize("execution_id", ["None", "999999"])
def test_an_execution_that_is_not_there_does_not_pass_for_the_last_one(systems, deferrable, execution_id):
    systems.force("service_stage", start(), "2")
    ended = wait(execution_id=execution_id, deferrable=deferrable, timeout=30)
    assert isinstance(ended.error, NotFoundError)
    assert f"no execution '{execution_id}'" in str(ended.error)


# --- approvals


def wait_for_approval(pipeline: str = APPROVED, **arguments: Any) -> TaskRun:
    arguments = {"poke_interval": 0.1, "timeout": 10, **arguments}
    return run_task(lambda: ServiceStageApprovalSensor(task_id="wait", pipeline=pipeline, **arguments))


@BOTH_MODES
@pytest.mark.parametrize("is_asked_before", [True, False], ids=["before", "meanwhile"])
def test_a_pending_approval_is_found_with_the_name_that_an_answer_needs(systems, deferrable, is_asked_before):
    execution_id = start_until_it_asks(systems) if is_asked_before else start(APPROVED)
    ended = wait_for_approval(deferrable=deferrable)
    assert ended.error is None
    assert ended.result["outputs"] == {"execution_id": execution_id, "task_name": APPROVAL, "task_names": [APPROVAL]}
    assert (ended.result["state"], ended.result["id"]) == ("succeeded", execution_id)


def test_all_names_are_given_where_the_system_does_not_say_which_one_waits(systems):
    start_until_it_asks_twice(systems)
    outputs = wait_for_approval("two-approvals").result["outputs"]
    assert (outputs["task_name"], outputs["task_names"]) == (None, ["first0", "second"])


@BOTH_MODES
def test_an_approval_that_was_answered_is_not_pending(systems, deferrable):
    execution_id = start_until_it_asks(systems)
    with ServiceStageHook().get_conn() as client:
        pipeline_id = str(client.release_tasks.find(APPROVED)["id"])
        client.releases.act(pipeline_id, "approval", task_name=APPROVAL, approval_type="refuse")
    until(lambda: state_of(systems, execution_id) == "3")
    ended = wait_for_approval(timeout=1, deferrable=deferrable)
    assert isinstance(ended.error, AirflowSensorTimeout)


def test_a_release_task_that_does_not_exist_asks_for_nothing(systems):
    assert isinstance(wait_for_approval("shop-release-aproval").error, NotFoundError)


def test_many_waits_for_approvals_cost_one_list(systems):
    start_until_it_asks(systems)
    with ServiceStageHook().get_conn() as client:
        ids = [str(each["id"]) for each in client.release_tasks.list()]
        refs = [pending_approval_reference(each) for each in ids]
        seen = client.waits.fetch(refs)
        assert sorted(str(each.state) for each in seen) == ["queued"] * (len(ids) - 1) + ["succeeded"]
        quiet = [each for each in seen if each.state == "queued"]
        before = len(systems.requests("service_stage"))
        assert all(now is known for now, known in zip(client.waits.fetch(quiet), quiet, strict=True))
        assert len(systems.requests("service_stage")) == before + 1
