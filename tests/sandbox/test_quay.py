"""What the Quay stand-in promises, over real HTTP; webhooks are compared with those recorded from a real server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider.sandbox.app import SandboxServer
from tests.support.control import SystemControl
from tests.support.until import until

TOKEN = "sandbox-quay-oauth-token-0000000000000000"
READ_TOKEN = "sandbox-quay-read-token-00000000000000000"
EXPIRED_TOKEN = "sandbox-quay-expired-token-0000000000000"
SHOP = "/repository/acme/shop"
MISSING = "/repository/acme/missing"
FOREIGN = "/repository/elsewhere/app"
CSRF = '{"error": "CSRF token was invalid or missing."}'
UNKNOWN_UUID = "11111111-2222-3333-4444-555555555555"
UNKNOWN_DIGEST = "sha256:" + "0" * 64
WEBHOOK = {"event": "repo_push", "method": "webhook", "config": {"url": "http://127.1:9/x"}, "eventConfig": {}}
RECORDED = [json.loads(line) for line in (Path(__file__).parent / "data/quay_webhooks.jsonl").read_text().splitlines()]


class Api(SystemControl):
    """The stand-in, fresh; ``call`` speaks to API v1, the rest to the sandbox."""

    system = "quay"

    def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = TOKEN, **options: Any
    ) -> requests.Response:
        headers = ({"Authorization": f"Bearer {token}"} if token else {}) | options.pop("headers", {})
        if body is not None:
            options["json"] = body
        url = f"{self.url}/quay/api/v1{path}"
        return requests.request(method, url, headers=headers, timeout=5, allow_redirects=False, **options)

    def push(self, tag: str, repository: str = "acme/shop", **values: Any) -> str:
        return self.act("push_image", repository=repository, tag=tag, **values)["digest"]

    def token(self, *scopes: str, user: str = "admin") -> str:
        return self.act("issue_token", user=user, scopes=list(scopes))["token"]

    def notify(self, url: str, event: str = "repo_push", repository: str = SHOP, **fields: Any) -> dict[str, Any]:
        config = {"url": url} | fields.pop("config", {})
        body = WEBHOOK | {"event": event, "config": config} | fields
        reply = self.call("POST", f"{repository}/notification/", body)
        assert reply.status_code == 201, reply.text
        return reply.json()

    def failures(self, uuid: str) -> int:
        return self.call("GET", f"{SHOP}/notification/{uuid}").json()["number_of_failures"]

    def build(self, **body: Any) -> dict[str, Any]:
        reply = self.call("POST", f"{SHOP}/build/", {"archive_url": "https://example.com/a.tgz"} | body)
        assert reply.status_code == 201, reply.text
        return reply.json()

    def phase(self, build_id: str, *wanted: str) -> dict[str, Any]:
        return until(
            lambda: self.call("GET", f"{SHOP}/build/{build_id}").json(), lambda found: found["phase"] in wanted
        )


@pytest.fixture
def api(sandbox: SandboxServer) -> Api:
    return Api(sandbox.url)


class Receiver:
    """A webhook receiver: ``answers`` maps a path to a status and, for redirects, a target."""

    def __init__(self) -> None:
        received: list[dict[str, Any]] = []
        answers: dict[str, tuple[int, str]] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                received.append(
                    {"method": self.command, "path": self.path, "headers": self.headers.items(), "raw": raw}
                )
                status, target = answers.get(self.path, (200, ""))
                self.send_response(status)
                if target:
                    self.send_header("Location", target)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - a redirect comes back as GET

            def log_message(self, *_: Any) -> None:
                pass

        self.received, self.answers = received, answers
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def bodies(self, count: int) -> list[dict[str, Any]]:
        until(lambda: len(self.received), lambda found: found >= count)
        return [json.loads(each["raw"]) for each in self.received]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()


# --- tokens


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer garbage"},
        {"Authorization": f"Bearer {EXPIRED_TOKEN}"},
        {"Authorization": f"Token {TOKEN}"},
        {"Authorization": "Basic YWRtaW46YWRtaW4tcGFzc3dvcmQ="},
    ],
)
def test_bad_tokens_get_401_on_reads_and_a_csrf_403_on_writes(api: Api, headers: dict[str, str]) -> None:
    read = api.call("GET", f"{SHOP}/notification/", token=None, headers=headers)
    assert (read.status_code, read.json()["error_type"]) == (401, "invalid_token")
    assert "www-authenticate" not in read.headers
    for method, path in (("POST", f"{SHOP}/notification/"), ("DELETE", f"{SHOP}/notification/{UNKNOWN_UUID}")):
        write = api.call(method, path, token=None, headers=headers)
        assert (write.status_code, write.text) == (403, CSRF)
        assert write.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("scopes", "path", "status"),
    [
        (("repo:read",), f"{SHOP}/notification/", 403),
        (("repo:write",), f"{SHOP}/notification/", 403),
        (("repo:admin",), f"{SHOP}/notification/", 200),
        (("repo:read",), f"{SHOP}/tag/", 200),
        (("repo:admin",), f"{SHOP}/tag/", 200),
        (("user:read",), f"{SHOP}/tag/", 403),
        (("repo:admin",), f"{FOREIGN}/notification/", 403),
        (("repo:admin",), f"{MISSING}/notification/", 200),
        (("repo:admin",), f"{MISSING}/tag/", 404),
    ],
)
def test_reads_need_scope_and_right(api: Api, scopes: tuple[str, ...], path: str, status: int) -> None:
    reply = api.call("GET", path, token=api.token(*scopes))
    assert reply.status_code == status
    if status == 403:
        assert reply.json()["error_type"] == "insufficient_scope"


def test_a_token_of_another_user_has_no_right(api: Api) -> None:
    assert api.call("GET", f"{SHOP}/tag/", token=api.token("repo:admin", user="other")).status_code == 403


def test_the_scheme_word_may_have_any_case(api: Api) -> None:
    headers = {"Authorization": f"bEaReR {TOKEN}"}
    assert api.call("GET", f"{SHOP}/notification/", token=None, headers=headers).status_code == 200


def test_an_expired_token_fault_strikes_one_request(api: Api) -> None:
    api.post("faults", system="quay", path="/tag/", fault="expire_token")
    assert [api.call("GET", f"{SHOP}/tag/").status_code for _ in range(2)] == [401, 200]


def test_a_browser_must_say_that_it_is_a_script(api: Api) -> None:
    browser = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}
    refused = api.call("GET", f"{SHOP}/tag/", headers=browser)
    assert refused.status_code == 400
    assert refused.headers["content-type"].startswith("text/html")
    assert "X-Requested-With" in refused.json()["error"]
    taken = api.call("GET", f"{SHOP}/tag/", headers=browser | {"X-Requested-With": "XMLHttpRequest"})
    assert taken.status_code == 200


def test_a_web_login_writes_with_its_csrf_token_only(api: Api) -> None:
    with requests.Session() as web:
        csrf = web.get(f"{api.url}/quay/csrf_token", timeout=5).json()["csrf_token"]
        login = {"username": "admin", "password": "admin-password"}
        signin = f"{api.url}/quay/api/v1/signin"
        assert web.post(signin, json=login, timeout=5).status_code == 403
        signed_in = web.post(signin, json=login, headers={"X-CSRF-Token": csrf}, timeout=5)
        assert signed_in.json() == {"success": True}
        collection = f"{api.url}/quay/api/v1{SHOP}/notification/"
        assert web.post(collection, json=WEBHOOK, timeout=5).text == CSRF
        headers = {"X-CSRF-Token": signed_in.headers["X-Next-CSRF-Token"]}
        assert web.post(collection, json=WEBHOOK, headers=headers, timeout=5).status_code == 201


# --- paths


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


# --- notifications


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


# --- webhooks


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


def test_a_push_is_told_as_recorded_and_a_moved_tag_is_not(api: Api, receiver: Receiver) -> None:
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


def test_a_failed_build_with_tries_left_is_not_told(api: Api, receiver: Receiver) -> None:
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
def test_findings_are_filtered_and_told_k_times(
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


# --- tags


def tags(api: Api, **query: Any) -> list[tuple[str, str]]:
    body = api.call("GET", f"{SHOP}/tag/", params=query).json()
    return [(tag["name"], tag["manifest_digest"]) for tag in body["tags"]]


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


# --- manifests and scans


def scan(api: Api, digest: str) -> requests.Response:
    return api.call("GET", f"{SHOP}/manifest/{digest}/security", params={"vulnerabilities": "true"})


def digest_of(api: Api, tag: str) -> str:
    return tags(api, specificTag=tag, onlyActiveTags="true")[0][1]


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


# --- builds


def test_a_build_goes_through_its_phases_and_pushes_its_tags(api: Api) -> None:
    api.post("reset", speed=40)
    build = api.build(docker_tags=["a", "b"], subdirectory="/app")
    assert (build["phase"], build["tags"], build["manual_user"]) == ("waiting", ["a", "b"], "admin")
    assert (build["dockerfile_path"], build["repository"]) == ("/app/Dockerfile", {"namespace": "acme", "name": "shop"})
    assert (build["subdirectory"], build["context"]) == ("/app/Dockerfile", "/app")
    assert "digest" not in json.dumps(build)
    api.phase(build["id"], "complete")
    (execution,) = requests.get(f"{api.url}/_sandbox/executions", params={"system": "quay"}, timeout=5).json()
    assert [each["state"] for each in execution["states"]] == [
        "waiting",
        "build-scheduled",
        "unpacking",
        "pulling",
        "building",
        "pushing",
        "complete",
    ]
    assert execution["states"][-1]["at"] - execution["states"][0]["at"] == pytest.approx(10 / 40, abs=0.01)
    assert execution["started_by"] == "admin"
    assert digest_of(api, "a") == digest_of(api, "b")


def test_the_answer_to_a_start_leads_to_the_status(api: Api) -> None:
    reply = api.call("POST", f"{SHOP}/build/", {"archive_url": "https://example.com/a.tgz"})
    assert (
        requests.get(
            api.url + reply.headers["location"], headers={"Authorization": f"Bearer {TOKEN}"}, timeout=5
        ).json()["id"]
        == (reply.json()["id"])
    )
    assert reply.json()["tags"] == ["latest"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"archive_url": "ftp://example.com/a"}, 400),
        ({"file_id": "unknown"}, 400),
        ({"archive_url": "https://example.com/a", "docker_tags": []}, 400),
        ({"archive_url": "https://example.com/a", "docker_tags": ["a", "a"]}, 400),
        ({"archive_url": "https://example.com/a", "pull_robot": "acme+none"}, 404),
    ],
)
def test_a_build_without_what_it_needs_is_refused(api: Api, body: dict[str, Any], status: int) -> None:
    assert api.call("POST", f"{SHOP}/build/", body).status_code == status
    assert api.call("GET", f"{SHOP}/build/").json() == {"builds": []}


def test_too_many_queued_builds_are_refused_without_retry_after(api: Api) -> None:
    api.post("reset", speed=1)
    api.switch(max_queued_builds=1)
    api.build()
    reply = api.call("POST", f"{SHOP}/build/", {"archive_url": "https://example.com/a.tgz"})
    assert (reply.status_code, set(reply.json())) == (429, {"message"})
    assert "retry-after" not in reply.headers


def test_builds_are_listed_newest_first_five_unless_told(api: Api) -> None:
    made = [api.build()["id"] for _ in range(6)]
    listed = api.call("GET", f"{SHOP}/build/").json()["builds"]
    assert [each["id"] for each in listed] == made[:0:-1]
    assert len(api.call("GET", f"{SHOP}/build/", params={"limit": 10}).json()["builds"]) == 6
    since = int(time.time()) + 100
    assert api.call("GET", f"{SHOP}/build/", params={"since": since}).json()["builds"] == []
    assert len({each["display_name"] for each in listed}) == 1


@pytest.mark.parametrize(("tail", "status"), [("", 404), ("/status", 400), ("/logs", 400)])
def test_an_unknown_build_is_400_on_status_and_logs(api: Api, tail: str, status: int) -> None:
    reply = api.call("GET", f"{SHOP}/build/nope{tail}")
    assert reply.status_code == status
    if status == 400:
        assert reply.json() == {"message": "Unable to locate a build by id: nope"}


def test_a_build_of_another_repository_is_404(api: Api) -> None:
    api.push("v1", "acme/app")
    build_id = api.build()["id"]
    for tail in ("", "/status", "/logs"):
        assert api.call("GET", f"/repository/acme/app/build/{build_id}{tail}").status_code == 404


@pytest.mark.parametrize(
    ("switches", "phase"),
    [({"build_outcome": "error"}, "error"), ({"build_outcome": "expired"}, "expired"), ({}, "complete")],
)
def test_builds_end_as_scripted(api: Api, switches: dict[str, Any], phase: str) -> None:
    api.switch(**switches)
    api.phase(api.build()["id"], phase)


def test_an_internal_error_loops_and_then_completes(api: Api) -> None:
    api.switch(build_outcome="internalerror", internalerror_loops=2)
    api.phase(api.build()["id"], "complete")
    (execution,) = requests.get(f"{api.url}/_sandbox/executions", params={"system": "quay"}, timeout=5).json()
    assert [each["state"] for each in execution["states"]].count("internalerror") == 2


def test_a_build_log_store_that_is_down_hides_the_phase(api: Api) -> None:
    build_id = api.build()["id"]
    api.switch(build_log_store_down=True)
    shown = api.call("GET", f"{SHOP}/build/{build_id}").json()
    assert (shown["phase"], bool(shown["error"])) == ("cannot_load", True)
    assert api.call("GET", f"{SHOP}/build/{build_id}/logs").json()["total"] == 0


def test_a_running_build_is_cancelled_with_201_okay(api: Api) -> None:
    api.switch(build_outcome="hang")
    build_id = api.build()["id"]
    api.phase(build_id, "building")
    reply = api.call("DELETE", f"{SHOP}/build/{build_id}")
    assert (reply.status_code, reply.json()) == (201, "Okay")
    assert api.call("GET", f"{SHOP}/build/{build_id}").json()["phase"] == "cancelled"


def test_a_second_cancel_within_seconds_dies(api: Api) -> None:
    api.post("reset", speed=1)
    build_id = api.build()["id"]
    assert [api.call("DELETE", f"{SHOP}/build/{build_id}").status_code for _ in range(2)] == [201, 500]
    assert api.call("GET", f"{SHOP}/build/{build_id}/logs").json()["total"] == 0
    api.post("clock", advance=10)
    assert api.call("DELETE", f"{SHOP}/build/{build_id}").status_code == 400


def test_a_failed_build_tells_why_in_its_log_only(api: Api) -> None:
    api.switch(build_outcome="error")
    build = api.phase(api.build()["id"], "error")
    entries = api.call("GET", f"{SHOP}/build/{build['id']}/logs").json()["logs"]
    assert build["error"] is None
    assert [each["message"] for each in entries if each.get("type") == "error"] == ["The Dockerfile could not be built"]


def test_without_builders_a_build_is_taken_and_never_run(api: Api) -> None:
    api.switch(build_support=False)
    build_id = api.build()["id"]
    api.post("clock", advance=3600)
    assert api.call("GET", f"{SHOP}/build/{build_id}").json()["phase"] == "waiting"


@pytest.mark.parametrize(
    ("given", "kept"), [("t" * 128, "t" * 127), ("-bad tag", "_bad_tag"), ("a/b:c", "a_b_c"), ("", "latest")]
)
def test_the_tags_of_a_build_are_rewritten_when_it_is_stored(api: Api, given: str, kept: str) -> None:
    build = api.build(docker_tags=[given])
    assert build["tags"] == [kept]
    api.phase(build["id"], "complete")
    assert digest_of(api, kept)


def test_an_archive_url_that_is_not_ascii_dies_and_starts_nothing(api: Api) -> None:
    reply = api.call("POST", f"{SHOP}/build/", {"archive_url": "https://example.com/größe.tgz"})
    assert (reply.status_code, reply.headers["content-type"]) == (500, "text/html")
    assert api.call("GET", f"{SHOP}/build/").json() == {"builds": []}


@pytest.mark.parametrize(("limit", "status", "number"), [(0, 200, 6), (-1, 500, None), ("x", 400, None)])
def test_limits_of_builds(api: Api, limit: Any, status: int, number: int | None) -> None:
    for _ in range(6):
        api.build()
    reply = api.call("GET", f"{SHOP}/build/", params={"limit": limit})
    assert reply.status_code == status
    assert number is None or len(reply.json()["builds"]) == number


def test_a_finished_build_cannot_be_cancelled(api: Api) -> None:
    build_id = api.build()["id"]
    api.phase(build_id, "complete")
    reply = api.call("DELETE", f"{SHOP}/build/{build_id}")
    assert (reply.status_code, reply.json()["detail"]) == (400, "Build is currently running or has finished")


def test_a_refused_cancel_takes_the_remaining_tries_away(api: Api, receiver: Receiver) -> None:
    api.switch(build_outcome="hang", ephemeral_build_manager=False)
    api.notify(receiver.url, "build_failure")
    build_id = api.build()["id"]
    api.phase(build_id, "building")
    assert api.call("DELETE", f"{SHOP}/build/{build_id}").status_code == 400
    api.post(f"executions/quay/{build_id}", state="error")
    assert receiver.bodies(1)[0]["build_id"] == build_id


def test_logs_grow_need_write_and_are_archived(api: Api) -> None:
    build_id = api.build()["id"]
    path = f"{SHOP}/build/{build_id}/logs"
    api.phase(build_id, "complete")
    logs = api.call("GET", path).json()
    assert logs["total"] == len(logs["logs"]) > 5
    assert {"message", "type", "data"} == set(logs["logs"][0])
    assert api.call("GET", path, params={"start": logs["total"]}).json()["logs"] == []
    assert api.call("GET", path, token=READ_TOKEN).status_code == 403
    api.switch(reader_build_logs=True)
    assert api.call("GET", path, token=READ_TOKEN).status_code == 200
    api.post("clock", advance=400)
    archive = api.call("GET", path).json()["logs_url"]
    assert requests.get(api.url + archive, timeout=5).json()["logs"] == logs["logs"]


def test_the_archive_url_is_for_writers(api: Api) -> None:
    build_id = api.build()["id"]
    assert "archive_url" in api.call("GET", f"{SHOP}/build/{build_id}").json()
    reader = api.call("GET", f"{SHOP}/build/{build_id}", token=READ_TOKEN).json()
    assert (reader["is_writer"], "archive_url" in reader) == (False, False)


# --- repositories


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


# --- across systems and the control calls


def test_a_finished_cocktail_build_arrives_as_an_image(api: Api, receiver: Receiver) -> None:
    api.notify(receiver.url)
    headers = {"Authorization": "Bearer sandbox-cocktail-token"}
    runs = f"{api.url}/cocktail/v1/build/run"
    requests.post(f"{runs}/12", params={"tagName": "1.4.2"}, headers=headers, timeout=5)
    assert receiver.bodies(1)[0]["updated_tags"] == ["1.4.2"]
    run = requests.get(f"{runs}/1", headers=headers, timeout=5).json()
    assert tags(api, specificTag="1.4.2") == [("1.4.2", run["imageDigest"])]


def test_a_lost_answer_leaves_the_notification(api: Api) -> None:
    api.post("faults", system="quay", method="POST", path="/notification/", fault="reset_after")
    with pytest.raises(requests.ConnectionError):
        api.call("POST", f"{SHOP}/notification/", WEBHOOK)
    assert len(api.call("GET", f"{SHOP}/notification/").json()["notifications"]) == 1


def test_the_request_log_names_the_user_and_no_token(api: Api) -> None:
    api.call("GET", f"{SHOP}/tag/")
    api.call("GET", f"{SHOP}/tag/", token="garbage")
    log = requests.get(f"{api.url}/_sandbox/requests", params={"system": "quay"}, timeout=5)
    assert [entry["who"] for entry in log.json()] == ["admin", ""]
    assert TOKEN not in log.text


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("switches", {"nonsense": 1}),
        ("switches", {"codes": "mine"}),
        ("actions", {"action": "nonsense"}),
        ("actions", {"action": "push_image", "repository": "acme/shop"}),
        ("actions", {"action": "set_scan", "repository": "acme/shop", "digest": "x", "status": "scanned"}),
        ("actions", {"action": "raise_event", "repository": "acme/shop", "event": "nonsense"}),
    ],
)
def test_wrong_control_calls_are_refused(api: Api, what: str, body: dict[str, Any]) -> None:
    assert requests.post(f"{api.url}/_sandbox/{what}", json={"system": "quay"} | body, timeout=5).status_code == 400


@pytest.mark.parametrize("event", ["repo_mirror_sync_started", "repo_image_expiry", "quota_warning"])
def test_any_event_can_be_raised(api: Api, receiver: Receiver, event: str) -> None:
    api.notify(receiver.url, event)
    api.act("raise_event", repository="acme/shop", event=event, body={"message": "hello"})
    assert receiver.bodies(1)[0]["message"] == "hello"


def test_forced_phases_are_checked(api: Api) -> None:
    build_id = api.build()["id"]
    url = f"{api.url}/_sandbox/executions/quay"
    assert requests.post(f"{url}/{build_id}", json={"state": "DONE"}, timeout=5).status_code == 400
    assert requests.post(f"{url}/nope", json={"state": "complete"}, timeout=5).status_code == 404
