"""What the Quay stand-in promises, over real HTTP; webhooks are compared with those recorded from a real server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.quay_calls import FOREIGN, MISSING, SHOP, UNKNOWN_UUID, WEBHOOK, Api


def test_a_created_notification_is_shown_and_found(api: Api) -> None:
    created = api.notify("http://127.1:9/x", title="mine", eventConfig={"level": "1"})
    assert created["event_config"] == {"level": "1"}
    assert (created["title"], created["number_of_failures"]) == ("mine", 0)
    assert api.call("GET", f"{SHOP}/notification/").json() == {"notifications": [created]}
    assert api.call("GET", f"{SHOP}/notification/{created['uuid']}").json() == created


def test_nothing_de_duplicates(api: Api) -> None:
    assert api.notify("http://127.1:9/x")["uuid"] != api.notify("http://127.1:9/x")["uuid"]
    assert len(api.call("GET", f"{SHOP}/notification/").json()["notifications"]) == 2


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"event": None}, 400, "'event' is a required property"),
        ({"eventConfig": None}, 400, "'eventConfig' is a required property"),
        ({"title": 5}, 400, "5 is not of type 'string'"),
        ({"config": {}}, 400, "Missing webhook URL"),
        ({"config": {"url": "ftp://a/"}}, 400, "Invalid webhook URL"),
        ({"config": {"url": "word"}}, 400, "Invalid webhook URL"),
        ({"config": {"url": "http://localhost:1/"}}, 400, "Invalid webhook URL"),
        ({"config": {"url": "http://127.0.0.1/"}}, 400, "Invalid webhook URL"),
        ({"config": {"url": "http://127.1/"}}, 201, ""),
        ({"config": {"url": "http://a/", "template": "{"}}, 400, "Could not parse template: "),
        ({"config": {"url": "http://a/", "template": '{"a": "${}"}'}}, 400, "Empty expression found"),
        ({"config": {"url": "http://"}}, 500, "Internal Server Error"),
        ({"config": {"url": 5}}, 500, "Internal Server Error"),
        ({"event": "nonsense"}, 500, "Internal Server Error"),
        ({"event": "Repo_Push"}, 500, "Internal Server Error"),
        ({"method": "pigeon"}, 500, "Internal Server Error"),
        ({"method": "slack", "config": {}}, 400, "Missing Slack Callback URL"),
        ({"method": "flowdock", "config": {}}, 400, "Missing Flowdock API Token"),
        ({"method": "hipchat", "config": {}}, 400, "Missing Hipchat Room Notification Token"),
        ({"method": "hipchat", "config": {"notification_token": "x"}}, 400, "Missing Hipchat Room ID"),
        ({"method": "email", "config": {}}, 400, "Missing e-mail address"),
        ({"method": "email", "config": {"email": "a@b"}}, 400, "The specified e-mail address is not authorized"),
        ({"method": "quay_notification", "config": {}}, 400, "Missing target"),
        ({"method": "quay_notification", "config": {"target": {"kind": "user", "name": "X"}}}, 400, "Unknown user X"),
        (
            {"method": "quay_notification", "config": {"target": {"kind": "org", "name": "X"}}},
            400,
            "Unknown organization X",
        ),
        ({"method": "quay_notification", "config": {"target": {"kind": "dog", "name": "X"}}}, 500, "Internal Server"),
        ({"eventConfig": {"level": "nonsense", "ref-regex": "("}}, 201, ""),
    ],
)
def test_create_refuses_what_the_server_refuses(api: Api, change: dict[str, Any], status: int, text: str) -> None:
    body = {key: value for key, value in (WEBHOOK | change).items() if value is not None}
    reply = api.call("POST", f"{SHOP}/notification/", body)
    assert reply.status_code == status
    if status == 400:
        problem = reply.json()
        assert problem["detail"].startswith(text)
        assert problem == problem | {"error_message": problem["detail"], "error_type": "invalid_request", "status": 400}
        assert problem["type"] == f"{api.url}/quay/api/v1/error/invalid_request"
        assert reply.content.endswith(b"\n")
    elif status == 500:
        assert len(reply.content) == 141
        assert text in reply.text
    count = len(api.call("GET", f"{SHOP}/notification/").json()["notifications"])
    assert count == (1 if status == 201 else 0)


def test_an_explicit_null_title_is_refused(api: Api) -> None:
    assert api.call("POST", f"{SHOP}/notification/", WEBHOOK | {"title": None}).status_code == 400


@pytest.mark.parametrize(
    ("content_type", "data", "status", "text"),
    [
        ("text/plain", "{}", 415, "Did not attempt to load JSON data"),
        (None, "", 415, "Did not attempt to load JSON data"),
        ("application/json", "", 400, "The browser (or proxy) sent a request"),
        ("application/json", "{", 400, "The browser (or proxy) sent a request"),
        ("application/json; charset=utf-8", "null", 400, "Missing JSON body"),
        ("application/json", "[]", 400, "[] is not of type 'object'"),
    ],
)
def test_bodies_that_are_no_json_object_are_refused(
    api: Api, content_type: str | None, data: str, status: int, text: str
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    reply = api.call("POST", f"{SHOP}/notification/", data=data, headers=headers)
    body = reply.json()
    assert reply.status_code == status
    assert body.get("detail", body.get("message")).startswith(text)


@pytest.mark.parametrize(("repository", "status"), [(MISSING, 500), (FOREIGN, 403)])
def test_create_in_a_missing_repository_dies_or_is_forbidden(api: Api, repository: str, status: int) -> None:
    assert api.call("POST", f"{repository}/notification/", WEBHOOK).status_code == status


def test_a_missing_uuid_is_404_for_get_and_400_for_the_rest(api: Api) -> None:
    path = f"{SHOP}/notification/{UNKNOWN_UUID}"
    assert api.call("GET", path).json()["error_type"] == "not_found"
    for method, tail in (("DELETE", ""), ("POST", ""), ("POST", "/test")):
        reply = api.call(method, path + tail)
        assert reply.status_code == 400
        assert reply.json()["detail"] == f"No repository notification found for: acme, shop, {UNKNOWN_UUID}"


def test_a_uuid_of_another_repository_is_found_by_get_and_test_only(api: Api) -> None:
    uuid = api.notify("http://127.1:9/x")["uuid"]
    api.push("v1", "acme/app")
    path = f"/repository/acme/app/notification/{uuid}"
    assert api.call("GET", path).status_code == 200
    assert api.call("POST", f"{path}/test").status_code == 200
    assert api.call("DELETE", path).json()["error_type"] == "invalid_request"
    assert api.call("POST", path).json() == {"message": f"No repository notification found with uuid: {uuid}"}


@pytest.mark.parametrize(
    ("codes", "test", "reset"), [("server", 200, 204), ("vendor_page", 201, 204), ("swagger", 201, 201)]
)
def test_success_codes_follow_the_switch(api: Api, codes: str, test: int, reset: int) -> None:
    path = f"{SHOP}/notification/{api.notify('http://127.1:9/x')['uuid']}"
    api.switch(codes=codes)
    assert api.call("POST", f"{path}/test").status_code == test
    assert api.call("POST", path).status_code == reset
    deleted = api.call("DELETE", path)
    assert (deleted.status_code, deleted.content) == (204, b"")


def test_the_page_about_an_error_type_exists(api: Api) -> None:
    page = api.call("GET", "/error/insufficient_scope", token=None).json()
    assert page["title"] == "insufficient_scope"
    assert set(page) == {"type", "title", "description"}
