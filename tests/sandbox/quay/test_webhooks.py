"""What the Quay stand-in promises, over real HTTP; webhooks are compared with those recorded from a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.quay_calls import SHOP, Api
from tests.support.receiver import Receiver
from tests.support.until import until

RECORDED = [
    json.loads(line) for line in (Path(__file__).parents[1] / "data/quay_webhooks.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("recorded", [r for r in RECORDED if r["kind"] == "test"], ids=lambda r: r["event"])
def test_test_deliveries_equal_the_recorded_ones(api: Api, receiver: Receiver, recorded: dict[str, Any]) -> None:
    api.push("v1", "acme/events")
    config = {"vulnerability_found": {"level": "1"}, "repo_image_expiry": {"days": 7}}.get(recorded["event"], {})
    made = api.notify(receiver.url, recorded["event"], "/repository/acme/events", eventConfig=config)
    api.call("POST", f"/repository/acme/events/notification/{made['uuid']}/test")
    (body,) = receiver.bodies(1)
    expected = recorded["body"]
    if "commit_info" in expected.get("trigger_metadata", {}):
        expected["trigger_metadata"]["commit_info"]["date"] = body["trigger_metadata"]["commit_info"]["date"]
    assert body == expected
    assert list(body) == list(expected)
    assert receiver.received[0]["raw"] == json.dumps(body).encode()


def test_deliveries_have_the_recorded_headers_and_no_others(api: Api, receiver: Receiver) -> None:
    api.notify(receiver.url)
    api.push("v1")
    receiver.bodies(1)
    got = dict(receiver.received[0]["headers"])
    assert list(got) == list(RECORDED[0]["headers"])
    varying = {"Host", "User-Agent", "Content-Length"}
    for name in set(got) - varying:
        assert got[name] == RECORDED[0]["headers"][name]
    assert got["User-Agent"].startswith("python-requests/")


def real(event: str) -> dict[str, Any]:
    return next(each["body"] for each in RECORDED if each["kind"] == "real" and each["event"] == event)


def test_a_push_is_reported_as_recorded_and_a_moved_tag_is_not(api: Api, receiver: Receiver) -> None:
    api.push("first", "acme/events")
    api.notify(receiver.url, "repo_push", "/repository/acme/events")
    digest = api.push("ok", "acme/events")
    assert receiver.bodies(1) == [real("repo_push")]
    tag = "/repository/acme/events/tag"
    assert api.call("PUT", f"{tag}/moved", {"manifest_digest": digest}).status_code == 201
    assert api.call("POST", f"{tag}/first/restore", {"manifest_digest": digest}).status_code == 200
    api.push("ok2", "acme/events")
    assert [each["updated_tags"] for each in receiver.bodies(2)] == [["ok"], ["ok2"]]


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        ("build_queued", "complete"),
        ("build_start", "complete"),
        ("build_success", "complete"),
        ("build_failure", "error"),
        ("build_cancelled", "hang"),
    ],
)
def test_build_events_have_the_recorded_form(api: Api, receiver: Receiver, event: str, outcome: str) -> None:
    api.switch(build_outcome=outcome, build_tries=1)
    api.notify(receiver.url, event)
    build = api.build(docker_tags=["ok"])
    if event == "build_cancelled":
        api.call("DELETE", f"{SHOP}/build/{build['id']}")
    (body,) = receiver.bodies(1)
    assert list(body) == list(real(event))
    homepage = f"http://quay.example.com/repository/acme/shop/build/{build['id']}"
    assert body == body | {"build_id": build["id"], "docker_tags": ["ok"], "homepage": homepage}
    if event != "build_queued":
        assert (body["build_name"], body["trigger_id"], body["trigger_metadata"]) == (build["display_name"], None, {})


def test_a_failed_build_with_tries_left_is_not_reported(api: Api, receiver: Receiver) -> None:
    api.switch(build_outcome="error")
    api.notify(receiver.url, "build_failure")
    api.notify(receiver.url)
    api.phase(api.build()["id"], "error")
    api.push("v1")
    assert ["updated_tags" in body for body in receiver.bodies(1)] == [True]


def test_a_ref_regex_filters_tests_and_manual_builds(api: Api, receiver: Receiver) -> None:
    made = {
        name: api.notify(f"{receiver.url}/{name}", "build_start", eventConfig={"ref-regex": regex})["uuid"]
        for name, regex in (("other", "refs/heads/main"), ("some", "refs/heads/some"), ("broken", "("))
    }
    for uuid in made.values():
        api.call("POST", f"{SHOP}/notification/{uuid}/test")
    api.phase(api.build()["id"], "complete")
    api.notify(f"{receiver.url}/end")
    api.push("v1")
    until(lambda: [each["path"] for each in receiver.received], lambda paths: "/end" in paths and "/some" in paths)
    assert sorted(each["path"] for each in receiver.received) == ["/end", "/some"]


def test_three_failures_disable_silently_until_reset(api: Api, receiver: Receiver) -> None:
    receiver.answers["/x"] = (500, "")
    uuid = api.notify(f"{receiver.url}/x")["uuid"]
    api.push("v1")
    until(lambda: api.failures(uuid), lambda count: count == 3)
    receiver.answers.clear()
    assert api.call("POST", f"{SHOP}/notification/{uuid}/test").status_code == 200
    api.push("v2")
    api.post("clock", advance=300)
    assert len(receiver.received) == 3
    assert api.failures(uuid) == 3
    assert api.call("POST", f"{SHOP}/notification/{uuid}").status_code == 204
    assert api.failures(uuid) == 0
    api.push("v3")
    assert receiver.bodies(4)[3]["updated_tags"] == ["v3"]


def test_a_success_sets_the_counter_back(api: Api, receiver: Receiver) -> None:
    receiver.answers["/x"] = (503, "")
    uuid = api.notify(f"{receiver.url}/x")["uuid"]
    api.push("v1")
    until(lambda: api.failures(uuid), lambda count: count >= 1)
    receiver.answers.clear()
    until(lambda: api.failures(uuid), lambda count: count == 0)
    assert {body["updated_tags"][0] for body in receiver.bodies(2)} == {"v1"}


@pytest.mark.parametrize(("status", "second", "body"), [(302, "GET", b""), (307, "POST", None)])
def test_redirects_are_followed_and_count_as_delivered(
    api: Api, receiver: Receiver, status: int, second: str, body: bytes | None
) -> None:
    receiver.answers["/x"] = (status, f"{receiver.url}/y")
    uuid = api.notify(f"{receiver.url}/x")["uuid"]
    api.push("v1")
    until(lambda: len(receiver.received), lambda count: count == 2)
    assert (receiver.received[1]["method"], receiver.received[1]["path"]) == (second, "/y")
    assert receiver.received[1]["raw"] == (receiver.received[0]["raw"] if body is None else body)
    assert api.failures(uuid) == 0


def test_a_level_that_is_a_word_delivers_nothing_and_counts_nothing(api: Api, receiver: Receiver) -> None:
    uuid = api.notify(receiver.url, "vulnerability_found", eventConfig={"level": "High"})["uuid"]
    api.call("POST", f"{SHOP}/notification/{uuid}/test")
    for _ in range(6):
        api.post("clock", advance=40)
    assert (receiver.received, api.failures(uuid)) == ([], 0)


def test_a_template_replaces_the_body(api: Api, receiver: Receiver) -> None:
    template = {
        "tags": "${updated_tags}",
        "text": "${name}: ${$.updated_tags} ${nothing}",
        "missing": "${nothing}",
        "n": 1,
    }
    api.notify(receiver.url, config={"template": json.dumps(template)})
    api.push("v1")
    assert receiver.bodies(1) == [{"tags": ["v1"], "text": "shop: ['v1'] (none)", "missing": None, "n": 1}]


@pytest.mark.parametrize(
    ("configs", "severity", "deliveries"),
    [
        ([{}], "High", 0),
        ([{}], "Critical", 1),
        ([{}, {}], "Critical", 4),
        ([{}, {"vulnerability": {"priority": "Low"}}], "High", 4),
        ([{"level": "3"}], "High", 0),
        ([{"level": "0", "vulnerability": {"priority": "Low"}}], "High", 0),
    ],
)
def test_findings_are_filtered_and_reported_k_times(
    api: Api, receiver: Receiver, configs: list[dict[str, Any]], severity: str, deliveries: int
) -> None:
    digest = api.push("vuln")
    for config in configs:
        api.notify(receiver.url, "vulnerability_found", eventConfig=config)
    values = {"repository": "acme/shop", "digest": digest, "severity": severity, "name": "CVE-2026-H2"}
    api.act("report_finding", link="https://e.example/1", description="d", fixed_by="1", **values)
    receiver.bodies(deliveries)
    api.notify(f"{receiver.url}/end")
    api.push("end")
    until(lambda: receiver.received, lambda found: any(each["path"] == "/end" for each in found))
    found = [json.loads(each["raw"]) for each in receiver.received if each["path"] != "/end"]
    assert len(found) == deliveries
    for body in found:
        assert (body["tags"], body["vulnerability"]["priority"], body["vulnerability"]["has_fix"]) == (
            ["vuln"],
            severity,
            True,
        )
        assert list(body) == list(real("vulnerability_found"))
