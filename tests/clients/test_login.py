"""One login serves all clients, a refused one is not repeated, and a valid one is not replaced."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.login import RENEW_BEFORE, Login, Token, shared_login
from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import AuthenticationError, Effect, ReleasePipelineError, ServerUnavailableError
from tests.support.scripted import Received, Reply, Scripted

EXECUTION = {"id": "x-1", "status": "RUNNING"}
POLLS = 8


def fails_with(error: ReleasePipelineError, counted: list[float], pause: float = 0.0) -> Callable[[], Token]:
    def log_in() -> Token:
        counted.append(time.monotonic())
        time.sleep(pause)
        raise error

    return log_in


def code_stream(url: str, **options: Any) -> CodeStreamClient:
    credentials = {"username": "u", "password": "the-password"} | options
    return CodeStreamClient(url, attempts=1, **credentials)


def iam(url: str, password: str = "the-password") -> ServiceStageClient:
    user = {"username": "u", "password": password, "domain_name": "d"}
    return ServiceStageClient(url, iam_url=url, region="r", attempts=1, **user)


def attempts_of(scripted: Scripted) -> int:
    return sum(request.method == "POST" for request in scripted.requests)


def poll(client: ReleaseClient) -> Any:
    try:
        return client.check()
    except ReleasePipelineError as error:
        return error


@pytest.mark.parametrize("connect", [code_stream, iam])
def test_eight_threads_make_one_refused_login_and_it_is_not_tried_again(
    scripted: Scripted, connect: Callable[..., ReleaseClient]
) -> None:
    def refuse(request: Received) -> Reply:
        time.sleep(0.3)
        return 401, {}, {"message": "wrong"}

    scripted.always = refuse
    with ThreadPoolExecutor(POLLS) as threads:
        clients = [connect(scripted.url) for _ in range(POLLS)]
        seen = list(threads.map(poll, clients))
        again = poll(connect(scripted.url))
    assert attempts_of(scripted) == 1
    assert all(isinstance(each, AuthenticationError) for each in [*seen, again])
    assert not any(each.effect.is_open for each in [*seen, again])
    assert "the account is not locked" in str(again)
    assert len({id(each) for each in seen}) == POLLS, "errors are marked by whoever gets them"


@pytest.mark.parametrize(
    ("projects", "asked"), [((200, {}, {"projects": [{"id": "p-1"}]}), None), ((403, {}, {}), ReleasePipelineError)]
)
def test_eight_threads_look_the_project_of_a_region_up_once_and_at_the_same_time(
    scripted: Scripted, projects: Reply, asked: type[Exception] | None
) -> None:
    lookups: list[float] = []

    def answer(request: Received) -> Reply:
        if not request.path.endswith("/v3/projects"):
            return 200, {}, {"pipelines": []}
        lookups.append(time.monotonic())
        time.sleep(0.3)
        return projects

    scripted.always = answer
    client = ServiceStageClient(
        scripted.url, iam_url=scripted.url, region="r", attempts=1, access_key="the-key", secret_key="the-secret-key"
    )
    with ThreadPoolExecutor(POLLS) as threads:
        seen = list(threads.map(poll, [client] * POLLS))
    assert len(lookups) == 1
    assert all(isinstance(each, asked or str) for each in seen)


@pytest.mark.parametrize("connect", [code_stream, iam])
def test_a_connection_that_changed_logs_in_at_once(scripted: Scripted, connect: Callable[..., ReleaseClient]) -> None:
    scripted.always = (401, {}, {"message": "wrong"})
    poll(connect(scripted.url))
    poll(connect(scripted.url, password="another-password"))
    assert attempts_of(scripted) == 2


def test_the_pause_after_refused_logins_grows_up_to_a_limit(mocker: MockerFixture) -> None:
    now = 1000.0
    mocker.patch.object(time, "monotonic", lambda: now)
    login, counted = Login(), list[float]()
    refused = fails_with(AuthenticationError("no"), counted)
    for _ in range(20_000):
        with pytest.raises(AuthenticationError):
            login.token(refused)
        now += 1.0
    pauses = [later - earlier for earlier, later in itertools.pairwise(counted)]
    assert pauses[:6] == [30, 60, 120, 240, 480, 900]
    assert set(pauses[6:]) == {DURATIONS.longest_refused_login_pause}


def test_a_login_that_works_again_starts_afresh(mocker: MockerFixture) -> None:
    mocker.patch.object(DURATIONS, "refused_login_pause", 0.0)
    login, counted = Login(), list[float]()
    with pytest.raises(AuthenticationError):
        login.token(fails_with(AuthenticationError("no"), counted))
    assert login.token(lambda: Token("token-1", time.time() + 999)).value == "token-1"


def test_a_login_that_merely_broke_is_tried_again_at_once() -> None:
    login, counted = Login(), list[float]()
    for _ in range(3):
        with pytest.raises(ServerUnavailableError) as caught:
            login.token(fails_with(ServerUnavailableError("away", effect=Effect.LATE), counted))
        assert caught.value.effect is Effect.NONE
    assert len(counted) == 3


def test_whoever_waits_for_a_failing_login_gets_its_error_and_does_not_repeat_it() -> None:
    login, counted = Login(), list[float]()
    slow = fails_with(ServerUnavailableError("away"), counted, pause=0.5)
    barrier = threading.Barrier(POLLS)

    def ask(_: int) -> Exception:
        barrier.wait()
        with pytest.raises(ServerUnavailableError) as caught:
            login.token(slow)
        return caught.value

    with ThreadPoolExecutor(POLLS) as threads:
        errors = list(threads.map(ask, range(POLLS)))
    assert len(set(map(id, errors))) == POLLS
    assert len(counted) == 1


def let_pass(seconds: float, mocker: MockerFixture) -> None:
    now = time.time
    mocker.patch.object(time, "time", lambda: now() + seconds)


SHORTLY_BEFORE_ITS_END = 1000.0 - RENEW_BEFORE + 1.0


def test_a_token_that_is_still_good_is_used_while_another_thread_replaces_it(mocker: MockerFixture) -> None:
    login, has_begun, may_end = Login(), threading.Event(), threading.Event()
    login.token(lambda: Token("token-1", time.time() + 1000.0))
    let_pass(SHORTLY_BEFORE_ITS_END, mocker)

    def replace_it() -> Token:
        has_begun.set()
        assert may_end.wait(30)
        return Token("token-2", time.time() + 999)

    with ThreadPoolExecutor(1) as threads:
        replaced = threads.submit(login.token, replace_it)
        assert has_begun.wait(30)
        assert login.token(replace_it).value == "token-1"
        may_end.set()
        assert replaced.result().value == "token-2"
    assert login.token(replace_it).value == "token-2"


@pytest.mark.parametrize("error", [AuthenticationError("no"), ServerUnavailableError("away")])
def test_a_token_that_is_still_good_outlives_a_login_that_fails(
    error: ReleasePipelineError, mocker: MockerFixture
) -> None:
    login, counted = Login(), list[float]()
    login.token(lambda: Token("token-1", time.time() + 1000.0))
    let_pass(SHORTLY_BEFORE_ITS_END, mocker)
    for _ in range(3):
        assert login.token(fails_with(error, counted)).value == "token-1"
    assert len(counted) == 1
    login.drop("Bearer token-1")
    with pytest.raises(type(error)):
        login.token(fails_with(error, counted))


def test_a_login_outlives_its_client(scripted: Scripted) -> None:
    def answer(request: Received) -> Reply:
        if request.method == "POST":
            return 200, {}, {"token": f"bearer-{len(scripted.requests)}", "refresh_token": "refresh-1"}
        return 200, {}, {"latestApiVersion": "1", "documents": {}, "links": []}

    scripted.always = answer
    for _ in range(5):
        with code_stream(scripted.url) as client:
            client.check()
    # One for the refresh token, one for the bearer.
    assert attempts_of(scripted) == 2


def test_a_project_is_known_to_all_clients_of_a_login(scripted: Scripted) -> None:
    def answer(request: Received) -> Reply:
        if request.method == "POST":
            return 201, {"X-Subject-Token": "token-1"}, {"token": {"project": {"id": "p-1"}}}
        return 200, {}, {"pipelines": []}

    scripted.always = answer
    for _ in range(3):
        with iam(scripted.url) as client:
            assert client.project_id == "p-1"
            client.check()
    assert attempts_of(scripted) == 1


def test_only_logins_with_the_same_credentials_are_shared() -> None:
    assert shared_login("a", "b") is shared_login("a", "b")
    assert shared_login("a", "b") is not shared_login("a", "c")
    assert shared_login("a", None) is not shared_login("a", "x")


def test_every_client_masks_the_token_that_another_one_fetched(scripted: Scripted) -> None:
    masked: list[str] = []

    def answer(request: Received) -> Reply:
        if request.method == "POST":
            return 200, {}, {"token": "bearer-of-all", "refresh_token": "refresh-1"}
        return 400, {}, {"message": "bad bearer-of-all"}

    scripted.always = answer
    for _ in range(2):
        with code_stream(scripted.url, on_secret=masked.append) as client:
            assert "bearer-of-all" not in str(poll(client))
    assert masked.count("bearer-of-all") == 2
