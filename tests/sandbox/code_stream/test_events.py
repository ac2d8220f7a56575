"""What the Code Stream stand-in promises, over real HTTP and against the contract, never through our client."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from tests.support.code_stream_calls import CodeStream
from tests.support.until import until


def seeded(api: CodeStream, kind: str, status: str | None) -> dict[str, Any]:
    rows = api.rows(f"/{kind}-events", orderby="_createTimeInMicros desc", top=100)
    return next(row for row in rows if row["executionStatus"] == status)


@pytest.mark.parametrize("kind", ["registry", "git", "gerrit"])
def test_the_seed_has_events_of_every_fate(api: CodeStream, kind: str) -> None:
    rows = api.rows(f"/{kind}-events")
    assert sorted(str(row["executionStatus"]) for row in rows) == ["COMPLETED", "FAILED", "None", "None"]
    now = time.time() * 1e6
    assert sum(row["_createTimeInMicros"] < now - 86_400e6 for row in rows) == 1
    failed = seeded(api, kind, None)
    assert (failed["executionLink"], failed["executionIndex"]) == (None, None)
    assert failed["message"] == "Invalid Oauth Refresh token. Verify webhook configuration."


def link_of(api: CodeStream, event: dict[str, Any], kind: str = "registry") -> str | None:
    return api.get(f"/{kind}-events/{event['id']}")["executionLink"]


@pytest.mark.parametrize("kind", ["registry", "git", "gerrit"])
def test_a_rerun_starts_the_pipeline_of_the_event(api: CodeStream, kind: str) -> None:
    event = seeded(api, kind, None)
    reply = api.call("POST", f"/{kind}-events/{event['id']}", action="Rerun").json()
    execution_id = reply["executionLink"].rpartition("/")[2]
    assert api.execution(execution_id)["input"]["tag"] == event.get("tag", "latest")
    assert api.ended(execution_id)["status"] == "COMPLETED"


def test_a_rerun_can_change_the_link_later(api: CodeStream) -> None:
    api.switch(rerun="link_later", rerun_delay=0.3)
    event = seeded(api, "registry", "FAILED")
    reply = api.call("POST", f"/registry-events/{event['id']}", action="rerun").json()
    assert reply["executionLink"] == event["executionLink"]
    until(lambda: link_of(api, event), lambda link: link != event["executionLink"])


def test_a_rerun_can_make_a_new_event_or_only_a_message(api: CodeStream) -> None:
    event = seeded(api, "registry", None)
    api.switch(rerun="new_event")
    api.call("POST", f"/registry-events/{event['id']}", action="rerun")
    assert len(api.rows("/registry-events")) == 5
    api.switch(rerun="message_only")
    before = len(api.control.get("executions"))
    api.call("POST", f"/registry-events/{event['id']}", action="rerun")
    assert link_of(api, event) is None
    assert len(api.control.get("executions")) == before


@pytest.mark.parametrize(("mode", "is_named"), [("new_event", False), ("new_event_in_reply", True)])
def test_a_new_event_of_a_rerun_is_of_the_same_origin_and_named_in_the_answer_or_not(
    api: CodeStream, mode: str, is_named: bool
) -> None:
    event = seeded(api, "git", None)
    known = {row["id"] for row in api.rows("/git-events")}
    api.switch(rerun=mode)
    reply = api.call("POST", f"/git-events/{event['id']}", action="rerun").json()
    (again,) = [row for row in api.rows("/git-events") if row["id"] not in known]
    assert reply["id"] == (again["id"] if is_named else event["id"])
    assert bool(reply["executionLink"]) is is_named
    same = ("pipeline", "project", "repo", "commitId", "targetBranch", "name")
    assert {name: again[name] for name in same} == {name: event[name] for name in same}
    assert api.ended(again["executionLink"].rpartition("/")[2])["status"] == "COMPLETED"


@pytest.mark.parametrize("seconds", [-3, 3])
def test_what_a_rerun_leads_to_is_dated_by_the_clock_of_the_server(api: CodeStream, seconds: float) -> None:
    event = seeded(api, "registry", None)
    api.control.post("clock", advance=seconds)
    api.switch(rerun="new_event_in_reply")
    before = time.time()
    reply = api.call("POST", f"/registry-events/{event['id']}", action="rerun")
    after = time.time()
    execution = api.execution(reply.json()["executionLink"].rpartition("/")[2])
    # The header has whole seconds.
    assert before - 1 < parsedate_to_datetime(reply.headers["Date"]).timestamp() - seconds < after + 0.5
    for micros in (execution["_requestTimeInMicros"], reply.json()["_createTimeInMicros"]):
        assert before - 1 < micros / 1e6 - seconds < after + 0.5


@pytest.mark.parametrize("exactly", [False, True])
def test_a_server_can_have_words_of_its_own(api: CodeStream, exactly: bool) -> None:
    api.switch(words={"rerun": "RERUN_EVENT", "approve": "Yes"}, case_sensitive_actions=exactly)
    event = seeded(api, "git", None)
    where = f"/git-events/{event['id']}"
    for word in ("Rerun", "RERUN_EVENT2", *(["rerun_event"] if exactly else [])):
        reply = api.call("POST", where, action=word)
        assert (reply.status_code, "Resume or RERUN_EVENT" in reply.json()["message"]) == (400, True)
    assert api.call("POST", where, action="RERUN_EVENT" if exactly else "rerun_event").ok
    assert api.call("POST", where, action="Resume").status_code == 400, "what runs cannot be resumed"
    operation = api.operation(api.start("Deploy shop with approval"))
    path = f"/user-operations/{operation['id']}"
    assert "Yes or Rejected" in api.call("PATCH", path, {"status": "Approved"}).json()["message"]
    assert api.call("PATCH", path, {"status": "YES"}).ok
    assert api.get(path)["status"] == "APPROVED"


def test_a_resume_continues_with_the_failed_execution(api: CodeStream) -> None:
    event = seeded(api, "git", "FAILED")
    execution_id = event["executionLink"].rpartition("/")[2]
    api.do("script", pipeline="Always fails", task="Prod.Deploy")
    assert api.act(execution_id, "resume").status_code == 400
    reply = api.call("POST", f"/git-events/{event['id']}", action="Resume").json()
    assert reply["executionLink"] == event["executionLink"]
    assert api.reaches(execution_id, "COMPLETED")
    assert api.states(execution_id)[-3:] == ["RESUMING", "RUNNING", "COMPLETED"]


@pytest.mark.parametrize(
    ("status", "action", "answer"),
    [(None, "resume", 400), ("COMPLETED", "resume", 400), (None, "dance", 400), (None, "", 400)],
)
def test_an_event_action_that_cannot_be_is_refused(
    api: CodeStream, status: str | None, action: str, answer: int
) -> None:
    event = seeded(api, "registry", status)
    assert api.call("POST", f"/registry-events/{event['id']}", action=action).status_code == answer


def test_who_may_only_read_cannot_rerun(api: CodeStream, viewer: CodeStream) -> None:
    event = seeded(viewer, "registry", None)
    assert viewer.call("POST", f"/registry-events/{event['id']}", action="rerun").status_code == 403


def test_a_push_after_the_webhook_is_repaired_starts_the_pipeline(api: CodeStream) -> None:
    hook = api.rows("/registry-webhooks")[0]
    assert hook["refreshToken"] == "sandbox-expired-refresh-token"
    api.call("PUT", f"/registry-webhooks/{hook['id']}", hook | {"refreshToken": "sandbox-refresh-token"})
    api.control.post("actions", system="quay", action="push_image", repository="acme/shop", tag="2.0.0")
    event = api.rows("/registry-events", filter="tag eq '2.0.0'")[0]
    execution = api.execution(event["executionLink"].rpartition("/")[2])
    assert (execution["name"], execution["input"]) == ("Deploy shop", {"tag": "2.0.0"})


def test_a_disabled_webhook_receives_nothing(api: CodeStream) -> None:
    hook = api.rows("/registry-webhooks")[0]
    assert api.call("PATCH", f"/registry-webhooks/{hook['id']}", {"enabled": False}).json()["enabled"] is False
    api.control.post("actions", system="quay", action="push_image", repository="acme/shop", tag="2.0.0")
    assert api.rows("/registry-events", filter="tag eq '2.0.0'") == []


def test_a_gerrit_change_can_be_triggered_by_hand(api: CodeStream) -> None:
    body = {"changeId": "I123", "project": "retail", "trigger": "shop-changes"}
    reply = api.call("POST", "/gerrit-events", body).json()
    assert reply == {"message": "Manual Trigger Successful", "pipelinesTriggered": ["Deploy shop"]}
    event = api.rows("/gerrit-events", filter="triggerType eq 'MANUAL'")[0]
    assert event["message"] == "Execution Started"
    assert api.call("POST", "/gerrit-events", body | {"trigger": "other"}).status_code == 404
    assert api.call("POST", "/gerrit-events", {"changeId": "I123"}).status_code == 400


def test_a_delivered_event_can_be_deleted(api: CodeStream) -> None:
    event = api.do("deliver", kind="git", fields={"commitId": "abc"}, refused="no")
    assert event["commitId"] == "abc"
    assert api.call("DELETE", f"/git-events/{event['id']}").status_code == 200
    assert api.call("GET", f"/git-events/{event['id']}").status_code == 404


def test_odd_forms_of_an_event_follow_the_switches(api: CodeStream) -> None:
    event = api.do("deliver", kind="git")
    assert event["serverURL"] == "https://git.example.com"
    assert event["timeStampInMicros"].endswith("+0000")
    api.switch(server_url="object", event_time="int", execution_links="host", project_id_field=False)
    event = api.get(f"/git-events/{event['id']}")
    assert event["serverURL"]["host"] == "git.example.com"
    assert isinstance(event["timeStampInMicros"], int)
    assert event["executionLink"].startswith("https://")
    assert "_projectId" not in event
