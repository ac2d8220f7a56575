"""What acts on a release task: one request each, sent once."""

from __future__ import annotations

import time
from typing import Any

import pytest

from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)
from airflow_provider.execution import ExecutionState
from tests.support.service_stage_gateway import PIPELINE, PREFIX, PROJECT, Gateway, connected, release_ref

# Actions


@pytest.mark.parametrize(
    ("action", "arguments", "body"),
    [
        ("start", {}, {}),
        (
            "start",
            {"selected_tasks": {"899tih": ["ujgdh4"], "uipfzw": ["ax8hus"]}},
            {
                "selected_tasks": [
                    {"stage_name": "899tih", "tasks": ["ujgdh4"]},
                    {"stage_name": "uipfzw", "tasks": ["ax8hus"]},
                ]
            },
        ),
        ("stop", {}, {}),
        ("retry", {}, {}),
        ("continue", {}, {}),
        ("rollback", {}, {}),
        (
            "approval",
            {"task_name": "apr0v1", "approval_type": "agree", "message": "发布 für später"},
            {"task_name": "apr0v1", "approval_type": "agree", "message": "发布 für später"},
        ),
        (
            "approval",
            {"task_name": "apr0v1", "approval_type": "refuse"},
            {"task_name": "apr0v1", "approval_type": "refuse"},
        ),
    ],
)
def test_each_action_is_one_post_with_its_body(
    client: ServiceStageClient, gateway: Gateway, action: str, arguments: dict[str, Any], body: dict[str, Any]
) -> None:
    gateway.reply = {"id": "286541", "pipeline_id": PIPELINE, "status": "4"}
    started = client.releases.act(PIPELINE, action, **arguments)
    request = gateway.scripted.requests[-1]
    assert (request.method, request.target) == ("POST", f"{PREFIX}/{PIPELINE}/action?action_id={action}")
    assert request.json == body
    assert request.headers["Content-Type"] == "application/json;charset=utf8"
    assert request.headers["X-Project-Id"] == PROJECT
    assert "X-Auth-Token" not in request.headers
    assert "Signature=" in request.headers["Authorization"]
    assert gateway.sent == ["list", action]
    assert (started.id, started.state, started.status) == ("286541", ExecutionState.RUNNING, "4")
    place = f"{gateway.url} project {PROJECT}"
    assert started.ref | {"since": ""} == release_ref("286541", action, since="", clock="vendor", place=place)
    assert abs(float(started.ref["since"]) - time.time()) < 60
    assert all(isinstance(value, str) for value in started.ref.values())


def test_what_the_intent_holds_is_not_read_again(client: ServiceStageClient, gateway: Gateway) -> None:
    started = client.releases.act(PIPELINE, "start", before={"status_before": "3", "triggered_before": "5"})
    assert gateway.sent == ["start"]
    assert (started.ref["status_before"], started.ref["triggered_before"]) == ("3", "5")


@pytest.mark.parametrize(
    ("action", "arguments", "names"),
    [
        ("begin", {}, "action"),
        ("START", {}, "action"),
        ("stop", {"selected_tasks": {"a": ["b"]}}, "selected_tasks"),
        ("start", {"selected_tasks": {}}, "selected_tasks"),
        ("start", {"selected_tasks": {"a": []}}, "selected_tasks"),
        ("start", {"selected_tasks": {"a": "b"}}, "selected_tasks"),
        ("start", {"selected_tasks": {"a": [""]}}, "selected_tasks"),
        ("start", {"selected_tasks": {"a": 5}}, "selected_tasks"),
        ("start", {"selected_tasks": {"": ["b"]}}, "selected_tasks"),
        ("start", {"message": "hello"}, "message"),
        ("retry", {"task_name": "x"}, "task_name"),
        ("rollback", {"approval_type": "agree"}, "approval_type"),
        ("approval", {"approval_type": "agree"}, "task_name"),
        ("approval", {"task_name": " ", "approval_type": "agree"}, "task_name"),
        ("approval", {"task_name": "x"}, "approval_type"),
        ("approval", {"task_name": "x", "approval_type": "approve"}, "approval_type"),
    ],
)
def test_a_wrong_argument_is_refused_by_name_before_anything_is_sent(
    client: ServiceStageClient, gateway: Gateway, action: str, arguments: dict[str, Any], names: str
) -> None:
    with pytest.raises(BadRequestError, match=names):
        client.releases.act(PIPELINE, action, **arguments)
    assert gateway.sent == []


