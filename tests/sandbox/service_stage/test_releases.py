"""What the ServiceStage stand-in promises, over real HTTP, signed here by hand and never by our client."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.support.service_stage_calls import AK, PROJECT, SHOP, ServiceStage, refusal


@pytest.mark.parametrize(
    "path",
    [
        "/cpepipeline/v2/pipelines",
        f"/v5/{PROJECT}/api/pipelines/list",
        "/v3/pipelines/x/start",
        "/nonsense",
    ],
)
def test_look_alike_services_are_not_published_here(api: ServiceStage, path: str) -> None:
    assert refusal(api.signed("GET", path)) == (404, "APIGW.0101")


def test_a_release_runs_to_its_end_with_integer_statuses(api: ServiceStage) -> None:
    before = api.item()
    assert (before["status"], before["last_trigger_at"]) == (1, None)
    reply = api.do("start")
    assert reply == {"id": 286541, "pipeline_id": SHOP, "status": 4}
    record = api.reaches(2)
    assert (record["id"], record["trigger"]) == (286541, "release-bot")
    assert api.item()["status"] == 2
    assert api.item()["last_trigger_at"] >= before["create_time"]
    assert api.states(286541) == ["4", "2"]
    assert api.do("start")["id"] == 286542


def test_an_execution_names_its_caller(api: ServiceStage) -> None:
    api.do("start")
    assert api.control.get("executions", system="service_stage")[0]["started_by"] == AK
    assert api.control.get("requests", system="service_stage")[0]["who"] == AK


def test_a_running_release_is_not_started_twice(api: ServiceStage) -> None:
    api.switch(task_seconds=1e6)
    api.do("start")
    assert refusal(api.action("start")) == (400, "SVCSTG.00100400")
    api.switch(wrong_state_status=409)
    assert refusal(api.action("start")) == (409, "SVCSTG.00100409")
    assert api.get(f"/{SHOP}/records")["count"] == 1


def test_the_detail_names_stages_and_tasks(api: ServiceStage) -> None:
    detail = api.get(f"/{SHOP}")
    stages = detail["pipeline_declaration"]["stages"]
    assert [(stage["name"], [task["name"] for task in stage["tasks"]]) for stage in stages] == [
        ("899tih", ["ujgdh4"]),
        ("uipfzw", ["ax8hus"]),
    ]
    assert "status" not in detail


def test_only_the_selected_tasks_run(api: ServiceStage) -> None:
    api.script("ujgdh4", fails=True)
    api.do("start", {"selected_tasks": [{"stage_name": "uipfzw", "tasks": ["ax8hus"]}]})
    assert api.reaches(2)


@pytest.mark.parametrize(
    "selected",
    [
        [{"stage_name": "nope", "tasks": []}],
        [{"stage_name": "899tih", "tasks": ["nope"]}],
        [{"stage_name": "899tih"}],
        "text",
    ],
)
def test_unknown_selected_tasks_are_refused(api: ServiceStage, selected: Any) -> None:
    assert refusal(api.action("start", {"selected_tasks": selected})) == (400, "SVCSTG.00100400")
    assert api.get(f"/{SHOP}/records")["records"] == []


@pytest.mark.parametrize(
    ("action", "body"),
    [
        (None, {}),
        ("dance", {}),
        ("START", {}),
        ("approval", {}),
        ("approval", {"task_name": "x"}),
        ("approval", {"task_name": "x", "approval_type": "maybe"}),
        ("stop", {}),
        ("retry", {}),
        ("continue", {}),
        ("rollback", {}),
        ("start", ["no object"]),
    ],
)
def test_an_action_that_cannot_be_is_refused(api: ServiceStage, action: str | None, body: Any) -> None:
    assert refusal(api.action(action, body)) == (400, "SVCSTG.00100400")


def test_malformed_json_is_refused_and_a_missing_body_by_switch(api: ServiceStage) -> None:
    path = f"{api.pipelines}/{SHOP}/action?action_id=start"
    assert refusal(api.signed("POST", path, b"{")) == (400, "SVCSTG.00100400")
    api.switch(empty_body_status=400)
    assert refusal(api.signed("POST", path)) == (400, "SVCSTG.00100400")
    api.switch(empty_body_status=200)
    assert api.signed("POST", path).status_code == 200


def test_an_unknown_release_task_is_not_found(api: ServiceStage) -> None:
    assert refusal(api.action("start", pipeline="nope")) == (404, "SVCSTG.00100433")
    other = f"/v3/0d1f3c5b7a9e4f2c8b6a4d2e0f1c3b5a/pipeline/pipelines/{SHOP}"
    assert refusal(api.signed("GET", other)) == (404, "SVCSTG.00100433")
    assert refusal(api.signed("GET", "/v3/unknown/pipeline/pipelines")) == (403, "APIGW.0302")


def test_who_may_only_read_cannot_act(api: ServiceStage) -> None:
    viewer = {"ak": "SANDBOXACCESSKEY0002", "sk": "sandbox-secret-key-0002"}
    assert api.signed("GET", api.pipelines, **viewer).status_code == 200
    reply = api.signed("POST", f"{api.pipelines}/{SHOP}/action?action_id=start", b"{}", **viewer)
    assert refusal(reply) == (403, "SVCSTG.00100403")


def test_stop_and_continue_keep_the_record(api: ServiceStage) -> None:
    started = api.do("start")
    assert api.do("stop") == {"id": started["id"], "pipeline_id": SHOP, "status": 13}
    api.reaches(7)
    assert api.do("continue")["id"] == started["id"]
    api.reaches(2)
    assert api.states(started["id"]) == ["4", "13", "7", "4", "2"]
    tracked = api.control.get("executions", system="service_stage")[0]
    assert len(tracked["cancels"]) == 1


@pytest.mark.parametrize("keeps", [True, False])
def test_a_retry_continues_at_the_failed_task(api: ServiceStage, keeps: bool) -> None:
    api.switch(retry_keeps_id=keeps)
    api.script("ax8hus", fails=True, times=1)
    started = api.do("start")
    api.reaches(3)
    retried = api.do("retry")
    assert (retried["id"] == started["id"], retried["status"]) == (keeps, 14)
    assert api.reaches(2)["id"] == retried["id"]


@pytest.mark.parametrize(("fails", "status"), [(False, 11), (True, 12)])
def test_a_rollback_ends_in_its_own_status(api: ServiceStage, fails: bool, status: int) -> None:
    api.switch(rollback_fails=fails)
    api.do("start")
    api.reaches(2)
    assert api.do("rollback")["status"] == 10
    api.reaches(status)


def test_the_broken_release_always_fails(api: ServiceStage) -> None:
    broken = api.named("broken-release")
    for _ in range(2):
        api.do("start", pipeline=broken)
        api.reaches(3, broken)


@pytest.mark.parametrize(("answer", "status"), [("agree", 2), ("refuse", 3)])
def test_an_approval_decides_the_release(api: ServiceStage, answer: str, status: int) -> None:
    pipeline = api.named("shop-release-approval")
    api.do("start", pipeline=pipeline)
    api.reaches(5, pipeline)
    wrong = api.action("approval", {"task_name": "ujgdh4", "approval_type": answer}, pipeline)
    assert refusal(wrong) == (400, "SVCSTG.00100400")
    api.do("approval", {"task_name": "apr0v1", "approval_type": answer, "message": "ok"}, pipeline)
    api.reaches(status, pipeline)


def test_two_release_tasks_share_a_name(api: ServiceStage) -> None:
    assert [each["name"] for each in api.get()["pipelines"]].count("twin-release") == 2


@pytest.mark.parametrize("fail_mode", ["stop", "continue"])
def test_other_groups_finish_after_a_failure_if_the_pipeline_says_so(api: ServiceStage, fail_mode: str) -> None:
    groups = [{"tasks": [{"name": "a"}]}, {"tasks": [{"name": "b"}, {"name": "c"}]}]
    spec = {"name": "wide", "model_version": 2, "config_mode": "ui", "fail_mode": fail_mode}
    body = json.dumps(spec | {"stages": [{"name": "one", "groups": groups}]}).encode()
    created = api.signed("POST", api.pipelines, body)
    pipeline = created.json()["id"]
    api.script("a", "wide", fails=True)
    api.do("start", pipeline=pipeline)
    api.reaches(3, pipeline)
    states = api.control.get("executions", system="service_stage")[-1]["states"]
    group = 3.9 / 40
    assert (states[-1]["at"] - states[0]["at"] > 2 * group) == (fail_mode == "continue")


def test_release_tasks_can_be_created_edited_and_deleted(api: ServiceStage) -> None:
    spec = {"name": "new", "model_version": 2, "config_mode": "ui", "stages": [{"name": "s", "tasks": [{"name": "t"}]}]}
    created = api.signed("POST", api.pipelines, json.dumps(spec).encode()).json()
    edited = api.signed("PUT", f"{api.pipelines}/{created['id']}", json.dumps(spec | {"name": "newer"}).encode()).json()
    assert (edited["name"], edited["version"]) == ("newer", "2")
    assert api.signed("DELETE", f"{api.pipelines}/{created['id']}").status_code == 200
    assert api.signed("GET", f"{api.pipelines}/{created['id']}").status_code == 404
    bad = api.signed("POST", api.pipelines, json.dumps(spec | {"model_version": 1}).encode())
    assert refusal(bad) == (400, "SVCSTG.00100400")


def test_odd_forms_follow_the_switches(api: ServiceStage) -> None:
    api.switch(
        list_form="bare",
        record_case="camel",
        record_id="text",
        reply_id="text",
        status_form="text",
        record_status=False,
    )
    assert api.do("start")["id"] == "286541"
    assert isinstance(api.get(), list)
    record = api.get(f"/{SHOP}/records")["records"][0]
    assert record["id"] == "286541"
    assert {"pipelineId", "triggerAt"} <= set(record)
    assert "status" not in record
    api.switch(record_status=True, shown_status={"4": 6})
    assert api.get(f"/{SHOP}/records")["records"][0]["status"] == "6"


def test_the_list_can_lag_behind_the_records(api: ServiceStage) -> None:
    api.do("start")
    api.reaches(2)
    api.switch(list_lag=60.0)
    api.do("start")
    assert (api.item()["status"], api.reaches(4)["status"]) == (1, 4)


def test_the_trigger_time_in_the_list_can_lag_too(api: ServiceStage) -> None:
    api.do("start")
    assert api.item()["last_trigger_at"] is not None
    api.switch(list_lag=60.0, list_time_lags=True)
    assert (api.item()["status"], api.item()["last_trigger_at"]) == (1, None)


def test_the_records_can_lag_behind_what_is_done(api: ServiceStage) -> None:
    first = api.do("start")["id"]
    api.reaches(2)
    api.switch(record_lag=60.0)
    assert api.get(f"/{SHOP}/records") == {"count": 0, "records": []}
    api.control.post("clock", advance=120)
    api.do("start")
    (record,) = api.get(f"/{SHOP}/records")["records"]
    assert (record["id"], record["status"]) == (first, 2)


def test_a_forced_status_stays_until_it_is_forced_again(api: ServiceStage) -> None:
    execution_id = api.do("start")["id"]
    api.control.post(f"executions/service_stage/{execution_id}", state="13")
    time.sleep(0.3)
    assert api.item()["status"] == 13
    api.control.post(f"executions/service_stage/{execution_id}", state=4)
    api.reaches(2)


def test_the_quota_throttles(api: ServiceStage) -> None:
    api.switch(quota_per_second=1)
    replies = [api.signed("GET", api.pipelines) for _ in range(5)]
    throttled = [reply for reply in replies if reply.status_code == 429]
    assert throttled
    assert refusal(throttled[0]) == (429, "APIGW.0308")
    assert "Retry-After" not in throttled[0].headers
