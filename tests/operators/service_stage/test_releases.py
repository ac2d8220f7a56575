"""The operator that releases."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.exceptions import (
    BadRequestError,
    ExecutionFailed,
    ExecutionRejected,
    ExecutionWaiting,
)
from airflow_provider.hooks.service_stage import ServiceStageHook
from airflow_provider.operators.service_stage import ServiceStageReleaseOperator
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.meanwhile import meanwhile
from tests.support.service_stage_tasks import (
    APPROVAL,
    APPROVED,
    BOTH_MODES,
    SHOP,
    SLOW,
    actions,
    cancels,
    refuse,
    start,
)


def release(**arguments: Any) -> TaskRun:
    return run_task(lambda: ServiceStageReleaseOperator(task_id="release", poll_interval=0.1, **arguments))


def test_the_outputs_of_a_release_are_its_record():
    ended = release(pipeline=SHOP)
    outputs = ended.result["outputs"]
    assert str(outputs["id"]) == ended.result["id"]
    assert outputs["pipeline_id"] == ended.result["ref"]["pipeline_id"]
    assert (outputs["trigger"], outputs["status"]) == ("release-bot", 2)


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_release_task_is_called_by_name_or_id(systems, by):
    with ServiceStageHook().get_conn() as client:
        pipeline = client.release_tasks.find(SHOP)
    ended = release(pipeline=pipeline[by])
    assert ended.result["ref"]["pipeline_id"] == pipeline["id"]


def test_only_the_selected_tasks_are_released(systems):
    ended = release(pipeline=SHOP, selected_tasks={"899tih": ["ujgdh4"]})
    assert ended.state == "success"
    (request,) = systems.requests("service_stage", "POST", "/action")
    assert request["body"] == {"selected_tasks": [{"stage_name": "899tih", "tasks": ["ujgdh4"]}]}


# what is done, in which state of the last release, how the release ends then
GOING_ON = {
    "retry": ("retry", "3", "2"),
    "continue": ("continue", "7", "2"),
    "roll back a release": ("rollback", "2", "11"),
    "roll back a failure": ("rollback", "3", "11"),
}


@BOTH_MODES
@pytest.mark.parametrize(("action", "before", "after"), GOING_ON.values(), ids=GOING_ON)
def test_an_action_continues_with_the_last_release(systems, action, before, after, deferrable):
    execution_id = start()
    systems.force("service_stage", execution_id, before)
    ended = release(pipeline=SHOP, action=action, deferrable=deferrable)
    assert ended.error is None
    assert (ended.result["id"], ended.result["state"], ended.result["status"]) == (execution_id, "succeeded", after)
    assert actions(systems) == ["start", action]


def test_a_rollback_that_fails_fails_the_task(systems):
    systems.switch("service_stage", rollback_fails=True)
    systems.force("service_stage", start(), "2")
    ended = release(pipeline=SHOP, action="rollback")
    assert isinstance(ended.error, ExecutionFailed)
    assert "rollback failed" in str(ended.error)


@pytest.mark.parametrize(("action", "status"), [("retry", "2"), ("continue", "4"), ("rollback", "7"), ("start", "4")])
def test_an_action_that_the_status_does_not_allow_is_refused_in_the_vendors_words(systems, action, status):
    systems.reset(speed=SLOW)
    systems.force("service_stage", start(), status)
    ended = release(pipeline=SHOP, action=action)
    assert isinstance(ended.error, BadRequestError)
    assert f"{action} is not allowed in status {status}" in str(ended.error)
    assert len(systems.executions("service_stage")) == 1


@BOTH_MODES
def test_a_release_that_somebody_refused_is_rejected(systems, deferrable):
    with meanwhile(lambda: refuse(systems)):
        ended = release(pipeline=APPROVED, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionRejected)
    assert cancels(systems) == 0


@BOTH_MODES
def test_a_release_need_not_be_waited_for_while_it_waits_for_a_person(systems, deferrable):
    ended = release(pipeline=APPROVED, deferrable=deferrable, on_waiting="fail")
    assert isinstance(ended.error, ExecutionWaiting)
    assert APPROVAL in str(ended.error)
    (execution,) = systems.executions("service_stage")
    assert (execution["state"], execution["cancels"]) == ("5", [])
