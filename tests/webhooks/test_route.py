"""The route answers strangers nothing, takes in no more than it can hold, and leaves no secret behind."""

from __future__ import annotations

import gzip
import json
import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import pytest
from pytest_mock import MockerFixture

from airflow_provider.webhooks import app as webhook_app
from airflow_provider.webhooks import handling
from airflow_provider.webhooks.bodies import MOST_BYTES
from airflow_provider.webhooks.endpoints import PREFIX, WebhookEndpoint
from tests.support.until import until
from tests.webhooks.conftest import SECRET, Declare, Route, recorded

PUSH = recorded("repo_push")
JSON = {"content-type": "application/json"}


@pytest.fixture(autouse=True)
def handled(declare: Declare, mocker: MockerFixture) -> list[bytes]:
    """The bodies that were let in."""
    declare(hook={})
    seen: list[bytes] = []

    def handle(endpoint: Any, body: bytes) -> int:
        seen.append(body)
        return handling.DONE

    mocker.patch.object(handling, "handle", handle)
    return seen


def test_a_webhook_is_taken_and_answered_exactly_200(route: Route, handled: list[bytes]) -> None:
    answer = route.request("POST", f"hook/{SECRET}", json=PUSH)
    assert (answer.status_code, answer.content) == (200, b"{}")
    assert [json.loads(body) for body in handled] == [PUSH]


@pytest.mark.parametrize("kept", ["", "/airflow"])
def test_a_webhook_is_taken_below_airflows_root_whether_or_not_a_proxy_keeps_that_in_the_path(
    handled: list[bytes], kept: str
) -> None:
    with Route("/airflow") as route:
        route.url = route.url.replace(PREFIX, f"{kept}{PREFIX}")
        assert route.post(PUSH) == 200
    assert len(handled) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"hook/{SECRET}x"),
        ("POST", f"hook/{SECRET[:-1]}"),
        ("POST", "hook/"),
        ("POST", "hook"),
        ("POST", ""),
        ("POST", f"nobodys/{SECRET}"),
        ("POST", f"hook/{SECRET}/"),
        ("POST", f"hook/{SECRET}/more"),
        ("POST", f"/hook/{SECRET}"),
        ("POST", f"hook//{SECRET}"),
        ("POST", f"//hook//{SECRET}//"),
        ("POST", f"hook/{SECRET}%2F"),
        ("POST", f"hook/{SECRET}%00"),
        ("POST", f"HOOK/{SECRET}"),
        ("POST", f"hook/{SECRET.upper()}"),
        ("POST", f"{SECRET}/hook"),
        ("POST", "hook/%F0%9F%90%B3%00"),
        ("GET", f"hook/{SECRET}"),
        ("PUT", f"hook/{SECRET}"),
        ("OPTIONS", f"hook/{SECRET}"),
        ("DELETE", f"hook/{SECRET}"),
        ("PATCH", f"hook/{SECRET}"),
        ("TRACE", f"hook/{SECRET}"),
    ],
)
def test_whatever_is_wrong_about_a_url_the_answer_is_the_same(
    route: Route, handled: list[bytes], method: str, path: str
) -> None:
    unknown = route.request("POST", "nobodys/nothing", json=PUSH)
    answer = route.request(method, path, json=PUSH)
    assert answer.status_code == unknown.status_code == 404
    assert answer.content == unknown.content
    assert {**answer.headers, "date": ""} == {**unknown.headers, "date": ""}
    assert handled == []


def test_a_head_is_answered_like_anything_else_that_is_wrong_and_without_a_body(
    route: Route, handled: list[bytes]
) -> None:
    unknown = route.request("POST", "nobodys/nothing", json=PUSH)
    answer = route.request("HEAD", f"hook/{SECRET}")
    assert (answer.status_code, answer.content) == (404, b"")
    assert {**answer.headers, "date": ""} == {**unknown.headers, "date": ""}
    assert route.post(PUSH) == 200
    assert len(handled) == 1


def test_a_stranger_is_answered_before_a_byte_of_the_body_is_read(route: Route) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("it was read")

    async def send(message: Any) -> None:
        sent.append(message)

    import asyncio

    scope = {"type": "http", "method": "POST", "path": f"{PREFIX}/hook/wrong", "headers": [], "query_string": b""}
    asyncio.run(webhook_app.WebhookApp()(scope, receive, send))
    assert sent[0]["status"] == 404


# --- what is let in