@pytest.mark.parametrize("pipeline_id", ["", " ", ".."])
def test_an_id_that_would_reach_another_call_is_refused(
    client: ServiceStageClient, gateway: Gateway, pipeline_id: str
) -> None:
    with pytest.raises(BadRequestError, match="pipeline_id"):
        client.releases.act(pipeline_id, "start", before={})
    assert gateway.sent == []


def test_an_intent_of_an_unknown_action_is_refused_before_any_request(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    with pytest.raises(BadRequestError, match="action must be one of start"):
        client.releases.intent(PIPELINE, "begin")
    assert gateway.sent == []


@pytest.mark.parametrize(
    ("answer", "error", "effect", "posts"),
    [
        ((500, {}, {"error_code": "SVCSTG.00100500", "error_msg": "internal"}), ServerUnavailableError, "unknown", 1),
        ((502, {}, "<html>bad gateway</html>"), ServerUnavailableError, "late", 1),
        ((504, {}, None), ServerUnavailableError, "late", 1),
        ((200, {}, None), UnexpectedResponseError, "unknown", 1),
        ((200, {}, '{"id": 28'), UnexpectedResponseError, "unknown", 1),
        ((200, {}, {"pipeline_id": PIPELINE, "status": 4}), UnexpectedResponseError, "unknown", 1),
        ((200, {}, {"error_code": "SVCSTG.00100400", "error_msg": "running"}), BadRequestError, "refused", 1),
        ((200, {}, {"error_code": "SVCSTG.00100999", "error_msg": "?"}), UnexpectedResponseError, "unknown", 1),
        ((400, {}, {"error_code": "SVCSTG.00100400", "error_msg": "running"}), BadRequestError, "refused", 1),
        ((409, {}, {"error": {"errorCode": "SVCSTG.00100409", "errorMsg": "running"}}), ConflictError, "refused", 1),
        ((401, {}, {"error_code": "APIGW.0301", "error_msg": "no"}), AuthenticationError, "none", 1),
        ((429, {"Retry-After": "0"}, {"error_code": "APIGW.0308", "error_msg": "slow"}), ThrottledError, "none", 3),
    ],
)
def test_only_a_start_is_sent_once_and_any_other_only_until_it_may_have_done_something(
    gateway: Gateway, answer: Any, error: type[ReleasePipelineError], effect: str, posts: int
) -> None:
    for action, times in (("start", 1), ("retry", 1), ("continue", 1), ("rollback", 1), ("stop", posts)):
        gateway.refusals = [answer] * 10
        gateway.scripted.requests.clear()
        with connected(gateway.url, attempts=3) as client, pytest.raises(error) as caught:
            client.releases.act(PIPELINE, action, before={})
        assert caught.value.effect == effect
        assert gateway.sent == [action] * times


@pytest.mark.parametrize("action", ["start", "retry", "continue", "rollback", "stop"])
@pytest.mark.parametrize("status", [2, "3", 7, 9, 11, 12])
def test_an_end_in_the_answer_to_an_action_is_not_its_own(
    client: ServiceStageClient, gateway: Gateway, action: str, status: Any
) -> None:
    gateway.reply = {"id": 286541, "pipeline_id": PIPELINE, "status": status}
    acted = client.releases.act(PIPELINE, action, before={"status_before": "4"})
    assert (acted.state, acted.status) == (ExecutionState.QUEUED, str(status))
