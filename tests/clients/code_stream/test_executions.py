"""An execution is started once, found again by its marker, and followed to its end."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.exceptions import (
    Effect,
    ReleasePipelineError,
    ServerUnavailableError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Step
from tests.support.code_stream_api import Api, listing, of, run, until_it_is
from tests.support.code_stream_client import S
from tests.support.control import Control
from tests.support.scripted import Received, Reply


def test_an_execution_is_started_followed_and_its_output_handed_on(client: CodeStreamClient, control: Control) -> None:
    started = run(client, inputs={"tag": "1.4.2"}, comments="marker-1", tags=["a"])
    assert started.state is S.QUEUED
    assert started.ref == of(started.id) | {"place": f"{control.url}/code_stream"}
    assert started.url == f"{control.url}/code_stream/automation/#/codestream/executions/{started.id}"
    ended = until_it_is(lambda: client.observe(started.ref), *[state for state in S if state.is_terminal])
    assert (ended.state, ended.status, ended.url) == (S.SUCCEEDED, "COMPLETED", started.url)
    assert ended.ref == started.ref
    assert ended.outputs == {"deployed": "1.4.2"}
    assert [step.name for step in ended.steps] == ["Build.Unit", "Build.Lint", "Prod.Deploy"]
    assert ended.rejected is False
    assert ended.started_at is not None
    assert ended.finished_at is not None
    assert ended.started_at.tzinfo is not None
    assert timedelta(0) < ended.finished_at - ended.started_at < timedelta(seconds=5)
    json.dumps(ended.to_result())


@pytest.mark.parametrize("links", ["normal", "singular", "pipeline", "host"])
@pytest.mark.parametrize(("legacy", "status"), [(False, 202), (False, 200), (True, 200)])
def test_a_start_is_followed_whatever_form_its_answer_has(
    client: CodeStreamClient, control: Control, links: str, legacy: bool, status: int
) -> None:
    control.post(
        "switches", system="code_stream", execution_links=links, legacy_start_reply=legacy, start_status=status
    )
    started = run(client, comments="marker-1")
    assert client.executions.get(started.id)["comments"] == "marker-1"


def test_a_failed_execution_says_which_task_broke_and_why(client: CodeStreamClient) -> None:
    started = run(client, "Always fails")
    ended = until_it_is(lambda: client.observe(started.ref), S.FAILED)
    assert ended.message == "Prod.Deploy: Script execution failed."
    assert ended.rejected is False
    assert Step("Prod.Deploy", "FAILED", "Script execution failed.", S.FAILED) in ended.steps


def test_an_index_of_zero_is_an_index(client: CodeStreamClient, control: Control) -> None:
    control.post("switches", system="code_stream", first_index=0)
    started = run(client, "Smoke test")
    key = ("retail", "Smoke test")
    assert client.pipelines.get_execution(key, 0)["id"] == started.id
    assert [each["id"] for each in client.pipelines.list_executions(key)] == [started.id]


def test_a_start_whose_answer_is_lost_happens_once_and_is_found_by_its_marker(
    client: CodeStreamClient, control: Control
) -> None:
    pipeline = client.pipelines.find("Deploy shop", "retail")["id"]
    intent = {"kind": "execution", "marker": "dag=r task=t", "since": time.time(), "pipeline_id": pipeline}
    assert client.waits.find_started(intent) == []
    fault = {"system": "code_stream", "method": "POST", "path": "/executions", "fault": "reset_after"}
    control.post("faults", **fault, times=1)
    with pytest.raises(ServerUnavailableError) as caught:
        client.pipelines.run(pipeline, comments="dag=r task=t release 7")
    assert caught.value.effect is Effect.UNKNOWN
    for _ in range(3):
        client.pipelines.run(pipeline, comments="somebody else")
    (found,) = client.waits.find_started(intent)
    assert client.executions.get(found.id)["comments"] == "dag=r task=t release 7"
    assert [each["started_by"] for each in control.get("executions", system="code_stream")].count(
        "dag=r task=t release 7"
    ) == 1


def test_all_executions_of_a_marker_are_found_the_oldest_first(client: CodeStreamClient, control: Control) -> None:
    pipeline = client.pipelines.find("Deploy shop", "retail")["id"]
    intent = {"kind": "execution", "marker": "marker-1", "since": time.time(), "pipeline_id": pipeline}
    # Wherever the marker stands: an earlier version of this provider put it last.
    started = [client.pipelines.run(pipeline, comments=text).id for text in ("marker-1", "marker-1 x", "x marker-1")]
    client.pipelines.run(pipeline, comments="marker-2")
    found = client.waits.find_started(intent)
    assert [each.id for each in found] == started
    assert {each.ref["place"] for each in found} == {f"{control.url}/code_stream"}


def test_the_oldest_of_a_marker_is_first_although_the_server_keeps_no_order(api: Api) -> None:
    now = time.time()
    rows = [
        {"id": f"e{n}", "comments": "marker-1", "status": "RUNNING", "_requestTimeInMicros": int((now + n) * 1e6)}
        for n in (2, 0, 1)
    ]
    api.routes["GET", "/pipelines/p1/executions"] = listing(rows)
    intent = {"kind": "execution", "marker": "marker-1", "since": now, "pipeline_id": "p1"}
    assert [each.id for each in api.client.waits.find_started(intent)] == ["e0", "e1", "e2"]


def test_a_marker_that_comes_first_outlives_a_server_that_cuts_comments(api: Api) -> None:
    row = {"id": "e1", "comments": "marker-1 the rest of this te", "_requestTimeInMicros": int(time.time() * 1e6)}
    api.routes["GET", "/pipelines/p1/executions"] = listing([row])
    intent = {"kind": "execution", "marker": "marker-1", "since": time.time(), "pipeline_id": "p1"}
    assert [each.id for each in api.client.waits.find_started(intent)] == ["e1"]


@pytest.mark.parametrize("refusal", [(429, {"Retry-After": "0"}, None), (401, {}, None)], ids=["429", "401"])
def test_a_start_is_sent_once_and_pauses_are_left_to_who_started_it(api: Api, refusal: Reply) -> None:
    api.routes["POST", "/pipelines/p1/executions"] = refusal
    api.routes["POST", "/git-events/ev"] = refusal
    for send in (lambda: api.client.pipelines.run("p1"), lambda: api.client.events.rerun("git", "ev")):
        with pytest.raises(ReleasePipelineError) as caught:
            send()
        assert caught.value.effect is Effect.NONE
    # A bearer that is refused is renewed, once.
    times = 2 if refusal[0] == 401 else 1
    assert (len(api.called("POST", "/executions")), len(api.called("POST", "/ev"))) == (times, times)


@pytest.mark.parametrize(
    "own",
    [{"_nested": True}, {"_rollback": True}, {"_nested": "true"}, {"comments": "other"}, {"comments": None}],
)
def test_nested_and_rollback_runs_and_other_comments_are_not_taken_for_an_own_start(api: Api, own: Any) -> None:
    now = time.time()
    row = {"id": "e1", "comments": "marker-1", "status": "RUNNING", "_requestTimeInMicros": int(now * 1e6)} | own
    api.routes["GET", "/pipelines/p1/executions"] = listing([row])
    intent = {"kind": "execution", "marker": "marker-1", "since": now, "pipeline_id": "p1"}
    assert api.client.waits.find_started(intent) == []


@pytest.mark.parametrize("unset", [False, "false", "False", None, ""])
def test_an_own_start_is_found_however_a_server_writes_that_it_is_not_nested(api: Api, unset: Any) -> None:
    now = time.time()
    row = {"id": "e1", "comments": "marker-1", "status": "RUNNING", "_requestTimeInMicros": int(now * 1e6)}
    api.routes["GET", "/pipelines/p1/executions"] = listing([{**row, "_nested": unset, "_rollback": unset}])
    intent = {"kind": "execution", "marker": "marker-1", "since": now, "pipeline_id": "p1"}
    assert [each.id for each in api.client.waits.find_started(intent)] == ["e1"]


def test_a_list_that_cannot_be_read_is_not_taken_for_nothing_was_started(api: Api) -> None:
    api.routes["GET", "/pipelines/p1/executions"] = (500, {}, None)
    intent = {"kind": "execution", "marker": "marker-1", "since": time.time(), "pipeline_id": "p1"}
    with pytest.raises(ServerUnavailableError):
        api.client.waits.find_started(intent)


def test_looking_for_a_start_does_not_read_years_of_history(api: Api) -> None:
    def old(request: Received) -> Any:
        skip = int(request.query["$skip"])
        rows = [
            {"id": f"e{n}", "comments": "x", "_requestTimeInMicros": int((time.time() - 86400 * n) * 1e6)}
            for n in range(skip, skip + 100)
        ]
        return listing(rows, total=10_000)

    api.routes["GET", "/pipelines/p1/executions"] = old
    intent = {"kind": "execution", "marker": "marker-1", "since": time.time(), "pipeline_id": "p1"}
    assert api.client.waits.find_started(intent) == []
    assert len(api.called("GET")) <= 2
    assert api.called("GET")[0].query["$orderby"] == "_requestTimeInMicros desc"


@pytest.mark.parametrize(
    "reply", [(200, {}, None), (202, {}, {}), (200, {}, []), (200, {}, "<html>"), (202, {}, {"executionId": None})]
)
def test_a_start_answered_with_nothing_usable_may_have_happened(api: Api, reply: Reply) -> None:
    api.routes["POST", "/pipelines/p1/executions"] = reply
    with pytest.raises(UnexpectedResponseError) as caught:
        api.client.pipelines.run("p1", inputs={"a": 1})
    assert caught.value.effect is Effect.UNKNOWN
    assert len(api.called("POST", "/executions")) == 1


def test_only_what_was_given_is_sent_with_a_start(api: Api) -> None:
    api.routes["POST", "/pipelines/p%2F1/executions"] = {"executionId": "e1"}
    api.client.pipelines.run("p/1", inputs={"tag": "1", "deep": {"a": [1]}})
    api.client.pipelines.run("p/1")
    assert [each.json for each in api.called("POST", "/executions")] == [
        {"input": {"tag": "1", "deep": {"a": [1]}}},
        {},
    ]
