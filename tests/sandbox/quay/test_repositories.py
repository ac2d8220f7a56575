"""What the Quay stand-in promises, over real HTTP; webhooks are compared with those recorded from a real server."""

from __future__ import annotations

import pytest

from tests.support.quay_calls import READ_TOKEN, SHOP, WEBHOOK, Api, digest_of


def test_a_repository_is_created_once(api: Api) -> None:
    body = {"repository": "tool", "namespace": "acme", "visibility": "private", "description": ""}
    made = api.call("POST", "/repository", body)
    assert (made.status_code, made.json()) == (201, {"namespace": "acme", "name": "tool", "kind": "image"})
    assert api.call("POST", "/repository", body).json()["detail"] == "Repository already exists"
    assert api.call("POST", "/repository", body | {"namespace": "other"}).status_code == 403
    assert api.call("POST", "/repository", body | {"repository": "x"}, token=READ_TOKEN).status_code == 403


def test_a_public_repository_is_readable_by_everybody_except_its_notifications(api: Api) -> None:
    body = {"repository": "open", "namespace": "acme", "visibility": "public", "description": ""}
    api.call("POST", "/repository", body)
    assert api.call("GET", "/repository/acme/open/tag/", token=None).status_code == 200
    assert api.call("GET", "/repository/acme/open/notification/", token=None).status_code == 401


def test_repositories_come_in_pages_of_100_and_old_tokens_start_again(api: Api) -> None:
    for number in range(104):
        api.push("v1", f"acme/r{number:03}")
    first = api.call("GET", "/repository", params={"namespace": "acme"}).json()
    following = {"namespace": "acme", "next_page": first["next_page"]}
    rest = api.call("GET", "/repository", params=following).json()
    assert (len(first["repositories"]), len(rest["repositories"]), "next_page" in rest) == (100, 5, False)
    assert api.call("GET", "/repository").status_code == 400
    broken = api.call("GET", "/repository", params=following | {"next_page": "broken"}).json()
    assert broken["repositories"] == first["repositories"]
    api.post("clock", advance=3 * 86400)
    assert api.call("GET", "/repository", params=following).json()["repositories"] == first["repositories"]


def test_a_read_only_registry_refuses_writes_with_503(api: Api) -> None:
    api.switch(read_only_registry=True)
    reply = api.call("POST", f"{SHOP}/notification/", WEBHOOK)
    assert (reply.status_code, reply.json()["is_readonly"]) == (503, True)
    assert api.call("GET", f"{SHOP}/tag/").status_code == 200


@pytest.mark.parametrize(
    ("switch", "state", "number"), [("read_only_repositories", "READ_ONLY", 1), ("mirrored_repositories", "MIRROR", 2)]
)
def test_a_read_only_repository_refuses_builds_and_changes_of_tags_and_labels(
    api: Api, switch: str, state: str, number: int
) -> None:
    build_id, digest = api.build()["id"], digest_of(api, "stable")
    api.switch(**{switch: ["acme/shop"]})
    label = {"key": "team", "value": "shop", "media_type": "text/plain"}
    for method, path, body in (
        ("DELETE", "/tag/stable", None),
        ("PUT", "/tag/prod", {"manifest_digest": digest}),
        ("POST", "/tag/stable/restore", {"manifest_digest": digest}),
        ("POST", "/build/", {"archive_url": "https://example.com/a"}),
        ("DELETE", f"/build/{build_id}", None),
        ("POST", f"/manifest/{digest}/labels", label),
        ("DELETE", f"/manifest/{digest}/labels/x", None),
    ):
        reply = api.call(method, SHOP + path, body)
        assert (reply.status_code, reply.json()) == (
            503,
            {"message": f"Repository is in read only or mirror mode: {number}"},
        )
    assert api.call("POST", f"{SHOP}/notification/", WEBHOOK).status_code == 201
    assert api.call("PUT", SHOP, {"description": "x"}).status_code == 200
    assert api.call("GET", SHOP).json()["state"] == state
    assert (
        api.call("POST", f"{SHOP}/build/", {"archive_url": "https://a.example/a"}, token=READ_TOKEN).status_code == 403
    )
