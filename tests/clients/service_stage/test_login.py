"""Logins of IAM users, the project of a region, and fields that contradict each other."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients import login as logins
from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.exceptions import (
    AuthenticationError,
    ConflictError,
    ConnectionConfigError,
    Effect,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)
from tests.support.service_stage_gateway import (
    PIPELINE,
    PREFIX,
    PROJECT,
    Gateway,
    Iam,
    as_user,
    connected,
    intent_of,
    release_ref,
)


@pytest.mark.parametrize(("project_id", "scope"), [(None, {"name": "ap-southeast-3"}), (PROJECT, {"id": PROJECT})])
def test_an_iam_user_logs_in_once_for_the_project_of_the_path(
    iam: Iam, project_id: str | None, scope: dict[str, str]
) -> None:
    with as_user(iam.gateway.url, project_id=project_id) as client:
        client.release_tasks.list()
        client.release_tasks.list()
        assert client.project_id == PROJECT
    user = {"name": "robot", "password": "robot-password", "domain": {"name": "account"}}
    assert iam.logins == [
        {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": scope}}}
    ]
    login, *calls = iam.gateway.scripted.requests
    assert login.target == "/iam/v3/auth/tokens?nocatalog=true"
    assert "Authorization" not in login.headers
    assert [call.headers["X-Auth-Token"] for call in calls] == [iam.token] * 2
    assert all("Authorization" not in call.headers for call in calls)


def test_a_token_of_20000_characters_is_sent_whole_and_never_shown(iam: Iam) -> None:
    iam.length = 20_000
    passed_on: list[str] = []
    with as_user(iam.gateway.url, on_secret=passed_on.append) as client:
        client.release_tasks.list()
        assert iam.gateway.scripted.requests[-1].headers["X-Auth-Token"] == iam.token
        iam.gateway.refusals = [(403, {}, {"error_code": "X", "error_msg": f"x-auth-token:{iam.token[:9000]} no"})]
        with pytest.raises(PermissionDeniedError) as caught:
            client.release_tasks.list()
        iam.gateway.refusals = [(403, {}, {"error_code": "X", "error_msg": f"the token is '{iam.token}'"})]
        with pytest.raises(PermissionDeniedError) as again:
            client.release_tasks.list()
    assert "AAAA" not in str(caught.value) + str(again.value)
    assert passed_on == ["robot-password", iam.token]


def test_a_token_that_is_refused_or_about_to_end_is_renewed_once(iam: Iam) -> None:
    with as_user(iam.gateway.url) as client:
        client.release_tasks.list()
        iam.token = "revoked"
        assert len(client.release_tasks.list()) == 1
        assert len(iam.logins) == 2
        iam.gateway.refusals = [(401, {}, {"error_code": "APIGW.0301", "error_msg": "no"})] * 2
        with pytest.raises(AuthenticationError):
            client.releases.act(PIPELINE, "start", before={})
        assert iam.gateway.sent.count("start") == 2


@pytest.mark.parametrize("skew", [timedelta(hours=-30), timedelta(hours=30)])
@pytest.mark.parametrize(
    ("lifetime", "given"),
    [
        (timedelta(hours=24), ("issued_at", "expires_at")),
        (timedelta(hours=24), ("expires_at",)),
        (timedelta(hours=24), ("issued_at",)),
        (timedelta(0), ("issued_at", "expires_at")),
    ],
)
def test_a_token_lives_as_long_as_iam_says_whatever_its_clock_shows(
    iam: Iam, mocker: MockerFixture, skew: timedelta, lifetime: timedelta, given: tuple[str, ...]
) -> None:
    iam.skew, iam.lifetime = skew, lifetime
    mocker.patch.object(
        iam, "times", lambda now: {name: time for name, time in Iam.times(iam, now).items() if name in given}
    )
    with as_user(iam.gateway.url) as client:
        for _ in range(3):
            client.release_tasks.list()
        assert len(iam.logins) == 1
        later = time.time() + 23.9 * 3600
        mocker.patch.object(logins.time, "time", lambda: later)
        client.release_tasks.list()
        assert len(iam.logins) == 1
        mocker.patch.object(logins.time, "time", lambda: later + 0.1 * 3600)
        client.release_tasks.list()
    assert len(iam.logins) == 2


def test_many_threads_share_one_login(iam: Iam) -> None:
    with as_user(iam.gateway.url) as client:
        threads = [threading.Thread(target=client.release_tasks.list) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert len(iam.logins) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((401, {}, {"error": {"code": 401, "message": "wrong", "title": "Unauthorized"}}), AuthenticationError),
        ((503, {}, None), ServerUnavailableError),
        ((201, {}, {"token": {}}), UnexpectedResponseError),
        ((404, {}, "<html>404 Not Found</html>"), UnexpectedResponseError),
        ((404, {}, {"message": "no Route matched with those values"}), UnexpectedResponseError),
        ((404, {}, {"error": {"code": 404, "message": "no such user", "title": "Not Found"}}), ConnectionConfigError),
    ],
)
def test_a_login_that_fails_starts_nothing_and_shows_no_password(
    iam: Iam, answer: Any, error: type[ReleasePipelineError]
) -> None:
    iam.refusals = [answer] * 2
    with as_user(iam.gateway.url, project_id=PROJECT) as client, pytest.raises(error) as caught:
        client.releases.act(PIPELINE, "start", before={})
    assert caught.value.effect is not Effect.UNKNOWN
    assert "robot-password" not in str(caught.value)
    assert iam.gateway.sent.count("start") == 0


def test_a_token_that_iam_does_not_describe_is_used_all_the_same(iam: Iam) -> None:
    iam.describes_tokens = False
    with as_user(iam.gateway.url, project_id=PROJECT) as client:
        client.release_tasks.list()
        client.release_tasks.list()
    assert len(iam.logins) == 1
    with as_user(iam.gateway.url) as client, pytest.raises(ConnectionConfigError, match="project_id"):
        client.release_tasks.list()


def test_a_passing_failure_of_iam_does_not_fail_the_first_call(iam: Iam) -> None:
    iam.refusals = [(503, {"Retry-After": "0"}, None)]
    with as_user(iam.gateway.url, attempts=2) as client:
        assert client.check().endswith(f"project {PROJECT}, 1 release tasks")


def test_the_project_of_a_region_is_asked_for_once_with_a_signature(iam: Iam) -> None:
    with connected(
        iam.gateway.url, project_id=None, region="ap-southeast-3", iam_url=f"{iam.gateway.url}/iam"
    ) as client:
        client.release_tasks.list()
        client.release_tasks.list()
    lookup, *calls = iam.gateway.scripted.requests
    assert lookup.target == "/iam/v3/projects?name=ap-southeast-3"
    assert "Signature=" in lookup.headers["Authorization"]
    assert [call.path for call in calls] == [PREFIX] * 2


@pytest.mark.parametrize("login", ["access key", "IAM user"])
@pytest.mark.parametrize("project_id", [None, PROJECT])
def test_the_place_is_the_base_url_and_the_project_even_where_iam_gives_it(
    iam: Iam, login: str, project_id: str | None
) -> None:
    url = f"{iam.gateway.url}/"
    options = {"project_id": project_id, "region": "ap-southeast-3", "iam_url": f"{iam.gateway.url}/iam"}
    with connected(url, **options) if login == "access key" else as_user(url, **options) as client:
        assert client.place == client.place == f"{iam.gateway.url} project {PROJECT}"
        assert client.observe(release_ref(place=client.place)).ref["place"] == client.place
        with pytest.raises(ConflictError, match=f"project elsewhere.* project {PROJECT}"):
            client.observe(release_ref(place=f"{iam.gateway.url} project elsewhere"))
    asked = [request.path for request in iam.gateway.scripted.requests if request.path.startswith("/iam")]
    assert len(asked) == (0 if project_id and login == "access key" else 1)


# what IAM answers, and the error of whatever asks for the project first
IAM_REFUSALS = {
    "not found": ((404, {}, {"error": {"code": 404, "message": "no such page"}}), ConnectionConfigError, "refused"),
    "no such API": ((404, {}, {"error_code": "APIGW.0101", "error_msg": "no"}), ConnectionConfigError, "refused"),
    "bad request": ((400, {}, {"error": {"code": 400, "message": "no"}}), ConnectionConfigError, "refused"),
    "forbidden": ((403, {}, {"error": {"code": 403, "message": "no"}}), ConnectionConfigError, "refused"),
    "unauthorized": ((401, {}, {"error": {"code": 401, "message": "no"}}), AuthenticationError, "none"),
    "down": ((503, {}, None), ServerUnavailableError, "none"),
    "throttled": ((429, {}, None), ThrottledError, "none"),
    "a page": ((200, {}, "<html>hello</html>"), UnexpectedResponseError, "none"),
}


@pytest.mark.parametrize(("refusal", "error", "effect"), IAM_REFUSALS.values(), ids=IAM_REFUSALS)
@pytest.mark.parametrize("login", ["access key", "IAM user"])
def test_a_project_that_iam_does_not_give_is_no_news_of_an_execution(
    gateway: Gateway, login: str, refusal: Any, error: type[ReleasePipelineError], effect: str
) -> None:
    gateway.refusals = [refusal] * 20
    url = gateway.url
    options = {"region": "ap-southeast-3", "project_id": None, "iam_url": f"{url}/iam"}
    with connected(url, **options) if login == "access key" else as_user(url, **options) as client:
        ref = release_ref(place=f"{url} project {PROJECT}")
        for ask in (
            lambda: client.place,
            lambda: client.observe(ref),
            lambda: client.waits.fetch([ref, ref]),
            lambda: client.cancel(ref, "timeout"),
            lambda: client.waits.find_started(intent_of(place=ref["place"])),
            lambda: client.releases.intent("shop-release", "start"),
        ):
            with pytest.raises(error) as caught:
                ask()
            assert caught.value.effect == effect
            assert "/iam/v3/" in str(caught.value)
            assert "project_id" in caught.value.summary or not isinstance(caught.value, ConnectionConfigError)
    assert {request.path.split("/")[1] for request in gateway.scripted.requests} == {"iam"}


def test_an_iam_that_cannot_be_reached_is_an_error_that_says_how_to_do_without_it(gateway: Gateway) -> None:
    # Nothing listens on the port of a tunnel that is closed, for example.
    options = {"region": "ap-southeast-3", "project_id": None, "iam_url": "http://127.0.0.1:1", "attempts": 1}
    cure = "'ap-southeast-3' from IAM.*give the connection's extra `project_id`, or correct its `iam_url`"
    with connected(gateway.url, **options) as client, pytest.raises(ServerUnavailableError, match=cure):
        client.releases.intent("shop-release", "start")
    assert gateway.scripted.requests == []


@pytest.mark.parametrize(
    ("status", "error"), [(400, ConnectionConfigError), (403, ConnectionConfigError), (404, UnexpectedResponseError)]
)
def test_a_token_that_cannot_be_renewed_is_no_news_of_an_execution(
    iam: Iam, status: int, error: type[ReleasePipelineError]
) -> None:
    iam.refusals = [(status, {}, None)] * 9
    with as_user(iam.gateway.url, project_id=PROJECT) as client:
        for observe in (
            lambda: client.observe(release_ref()),
            lambda: client.waits.fetch([release_ref(), release_ref()]),
        ):
            with pytest.raises(error, match="IAM"):
                observe()


@pytest.mark.parametrize("projects", [[], [{"id": "a"}, {"id": "b"}]])
def test_a_region_without_exactly_one_project_is_an_error_that_asks_for_the_id(
    iam: Iam, projects: list[dict[str, str]]
) -> None:
    iam.projects = projects
    url = iam.gateway.url
    with (
        connected(url, project_id=None, region="r", iam_url=f"{url}/iam") as client,
        pytest.raises(ConnectionConfigError, match="project_id"),
    ):
        client.release_tasks.list()


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({}, "access_key and secret_key"),
        ({"access_key": "a"}, "secret_key"),
        ({"secret_key": "s", "project_id": "p"}, "access_key"),
        ({"access_key": "a", "secret_key": "s"}, "project_id"),
        ({"access_key": "a", "secret_key": "s", "project_id": "p"}, "host"),
        ({"username": "u", "password": "p", "region": "r"}, "domain_name"),
        ({"access_key": "a", "secret_key": "s", "username": "u", "region": "r"}, "not both"),
        ({"security_token": "t", "username": "u", "password": "p", "domain_name": "d", "region": "r"}, "not both"),
    ],
)
def test_a_missing_or_contradictory_field_is_named_when_the_client_is_built(values: dict[str, str], names: str) -> None:
    with pytest.raises(ConnectionConfigError, match=names):
        ServiceStageClient(None, **values)


def test_hosts_follow_from_the_region_and_building_a_client_does_no_io() -> None:
    with ServiceStageClient(region="ap-southeast-3", access_key="a", secret_key="s") as client:
        assert client.transport.base_url == "https://servicestage.ap-southeast-3.myhuaweicloud.com"