def chunks(*, of: bytes, times: int) -> Iterator[bytes]:
    for _ in range(times):
        yield of


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"data": b"{}", "headers": {}}, 415),
        ({"data": b"{}", "headers": {"content-type": "text/plain"}}, 415),
        ({"data": b"{}", "headers": {"content-type": "application/json; charset=utf-8"}}, 200),
        ({"data": b"{}", "headers": {**JSON, "content-encoding": "br"}}, 415),
        ({"data": gzip.compress(b"{}"), "headers": {**JSON, "content-encoding": "gzip"}}, 200),
        ({"data": gzip.compress(b"{}")[:-4], "headers": {**JSON, "content-encoding": "gzip"}}, 400),
        ({"data": gzip.compress(b"{}") * 2, "headers": {**JSON, "content-encoding": "gzip"}}, 400),
        ({"data": b"{}", "headers": {**JSON, "content-encoding": "gzip"}}, 400),
        ({"data": b" " * (MOST_BYTES + 1), "headers": JSON}, 413),
        ({"data": b" " * MOST_BYTES, "headers": JSON}, 200),
        ({"data": gzip.compress(b" " * (MOST_BYTES + 1)), "headers": {**JSON, "content-encoding": "gzip"}}, 413),
        ({"data": gzip.compress(b" " * MOST_BYTES), "headers": {**JSON, "content-encoding": "gzip"}}, 200),
    ],
    ids=[
        "no type",
        "another type",
        "a charset",
        "another packing",
        "packed",
        "packed and cut off",
        "packed twice",
        "not packed",
        "too large",
        "just not too large",
        "too large when unpacked",
        "just not too large when unpacked",
    ],
)
def test_a_body_is_bounded_and_json(route: Route, handled: list[bytes], options: Any, status: int) -> None:
    assert route.post(**options) == status
    assert len(handled) == (status == 200)


