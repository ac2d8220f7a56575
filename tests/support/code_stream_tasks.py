"""Tasks on Code Stream, and what the sandbox's Code Stream saw of them."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.hooks.code_stream import CodeStreamHook
from airflow_provider.operators.code_stream import (
    CodeStreamApprovalOperator,
    CodeStreamExecutionActionOperator,
    CodeStreamRunPipelineOperator,
    CodeStreamTriggerGerritOperator,
)
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.systems import Systems
from tests.support.until import until

SHOP, APPROVED = "Deploy shop", "Deploy shop with approval"
TWO_GATES = "Deploy in two steps"
SLOW = 0.05
BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["synchronous", "deferrable"])


def start(pipeline: str = SHOP) -> str:
    """An execution that no task has started."""
    with CodeStreamHook().get_conn() as client:
        return client.pipelines.run(client.pipelines.find(pipeline, "retail")["id"], inputs={"tag": "1.4.2"}).id


def start_until_it_asks(systems: Systems) -> str:
    execution_id = start(APPROVED)
    until(lambda: state_of(systems, execution_id) == "WAITING")
    return execution_id


def state_of(systems: Systems, execution_id: str) -> str:
    return next(each["state"] for each in systems.executions("code_stream") if each["id"] == execution_id)


def executions_of(systems: Systems, pipeline: str) -> list[dict[str, Any]]:
    return [each for each in systems.executions("code_stream") if each["pipeline"] == pipeline]


def document(execution_id: str) -> dict[str, Any]:
    with CodeStreamHook().get_conn() as client:
        return {**client.executions.get(execution_id)}


def pipeline(**arguments: Any) -> TaskRun:
    arguments = {"pipeline": SHOP, "project": "retail", "inputs": {"tag": "1.4.2"}, **arguments}
    return run_task(lambda: CodeStreamRunPipelineOperator(task_id="deploy", poll_interval=0.1, **arguments))


def act(execution_id: str, action: str, **arguments: Any) -> TaskRun:
    arguments = {"execution_id": execution_id, "action": action, **arguments}
    return run_task(lambda: CodeStreamExecutionActionOperator(task_id="act", poll_interval=0.1, **arguments))


def answer(decision: Any, **arguments: Any) -> TaskRun:
    return run_task(lambda: CodeStreamApprovalOperator(task_id="answer", decision=decision, **arguments))


def trigger(**arguments: Any) -> TaskRun:
    arguments = {"change_id": "I1a2b3c", "project": "retail", "trigger": "shop-changes", **arguments}
    return run_task(lambda: CodeStreamTriggerGerritOperator(task_id="trigger", **arguments))


def refuse() -> bool:
    """An approver says no as soon as he is asked."""
    with CodeStreamHook().get_conn() as client:
        asked = client.approvals.list("status eq 'ACTIVE'")
        for operation in asked:
            client.approvals.answer(operation["id"], False)
    return bool(asked)


def approvals_in_a_row(count: int) -> str:
    """An execution of a pipeline that asks so often; returns its id."""
    with CodeStreamHook().get_conn() as client:
        pattern = client.pipelines.get(client.pipelines.find(APPROVED, "retail")["id"])
        known = [task for stage in pattern["stages"].values() for task in stage["tasks"].values()]
        question = next(task for task in known if task["type"] == "UserOperation")
        tasks = {f"Ask{number}": question for number in range(count)}
        stage = {"taskOrder": list(tasks), "tasks": tasks}
        body = {**pattern, "name": "Many approvals", "stageOrder": ["Ask"], "stages": {"Ask": stage}}
        created = client.pipelines.create({k: v for k, v in body.items() if not k.startswith("_") and k != "id"})
        return client.pipelines.run(created["id"], inputs={"tag": "1.4.2"}).id


def asked(execution_id: str) -> list[str]:
    with CodeStreamHook().get_conn() as client:
        return sorted(
            each["status"]
            for each in client.approvals.list()
            if execution_id in (each.get("executionLink") or each.get("executionId") or "")
        )


GERRIT_CHANGE = {"change_id": "I1a2b3c", "project": "retail", "trigger": "shop-changes"}


def create_pipeline(client: CodeStreamClient, *stages: str, **gate: Any) -> None:
    """The pipeline ``TWO_GATES``, with an approval in each of these stages.

    :param gate: what is other than usual about them.
    """
    body = client.pipelines.get(client.pipelines.find(APPROVED, "retail")["id"])
    usual = body["stages"]["Prod"]["tasks"]["Approve"]
    kept = {name: body[name] for name in ("project", "input", "enabled", "state", "concurrency")}
    tasks = {name: {"Approve": usual | {"input": usual["input"] | {"summary": name} | gate}} for name in stages}
    specs = {name: {"taskOrder": ["Approve"], "tasks": each} for name, each in tasks.items()}
    client.pipelines.create({**kept, "name": TWO_GATES, "stages": specs, "stageOrder": [*stages]})
