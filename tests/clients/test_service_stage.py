"""The ServiceStage client over HTTP, against a scripted gateway that answers in every shape the contract allows."""

from __future__ import annotations

import json
import pickle
import re
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider.clients import login as logins
from airflow_provider.clients.service_stage import ServiceStageClient, release_looks
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ConnectionConfigError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState
from tests.clients.conftest import Received, Scripted

PROJECT = "77b6a44cba5143ab91d13ab9a8ff44fd"
PIPELINE = "caf409b1-10df-483a-b14d-7b05f7e12c88"
PREFIX = f"/v3/{PROJECT}/pipeline/pipelines"
ACCESS_KEY, SECRET_KEY = "AKEXAMPLE0000000TEST", "sk-example-0000000000000000"
TRIGGERED = 1767323100000


class Gateway:
    """Answers the calls of one project from what a test put into it; ``refusals`` come first, in order."""

    def __init__(self, scripted: Scripted) -> None:
        self.scripted = scripted
        self.url = scripted.url
        self.items: Any = [self.item()]
        self.records: Any = {"count": 0, "records": []}
        self.detail: Any = {"id": PIPELINE, "pipeline_declaration": {"stages": []}}
        self.reply: Any = {"id": 286541, "pipeline_id": PIPELINE, "status": 4}
        self.refusals: list[Any] = []
        scripted.always = self.answer

    @staticmethod
    def item(status: Any = 2, **more: Any) -> dict[str, Any]:
        return {"id": PIPELINE, "name": "shop-release", "status": status, "last_trigger_at": TRIGGERED, **more}

    def recorded(self, *records: dict[str, Any]) -> None:
        self.records = {"count": len(records), "records": list(records)}

    def answer(self, request: Received) -> tuple[int, dict[str, str], Any]:
        if self.refusals:
            status, headers, body = self.refusals.pop(0)
            return status, headers, body
        if request.method != "GET":
            return 200, {}, self.reply
        if request.path == PREFIX:
            return 200, {}, self.items
        return 200, {}, self.records if request.path.endswith("/records") else self.detail

    @property
    def sent(self) -> list[str]:
        """What was asked for, in order: ``list``, ``records``, ``detail`` or the name of an action."""
        return [
            request.query.get("action_id", request.method)
            if request.method != "GET"
            else {PREFIX: "list", f"{PREFIX}/{PIPELINE}/records": "records"}.get(request.path, "detail")
            for request in self.scripted.requests
        ]


@pytest.fixture
def gateway(scripted: Scripted) -> Gateway:
    return Gateway(scripted)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[ServiceStageClient]:
    with _client(gateway.url) as client:
        yield client


