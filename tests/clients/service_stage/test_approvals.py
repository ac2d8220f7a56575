"""Approvals: which tasks wait, and that an answer is taken only once it shows."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.clients.service_stage.references import pending_approval_reference
from airflow_provider.execution import ExecutionState
from tests.support.service_stage_gateway import PIPELINE, Gateway, release_ref


def test_an_approval_names_the_tasks_that_wait_and_asks_for_them_once(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    gateway.recorded({"id": 286541, "status": 5})
    gateway.detail["pipeline_declaration"]["stages"] = [
        {"name": "s", "tasks": [{"name": "apr0v1", "type": "approval"}]}
    ]
    for _ in range(3):
        seen = client.observe(release_ref())
        assert (seen.state, seen.message) == (ExecutionState.WAITING, "to be approved: apr0v1")
    assert gateway.sent == ["records", "detail", "records", "records"]


def _stages(*tasks: tuple[str, str, Any]) -> list[dict[str, Any]]:
    return [{"name": "s", "tasks": [{"name": name, "type": kind, "status": status} for name, kind, status in tasks]}]


UPDATE, FIRST, SECOND_ONE = ("ujgdh4", "update_component"), ("first0", "approval"), ("second", "approval")
# the status of the release, the tasks, which of them wait, and whether the first approval does
APPROVALS = {
    "the only one": (5, [(*UPDATE, None), (*FIRST, None)], ["first0"], True),
    "one of two": (5, [(*FIRST, None), (*SECOND_ONE, None)], ["first0", "second"], None),
    "an approval or a trigger": (5, [(*FIRST, None), ("go", "trigger", None)], ["first0", "go"], None),
    "tasks without kinds": (5, [("first0", "", None), ("other", "", None)], ["first0", "other"], None),
    "the second, as its status tells": (5, [(*FIRST, 2), (*SECOND_ONE, "5")], ["second"], False),
    "both, as their status tells": (5, [(*FIRST, 5), (*SECOND_ONE, 5)], ["first0", "second"], True),
    "none, while it goes on": (4, [(*FIRST, None), (*SECOND_ONE, None)], [], False),
    "none, because it is over": (2, [(*FIRST, None)], [], False),
}


@pytest.mark.parametrize(("status", "tasks", "waiting", "is_waiting"), APPROVALS.values(), ids=APPROVALS)
def test_which_approval_a_release_waits_for_is_known_as_far_as_the_api_says(
    client: ServiceStageClient, gateway: Gateway, status: int, tasks: Any, waiting: list[str], is_waiting: bool | None
) -> None:
    gateway.recorded({"id": 286541, "status": status})
    gateway.detail["pipeline_declaration"]["stages"] = _stages(*tasks)
    assert client.approvals.list_waiting(release_ref()) == waiting
    assert client.approvals.is_waiting_for(release_ref(), "first0") is is_waiting


@pytest.mark.parametrize("declaration", ["text", None, {"stages": [{"name": "s"}]}])
def test_a_release_that_asks_is_seen_even_if_no_task_is_known(
    client: ServiceStageClient, gateway: Gateway, declaration: Any
) -> None:
    gateway.items = [Gateway.item(5)]
    gateway.recorded({"id": 286541, "status": 5})
    gateway.detail["pipeline_declaration"] = declaration
    seen = client.observe(pending_approval_reference(PIPELINE))
    assert (seen.state, seen.id, seen.message) == (ExecutionState.SUCCEEDED, "286541", "to be approved")
    assert seen.outputs == {"execution_id": "286541", "task_name": None, "task_names": []}


def test_tasks_that_a_record_shows_are_believed_before_the_declaration(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    gateway.recorded({"id": 286541, "status": 5, "stages": _stages((*FIRST, 2), (*SECOND_ONE, 5))})
    gateway.detail["pipeline_declaration"]["stages"] = _stages((*FIRST, None), (*SECOND_ONE, None))
    assert client.approvals.list_waiting(release_ref()) == ["second"]


def test_an_answer_that_does_not_show_yet_is_not_called_taken(client: ServiceStageClient, gateway: Gateway) -> None:
    gateway.recorded({"id": 286541, "status": 5})
    gateway.detail["pipeline_declaration"]["stages"] = _stages((*FIRST, None))
    assert client.observe(release_ref(action="approval", status_before="5")).state is ExecutionState.QUEUED
    assert client.approvals.is_waiting_for(release_ref(action="approval", status_before="5"), "first0")
