"""What the Code Stream stand-in promises, over real HTTP and against the contract, never through our client."""

from __future__ import annotations

import pytest
import requests

from tests.support.code_stream_calls import CodeStream

LOGIN, DOMAIN_LOGIN, TOKEN = (
    "/csp/gateway/am/api/login",
    "/csp/gateway/am/idp/auth/login",
    "/iaas/api/login",
)
BOT = {"username": "release-bot", "password": "release-bot-password"}


@pytest.mark.parametrize(
    ("path", "body", "status", "has"),
    [
        (f"{LOGIN}?access_token", BOT, 200, "refresh_token"),
        (LOGIN, BOT, 200, "cspAuthToken"),
        (f"{DOMAIN_LOGIN}?access_token", BOT | {"domain": "example.com"}, 200, "refresh_token"),
        (f"{LOGIN}?access_token", BOT | {"domain": "example.com"}, 200, "refresh_token"),
        (f"{DOMAIN_LOGIN}?access_token", BOT, 400, "serverMessage"),
        (f"{LOGIN}?access_token", BOT | {"domain": "elsewhere"}, 400, "serverMessage"),
        (f"{LOGIN}?access_token", BOT | {"password": "wrong"}, 400, "serverMessage"),
        (TOKEN, {"refreshToken": "sandbox-refresh-token"}, 200, "token"),
        (TOKEN, {"refreshToken": "unknown"}, 400, "serverErrorId"),
        (TOKEN, {}, 400, "serverErrorId"),
    ],
)
def test_a_login_answers_in_the_shape_of_its_service(
    api: CodeStream, path: str, body: dict[str, str], status: int, has: str
) -> None:
    reply = api.login(path, **body)
    assert reply.status_code == status
    assert has in reply.json()
    assert ("refresh_token" in reply.json()) == (has == "refresh_token")


def test_the_saas_form_login_gives_a_bearer_that_dies_when_idle(api: CodeStream) -> None:
    url = f"{api.root}/csp/gateway/am/api/auth/api-tokens/authorize"
    reply = requests.post(url, data={"refresh_token": "sandbox-refresh-token"}, timeout=60)
    assert reply.json()["expires_in"] == 1799
    api.headers = {"Authorization": f"Bearer {reply.json()['access_token']}"}
    assert api.call("GET", "/about").status_code == 200
    api.control.post("clock", advance=1501)
    assert api.call("GET", "/about").status_code == 401


@pytest.mark.parametrize("authorization", [None, "Bearer nonsense", "Basic abc"])
def test_a_call_without_a_good_bearer_is_refused_without_a_body(api: CodeStream, authorization: str | None) -> None:
    api.headers = {"Authorization": authorization} if authorization else {}
    reply = api.call("GET", "/executions")
    assert (reply.status_code, reply.content) == (401, b"")


def test_a_bearer_ends_with_its_lifetime(api: CodeStream) -> None:
    api.control.post("clock", advance=28_801)
    assert api.call("GET", "/about").status_code == 401


def test_an_expired_refresh_token_gives_no_bearer(api: CodeStream) -> None:
    api.do("expire_refresh_tokens")
    assert api.login(TOKEN, refreshToken="sandbox-refresh-token").status_code == 400


def test_both_prefixes_lead_to_the_same_service(api: CodeStream) -> None:
    for prefix in ("/codestream/api", "/pipeline/api"):
        reply = requests.get(f"{api.root}{prefix}/about?apiVersion=2019-10-17", headers=api.headers, timeout=60)
        assert reply.json()["latestApiVersion"] == "2019-10-17"
    assert api.call("GET", "/nonsense").status_code == 404


def test_a_host_without_the_service_answers_404_on_about(api: CodeStream) -> None:
    api.switch(no_pipelines_service=True)
    assert api.call("GET", "/about").status_code == 404