def _client(url: str, **options: Any) -> ServiceStageClient:
    values = {"project_id": PROJECT, "access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "attempts": 1, **options}
    return ServiceStageClient(url, **values)


_JUST_NOW = time.time() + 600
"""Tests are collected minutes before they run: by then it is just now still."""


def _ref(execution_id: str = "286541", action: str = "start", **more: str) -> ExecutionRef:
    return {
        "system": "service_stage",
        "kind": "release",
        "id": execution_id,
        "pipeline_id": PIPELINE,
        "action": action,
        "status_before": "2",
        "triggered_before": str(TRIGGERED),
        "since": f"{_JUST_NOW:.3f}",
        **more,
    }


def _long_ago(seconds: float = 61) -> str:
    return f"{time.time() - seconds:.3f}"


MOVED = TRIGGERED + 1
"""A trigger time that is not that from before."""


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
    assert started.ref | {"since": ""} == _ref("286541", action, since="", clock="vendor", place=place)
    assert abs(float(started.ref["since"]) - time.time()) < 10
    assert all(isinstance(value, str) for value in started.ref.values())


def test_the_list_item_that_the_caller_has_read_is_not_read_again(client: ServiceStageClient, gateway: Gateway) -> None:
    started = client.releases.act(PIPELINE, "start", before=Gateway.item(3, last_trigger_at=5))
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
        with _client(gateway.url, attempts=3) as client, pytest.raises(error) as caught:
            client.releases.act(PIPELINE, action, before=Gateway.item())
        assert caught.value.effect == effect
        assert gateway.sent == [action] * times


@pytest.mark.parametrize("action", ["start", "retry", "continue", "rollback", "stop"])
@pytest.mark.parametrize("status", [2, "3", 7, 9, 11, 12])
def test_an_end_in_the_answer_to_an_action_is_not_its_own(
    client: ServiceStageClient, gateway: Gateway, action: str, status: Any
) -> None:
    gateway.reply = {"id": 286541, "pipeline_id": PIPELINE, "status": status}
    acted = client.releases.act(PIPELINE, action, before=Gateway.item(4))
    assert (acted.state, acted.status) == (ExecutionState.QUEUED, str(status))


# Reading


@pytest.mark.parametrize("wrapped", [True, False])
def test_lists_come_wrapped_or_bare(client: ServiceStageClient, gateway: Gateway, wrapped: bool) -> None:
    items, records = [Gateway.item()], [{"id": 1, "status": 2}]
    gateway.items = {"pipelines": items} if wrapped else items
    gateway.records = {"count": 1, "records": records} if wrapped else records
    assert client.release_tasks.list() == items
    assert client.releases.list(PIPELINE) == records


@pytest.mark.parametrize("body", [None, {}, {"pipelines": None}, {"pipelines": [1]}, "text", 5])
def test_a_list_of_another_shape_is_an_error_and_not_an_empty_list(
    client: ServiceStageClient, gateway: Gateway, body: Any
) -> None:
    gateway.items = json.dumps(body) if body == "text" else body
    with pytest.raises(UnexpectedResponseError):
        client.release_tasks.list()


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


# Waiting


@pytest.mark.parametrize(
    ("action", "status", "state", "message"),
    [
        ("start", 1, "queued", None),
        ("start", 2, "succeeded", None),
        ("start", 3, "failed", "release failed"),
        ("start", "4", "running", None),
        ("start", 5, "waiting", "to be approved"),
        ("start", 7, "paused", "paused"),
        ("start", 9, "succeeded", "skipped"),
        ("start", 10, "running", None),
        ("start", 11, "failed", "rolled back"),
        ("retry", 11, "failed", "rolled back"),
        ("start", 12, "failed", "rollback failed"),
        ("start", 13, "running", None),
        ("retry", 14, "running", None),
        ("start", 6, "unknown", "unknown status 6"),
        ("start", "99", "unknown", "unknown status 99"),
        ("rollback", 10, "running", None),
        ("rollback", 11, "succeeded", None),
        ("rollback", 12, "failed", "rollback failed"),
        ("stop", 13, "running", None),
        ("stop", 7, "succeeded", None),
        ("stop", 3, "succeeded", "release failed before it could be stopped"),
        ("stop", 2, "succeeded", "released before it could be stopped"),
    ],
)
@pytest.mark.parametrize("record_id", [286541, "286541"])
def test_the_status_of_the_record_decides(
    client: ServiceStageClient, gateway: Gateway, record_id: Any, action: str, status: Any, state: str, message: str
) -> None:
    gateway.recorded({"id": 286540, "status": 2}, {"id": record_id, "status": status, "triggerAt": TRIGGERED})
    seen = client.look(_ref(action=action, status_before="4"))
    assert (seen.state, seen.status, seen.message) == (state, str(status), message)
    assert seen.outputs["id"] == record_id
    assert seen.started_at == datetime.fromtimestamp(TRIGGERED / 1000, UTC)


@pytest.mark.parametrize(
    ("ref", "item", "state"),
    [
        (_ref(), Gateway.item(2), "queued"),
        (_ref(), Gateway.item(4), "running"),
        (_ref(), Gateway.item(3), "queued"),
        (_ref(), Gateway.item(2, last_trigger_at=MOVED), "queued"),
        (_ref(), Gateway.item(3, last_trigger_at=MOVED), "queued"),
        (_ref(), Gateway.item(5), "queued"),
        (_ref(), Gateway.item(5, last_trigger_at=MOVED), "waiting"),
        (_ref(), Gateway.item(2, last_trigger_at=None), "queued"),
        (_ref(status_before="4"), Gateway.item(2, last_trigger_at=MOVED), "queued"),
        (_ref(since=_long_ago()), Gateway.item(2), "queued"),
        (_ref(since=_long_ago(301)), Gateway.item(2), "succeeded"),
        (_ref(since=_long_ago()), Gateway.item(2, last_trigger_at=MOVED), "succeeded"),
        (_ref(since=_long_ago(), clock="vendor"), Gateway.item(2, last_trigger_at=MOVED), "queued"),
        (_ref(since=_long_ago(301), clock="vendor"), Gateway.item(2, last_trigger_at=MOVED), "succeeded"),
        (_ref(since=_long_ago()), Gateway.item(2, last_trigger_at=None), "succeeded"),
        (_ref(status_before="3", action="rollback"), Gateway.item(11), "queued"),
        (_ref(status_before="3", action="rollback", since=_long_ago()), Gateway.item(11), "succeeded"),
        (_ref(status_before="7", action="continue"), Gateway.item(7), "queued"),
        (_ref(status_before="7", action="continue", since=_long_ago()), Gateway.item(7), "paused"),
        (_ref(status_before="5", action="approval"), Gateway.item(5), "queued"),
        (_ref(status_before="4", action="stop"), Gateway.item(4), "running"),
    ],
)
@pytest.mark.parametrize("records", [[], [{"id": 286541}]])
def test_without_a_status_in_the_record_an_old_status_of_the_task_is_not_believed(
    client: ServiceStageClient, gateway: Gateway, records: Any, ref: ExecutionRef, item: Any, state: str
) -> None:
    gateway.recorded(*records)
    gateway.items = [item]
    assert client.look(dict(ref)).state == state


# what a lagging list shows, as status and trigger time, and what a wait is told; 4 and 2 are the old ones before 7
LAGS = {
    "the status": ([(2, MOVED), (4, MOVED), (2, MOVED)], ["queued", "running", "succeeded"]),
    "all of it": ([(2, TRIGGERED), (4, MOVED), (3, MOVED)], ["queued", "running", "failed"]),
    "by two": ([(4, TRIGGERED), (2, TRIGGERED), (4, MOVED), (2, MOVED)], ["running", "queued", "running", "succeeded"]),
    "a paused one": ([(7, TRIGGERED), (4, MOVED), (7, MOVED)], ["queued", "running", "paused"]),
}


@pytest.mark.parametrize("before", ["2", "3", "1", ""])
@pytest.mark.parametrize(("shown", "told"), LAGS.values(), ids=LAGS)
def test_an_end_in_a_lagging_list_is_believed_once_the_new_execution_was_seen_there(
    client: ServiceStageClient, gateway: Gateway, shown: Any, told: list[str], before: str
) -> None:
    ref, states = _ref(status_before=before), []
    for status, triggered in shown:
        gateway.items = [Gateway.item(status, last_trigger_at=triggered)]
        states.append(client.look(ref).state.value)
    assert states == told


@pytest.mark.parametrize("apart", [-3600, 3600])
def test_a_status_is_as_old_on_a_machine_whose_clock_is_off(
    client: ServiceStageClient, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, apart: float
) -> None:
    started = client.releases.act(PIPELINE, "start")
    off = SimpleNamespace(time=lambda: time.time() + apart, monotonic=time.monotonic)
    monkeypatch.setattr(release_looks, "time", off)
    now = int(time.time() * 1000)
    gateway.items = [Gateway.item(2, last_trigger_at=now)]
    assert client.look(started.ref).state is ExecutionState.QUEUED
    assert client.look({**started.ref, "since": _long_ago()}).state is ExecutionState.SUCCEEDED


@pytest.mark.parametrize("before", ["3", "4"], ids=["the list was right", "the list lagged"])
def test_a_retry_that_keeps_the_record_is_not_failed_by_its_old_status(
    client: ServiceStageClient, gateway: Gateway, before: str
) -> None:
    ref = _ref(action="retry", status_before=before)
    gateway.recorded({"id": 286541, "status": 3})
    assert client.look(dict(ref)).state is ExecutionState.QUEUED
    assert client.look({**ref, "since": _long_ago()}).state is ExecutionState.FAILED
    gateway.recorded({"id": 286541, "status": 14})
    assert client.look(ref).state is ExecutionState.RUNNING
    gateway.recorded({"id": 286541, "status": 3})
    assert client.look(ref).state is ExecutionState.FAILED


def test_the_status_of_somebody_elses_later_execution_is_not_taken_for_ours(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    gateway.recorded({"id": 286541}, {"id": 286542})
    gateway.items = [Gateway.item(2, last_trigger_at=TRIGGERED + 9)]
    seen = client.look(_ref(since=_long_ago()))
    assert seen.state is ExecutionState.FAILED
    assert "286542" in str(seen.message)
    assert not client.needs_cancel(seen)


def test_a_region_without_the_call_for_records_is_waited_for_by_the_list(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    refusal = (404, {}, {"error_code": "APIGW.0101", "error_msg": "The API does not exist"})
    gateway.refusals = [refusal]
    gateway.items = [Gateway.item(3, last_trigger_at=MOVED)]
    assert client.look(_ref(since=_long_ago())).state is ExecutionState.FAILED
    gateway.refusals = [(404, {}, {"error_code": "SVCSTG.00100433", "error_msg": "release task not found"})]
    with pytest.raises(NotFoundError, match="release task not found"):
        client.look(_ref())


@pytest.mark.parametrize("path", [PREFIX, f"{PREFIX}/{PIPELINE}/records"], ids=["list", "records"])
@pytest.mark.parametrize("body", [{"error_code": "APIGW.0101", "error_msg": "no such API"}, "<html>404</html>", None])
def test_an_execution_is_not_gone_because_a_gateway_publishes_nothing_for_a_while(
    gateway: Gateway, path: str, body: Any
) -> None:
    def answer(request: Received) -> tuple[int, dict[str, str], Any]:
        missing = (path, PREFIX) if isinstance(body, dict) else (path,)
        return (404, {}, body) if request.path in missing else gateway.answer(request)

    gateway.scripted.always = answer
    with _client(gateway.url) as client:
        for look in (lambda: client.look(_ref()), lambda: client.fetch([_ref(), _ref()])):
            with pytest.raises(UnexpectedResponseError):
                look()


@pytest.mark.parametrize("execution_id", ["286599", "7", "None", "latest"])
@pytest.mark.parametrize("status", [2, 4])
def test_somebody_elses_execution_that_no_record_tells_of_is_not_there(
    client: ServiceStageClient, gateway: Gateway, execution_id: str, status: int
) -> None:
    gateway.items = [Gateway.item(status)]
    gateway.recorded({"id": 286541, "status": status})
    with pytest.raises(NotFoundError, match=f"no execution '{execution_id}'"):
        client.look(_ref(execution_id, since="", status_before=""))


def test_somebody_elses_execution_is_told_by_the_list_where_the_records_cannot(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    ref = _ref(since="", status_before="")
    gateway.recorded({"id": 286541})
    assert client.look(ref).state is ExecutionState.SUCCEEDED
    gateway.refusals = [(404, {}, {"error_code": "APIGW.0101", "error_msg": "The API does not exist"})]
    assert client.look(ref).state is ExecutionState.SUCCEEDED
    gateway.refusals = [(404, {}, {"error_code": "APIGW.0101", "error_msg": "The API does not exist"})]
    with pytest.raises(NotFoundError, match="no execution 'None'"):
        client.look({**ref, "id": "None"})


def test_without_an_execution_id_the_last_execution_counts(client: ServiceStageClient, gateway: Gateway) -> None:
    ref = {"system": "service_stage", "kind": "release", "id": "", "pipeline_id": PIPELINE}
    gateway.items = [Gateway.item(1)]
    assert client.look(ref).state is ExecutionState.QUEUED
    gateway.items = [Gateway.item(4)]
    assert client.look(ref).state is ExecutionState.RUNNING
    gateway.items = [Gateway.item(2)]
    gateway.recorded({"id": 9, "status": 2}, {"id": 10, "status": 3, "trigger_at": TRIGGERED})
    seen = client.look(ref)
    assert (seen.id, seen.state, seen.outputs["id"]) == ("10", ExecutionState.FAILED, 10)
    gateway.recorded()
    assert client.look(ref).state is ExecutionState.SUCCEEDED


def test_an_approval_names_the_tasks_that_wait_and_asks_for_them_once(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    gateway.recorded({"id": 286541, "status": 5})
    gateway.detail["pipeline_declaration"]["stages"] = [
        {"name": "s", "tasks": [{"name": "apr0v1", "type": "approval"}]}
    ]
    for _ in range(3):
        seen = client.look(_ref())
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
def test_which_approval_a_release_waits_for_is_told_as_far_as_the_api_does(
    client: ServiceStageClient, gateway: Gateway, status: int, tasks: Any, waiting: list[str], is_waiting: bool | None
) -> None:
    gateway.recorded({"id": 286541, "status": status})
    gateway.detail["pipeline_declaration"]["stages"] = _stages(*tasks)
    assert client.releases.list_waiting_approvals(_ref()) == waiting
    assert client.releases.is_waiting_for(_ref(), "first0") is is_waiting


def test_tasks_that_a_record_tells_of_are_believed_before_the_declaration(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    gateway.recorded({"id": 286541, "status": 5, "stages": _stages((*FIRST, 2), (*SECOND_ONE, 5))})
    gateway.detail["pipeline_declaration"]["stages"] = _stages((*FIRST, None), (*SECOND_ONE, None))
    assert client.releases.list_waiting_approvals(_ref()) == ["second"]


def test_an_answer_that_does_not_show_yet_is_not_called_taken(client: ServiceStageClient, gateway: Gateway) -> None:
    gateway.recorded({"id": 286541, "status": 5})
    gateway.detail["pipeline_declaration"]["stages"] = _stages((*FIRST, None))
    assert client.look(_ref(action="approval", status_before="5")).state is ExecutionState.QUEUED
    assert client.releases.is_waiting_for(_ref(action="approval", status_before="5"), "first0")


@pytest.mark.parametrize("ref", [{"kind": "build"}, {"pipeline_id": ""}])
def test_a_reference_of_something_else_is_refused(client: ServiceStageClient, ref: dict[str, str]) -> None:
    with pytest.raises(BadRequestError):
        client.look({**_ref(), **ref})


# Many at once


def test_many_waits_cost_one_list_while_they_run(client: ServiceStageClient, gateway: Gateway) -> None:
    now = int(time.time() * 1000)
    gateway.items = [Gateway.item(4, last_trigger_at=now), {**Gateway.item(10, last_trigger_at=now), "id": "b"}]
    seen = client.fetch([_ref(), _ref("7", "rollback", pipeline_id="b"), _ref("", pipeline_id="b")])
    assert [each.state for each in seen if isinstance(each, Execution)] == ["running", "running", "running"]
    assert gateway.sent == ["list"]


def test_records_are_asked_where_the_list_says_it_ended_or_somebody_triggered_it_later(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    later = int((_JUST_NOW + 300) * 1000)
    gateway.items = [Gateway.item(4, last_trigger_at=later)]
    gateway.recorded({"id": 286541, "status": 3}, {"id": 286542, "status": 4})
    seen = client.fetch([_ref(), _ref("286542")])
    assert [each.state for each in seen if isinstance(each, Execution)] == ["failed", "running"]
    assert gateway.sent == ["list", "records", "records"]


def test_each_wait_gets_its_own_error_but_a_broken_connection_concerns_all(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    gateway.items = [Gateway.item(2)]
    gateway.recorded({"id": 286541, "status": 2})
    refs = [_ref(), _ref("", pipeline_id="gone"), _ref()]
    seen = client.fetch(refs)
    assert isinstance(seen[1], NotFoundError)
    assert [each.state for each in (seen[0], seen[2]) if isinstance(each, Execution)] == ["succeeded"] * 2
    gateway.refusals = [(503, {}, None)]
    with pytest.raises(ServerUnavailableError):
        client.fetch(refs)
    assert client.fetch([]) == []


# Canceling


def _stop(client: ServiceStageClient) -> Execution:
    return client.releases.stop(client.releases.what_a_stop_ends("shop-release").ref)


@pytest.mark.parametrize(
    ("records", "sent"),
    [
        ([{"id": 286541, "status": 4}], ["records", "stop"]),
        ([{"id": 286541, "status": 10}], ["records", "stop"]),
        ([{"id": 286541, "status": 2}], ["records"]),
        ([{"id": 286541, "status": 7}], ["records"]),
        ([{"id": 286541, "status": 13}], ["records"]),
        ([{"id": 286541, "status": 4}, {"id": 286542, "status": 4}], ["records"]),
        ([{"id": 286541}, {"id": 286542}], ["records"]),
    ],
)
def test_a_cancel_stops_this_very_execution_and_nobody_elses(
    client: ServiceStageClient, gateway: Gateway, records: Any, sent: list[str]
) -> None:
    gateway.recorded(*records)
    client.cancel(_ref(status_before="1"), "timeout")
    assert gateway.sent == sent
    gateway.scripted.requests.clear()
    client.releases.stop(_ref(action="stop", since=""))
    assert gateway.sent == sent


@pytest.mark.parametrize(
    ("status", "needed"),
    [
        (1, True),
        (2, False),
        (3, False),
        (4, True),
        (5, True),
        (6, True),
        (7, False),
        (12, False),
        (13, False),
        (14, True),
    ],
)
def test_what_is_over_stopped_or_stopping_needs_no_cancel(
    client: ServiceStageClient, gateway: Gateway, status: int, needed: bool
) -> None:
    gateway.recorded({"id": 286541, "status": status})
    assert client.needs_cancel(client.look(_ref())) is needed


def test_an_execution_that_shows_the_status_from_before_still_needs_a_cancel(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    gateway.recorded({"id": 286541, "status": 7})
    assert client.needs_cancel(client.look(_ref(action="continue", status_before="7")))
    gateway.recorded()
    assert client.needs_cancel(client.look(_ref()))


@pytest.mark.parametrize(("later", "sent"), [(0, True), (119, True), (121, False)])
def test_without_records_a_release_task_that_was_triggered_again_is_not_stopped(
    gateway: Gateway, later: float, sent: bool
) -> None:
    def answer(request: Received) -> tuple[int, dict[str, str], Any]:
        if request.path.endswith("/records"):
            return 404, {}, {"error_code": "APIGW.0101", "error_msg": "The API does not exist"}
        return gateway.answer(request)

    gateway.items = [Gateway.item(4, last_trigger_at=int((_JUST_NOW + later) * 1000))]
    gateway.scripted.always = answer
    with _client(gateway.url) as client:
        if sent:
            client.cancel(_ref(), "timeout")
        else:
            with pytest.raises(ConflictError, match="nothing was stopped"):
                client.cancel(_ref(), "timeout")
    assert gateway.sent.count("stop") == sent


def test_a_refused_stop_of_an_execution_that_ended_meanwhile_is_fine(gateway: Gateway) -> None:
    refusal = {"error_code": "SVCSTG.00100400", "error_msg": "not running"}
    status = {"id": 286541, "status": 4}

    def answer(request: Received) -> tuple[int, dict[str, str], Any]:
        if request.method == "POST":
            status["status"] = ends_as
            return 400, {}, refusal
        return 200, {}, {"records": [status]}

    gateway.scripted.always = answer
    with _client(gateway.url) as client:
        ends_as = 2
        client.cancel(_ref(), "timeout")
        status["status"] = ends_as = 4
        with pytest.raises(BadRequestError, match="not running"):
            client.cancel(_ref(), "timeout")


@pytest.mark.parametrize(("ends_as", "stopped"), [(2, True), (4, False)])
def test_a_stop_that_the_end_of_the_release_overtook_is_fine(gateway: Gateway, ends_as: int, stopped: bool) -> None:
    def answer(request: Received) -> tuple[int, dict[str, str], Any]:
        if request.method == "POST":
            gateway.items = [Gateway.item(ends_as)]
            return 400, {}, {"error_code": "SVCSTG.00100400", "error_msg": "not running"}
        return gateway.answer(request)

    gateway.items = [Gateway.item(4)]
    gateway.scripted.always = answer
    with _client(gateway.url) as client:
        if stopped:
            assert _stop(client).message == "released before it could be stopped"
        else:
            with pytest.raises(BadRequestError, match="not running"):
                _stop(client)


def test_what_is_stopping_already_is_sent_no_second_stop(client: ServiceStageClient, gateway: Gateway) -> None:
    gateway.items = [Gateway.item(13)]
    stopping = _stop(client)
    assert (stopping.state, stopping.status) == (ExecutionState.RUNNING, "13")
    assert "stop" not in gateway.sent


# the list item, the records, and the execution that a stop is for
RUNNING = Gateway.item(4, last_trigger_at=TRIGGERED + 60_000)
TARGETS = {
    "a running one": (RUNNING, [{"id": 9, "status": 4, "trigger_at": TRIGGERED + 60_000}], "9"),
    "a retried one": (RUNNING, [{"id": 9, "status": 14, "trigger_at": TRIGGERED}], "9"),
    "without a status": (RUNNING, [{"id": 9, "trigger_at": TRIGGERED + 60_000}], "9"),
    "one that is over, but the list lags": (RUNNING, [{"id": 9, "status": 2, "trigger_at": TRIGGERED + 60_000}], "9"),
    "one that is over": (Gateway.item(2), [{"id": 9, "status": 2}], "9"),
    "the first one, but the list lags": (Gateway.item(1), [{"id": 9, "status": 4}], "9"),
    "one whose record is not there yet": (RUNNING, [{"id": 9, "status": 2, "trigger_at": TRIGGERED}], ""),
    "the first one, without a record yet": (RUNNING, [], ""),
    "any, where records tell neither status nor time": (RUNNING, [{"id": 9}], ""),
}


@pytest.mark.parametrize(("item", "records", "target"), TARGETS.values(), ids=TARGETS)
def test_a_stop_says_beforehand_which_execution_it_is_for(
    client: ServiceStageClient, gateway: Gateway, item: Any, records: Any, target: str
) -> None:
    gateway.items = [item]
    gateway.recorded(*records)
    seen = client.releases.what_a_stop_ends("shop-release")
    assert (seen.id, seen.ref["action"], seen.ref["place"]) == (target, "stop", client.place)
    assert seen.ref.get("triggered", "") == ("" if target else str(TRIGGERED + 60_000))
    assert gateway.sent == ["list", "records"]


def test_a_release_task_that_was_never_executed_has_nothing_to_stop(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    gateway.items = [Gateway.item(1, last_trigger_at=None)]
    with pytest.raises(ConflictError, match="never executed"):
        client.releases.what_a_stop_ends("shop-release")


@pytest.mark.parametrize(("item", "records", "target"), TARGETS.values(), ids=TARGETS)
def test_a_stop_is_never_sent_for_an_execution_that_came_later(
    client: ServiceStageClient, gateway: Gateway, item: Any, records: Any, target: str
) -> None:
    gateway.items = [item]
    gateway.recorded(*records)
    ref = client.releases.what_a_stop_ends("shop-release").ref
    gateway.items = [Gateway.item(4, last_trigger_at=TRIGGERED + 90_000)]
    gateway.recorded(*records, {"id": 10, "status": 4, "trigger_at": TRIGGERED + 90_000})
    stopped = client.releases.stop(ref)
    assert stopped.state is ExecutionState.SUCCEEDED
    assert client.look(ref).state.is_terminal or target == "9"
    assert "stop" not in gateway.sent


def test_a_stop_is_refused_where_nothing_tells_whether_a_later_execution_came(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    gateway.items = [Gateway.item(4, last_trigger_at=None)]
    ref = client.releases.what_a_stop_ends("shop-release").ref
    with pytest.raises(ConflictError, match="nothing was stopped"):
        client.releases.stop(ref)
    assert "stop" not in gateway.sent


def test_a_stop_of_another_place_is_refused_before_anything_is_asked(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    with pytest.raises(ConflictError, match=r"https://elsewhere\.example\.com project p"):
        client.releases.stop(_ref(action="stop", place="https://elsewhere.example.com project p"))
    assert gateway.sent == []


@pytest.mark.parametrize("answered", [(400, {}, {"error_code": "X", "error_msg": "no"}), (500, {}, None)])
@pytest.mark.parametrize(("shows", "stopped"), [(13, True), (7, True), (3, True), (4, False), (5, False)])
def test_a_stop_that_was_refused_or_got_no_answer_counts_if_it_shows(
    gateway: Gateway, answered: Any, shows: int, stopped: bool
) -> None:
    def answer(request: Received) -> tuple[int, dict[str, str], Any]:
        if request.method == "POST":
            gateway.items = [Gateway.item(shows)]
            status, headers, body = answered
            return status, headers, body
        return gateway.answer(request)

    gateway.items = [Gateway.item(4)]
    gateway.scripted.always = answer
    with _client(gateway.url) as client:
        if stopped:
            assert _stop(client).status == str(shows)
        else:
            with pytest.raises(ReleasePipelineError) as caught:
                _stop(client)
            assert caught.value.status == answered[0]
    assert gateway.sent.count("stop") == 1


def test_what_cannot_be_canceled_is_not(client: ServiceStageClient, gateway: Gateway) -> None:
    client.cancel(_ref(action="stop"), "timeout")
    with pytest.raises(BadRequestError):
        client.cancel(_ref(""), "timeout")
    assert gateway.sent == []


# A start whose answer was lost


def _intent(action: str = "start", **more: Any) -> dict[str, Any]:
    return {
        "kind": "release",
        "marker": "m",
        "since": _JUST_NOW,
        "clock": "vendor",
        "pipeline_id": PIPELINE,
        "action": action,
        "newest_record": "286540",
        "status_before": "2",
        "triggered_before": str(TRIGGERED),
        **more,
    }


OLD = {"id": 286540, "status": 2}
NOW = int(_JUST_NOW * 1000)


@pytest.mark.parametrize(
    ("intent", "item", "records", "found"),
    [
        (_intent(), Gateway.item(2), [OLD], None),
        (_intent(newest_record="", status_before="1"), Gateway.item(1), [], None),
        (_intent(), Gateway.item(4, last_trigger_at=NOW), [OLD, {"id": 286541, "status": 4}], "286541"),
        (_intent(), Gateway.item(2, last_trigger_at=None), [{"id": "286541"}, OLD], "286541"),
        (_intent(), Gateway.item(2, last_trigger_at=NOW), [{"id": "286541"}, OLD], "286541"),
        (_intent(), Gateway.item(2), [{"id": "286541", "triggerAt": NOW}, OLD], "286541"),
        (_intent(clock="worker"), Gateway.item(2), [{"id": "286541", "trigger_at": NOW - 290_000}, OLD], "286541"),
        (
            _intent(newest_record="99"),
            Gateway.item(4, last_trigger_at=NOW),
            [{"id": 100, "status": 4}, {"id": 99, "status": 2}],
            "100",
        ),
        (
            _intent(newest_record="", status_before="1"),
            Gateway.item(4, last_trigger_at=NOW),
            [{"id": 1, "status": 4}],
            "1",
        ),
        (_intent("retry", status_before="3"), Gateway.item(3), [{"id": 286540, "status": 3}], None),
        (_intent("retry", status_before="3"), Gateway.item(3), [{"id": 286540, "status": 14}], "286540"),
        (
            _intent("retry", status_before="3"),
            Gateway.item(4, last_trigger_at=NOW),
            [{"id": 286540}, {"id": 286541}],
            "286541",
        ),
        (_intent("continue", status_before="7"), Gateway.item(4), [{"id": 286540}], "286540"),
        (_intent("rollback"), Gateway.item(10), [{"id": 286540, "status": 10}], "286540"),
        (_intent("stop", status_before="4"), Gateway.item(13), [{"id": 286540, "status": 13}], "286540"),
        (_intent("stop", status_before="4"), Gateway.item(4), [{"id": 286540, "status": 4}], None),
        (_intent(status_before="4"), Gateway.item(2), [OLD], None),
        (_intent("retry", status_before="4"), Gateway.item(4), [{"id": 286540, "status": 3}], None),
    ],
)
def test_a_start_whose_answer_was_lost_is_found_or_certainly_not_there(
    client: ServiceStageClient, gateway: Gateway, intent: Any, item: Any, records: Any, found: str | None
) -> None:
    gateway.items = [item]
    gateway.recorded(*records)
    started = client.find_started(intent)
    assert [each.id for each in started] == ([found] if found else [])
    for each in started:
        assert each.ref["action"] == intent["action"]
        assert each.ref["status_before"] == intent["status_before"]
        assert each.ref["clock"] == intent["clock"]
        assert not each.state.is_terminal


SECOND, MINUTE, HOUR = 1000, 60_000, 3_600_000
# trigger times of later records, in milliseconds after the intent; which of these may be what was started
WINDOWS = {
    "at once": ("vendor", [0], [0]),
    "a second before, as the vendor's Date is cut": ("vendor", [-SECOND], [0]),
    "as late as a request may take": ("vendor", [450 * SECOND], [0]),
    "a minute before": ("vendor", [-MINUTE], []),
    "later than any request": ("vendor", [450 * SECOND + 3 * SECOND], []),
    "an hour later": ("vendor", [HOUR], []),
    "a minute before, by another clock": ("worker", [-MINUTE], [0]),
    "nine minutes later, by another clock": ("worker", [9 * MINUTE], [0]),
    "an hour later, by any clock": ("worker", [HOUR], []),
    "two at once": ("vendor", [SECOND, MINUTE], [0, 1]),
    "ours and a colleague's": ("vendor", [-HOUR, SECOND, HOUR], [1]),
}


@pytest.mark.parametrize(("clock", "times", "counts"), WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("action", ["start", "retry"])
@pytest.mark.parametrize("age", [1, 7200])
def test_only_what_began_soon_after_the_intent_may_be_its_execution(
    client: ServiceStageClient, gateway: Gateway, clock: str, times: Any, counts: Any, action: str, age: int
) -> None:
    since = round(time.time() - age, 3)
    later = [{"id": 286541 + place, "trigger_at": int(since * 1000) + time} for place, time in enumerate(times)]
    gateway.recorded(*reversed(later), OLD)
    gateway.items = [Gateway.item(4, last_trigger_at=later[-1]["trigger_at"])]
    intent = _intent(action, since=since, clock=clock, status_before="3")
    if action == "start" or counts:
        assert [each.id for each in client.find_started(intent)] == [str(286541 + place) for place in counts]
    else:
        # It may have gone on with the record before, and then somebody with another one.
        with pytest.raises(ConflictError, match="cannot tell"):
            client.find_started(intent)


OLD_RETRY = {"id": 286540, "status": 14}
# an hour after the intent: the action, the list item, the records, and what is found; None: nobody can tell
HOUR_LATER = {
    "a record without a time": ("start", Gateway.item(4), [OLD, {"id": 286541, "status": 4}], None),
    "its time is in the list": (
        "start",
        Gateway.item(4, last_trigger_at=NOW - HOUR),
        [OLD, {"id": 286541}],
        ["286541"],
    ),
    "the list tells a later one": ("start", Gateway.item(4, last_trigger_at=NOW), [OLD, {"id": 286541}], []),
    "two without a time": (
        "start",
        Gateway.item(4, last_trigger_at=NOW - HOUR),
        [{"id": 286541}, {"id": 286542}],
        None,
    ),
    "somebody continued the one before": ("start", Gateway.item(4), [OLD], []),
    "somebody retried the one before": ("start", Gateway.item(14, last_trigger_at=NOW), [OLD], []),
    "a retry that the list times": ("retry", Gateway.item(14, last_trigger_at=NOW - HOUR), [OLD_RETRY], ["286540"]),
    "somebody's retry": ("retry", Gateway.item(14, last_trigger_at=NOW), [OLD_RETRY], None),
    "somebody's retry, untold": ("retry", Gateway.item(14), [OLD_RETRY], None),
    "no retry": ("retry", Gateway.item(3), [{"id": 286540, "status": 3}], []),
}


@pytest.mark.parametrize(("action", "item", "records", "found"), HOUR_LATER.values(), ids=HOUR_LATER)
def test_an_hour_after_an_intent_a_colleagues_release_is_not_adopted(
    client: ServiceStageClient, gateway: Gateway, action: str, item: Any, records: Any, found: Any
) -> None:
    gateway.items = [item]
    gateway.recorded(*records)
    intent = _intent(action, since=NOW / 1000 - 3600, status_before="3" if action == "retry" else "2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client.transport, "server_time", lambda: NOW / 1000)
        if found is None:
            with pytest.raises(ConflictError, match="cannot tell"):
                client.find_started(intent)
        else:
            assert [each.id for each in client.find_started(intent)] == found


@pytest.mark.parametrize(
    ("age", "last_trigger_at"),
    [(0, NOW), (3600, NOW), (3600, NOW - HOUR), (3600, NOW - 2 * HOUR)],
    ids=["just now", "since", "then", "before"],
)
def test_without_records_nobody_can_tell_what_a_start_led_to(
    gateway: Gateway, age: float, last_trigger_at: int
) -> None:
    def answer(request: Received) -> tuple[int, dict[str, str], Any]:
        if request.path.endswith("/records"):
            return 404, {}, {"error_code": "APIGW.0101", "error_msg": "The API does not exist"}
        return gateway.answer(request)

    gateway.scripted.always = answer
    intent = _intent(newest_record="", since=NOW / 1000 - age)
    with _client(gateway.url) as client:
        assert client.find_started(intent) == []
        gateway.items = [Gateway.item(4, last_trigger_at=last_trigger_at)]
        with pytest.raises(ConflictError, match="cannot tell"):
            client.find_started(intent)


@pytest.mark.parametrize("iam_user", [False, True])
def test_what_an_intent_needs_tells_the_vendors_clock(iam: Iam, iam_user: bool) -> None:
    with (_user if iam_user else _client)(iam.gateway.url) as client:
        assert client.server_time() is None
        before = client.releases.before_action("shop-release")
        now = client.server_time()
        assert now is not None
        assert abs(now - time.time()) < 2
    assert before == {
        "pipeline_id": PIPELINE,
        "newest_record": "",
        "status_before": "2",
        "triggered_before": str(TRIGGERED),
    }


@pytest.mark.parametrize(
    ("intent", "item", "records"),
    [
        (_intent(), Gateway.item(4), [OLD]),
        (_intent(), Gateway.item(4), [OLD, {"id": 286541, "status": 4}]),
        (_intent(), Gateway.item(2, last_trigger_at=NOW), []),
        (
            _intent("retry", status_before="3"),
            Gateway.item(3, last_trigger_at=NOW),
            [{"id": 286540, "status": 3}],
        ),
        (_intent("retry", status_before="3", newest_record=""), Gateway.item(14), []),
        (_intent("stop", status_before="4"), Gateway.item(4), [OLD, {"id": 286541, "status": 4}]),
    ],
)
def test_a_doubtful_start_is_neither_adopted_nor_repeated(
    client: ServiceStageClient, gateway: Gateway, intent: Any, item: Any, records: Any
) -> None:
    gateway.items = [item]
    gateway.recorded(*records)
    with pytest.raises(ConflictError, match="cannot tell"):
        client.find_started(intent)


# Errors


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error_code": "SVCSTG.00100433", "error_msg": "not found"}, "SVCSTG.00100433", "not found"),
        ({"errorCode": "X.1", "errorMsg": "not found"}, "X.1", "not found"),
        ({"code": "X.2", "message": "not found"}, "X.2", "not found"),
        ({"error": {"code": 404, "message": "not found", "title": "T"}}, "404", "not found"),
        ({"detail": {"error_code": "X.3", "error_msg": "not found"}}, "X.3", "not found"),
        (
            {"error_code": "X.4", "error_msg": "not found", "encoded_authorization_message": "x" * 900},
            "X.4",
            "not found",
        ),
        ("not found", None, "not found"),
        ("<html>not found</html>", None, None),
        (None, None, None),
    ],
)
def test_every_shape_of_an_error_body_is_read(
    client: ServiceStageClient, gateway: Gateway, body: Any, code: str | None, message: str | None
) -> None:
    gateway.refusals = [(404, {"X-Request-Id": "0f1e2d3c"}, body)]
    with pytest.raises(NotFoundError) as caught:
        client.release_tasks.get(PIPELINE)
    error = caught.value
    assert (error.code, error.message, error.request_id, error.status) == (code, message, "0f1e2d3c", 404)
    assert error.path == f"{PREFIX}/{PIPELINE}"


@pytest.mark.parametrize(
    ("text", "date"),
    [
        (
            "Incorrect IAM authentication information: signature expired, "
            "signature time:20260102T030405Z, server time:20260102T033405Z",
            None,
        ),
        ("签名已过期", timedelta(minutes=20)),
        ("签名已过期", timedelta(minutes=-20)),
    ],
)
def test_a_clock_that_is_off_is_called_so_and_not_wrong_credentials(
    client: ServiceStageClient, gateway: Gateway, text: str, date: timedelta | None
) -> None:
    server = datetime.now(UTC) + (date or timedelta())
    headers = {"Date": f"{server:%a, %d %b %Y %H:%M:%S} GMT"}

    def answer(handler: Any) -> None:
        handler.send_response_only(401)
        for name, value in headers.items():
            handler.send_header(name, value)
        body = json.dumps({"error_code": "APIGW.0301", "error_msg": text}).encode()
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    gateway.scripted.always = answer
    with pytest.raises(AuthenticationError) as caught:
        client.release_tasks.list()
    assert "check the clock of this machine" in caught.value.summary
    assert "credentials" not in caught.value.summary
    times = re.findall(r"20\d\d-?\d\d-?\d\dT[\d:]+Z", str(caught.value))
    assert len(times) >= 2
    assert caught.value.message == text


def test_wrong_credentials_are_not_called_a_clock(client: ServiceStageClient, gateway: Gateway) -> None:
    gateway.refusals = [(401, {}, {"error_code": "APIGW.0301", "error_msg": f"ak {ACCESS_KEY} not exist"})]
    with pytest.raises(AuthenticationError, match="credentials") as caught:
        client.release_tasks.list()
    assert "clock" not in str(caught.value)
    assert caught.value.message == "ak AKEX*** not exist"


def test_an_api_that_is_not_published_and_a_foreign_project_say_what_to_check(
    client: ServiceStageClient, gateway: Gateway
) -> None:
    gateway.refusals = [(404, {}, {"error_code": "APIGW.0101", "error_msg": "The API does not exist"})]
    with pytest.raises(NotFoundError, match="region"):
        client.release_tasks.list()
    gateway.refusals = [(403, {}, {"error_code": "SVCSTG.00100403", "error_msg": "no"})]
    with pytest.raises(PermissionDeniedError, match="project_id"):
        client.release_tasks.list()


@pytest.mark.parametrize("code", ["APIGW.0308", "APIG.0308"])
def test_throttling_without_retry_after_asks_for_two_seconds(
    client: ServiceStageClient, gateway: Gateway, code: str
) -> None:
    gateway.refusals = [(429, {}, {"error_code": code, "error_msg": "throttling threshold has been reached"})]
    with pytest.raises(ThrottledError) as caught:
        client.release_tasks.list()
    assert caught.value.retry_after == 2.0
    gateway.refusals = [(429, {"Retry-After": "17"}, {"error_code": code, "error_msg": "slow"})]
    with pytest.raises(ThrottledError) as caught:
        client.release_tasks.list()
    assert caught.value.retry_after == 17.0


def test_an_echoed_canonical_request_shows_no_secret(gateway: Gateway) -> None:
    security_token = "gQpjbi1ub3J0aC00" + "x/+y=" * 100

    def answer(request: Received) -> tuple[int, dict[str, str], Any]:
        echo = "|".join(f"{name.lower()}:{value}" for name, value in request.headers.items())
        other = "x-auth-token:MIIEother|Authorization: SDK-HMAC-SHA256 Access=AKOTHER0000, Signature=abcdef0123"
        text = (
            f"verify aksk signature fail, canonicalRequest:GET|/v3/|{other}|{echo}|{request.headers['Authorization']}"
        )
        return 401, {}, {"error_code": "APIGW.0301", "error_msg": text}

    gateway.scripted.always = answer
    told: list[str] = []
    with (
        _client(gateway.url, security_token=security_token, on_secret=told.append) as client,
        pytest.raises(AuthenticationError) as caught,
    ):
        client.release_tasks.list()
    shown = f"{caught.value} {caught.value!r} {vars(caught.value)} {pickle.dumps(caught.value)!r}"
    request = gateway.scripted.requests[0]
    assert request.headers["X-Security-Token"] == security_token
    assert "x-security-token" in request.headers["Authorization"]
    signature = request.headers["Authorization"].rpartition("=")[2]
    for secret in (security_token, security_token[:30], signature, "MIIEother", "abcdef0123", ACCESS_KEY, SECRET_KEY):
        assert secret not in shown
    assert set(told) == {SECRET_KEY, security_token}


# Logins


class Iam:
    """IAM beside a gateway: hands out tokens of a length and accepts the newest one only."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.logins: list[dict[str, Any]] = []
        self.token = ""
        self.length = 40
        self.lifetime = timedelta(hours=24)
        self.skew = timedelta()
        self.refusals: list[Any] = []
        self.projects: list[dict[str, str]] = [{"id": PROJECT, "name": "ap-southeast-3"}]
        self._lock = threading.Lock()
        gateway.scripted.always = self.answer

    def answer(self, request: Received) -> tuple[int, dict[str, str], Any]:
        if request.path == "/iam/v3/projects":
            return 200, {}, {"projects": self.projects}
        if request.path != "/iam/v3/auth/tokens":
            if "X-Auth-Token" in request.headers and request.headers["X-Auth-Token"] != self.token:
                return 401, {}, {"error_code": "APIGW.0301", "error_msg": "decrypt token fail"}
            return self.gateway.answer(request)
        if self.refusals:
            status, headers, body = self.refusals.pop(0)
            return status, headers, body
        with self._lock:
            self.logins.append(request.json)
            self.token = f"MIIE{len(self.logins)}".ljust(self.length, "A")
        times = self.times(datetime.now(UTC) + self.skew)
        token = {name: f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}" for name, moment in times.items()}
        body = {"token": {**token, "project": {"id": PROJECT, "name": "ap-southeast-3"}}}
        return 201, {"X-Subject-Token": self.token}, body

    def times(self, now: datetime) -> dict[str, datetime]:
        return {"issued_at": now, "expires_at": now + self.lifetime}


@pytest.fixture
def iam(gateway: Gateway) -> Iam:
    return Iam(gateway)


def _user(url: str, **options: Any) -> ServiceStageClient:
    values = {
        "iam_url": f"{url}/iam/",
        "region": "ap-southeast-3",
        "username": "robot",
        "password": "robot-password",
        "domain_name": "account",
        "attempts": 1,
        **options,
    }
    return ServiceStageClient(url, **values)


@pytest.mark.parametrize(("project_id", "scope"), [(None, {"name": "ap-southeast-3"}), (PROJECT, {"id": PROJECT})])
def test_an_iam_user_logs_in_once_for_the_project_of_the_path(
    iam: Iam, project_id: str | None, scope: dict[str, str]
) -> None:
    with _user(iam.gateway.url, project_id=project_id) as client:
        client.release_tasks.list()
        client.release_tasks.list()
        assert client.project_id == PROJECT
    user = {"name": "robot", "password": "robot-password", "domain": {"name": "account"}}
    assert iam.logins == [
        {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": scope}}}
    ]
    login, *calls = iam.gateway.scripted.requests
    assert login.target == "/iam/v3/auth/tokens?nocatalog=true"
    assert "Authorization" not in login.headers
    assert [call.headers["X-Auth-Token"] for call in calls] == [iam.token] * 2
    assert all("Authorization" not in call.headers for call in calls)


def test_a_token_of_20000_characters_is_sent_whole_and_never_shown(iam: Iam) -> None:
    iam.length = 20_000
    told: list[str] = []
    with _user(iam.gateway.url, on_secret=told.append) as client:
        client.release_tasks.list()
        assert iam.gateway.scripted.requests[-1].headers["X-Auth-Token"] == iam.token
        iam.gateway.refusals = [(403, {}, {"error_code": "X", "error_msg": f"x-auth-token:{iam.token[:9000]} no"})]
        with pytest.raises(PermissionDeniedError) as caught:
            client.release_tasks.list()
        iam.gateway.refusals = [(403, {}, {"error_code": "X", "error_msg": f"the token is '{iam.token}'"})]
        with pytest.raises(PermissionDeniedError) as again:
            client.release_tasks.list()
    assert "AAAA" not in str(caught.value) + str(again.value)
    assert told == ["robot-password", iam.token]


def test_a_token_that_is_refused_or_about_to_end_is_renewed_once(iam: Iam) -> None:
    with _user(iam.gateway.url) as client:
        client.release_tasks.list()
        iam.token = "revoked"
        assert len(client.release_tasks.list()) == 1
        assert len(iam.logins) == 2
        iam.gateway.refusals = [(401, {}, {"error_code": "APIGW.0301", "error_msg": "no"})] * 2
        with pytest.raises(AuthenticationError):
            client.releases.act(PIPELINE, "start", before={})
        assert iam.gateway.sent.count("start") == 2


@pytest.mark.parametrize("skew", [timedelta(hours=-30), timedelta(hours=30)])
@pytest.mark.parametrize(
    ("lifetime", "told"),
    [
        (timedelta(hours=24), ("issued_at", "expires_at")),
        (timedelta(hours=24), ("expires_at",)),
        (timedelta(hours=24), ("issued_at",)),
        (timedelta(0), ("issued_at", "expires_at")),
    ],
)
def test_a_token_lives_as_long_as_iam_says_whatever_its_clock_shows(
    iam: Iam, monkeypatch: pytest.MonkeyPatch, skew: timedelta, lifetime: timedelta, told: tuple[str, ...]
) -> None:
    iam.skew, iam.lifetime = skew, lifetime
    monkeypatch.setattr(
        iam, "times", lambda now: {name: time for name, time in Iam.times(iam, now).items() if name in told}
    )
    with _user(iam.gateway.url) as client:
        for _ in range(3):
            client.release_tasks.list()
        assert len(iam.logins) == 1
        later = time.time() + 23.9 * 3600
        monkeypatch.setattr(logins.time, "time", lambda: later)
        client.release_tasks.list()
        assert len(iam.logins) == 1
        monkeypatch.setattr(logins.time, "time", lambda: later + 0.1 * 3600)
        client.release_tasks.list()
    assert len(iam.logins) == 2


def test_many_threads_share_one_login(iam: Iam) -> None:
    with _user(iam.gateway.url) as client:
        threads = [threading.Thread(target=client.release_tasks.list) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert len(iam.logins) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((401, {}, {"error": {"code": 401, "message": "wrong", "title": "Unauthorized"}}), AuthenticationError),
        ((503, {}, None), ServerUnavailableError),
        ((201, {}, {"token": {}}), UnexpectedResponseError),
        ((201, {"X-Subject-Token": "MIIE"}, None), UnexpectedResponseError),
    ],
)
def test_a_login_that_fails_starts_nothing_and_shows_no_password(
    iam: Iam, answer: Any, error: type[ReleasePipelineError]
) -> None:
    iam.refusals = [answer] * 2
    with _user(iam.gateway.url, project_id=PROJECT) as client, pytest.raises(error) as caught:
        client.releases.act(PIPELINE, "start", before={})
    assert caught.value.effect is not Effect.UNKNOWN
    assert "robot-password" not in str(caught.value)
    assert iam.gateway.sent.count("start") == 0


def test_a_passing_failure_of_iam_does_not_fail_the_first_call(iam: Iam) -> None:
    iam.refusals = [(503, {"Retry-After": "0"}, None)]
    with _user(iam.gateway.url, attempts=2) as client:
        assert client.check().endswith(f"project {PROJECT}, 1 release tasks")


def test_the_project_of_a_region_is_asked_for_once_with_a_signature(iam: Iam) -> None:
    with _client(iam.gateway.url, project_id=None, region="ap-southeast-3", iam_url=f"{iam.gateway.url}/iam") as client:
        client.release_tasks.list()
        client.release_tasks.list()
    lookup, *calls = iam.gateway.scripted.requests
    assert lookup.target == "/iam/v3/projects?name=ap-southeast-3"
    assert "Signature=" in lookup.headers["Authorization"]
    assert [call.path for call in calls] == [PREFIX] * 2


@pytest.mark.parametrize("login", ["access key", "IAM user"])
@pytest.mark.parametrize("project_id", [None, PROJECT])
def test_the_place_is_the_base_url_and_the_project_even_where_iam_tells_it(
    iam: Iam, login: str, project_id: str | None
) -> None:
    url = f"{iam.gateway.url}/"
    options = {"project_id": project_id, "region": "ap-southeast-3", "iam_url": f"{iam.gateway.url}/iam"}
    with _client(url, **options) if login == "access key" else _user(url, **options) as client:
        assert client.place == client.place == f"{iam.gateway.url} project {PROJECT}"
        assert client.look(_ref(place=client.place)).ref["place"] == client.place
        with pytest.raises(ConflictError, match=f"project elsewhere.* project {PROJECT}"):
            client.look(_ref(place=f"{iam.gateway.url} project elsewhere"))
    asked = [request.path for request in iam.gateway.scripted.requests if request.path.startswith("/iam")]
    assert len(asked) == (0 if project_id and login == "access key" else 1)


# what IAM answers, and the error of whatever asks for the project first
IAM_REFUSALS = {
    "not found": ((404, {}, {"error": {"code": 404, "message": "no such page"}}), ConnectionConfigError, "refused"),
    "no such API": ((404, {}, {"error_code": "APIGW.0101", "error_msg": "no"}), ConnectionConfigError, "refused"),
    "bad request": ((400, {}, {"error": {"code": 400, "message": "no"}}), ConnectionConfigError, "refused"),
    "forbidden": ((403, {}, {"error": {"code": 403, "message": "no"}}), ConnectionConfigError, "refused"),
    "unauthorized": ((401, {}, {"error": {"code": 401, "message": "no"}}), AuthenticationError, "none"),
    "down": ((503, {}, None), ServerUnavailableError, "none"),
    "throttled": ((429, {}, None), ThrottledError, "none"),
    "a page": ((200, {}, "<html>hello</html>"), UnexpectedResponseError, "none"),
}


@pytest.mark.parametrize(("refusal", "error", "effect"), IAM_REFUSALS.values(), ids=IAM_REFUSALS)
@pytest.mark.parametrize("login", ["access key", "IAM user"])
def test_a_project_that_iam_does_not_tell_is_no_news_of_an_execution(
    gateway: Gateway, login: str, refusal: Any, error: type[ReleasePipelineError], effect: str
) -> None:
    gateway.refusals = [refusal] * 20
    url = gateway.url
    options = {"region": "ap-southeast-3", "project_id": None, "iam_url": f"{url}/iam"}
    with _client(url, **options) if login == "access key" else _user(url, **options) as client:
        ref = _ref(place=f"{url} project {PROJECT}")
        for ask in (
            lambda: client.place,
            lambda: client.look(ref),
            lambda: client.fetch([ref, ref]),
            lambda: client.cancel(ref, "timeout"),
            lambda: client.find_started(_intent(place=ref["place"])),
            lambda: client.releases.before_action("shop-release"),
        ):
            with pytest.raises(error) as caught:
                ask()
            assert caught.value.effect == effect
            assert "/iam/v3/" in str(caught.value)
            assert "project_id" in caught.value.summary or not isinstance(caught.value, ConnectionConfigError)
    assert {request.path.split("/")[1] for request in gateway.scripted.requests} == {"iam"}


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_token_that_cannot_be_renewed_is_no_news_of_an_execution(iam: Iam, status: int) -> None:
    iam.refusals = [(status, {}, None)] * 9
    with _user(iam.gateway.url, project_id=PROJECT) as client:
        for look in (lambda: client.look(_ref()), lambda: client.fetch([_ref(), _ref()])):
            with pytest.raises(ConnectionConfigError, match="IAM"):
                look()


@pytest.mark.parametrize("projects", [[], [{"id": "a"}, {"id": "b"}]])
def test_a_region_without_exactly_one_project_is_an_error_that_asks_for_the_id(
    iam: Iam, projects: list[dict[str, str]]
) -> None:
    iam.projects = projects
    url = iam.gateway.url
    with (
        _client(url, project_id=None, region="r", iam_url=f"{url}/iam") as client,
        pytest.raises(ConnectionConfigError, match="project_id"),
    ):
        client.release_tasks.list()


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({}, "access_key and secret_key"),
        ({"access_key": "a"}, "secret_key"),
        ({"secret_key": "s", "project_id": "p"}, "access_key"),
        ({"access_key": "a", "secret_key": "s"}, "project_id"),
        ({"access_key": "a", "secret_key": "s", "project_id": "p"}, "host"),
        ({"username": "u", "password": "p", "region": "r"}, "domain_name"),
        ({"access_key": "a", "secret_key": "s", "username": "u", "region": "r"}, "not both"),
        ({"security_token": "t", "username": "u", "password": "p", "domain_name": "d", "region": "r"}, "not both"),
    ],
)
def test_a_missing_or_contradictory_field_is_named_when_the_client_is_built(values: dict[str, str], names: str) -> None:
    with pytest.raises(ConnectionConfigError, match=names):
        ServiceStageClient(None, **values)


def test_hosts_follow_from_the_region_and_building_a_client_does_no_io() -> None:
    with ServiceStageClient(region="ap-southeast-3", access_key="a", secret_key="s") as client:
        assert client.transport.base_url == "https://servicestage.ap-southeast-3.myhuaweicloud.com"
