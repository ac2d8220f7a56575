"""Tasks on ServiceStage, and what the sandbox's ServiceStage saw of them."""

from __future__ import annotations

import pytest

from airflow_provider.hooks.service_stage import ServiceStageHook
from tests.support.systems import Systems
from tests.support.until import until

SHOP, APPROVED = "shop-release", "shop-release-approval"
APPROVAL = "apr0v1"
SLOW = 0.05
BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["synchronous", "deferrable"])


def start(pipeline: str = SHOP) -> str:
    """A release that no task has started."""
    with ServiceStageHook().get_conn() as client:
        return client.releases.act(str(client.release_tasks.find(pipeline)["id"]), "start").id


def start_until_it_asks(systems: Systems) -> str:
    execution_id = start(APPROVED)
    until(lambda: state_of(systems, execution_id) == "5")
    return execution_id


def state_of(systems: Systems, execution_id: str) -> str:
    return next(each["state"] for each in systems.executions("service_stage") if each["id"] == execution_id)


def cancels(systems: Systems) -> int:
    return sum(len(each["cancels"]) for each in systems.executions("service_stage"))


def actions(systems: Systems) -> list[str]:
    return [each["query"].partition("action_id=")[2] for each in systems.requests("service_stage", "POST", "/action")]


def start_until_it_asks_twice(systems: Systems) -> str:
    """ServiceStage shows that it waits, but not for which of the two."""
    groups = [{"tasks": [{"name": name, "type": "approval"}]} for name in ("first0", "second")]
    with ServiceStageHook().get_conn() as client:
        stages = [{"name": "899tih", "groups": groups}]
        client.release_tasks.create({"name": "two-approvals", "config_mode": "ui", "stages": stages})
    execution_id = start("two-approvals")
    until(lambda: state_of(systems, execution_id) == "5")
    return execution_id


def refuse(systems: Systems) -> bool:
    """Another approver says no, after whoever waits, in worker or triggerer, has seen that the release asks."""
    asking = [each["states"][-1]["at"] for each in systems.executions("service_stage") if each["state"] == "5"]
    polls = [each["time"] for each in systems.requests("service_stage", "GET") if asking and each["time"] > asking[0]]
    if not polls or polls[-1] < polls[0] + 0.9:
        return False
    with ServiceStageHook().get_conn() as client:
        pipeline_id = str(client.release_tasks.find(APPROVED)["id"])
        client.releases.act(pipeline_id, "approval", task_name=APPROVAL, approval_type="refuse")
    return True
