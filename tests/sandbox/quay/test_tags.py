"""What the Quay stand-in promises, over real HTTP; webhooks are compared with those recorded from a real server."""

from __future__ import annotations

import time

import pytest

from tests.support.quay_calls import SHOP, UNKNOWN_DIGEST, Api, tags


def test_history_shows_dead_entries_unless_active_ones_are_asked_for(api: Api) -> None:
    first, second = api.push("v1"), api.push("v1")
    assert tags(api, specificTag="v1") == [("v1", second), ("v1", first)]
    assert tags(api, specificTag="v1", onlyActiveTags="true") == [("v1", second)]
    assert len(tags(api, specificTag="v1", onlyActiveTags="False")) == 2
    dead = api.call("GET", f"{SHOP}/tag/", params={"specificTag": "v1"}).json()["tags"][1]
    assert dead["end_ts"] >= dead["start_ts"]
    assert "immutable" not in dead


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("like:TAB", {"stable"}),
        ("like:s_able", {"stable"}),
        ("like:v%e", {"vulnerable"}),
        ("eq:stable", {"stable"}),
        ("eq:tab", set()),
        ("gt:x", {"stable", "vulnerable"}),
    ],
)
def test_tags_are_filtered_by_name(api: Api, value: str, names: set[str]) -> None:
    assert {name for name, _ in tags(api, filter_tag_name=value)} == names


def test_a_filter_without_a_colon_is_refused(api: Api) -> None:
    reply = api.call("GET", f"{SHOP}/tag/", params={"filter_tag_name": "stable"})
    assert (reply.status_code, set(reply.json())) == (400, {"message"})


def test_tags_come_in_pages(api: Api) -> None:
    for number in range(3):
        api.push(f"v{number}")
    pages = [api.call("GET", f"{SHOP}/tag/", params={"limit": 2, "page": page}).json() for page in (1, 2, 3)]
    assert [len(page["tags"]) for page in pages] == [2, 2, 1]
    assert [page["has_additional"] for page in pages] == [True, True, False]


def test_a_tag_moves_to_a_living_digest_of_its_repository_only(api: Api) -> None:
    digest = api.push("v1")
    moved = api.call("PUT", f"{SHOP}/tag/prod", {"manifest_digest": digest})
    assert (moved.status_code, moved.json()) == (201, "Updated")
    assert tags(api, specificTag="prod") == [("prod", digest)]
    api.call("PUT", f"{SHOP}/tag/prod", {"manifest_digest": digest})
    assert len(tags(api, specificTag="prod")) == 2
    assert api.call("PUT", f"{SHOP}/tag/prod", {"manifest_digest": UNKNOWN_DIGEST}).status_code == 404
    assert api.call("PUT", f"{SHOP}/tag/prod", {}).status_code == 201
    assert api.call("PUT", f"{SHOP}/tag/-bad", {"manifest_digest": digest}).status_code == 400


def test_a_change_of_a_tag_is_not_atomic(api: Api) -> None:
    digest = api.push("v1")
    body = {"manifest_digest": UNKNOWN_DIGEST, "expiration": time.time() + 7200}
    assert api.call("PUT", f"{SHOP}/tag/v1", body).status_code == 404
    (entry,) = api.call("GET", f"{SHOP}/tag/", params={"specificTag": "v1"}).json()["tags"]
    assert entry["manifest_digest"] == digest
    assert entry["end_ts"] == pytest.approx(body["expiration"], abs=2)


@pytest.mark.parametrize(("seconds", "lifetime"), [(10, 3600), (10**9, 104 * 7 * 86400)])
def test_expirations_are_clamped(api: Api, seconds: int, lifetime: int) -> None:
    api.push("v1")
    assert api.call("PUT", f"{SHOP}/tag/v1", {"expiration": time.time() + seconds}).status_code == 201
    (entry,) = api.call("GET", f"{SHOP}/tag/", params={"specificTag": "v1"}).json()["tags"]
    assert entry["end_ts"] - entry["start_ts"] == lifetime


def test_expirations_in_the_past_and_of_missing_tags_are_refused(api: Api) -> None:
    api.push("v1")
    assert api.call("PUT", f"{SHOP}/tag/v1", {"expiration": 5}).status_code == 400
    assert api.call("PUT", f"{SHOP}/tag/none", {"expiration": time.time() + 9999}).status_code == 404


def test_an_expired_tag_is_dead(api: Api) -> None:
    digest = api.push("v1")
    api.call("PUT", f"{SHOP}/tag/v1", {"expiration": time.time() + 3700})
    api.post("clock", advance=4000)
    assert tags(api, specificTag="v1", onlyActiveTags="true") == []
    assert api.call("GET", f"{SHOP}/manifest/{digest}").status_code == 404


def test_a_dead_image_can_be_restored(api: Api) -> None:
    first = api.push("v1")
    api.push("v1")
    restored = api.call("POST", f"{SHOP}/tag/v1/restore", {"manifest_digest": first})
    assert (restored.status_code, restored.json()) == (200, {})
    entry = api.call("GET", f"{SHOP}/tag/", params={"specificTag": "v1", "onlyActiveTags": "1"}).json()["tags"][0]
    assert (entry["manifest_digest"], entry["reversion"]) == (first, True)
    assert api.call("POST", f"{SHOP}/tag/v1/restore", {}).json()["error_type"] == "invalid_request"
    assert api.call("POST", f"{SHOP}/tag/v1/restore", {"manifest_digest": UNKNOWN_DIGEST}).status_code == 404


def test_a_tag_is_deleted_once(api: Api) -> None:
    assert [api.call("DELETE", f"{SHOP}/tag/stable").status_code for _ in range(2)] == [204, 404]


def test_immutable_tags_conflict(api: Api) -> None:
    api.switch(immutable_tags=True)
    digest = api.push("v1")
    assert api.call("PUT", f"{SHOP}/tag/v1", {"immutable": True}).status_code == 201
    deleted = api.call("DELETE", f"{SHOP}/tag/v1")
    assert (deleted.status_code, deleted.json()["detail"]) == (409, "Cannot delete immutable tag 'v1'")
    moved = api.call("PUT", f"{SHOP}/tag/v1", {"manifest_digest": digest})
    assert (moved.status_code, moved.json()["detail"]) == (409, "Cannot overwrite immutable tag 'v1'")
    assert api.call("PUT", f"{SHOP}/tag/v1", {"expiration": time.time() + 9999}).status_code == 400
    writer = api.token("repo:write")
    assert api.call("PUT", f"{SHOP}/tag/v1", {"immutable": False}, token=writer).status_code == 403
    assert api.call("PUT", f"{SHOP}/tag/v1", {"immutable": False}).status_code == 201
    assert api.call("DELETE", f"{SHOP}/tag/v1").status_code == 204


def test_immutability_is_ignored_while_the_feature_is_off(api: Api) -> None:
    assert api.call("PUT", f"{SHOP}/tag/stable", {"immutable": True}).status_code == 201
    assert api.call("DELETE", f"{SHOP}/tag/stable").status_code == 204
