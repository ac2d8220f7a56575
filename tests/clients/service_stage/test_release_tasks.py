"""Release tasks: listed, found by id or exact name, created, replaced and deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    UnexpectedResponseError,
)
from tests.support.service_stage_gateway import PIPELINE, PREFIX, Gateway

# Reading


@pytest.mark.parametrize("wrapped", [True, False])
def test_lists_come_wrapped_or_bare(client: ServiceStageClient, gateway: Gateway, wrapped: bool) -> None:
    items, records = [Gateway.item()], [{"id": 1, "status": 2}]
    gateway.items = {"pipelines": items} if wrapped else items
    gateway.records = {"count": 1, "records": records} if wrapped else records
    assert client.release_tasks.list() == items
    assert client.releases.list(PIPELINE) == records


@pytest.mark.parametrize("body", [{"count": 0, "records": None}, {"count": "0"}])
def test_records_that_are_null_are_none_if_they_count_0(
    client: ServiceStageClient, gateway: Gateway, body: dict[str, Any]
) -> None:
    gateway.records = body
    assert client.releases.list(PIPELINE) == []
    gateway.records = {**body, "count": 1}
    with pytest.raises(UnexpectedResponseError):
        client.releases.list(PIPELINE)


@pytest.mark.parametrize("body", [None, {}, {"pipelines": None}, {"pipelines": [1]}, "text", 5])
def test_a_list_of_another_shape_is_an_error_and_not_an_empty_list(
    client: ServiceStageClient, gateway: Gateway, body: Any
) -> None:
    gateway.items = json.dumps(body) if body == "text" else body
    with pytest.raises(UnexpectedResponseError):
        client.release_tasks.list()


@pytest.mark.parametrize("without", [{"id": None}, {"id": ""}, {"id": {}}])
def test_a_release_task_that_is_listed_without_an_id_is_an_unreadable_answer(
    client: ServiceStageClient, gateway: Gateway, without: dict[str, Any]
) -> None:
    gateway.items = [Gateway.item(**without)]
    for call in (
        lambda: client.release_tasks.find("shop-release"),
        lambda: client.releases.intent("shop-release", "start"),
        lambda: client.releases.find_stoppable("shop-release"),
        lambda: client.approvals.find_waiting("shop-release"),
    ):
        with pytest.raises(UnexpectedResponseError, match="pipelines with ids"):
            call()


def test_a_release_task_is_found_by_its_id_or_exact_name(client: ServiceStageClient, gateway: Gateway) -> None:
    other = {**Gateway.item(), "id": "other", "name": PIPELINE}
    gateway.items = [Gateway.item(), other]
    assert client.release_tasks.find(PIPELINE)["name"] == "shop-release"
    assert client.release_tasks.find("shop-release")["id"] == PIPELINE
    with pytest.raises(NotFoundError, match=r"shop-releas'; there are shop-release"):
        client.release_tasks.find("shop-releas")
    gateway.items = [{**Gateway.item(), "id": "a"}, {**Gateway.item(), "id": "b"}]
    with pytest.raises(ConflictError, match="a, b"):
        client.release_tasks.find("shop-release")
    with pytest.raises(BadRequestError, match="pipeline"):
        client.release_tasks.find("")


def test_stage_and_task_names_are_found_however_deep_they_are(client: ServiceStageClient, gateway: Gateway) -> None:
    gateway.detail["pipeline_declaration"]["stages"] = [
        {"name": "899tih", "tasks": [{"name": "ujgdh4", "type": "update_component"}]},
        {"name": "uipfzw", "groups": [{"name": "g1", "tasks": [{"name": "ax8hus", "type": "approval"}]}]},
    ]
    assert client.release_tasks.list_stages(PIPELINE) == {"899tih": ["ujgdh4"], "uipfzw": ["ax8hus"]}
    assert client.release_tasks.list_approvals(PIPELINE) == ["ax8hus"]


def test_release_tasks_are_created_replaced_and_deleted(client: ServiceStageClient, gateway: Gateway) -> None:
    gateway.reply = {"id": PIPELINE}
    task = {"name": "new", "config_mode": "ui", "stages": []}
    assert client.release_tasks.create(task) == {"id": PIPELINE}
    client.release_tasks.update(PIPELINE, task)
    gateway.reply = None
    client.release_tasks.delete(PIPELINE)
    assert [(request.method, request.path) for request in gateway.scripted.requests] == [
        ("POST", PREFIX),
        ("PUT", f"{PREFIX}/{PIPELINE}"),
        ("DELETE", f"{PREFIX}/{PIPELINE}"),
    ]
    assert gateway.scripted.requests[0].json == gateway.scripted.requests[1].json == {"model_version": 2, **task}