def test_a_body_without_a_length_is_read_no_further_than_it_may_go(route: Route, handled: list[bytes]) -> None:
    piece = b" " * 65_536
    assert route.post(data=chunks(of=piece, times=MOST_BYTES // len(piece) + 1), headers=JSON) == 413
    assert route.post(data=chunks(of=piece, times=MOST_BYTES // len(piece)), headers=JSON) == 200
    assert [len(body) for body in handled] == [MOST_BYTES]


def test_a_body_may_be_packed_and_come_in_pieces_of_any_size(route: Route, handled: list[bytes]) -> None:
    text = json.dumps(PUSH).encode()
    packed = gzip.compress(text)
    options = {"headers": {**JSON, "content-encoding": "GZip"}}
    for size in (1, 7, 1000):
        pieces = (packed[at : at + size] for at in range(0, len(packed), size))
        assert route.post(data=pieces, **options) == 200
    assert handled == [text] * 3


def test_a_body_that_unpacks_to_nothing_is_read_no_further_than_it_may_go(route: Route, handled: list[bytes]) -> None:
    empty_blocks = b"\x00\x00\x00\xff\xff" * 13_107

    def endless() -> Iterator[bytes]:
        yield b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
        yield from chunks(of=empty_blocks, times=MOST_BYTES // len(empty_blocks) + 1)

    assert route.post(data=endless(), headers={**JSON, "content-encoding": "gzip"}) == 413
    assert handled == []


def test_a_bomb_is_not_unpacked(route: Route) -> None:
    import tracemalloc

    bomb = gzip.compress(b"\0" * (256 * 1024 * 1024))
    tracemalloc.start()
    try:
        assert route.post(data=bomb, headers={**JSON, "content-encoding": "gzip"}) == 413
        assert tracemalloc.get_traced_memory()[1] < 32 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_a_sender_that_stops_in_the_middle_is_not_waited_for(route: Route, mocker: MockerFixture) -> None:
    import asyncio

    mocker.patch.object(webhook_app, "ANSWERED_WITHIN", 0.2)
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": f"{PREFIX}/hook/{SECRET}", "headers": headers}
    asyncio.run(webhook_app.WebhookApp()(scope, receive, send))
    assert sent[0]["status"] == 408


def test_a_handling_that_hangs_lets_the_sender_come_again(route: Route, mocker: MockerFixture) -> None:
    import threading

    go_on = threading.Event()
    mocker.patch.object(webhook_app, "ANSWERED_WITHIN", 0.3)
    mocker.patch.object(handling, "handle", lambda endpoint, body: go_on.wait(20) and handling.DONE)
    try:
        assert route.post(PUSH) == 503
    finally:
        go_on.set()


@contextmanager
def hanging_handling(mocker: MockerFixture, endpoint: str = "hook") -> Iterator[list[str]]:
    """Messages of an endpoint are taken in and not done until the end; gives the endpoints of all that were."""
    import threading

    go_on, begun = threading.Event(), []

    def handle(known: WebhookEndpoint, body: bytes) -> int:
        begun.append(known.name)
        if known.name == endpoint:
            go_on.wait(30)
        return handling.DONE

    mocker.patch.object(webhook_app, "ANSWERED_WITHIN", 60.0)
    mocker.patch.object(handling, "handle", handle)
    try:
        yield begun
    finally:
        go_on.set()


def test_no_more_messages_than_that_are_taken_in_at_once_and_the_others_come_again(
    route: Route, mocker: MockerFixture
) -> None:
    mocker.patch.object(webhook_app, "MOST_AT_ONCE", 2)
    with ThreadPoolExecutor(2) as senders:
        with hanging_handling(mocker) as begun:
            answers = [senders.submit(route.post, PUSH) for _ in range(2)]
            until(lambda: len(begun) == 2)
            assert route.post(PUSH) == 503
        assert [answer.result() for answer in answers] == [200, 200]
    assert [route.post(PUSH) for _ in range(3)] == [200] * 3


def test_a_system_that_hangs_holds_up_no_webhook_of_another_one(
    route: Route, declare: Declare, mocker: MockerFixture
) -> None:
    declare(hook={}, other={})
    with ThreadPoolExecutor(webhook_app.THREADS + 1) as senders:
        with hanging_handling(mocker) as begun:
            answers = [senders.submit(route.post, PUSH) for _ in range(webhook_app.THREADS + 1)]
            until(lambda: len(begun) == webhook_app.THREADS)
            assert route.post(PUSH, endpoint="other") == 200
        assert {answer.result() for answer in answers} == {200}


def answers_to(message: dict[str, Any], headers: dict[str, str]) -> list[dict[str, Any]]:
    """What is sent to somebody of whom this comes behind the headers.

    :param message: as ASGI has it; none: it must not be asked for.
    """
    import asyncio

    sent: list[Any] = []

    async def receive() -> Any:
        assert message, "it was read"
        return message

    async def send(message: Any) -> None:
        sent.append(message)

    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": f"{PREFIX}/hook/{SECRET}", "headers": encoded}
    asyncio.run(webhook_app.WebhookApp()(scope, receive, send))
    return sent


def test_a_sender_that_hangs_up_in_the_middle_has_reported_nothing(handled: list[bytes]) -> None:
    assert answers_to({"type": "http.disconnect"}, JSON) == []
    assert handled == []


@pytest.mark.parametrize("length", [str(MOST_BYTES + 1), "9" * 5000])
def test_of_a_body_that_says_itself_that_it_is_too_large_nothing_is_read(length: str) -> None:
    start, _ = answers_to({}, {**JSON, "content-length": length})
    assert start["status"] == 413


def test_an_error_that_nobody_foresaw_lets_the_sender_come_again_and_shows_no_text(
    route: Route, mocker: MockerFixture, caplog: pytest.LogCaptureFixture
) -> None:
    def handle(endpoint: Any, body: bytes) -> int:
        raise RuntimeError(f"cannot handle {body!r} of {SECRET}")

    mocker.patch.object(handling, "handle", handle)
    assert route.post(PUSH) == 503
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text
    assert "cannot handle" not in caplog.text


def test_declarations_that_cannot_be_read_are_no_404(route: Route, mocker: MockerFixture) -> None:
    mocker.patch.dict(os.environ, {"AIRFLOW__RELEASE_PIPELINES__WEBHOOKS": "{"})
    assert route.post(PUSH) == 503
    assert route.post(PUSH, endpoint="nobodys") == 503


def test_declarations_that_break_later_leave_those_that_were_read(route: Route, mocker: MockerFixture) -> None:
    assert route.post(PUSH) == 200
    mocker.patch.dict(os.environ, {"AIRFLOW__RELEASE_PIPELINES__WEBHOOKS": "{"})
    assert route.post(PUSH) == 200


def test_declarations_that_take_long_to_read_hold_up_no_message(route: Route, mocker: MockerFixture) -> None:
    mocker.patch.object(webhook_app, "READ_WITHIN", 0.1)
    assert route.post(PUSH) == 200
    continues = threading.Event()
    declared = webhook_app.declared
    mocker.patch.object(webhook_app, "declared", lambda: continues.wait(60) and declared())
    assert [route.post(PUSH), route.post(PUSH)] == [200, 200]
    continues.set()


def test_while_declarations_are_read_for_the_first_time_the_sender_shall_come_again(
    route: Route, mocker: MockerFixture
) -> None:
    mocker.patch.object(webhook_app, "READ_WITHIN", 0.1)
    continues = threading.Event()
    declared = webhook_app.declared
    mocker.patch.object(webhook_app, "declared", lambda: continues.wait(60) and declared())
    assert route.post(PUSH) == 503
    continues.set()
    until(lambda: route.post(PUSH) == 200)


def test_an_endpoint_that_is_declared_wrongly_stops_no_other_and_lets_its_own_sender_come_again(
    route: Route, declare: Declare, caplog: pytest.LogCaptureFixture
) -> None:
    declare(hook={}, wrong={"secrets": [SECRET, SECRET]})
    assert [route.post(PUSH), route.post(PUSH, endpoint="wrong"), route.post(PUSH, endpoint="nobodys")] == [
        200,
        503,
        404,
    ]
    assert route.request("GET", f"wrong/{SECRET}").status_code == 404
    assert caplog.text.count("endpoint 'wrong': secrets must be 1 or 2 different texts") == 1
    assert SECRET not in caplog.text


def test_an_endpoint_that_is_declared_wrongly_later_stays_as_it_was(route: Route, declare: Declare) -> None:
    declare(hook={}, other={})
    assert [route.post(PUSH), route.post(PUSH, endpoint="other")] == [200, 200]
    for _ in range(2):
        declare(hook={}, other={"source": "github"})
        assert [route.post(PUSH), route.post(PUSH, endpoint="other")] == [200, 200]
    declare(hook={})
    assert [route.post(PUSH), route.post(PUSH, endpoint="other")] == [200, 404]


def test_a_rotated_secret_counts_without_a_restart(route: Route, declare: Declare) -> None:
    new = SECRET[::-1]
    assert [route.post(PUSH), route.post(PUSH, secret=new)] == [200, 404]
    declare(hook={"secrets": [new, SECRET]})
    assert [route.post(PUSH), route.post(PUSH, secret=new)] == [200, 200]
    declare(hook={"secrets": [new]})
    assert [route.post(PUSH), route.post(PUSH, secret=new)] == [404, 200]


# --- what is left behind


@pytest.mark.parametrize("root", ["", "/airflow"])
@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (f"hook/{SECRET}?also={SECRET}", "hook/***"),
        (f"hook/{SECRET}x", "***/***"),
        (f"nobodys/{SECRET}", "***/***"),
        (f"{SECRET}/hook", "***/***"),
        (f"hook/{SECRET}/more", "***/***"),
        (f"{SECRET}", "***/***"),
    ],
)
def test_who_logs_a_request_sees_no_secret_in_it(
    root: str, path: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Route(root) as route:
        route.request("POST", path, json=PUSH)
    (scope,) = route.seen
    assert scope["path"] == f"{PREFIX}/{shown}"
    assert SECRET not in str(scope)
    logged = [record.getMessage() for record in caplog.records if not record.name.startswith("urllib3")]
    assert any(f"{PREFIX}/{shown}" in unquote(line) for line in logged), "uvicorn's own access log was not on"
    assert SECRET not in "".join(logged)


def test_the_access_log_of_airflows_own_api_server_shows_no_secret(
    capfd: pytest.CaptureFixture[str], mocker: MockerFixture
) -> None:
    """With the API server as Airflow makes it: its middlewares and its plugins."""
    from airflow.api_fastapi.app import create_app
    from airflow.api_fastapi.common import http_access_log

    # Whatever level the log of these tests has, and however Airflow has set it up.
    log = mocker.patch.object(http_access_log, "logger")
    with Route(app=create_app()) as route:
        assert route.request("POST", f"hook/{SECRET}?also={SECRET}", json=PUSH).status_code == 200
        assert route.request("POST", f"hook/{SECRET}x", json=PUSH).status_code == 404
        assert route.request("GET", f"hook/{SECRET}").status_code == 404
    logged = [each.kwargs for each in log.info.call_args_list]
    paths = [each["path"] for each in logged]
    assert paths == [f"{PREFIX}/hook/***", f"{PREFIX}/***/***", f"{PREFIX}/***/***"]
    assert SECRET not in f"{logged}{capfd.readouterr()}"


def test_airflow_mounts_the_route_and_lists_it() -> None:
    from airflow import plugins_manager

    apps, _ = plugins_manager.get_fastapi_plugins()
    (ours,) = [each for each in apps if each["url_prefix"] == PREFIX]
    assert isinstance(ours["app"], webhook_app.WebhookApp)
    listed = plugins_manager.get_plugin_info(["fastapi_apps"])
    assert PREFIX in [app["url_prefix"] for each in listed for app in each["fastapi_apps"]]
