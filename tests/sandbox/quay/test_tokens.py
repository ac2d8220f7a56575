"""What the Quay stand-in promises, over real HTTP; webhooks are compared with those recorded from a real server."""

from __future__ import annotations

import pytest
import requests

from tests.support.quay_calls import FOREIGN, MISSING, SHOP, TOKEN, UNKNOWN_UUID, WEBHOOK, Api

EXPIRED_TOKEN = "sandbox-quay-expired-token-0000000000000"
CSRF = '{"error": "CSRF token was invalid or missing."}'


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
        csrf = web.get(f"{api.url}/quay/csrf_token", timeout=60).json()["csrf_token"]
        login = {"username": "admin", "password": "admin-password"}
        signin = f"{api.url}/quay/api/v1/signin"
        assert web.post(signin, json=login, timeout=60).status_code == 403
        signed_in = web.post(signin, json=login, headers={"X-CSRF-Token": csrf}, timeout=60)
        assert signed_in.json() == {"success": True}
        collection = f"{api.url}/quay/api/v1{SHOP}/notification/"
        assert web.post(collection, json=WEBHOOK, timeout=60).text == CSRF
        headers = {"X-CSRF-Token": signed_in.headers["X-Next-CSRF-Token"]}
        assert web.post(collection, json=WEBHOOK, headers=headers, timeout=60).status_code == 201
