"""Every way into Code Stream: local, directory and SaaS logins, their renewal, and what their failures say."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients import retries
from airflow_provider.clients.code_stream import CodeStreamClient, login
from airflow_provider.clients.code_stream.login import OPAQUE_LIFETIME, bearer
from airflow_provider.exceptions import (
    AuthenticationError,
    ConnectionConfigError,
    NotFoundError,
    PermissionDeniedError,
    ServerUnavailableError,
    UnexpectedResponseError,
)
from airflow_provider.sandbox import seed
from tests.support.control import Control
from tests.support.scripted import Received, Reply, Scripted

USER, PASSWORD = "release-bot", "release-bot-password"
REFRESH_TOKEN = seed.CODE_STREAM_REFRESH_TOKEN


@pytest.fixture(autouse=True)
def _short_pauses(mocker: MockerFixture) -> None:
    mocker.patch.object(retries, "FIRST_PAUSE", 0.01)


@pytest.fixture
def url(control: Control) -> str:
    return f"{control.url}/code_stream"


def logins_in(control: Control) -> list[str]:
    """The last parts of the login paths that were called, in order."""
    entries = control.get("requests", system="code_stream")
    calls = [
        (each["path"].partition("/code_stream")[2] or each["path"]) for each in entries if each["method"] == "POST"
    ]
    return [path.strip("/").split("?")[0] for path in calls]


WAYS: dict[str, Callable[[str], dict[str, Any]]] = {
    "local user": lambda url: {"username": USER, "password": PASSWORD},
    "directory user": lambda url: {"username": USER, "password": PASSWORD, "domain": "example.com"},
    "refresh token": lambda url: {"refresh_token": REFRESH_TOKEN},
    "SaaS": lambda url: {
        "refresh_token": REFRESH_TOKEN,
        "token_url": f"{url}/csp/gateway/am/api/auth/api-tokens/authorize",
    },
}
STEPS = {
    "local user": ["csp/gateway/am/api/login", "iaas/api/login"],
    "directory user": ["csp/gateway/am/idp/auth/login", "iaas/api/login"],
    "refresh token": ["iaas/api/login"],
    "SaaS": ["csp/gateway/am/api/auth/api-tokens/authorize"],
}


@pytest.mark.parametrize("way", WAYS)
def test_each_login_leads_in_and_many_threads_share_it(control: Control, url: str, way: str) -> None:
    secrets: list[str] = []
    with CodeStreamClient(url, **WAYS[way](url), on_secret=secrets.append) as client, ThreadPoolExecutor(8) as threads:
        assert client.check().startswith("Code Stream, API version 2019-10-17")
        assert len(list(threads.map(lambda _: client.about(), range(16)))) == 16
    assert logins_in(control) == STEPS[way]
    assert (PASSWORD in secrets) == ("user" in way), "given secrets are masked"
    assert len(secrets) == (3 if "user" in way else 2), "tokens obtained at run time are masked too"


@pytest.mark.parametrize("way", WAYS)
def test_an_expired_bearer_is_renewed_once_for_all_threads_even_before_a_write(
    control: Control, url: str, way: str
) -> None:
    client = CodeStreamClient(url, **WAYS[way](url))
    pipeline = client.pipelines.find("Deploy shop", "retail")
    before = len(logins_in(control))
    control.post("faults", system="code_stream", fault="expire_token", times=1)
    client.pipelines.run(pipeline["id"], inputs={"tag": "1"}, comments="only-one")
    control.post("faults", system="code_stream", fault="expire_token", times=1)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: client.about(), range(8)))
    renewals = [path for path in logins_in(control)[before:] if "login" in path or "authorize" in path]
    assert len(renewals) == 2, "the refresh token of the first login is used again"
    started = [each for each in control.get("executions", system="code_stream") if each["started_by"] == "only-one"]
    assert len(started) == 1


def test_a_refresh_token_from_a_password_is_replaced_when_it_ends(control: Control, url: str) -> None:
    client = CodeStreamClient(url, username=USER, password=PASSWORD)
    client.about()
    control.post("actions", system="code_stream", action="expire_refresh_tokens")
    control.post("faults", system="code_stream", fault="expire_token", times=1)
    assert client.about()
    assert logins_in(control) == [*STEPS["local user"], "iaas/api/login", *STEPS["local user"]]


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize("way", ["refresh token", "SaaS"])
def test_an_expired_refresh_token_is_said_to_be_so_without_a_loop(
    control: Control, url: str, way: str, status: int
) -> None:
    control.post("switches", system="code_stream", refresh_error_status=status)
    control.post("actions", system="code_stream", action="expire_refresh_tokens")
    client = CodeStreamClient(url, **WAYS[way](url))
    with pytest.raises(AuthenticationError, match="refresh token") as caught:
        client.about()
    assert REFRESH_TOKEN not in str(caught.value)
    assert logins_in(control) == STEPS[way]


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("domain", [None, "example.com", "elsewhere.example"])
def test_a_wrong_password_or_domain_is_an_authentication_error(
    control: Control, url: str, status: int, domain: str | None
) -> None:
    control.post("switches", system="code_stream", login_error_status=status)
    password = PASSWORD if domain == "elsewhere.example" else "wrong-password"
    client = CodeStreamClient(url, username=USER, password=password, domain=domain)
    with pytest.raises(AuthenticationError, match="login and password") as caught:
        client.about()
    assert password not in str(caught.value)
    assert caught.value.status == status
    assert len(logins_in(control)) == 1


def test_a_missing_permission_is_distinguished_from_a_wrong_login(control: Control, url: str) -> None:
    client = CodeStreamClient(url, username="viewer", password="viewer-password")
    pipeline = client.pipelines.find("Deploy shop")
    with pytest.raises(PermissionDeniedError):
        client.pipelines.run(pipeline["id"], inputs={"tag": "1"})


@pytest.mark.parametrize("service", ["all", "pipelines only"])
def test_a_host_without_pipelines_gets_the_vcf_automation_9_explanation(
    control: Control, url: str, scripted: Scripted, service: str
) -> None:
    scripted.always = (404, {}, "<html>not found</html>")
    control.post("switches", system="code_stream", no_pipelines_service=True)
    client = CodeStreamClient(scripted.url if service == "all" else url, refresh_token=REFRESH_TOKEN)
    cause = UnexpectedResponseError if service == "all" else NotFoundError
    with pytest.raises(cause, match=r"Automation 9 ships none.*api_prefix"):
        client.check()


LOGIN_OK: Reply = (200, {}, {"tokenType": "Bearer", "token": "bearer-1"})
ABOUT_OK: Reply = (200, {}, {"latestApiVersion": "2019-10-17", "supportedApis": []})


def test_the_calls_of_the_password_login_are_those_of_the_vendor(scripted: Scripted) -> None:
    scripted.script = [(200, {}, {"refresh_token": "refresh-1"}), LOGIN_OK, ABOUT_OK]
    CodeStreamClient(f"{scripted.url}/", username=USER, password=PASSWORD, api_prefix="pipeline/api/").about()
    first, second, third = scripted.requests
    assert first.target == "/csp/gateway/am/api/login?access_token"
    assert first.json == {"username": USER, "password": PASSWORD}
    assert (second.target, second.json) == ("/iaas/api/login", {"refreshToken": "refresh-1"})
    assert "Authorization" not in second.headers
    assert third.target == "/pipeline/api/about?apiVersion=2019-10-17"
    assert third.headers["Authorization"] == "Bearer bearer-1"


def test_a_directory_login_also_works_where_only_the_local_path_exists(scripted: Scripted) -> None:
    scripted.script = [(404, {}, None), (200, {}, {"refresh_token": "refresh-1"}), LOGIN_OK, ABOUT_OK]
    CodeStreamClient(scripted.url, username=USER, password=PASSWORD, domain="example.com").about()
    assert [each.path for each in scripted.requests[:2]] == [
        "/csp/gateway/am/idp/auth/login",
        "/csp/gateway/am/api/login",
    ]
    assert scripted.requests[1].json["domain"] == "example.com"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ([(200, {}, {"cspAuthToken": "csp-secret-token"})], r"8\.0\.1"),
        ([(200, {}, None)], "empty"),
        ([(200, {}, "<html>welcome</html>")], "HTML"),
        ([(200, {}, {"refresh_token": "r-1234"}), (200, {}, {"tokenType": "Bearer"})], "`token`"),
        ([(200, {}, {"refresh_token": "r-1234"}), (200, {}, ["token"])], "`token`"),
        ([(302, {"Location": "https://sso.example.com/login"}, None)], "redirect"),
    ],
)
def test_a_login_that_answers_something_else_is_explained(scripted: Scripted, script: list[Any], words: str) -> None:
    scripted.script = script
    client = CodeStreamClient(scripted.url, username=USER, password=PASSWORD, attempts=1)
    with pytest.raises(UnexpectedResponseError, match=words) as caught:
        client.about()
    assert "csp-secret-token" not in str(caught.value)
    assert caught.value.system == "code_stream"


def test_a_login_that_is_unavailable_is_tried_again_as_often_as_a_call_and_no_oftener(scripted: Scripted) -> None:
    scripted.always = (503, {}, None)
    client = CodeStreamClient(scripted.url, refresh_token="refresh-token", attempts=3)
    with pytest.raises(ServerUnavailableError):
        client.executions.tag("b80254a7", ["x"])
    assert len(scripted.requests) == 3
    assert {each.path for each in scripted.requests} == {"/iaas/api/login"}, "the call itself was never sent"


def jwt(claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.signature"


NOW = 1_767_323_045.0


@pytest.mark.parametrize(
    ("reply", "lifetime"),
    [
        ({"token": "opaque"}, OPAQUE_LIFETIME),
        ({"token": "opaque", "expires_in": 1799}, 1799),
        ({"token": jwt({"iat": 1000, "exp": 1000 + 28800})}, 28800),
        ({"token": jwt({"exp": NOW + 500})}, 500),
        ({"token": jwt({"exp": NOW - 500})}, OPAQUE_LIFETIME),
        ({"token": jwt({"sub": "a"})}, OPAQUE_LIFETIME),
        ({"token": jwt(["a"])}, OPAQUE_LIFETIME),
        ({"token": "a.%%%.c"}, OPAQUE_LIFETIME),
        ({"token": jwt({"exp": "soon"})}, OPAQUE_LIFETIME),
    ],
)
def test_the_end_of_a_bearer_is_read_from_where_it_is_given_whatever_our_clock(
    mocker: MockerFixture, reply: dict[str, Any], lifetime: float
) -> None:
    mocker.patch.object(login, "time", SimpleNamespace(time=lambda: NOW))
    assert bearer(reply, "token").expires_at == NOW + lifetime


def test_a_bearer_is_renewed_before_its_end_without_a_refused_call(
    control: Control, url: str, mocker: MockerFixture
) -> None:
    control.post("switches", system="code_stream", bearer_lifetime=100)
    client = CodeStreamClient(url, refresh_token=REFRESH_TOKEN)
    client.about()
    client.about()
    assert len(logins_in(control)) == 1, "a short life is used up to its half"
    now = time.time
    mocker.patch.object(time, "time", lambda: now() + 51.0)
    client.about()
    assert len(logins_in(control)) == 2
    assert 401 not in [each["status"] for each in control.get("requests", system="code_stream")]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "username and password"),
        ({"username": USER}, "username and password"),
        ({"password": PASSWORD}, "username and password"),
        ({"username": USER, "password": PASSWORD, "refresh_token": "r"}, "not both"),
        ({"username": USER, "password": PASSWORD, "token_url": "https://x"}, "token_url"),
        ({"refresh_token": "r", "domain": "example.com"}, "domain"),
    ],
)
def test_missing_and_contradictory_credentials_are_named_before_any_call(given: dict[str, str], named: str) -> None:
    with pytest.raises(ConnectionConfigError, match=named) as caught:
        CodeStreamClient("https://vra.example.com", **given)
    assert PASSWORD not in str(caught.value)


def test_an_answer_in_the_wrong_scheme_never_sends_the_bearer_elsewhere(scripted: Scripted) -> None:
    def moved(request: Received) -> Reply:
        return 308, {"Location": "http://elsewhere.invalid" + request.target}, None

    scripted.script = [LOGIN_OK, moved]
    with pytest.raises(UnexpectedResponseError, match="redirect"):
        CodeStreamClient(scripted.url, refresh_token="refresh-token", attempts=1).about()
