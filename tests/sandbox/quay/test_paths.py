"""What the Quay stand-in promises, over real HTTP; webhooks are compared with those recorded from a real server."""

from __future__ import annotations

import pytest

from tests.support.quay_calls import SHOP, UNKNOWN_UUID, Api


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", f"{SHOP}/notification", 308, "text/html"),
        ("POST", f"{SHOP}/notification", 308, "text/html"),
        ("DELETE", f"{SHOP}/notification", 204, "application/json"),
        ("DELETE", f"{SHOP}/notification/{UNKNOWN_UUID}/test", 204, "application/json"),
        ("DELETE", f"{SHOP}/manifest/stable", 204, "application/json"),
        ("PATCH", f"{SHOP}/notification/{UNKNOWN_UUID}", 405, "application/json"),
        ("GET", f"{SHOP}/notification/{UNKNOWN_UUID}/", 404, "text/html"),
        ("DELETE", f"{SHOP}/notification/{UNKNOWN_UUID}/", 405, "text/html"),
        ("GET", f"{SHOP}/notification/{UNKNOWN_UUID}/test", 404, "application/json"),
        ("GET", "/repository/acme", 404, "text/html"),
        ("GET", "/repository/acme%2Fshop/tag/", 200, "application/json"),
    ],
)
def test_wrong_paths_are_answered_as_the_server_does(api: Api, method: str, path: str, status: int, kind: str) -> None:
    reply = api.call(method, path)
    assert (reply.status_code, reply.headers["content-type"].partition(";")[0]) == (status, kind)
    assert "stable" in api.call("GET", SHOP).json()["tags"]


def test_the_redirect_names_the_absolute_address_with_the_slash(api: Api) -> None:
    reply = api.call("GET", f"{SHOP}/notification", params={"a": "1"})
    assert reply.headers["location"] == f"{api.url}/quay/api/v1{SHOP}/notification/?a=1"


def test_put_on_a_notification_is_read_as_an_update_of_a_repository(api: Api) -> None:
    path = f"{SHOP}/notification/{UNKNOWN_UUID}"
    assert "'description' is a required property" in api.call("PUT", path, {}).json()["detail"]
    assert api.call("PUT", path, {"description": "x"}).status_code == 404


def test_a_path_cut_too_short_deletes_the_repository(api: Api) -> None:
    assert api.call("DELETE", SHOP).status_code == 204
    assert api.call("GET", SHOP).status_code == 404
    assert api.call("DELETE", SHOP).status_code == 204


def test_options_name_the_methods_without_a_token(api: Api) -> None:
    reply = api.call("OPTIONS", f"{SHOP}/notification/", token=None)
    assert (reply.status_code, reply.content, reply.headers["allow"]) == (200, b"", "POST, GET, HEAD, OPTIONS")


def test_repository_names_may_have_more_parts(api: Api) -> None:
    api.push("v1", "acme/a/b/c")
    assert api.call("GET", "/repository/acme/a/b/c/tag/").json()["tags"][0]["name"] == "v1"
