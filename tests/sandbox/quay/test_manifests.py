"""What the Quay stand-in promises, over real HTTP; webhooks are compared with those recorded from a real server."""

from __future__ import annotations

import json

import pytest
import requests

from tests.support.quay_calls import SHOP, UNKNOWN_DIGEST, Api, digest_of


def scan(api: Api, digest: str) -> requests.Response:
    return api.call("GET", f"{SHOP}/manifest/{digest}/security", params={"vulnerabilities": "true"})


def severities(reply: requests.Response) -> list[str]:
    features = reply.json()["data"]["Layer"]["Features"]
    return [each["Severity"] for feature in features for each in feature["Vulnerabilities"]]


def test_a_new_image_is_queued_and_then_scanned_with_one_low_finding(api: Api) -> None:
    api.post("reset", speed=1)
    digest = api.push("v1")
    assert scan(api, digest).json() == {"status": "queued", "data": None}
    api.post("clock", advance=4)
    assert scan(api, digest).json()["status"] == "scanned"
    assert severities(scan(api, digest)) == ["Low"]


def test_the_seed_has_a_clean_and_a_vulnerable_image(api: Api) -> None:
    assert severities(scan(api, digest_of(api, "stable"))) == []
    assert severities(scan(api, digest_of(api, "vulnerable"))) == ["Critical"]


@pytest.mark.parametrize("status", ["failed", "queued", "unsupported", "manifest_layer_too_large"])
def test_a_scan_takes_the_status_that_is_set(api: Api, status: str) -> None:
    digest = digest_of(api, "stable")
    api.act("set_scan", repository="acme/shop", digest=digest, status=status)
    assert scan(api, digest).json() == {"status": status, "data": None}


def test_a_failed_scan_can_still_succeed(api: Api) -> None:
    api.post("reset", speed=1)
    api.switch(scan_status="failed_then_scanned")
    digest = api.push("v1")
    seen = []
    for _ in range(3):
        seen.append(scan(api, digest).json()["status"])
        api.post("clock", advance=4)
    assert seen == ["queued", "failed", "scanned"]


def test_a_list_is_queued_then_unsupported_and_names_its_children(api: Api) -> None:
    api.post("reset", speed=1)
    digest = api.push("multi", children=[UNKNOWN_DIGEST])
    assert scan(api, digest).json()["status"] == "queued"
    api.post("clock", advance=2)
    assert scan(api, digest).json()["status"] == "unsupported"
    manifest = api.call("GET", f"{SHOP}/manifest/{digest}").json()
    assert manifest["is_manifest_list"] is True
    assert json.loads(manifest["manifest_data"])["manifests"] == [{"digest": UNKNOWN_DIGEST}]


def test_a_scanner_that_is_down_or_absent(api: Api) -> None:
    digest = digest_of(api, "stable")
    api.switch(scanner_down=True)
    assert (scan(api, digest).status_code, scan(api, digest).json()["error_type"]) == (520, "downstream_issue")
    api.switch(security_scanner=False)
    assert (scan(api, digest).status_code, scan(api, digest).json()["error_type"]) == (404, "not_found")


def test_an_untagged_child_of_a_tagged_list_is_read_labelled_and_promoted(api: Api) -> None:
    child = api.push("amd64")
    api.push("multi", children=[child])
    api.call("DELETE", f"{SHOP}/tag/amd64")
    label = {"key": "team", "value": "shop", "media_type": "text/plain"}
    assert api.call("GET", f"{SHOP}/manifest/{child}").status_code == 200
    assert api.call("POST", f"{SHOP}/manifest/{child}/labels", label).status_code == 201
    assert api.call("PUT", f"{SHOP}/tag/production", {"manifest_digest": child}).status_code == 201


def test_scans_work_for_dead_digests_but_manifests_do_not(api: Api) -> None:
    digest = digest_of(api, "stable")
    api.call("DELETE", f"{SHOP}/tag/stable")
    assert scan(api, digest).status_code == 200
    assert api.call("GET", f"{SHOP}/manifest/{digest}").status_code == 404
    assert scan(api, UNKNOWN_DIGEST).status_code == 404


def test_labels_are_added_and_removed(api: Api) -> None:
    path = f"{SHOP}/manifest/{digest_of(api, 'stable')}/labels"
    label = {"key": "team", "value": "shop", "media_type": "text/plain"}
    made = api.call("POST", path, label)
    assert made.status_code == 201
    assert api.call("GET", path).json()["labels"] == [made.json()["label"]]
    assert api.call("POST", path, label | {"key": "com.docker.x"}).status_code == 400
    label_id = made.json()["label"]["id"]
    assert [api.call("DELETE", f"{path}/{label_id}").status_code for _ in range(2)] == [204, 404]
