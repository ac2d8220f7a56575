"""Whatever a server sends, a call ends in time, takes in no more than allowed, and knows what it may have done."""

from __future__ import annotations

import gzip
import json
import os
import signal
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
import requests
from pytest_mock import MockerFixture

from airflow_provider.clients import retries
from airflow_provider.clients.auth import HeaderAuth, NoAuth
from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.listing import EndlessListError
from airflow_provider.clients.one_at_a_time import one_at_a_time
from airflow_provider.clients.placing import MOST_STEPS
from airflow_provider.clients.quay import QuayClient
from airflow_provider.clients.reading import LARGE
from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.clients.transport import Transport
from airflow_provider.clients.waits import MOST_LOG_LINES
from airflow_provider.core.waiting import Wait
from airflow_provider.exceptions import (
    BadRequestError,
    Effect,
    NotFoundError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)
from tests.support.scripted import Handler, Received, Reply, Scripted

OK: Reply = (200, {}, {"fine": True})
MB = 1024 * 1024


@pytest.fixture(autouse=True)
def _short_pauses(mocker: MockerFixture) -> None:
    mocker.patch.object(retries, "FIRST_PAUSE", 0.01)


def packed(content: bytes, encoding: str = "gzip") -> Reply:
    body = gzip.compress(content) if "gzip" in encoding else zlib.compress(content)
    return 200, {"Content-Encoding": encoding}, body


# --- size


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "GZIP"])
def test_a_packed_answer_is_unpacked(scripted: Scripted, encoding: str) -> None:
    scripted.always = packed(b'{"fine": true}', encoding.lower())
    scripted.always[1]["Content-Encoding"] = encoding
    assert Transport("quay", scripted.url, attempts=1).get("/x") == {"fine": True}
    assert scripted.requests[0].headers["Accept-Encoding"] == "gzip"


def test_an_answer_that_was_packed_in_two_parts_is_one(scripted: Scripted) -> None:
    scripted.always = (200, {"Content-Encoding": "gzip"}, gzip.compress(b'{"fine":') + gzip.compress(b" true}"))
    assert Transport("quay", scripted.url, attempts=1).get("/x") == {"fine": True}


TOO_LARGE: dict[str, Callable[[], Reply]] = {
    "gzip bomb": lambda: packed(b" " * 64 * MB),
    "deflate bomb": lambda: packed(b"[" * 64 * MB, "deflate"),
    "long": lambda: (200, {}, b" " * 2 * MB),
    "long error": lambda: (500, {}, b"x" * 2 * MB),
    "one byte more": lambda: packed(b" " * MB + b"1"),
}
"""Made when they are needed: this file is read by all who run tests."""


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", TOO_LARGE)
def test_an_answer_that_is_too_large_is_refused_and_never_held(scripted: Scripted, name: str, method: str) -> None:
    scripted.always = reply = TOO_LARGE[name]()
    transport = Transport("quay", scripted.url, attempts=1, max_answer_bytes=MB)
    tracemalloc.start()
    try:
        with pytest.raises(UnexpectedResponseError, match="more than 1048576 bytes") as caught:
            transport.request(method, "/x")
        assert tracemalloc.get_traced_memory()[1] < 12 * MB
    finally:
        tracemalloc.stop()
    assert (caught.value.effect, caught.value.status) == (Effect.UNKNOWN, reply[0])


CHUNK = 65536


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK, 10 * CHUNK, 3 * MB])
@pytest.mark.parametrize("parts", [1, 2])
def test_of_a_packed_answer_nothing_is_missing(scripted: Scripted, size: int, parts: int) -> None:
    scripted.always = (200, {"Content-Encoding": "gzip"}, gzip.compress(b"1" * size) * parts)
    transport = Transport("quay", scripted.url, attempts=1)
    assert transport.request("GET", "/x", decode=len).data == size * parts


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_large_answer_is_held_once_until_it_is_decoded(scripted: Scripted, is_packed: bool) -> None:
    body = b'"' + b"x" * 12 * MB + b'"'
    scripted.always = packed(body) if is_packed else (200, {}, body)
    transport = Transport("quay", scripted.url, attempts=1)
    tracemalloc.start()
    try:
        assert transport.request("GET", "/x", decode=len).data == len(body)
        assert tracemalloc.get_traced_memory()[1] < 1.3 * len(body)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("status", [200, 500])
def test_of_a_large_answer_that_is_no_json_the_beginning_is_read(scripted: Scripted, status: int) -> None:
    scripted.always = (status, {}, body := b"proxy error " * MB)
    transport = Transport("quay", scripted.url, attempts=1)
    tracemalloc.start()
    try:
        with pytest.raises((UnexpectedResponseError, ServerUnavailableError)) as caught:
            transport.get("/x")
        # Whether it is JSON shows only in text.
        assert tracemalloc.get_traced_memory()[1] < 2.3 * len(body)
    finally:
        tracemalloc.stop()
    assert status == 200 or str(caught.value.message).startswith("proxy error proxy error ")


def test_a_large_text_that_was_asked_for_is_whole(scripted: Scripted) -> None:
    scripted.always = (200, {}, b"kind: PIPELINE\n" * MB)
    answer = Transport("quay", scripted.url).request("GET", "/x", json_expected=False)
    assert answer.data == "kind: PIPELINE\n" * MB


def test_large_answers_are_decoded_one_after_the_other_and_small_ones_at_once(scripted: Scripted) -> None:
    at_once: dict[str, int] = {"small": 0, "large": 0}
    most = dict(at_once)
    all_small = threading.Barrier(4)

    def decode(content: bytes) -> int:
        size = "large" if len(content) > LARGE else "small"
        at_once[size] += 1
        most[size] = max(most[size], at_once[size])
        if size == "small":
            all_small.wait(60)
        else:
            time.sleep(0.02)
        at_once[size] -= 1
        return len(content)

    def get(size: int) -> int:
        return int(transport.request("GET", f"/{size}", decode=decode).data)

    scripted.always = lambda request: (200, {}, b"1" * int(request.path[1:]))
    transport = Transport("quay", scripted.url)
    sizes = [2 * LARGE, 10] * 4
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(get, sizes)) == sizes
    assert most == {"small": 4, "large": 1}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_decodes_large_answers_too() -> None:
    assert one_at_a_time(lambda: 7) == 7
    if not (child := os.fork()):
        signal.alarm(60)
        os._exit(one_at_a_time(lambda: 7))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_of_very_many_nuls_is_an_error_that_says_so(scripted: Scripted, status: int) -> None:
    scripted.always = (status, {}, b"\0" * 2 * MB)
    with pytest.raises(UnexpectedResponseError, match="more than 1000000 NULs"):
        Transport("quay", scripted.url, attempts=1).get("/x")


def test_an_answer_may_be_as_large_as_allowed(scripted: Scripted) -> None:
    body = b'"' + b"x" * (MB - 2) + b'"'
    scripted.script = [(200, {}, body), packed(body)]
    transport = Transport("quay", scripted.url, attempts=1, max_answer_bytes=MB)
    assert transport.get("/x") == transport.get("/x") == "x" * (MB - 2)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        ((200, {"Content-Encoding": "gzip"}, gzip.compress(b"{}" * 999)[:-9]), ServerUnavailableError),
        ((200, {"Content-Encoding": "gzip"}, b"{}"), ServerUnavailableError),
        ((200, {"Content-Encoding": "br"}, b"{}"), UnexpectedResponseError),
        ((200, {"Content-Encoding": "gzip, gzip"}, gzip.compress(gzip.compress(b"{}"))), UnexpectedResponseError),
    ],
    ids=["cut", "not packed", "not asked for", "packed twice"],
)
def test_an_answer_that_cannot_be_unpacked_is_an_error(
    scripted: Scripted, reply: Reply, cause: type[ReleasePipelineError], method: str
) -> None:
    scripted.always = reply
    with pytest.raises(cause) as caught:
        Transport("quay", scripted.url, attempts=1).request(method, "/x")
    assert caught.value.effect is Effect.UNKNOWN


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [200, 400])
def test_a_body_that_is_nested_without_end_is_an_error(scripted: Scripted, status: int, method: str) -> None:
    scripted.always = (status, {}, b"[" * MB)
    with pytest.raises((UnexpectedResponseError, BadRequestError)) as caught:
        Transport("quay", scripted.url, attempts=1).request(method, "/x")
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [200, 400])
def test_an_answer_of_very_many_parts_is_an_error_that_says_so(scripted: Scripted, status: int, method: str) -> None:
    scripted.always = (status, {}, b"[" + b"[]," * MB + b"[]]")
    with pytest.raises(UnexpectedResponseError, match="more than 200000 lists and objects") as caught:
        Transport("quay", scripted.url, attempts=1).request(method, "/x")
    assert (caught.value.effect, caught.value.status) == (Effect.UNKNOWN, status)


# --- time


def drip_headers(handler: Handler) -> None:
    handler.close_connection = True
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(600):
            handler.wfile.write(b"X-%d: y\r\n"[: 7 + number % 2] % number)
            time.sleep(0.05)


def drip_one_header(handler: Handler) -> None:
    handler.close_connection = True
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(600):
            handler.wfile.write(b"y")
            time.sleep(0.05)


def continue_for_ever(handler: Handler) -> None:
    handler.close_connection = True
    with suppress(OSError):
        for _ in range(600):
            handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            time.sleep(0.05)


def drip_the_body(status: int, headers: bytes = b"") -> Callable[[Handler], None]:
    def drip(handler: Handler) -> None:
        handler.close_connection = True
        with suppress(OSError):
            handler.wfile.write(b"HTTP/1.1 %d OK\r\n%bContent-Length: 9999\r\n\r\n" % (status, headers))
            for _ in range(600):
                handler.wfile.write(b" ")
                time.sleep(0.05)

    return drip


def drip_a_packed_body(handler: Handler) -> None:
    handler.close_connection = True
    with suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9999\r\n\r\n")
        for byte in gzip.compress(json.dumps(list(range(2000))).encode()):
            handler.wfile.write(bytes([byte]))
            time.sleep(0.05)


DRIPS = {
    "headers": drip_headers,
    "a header": drip_one_header,
    "100 Continue": continue_for_ever,
    "body": drip_the_body(200),
    "packed body": drip_a_packed_body,
    "error": drip_the_body(500),
    "redirect": drip_the_body(307, b"Location: /y\r\n"),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("drip", DRIPS)
def test_an_answer_that_drips_without_end_ends_at_the_time_limit(scripted: Scripted, drip: str, method: str) -> None:
    scripted.always = DRIPS[drip]
    began = time.monotonic()
    with pytest.raises(ServerUnavailableError, match="no complete answer") as caught:
        Transport("quay", scripted.url, attempts=1, timeout=0.5).request(method, "/x")
    # The server goes on for 30 s.
    assert time.monotonic() - began < 15
    assert caught.value.effect is Effect.LATE


def test_an_answer_that_drips_through_a_proxy_ends_at_the_time_limit(scripted: Scripted, mocker: MockerFixture) -> None:
    through_it = {"http_proxy": scripted.url, "no_proxy": "", "NO_PROXY": ""}
    mocker.patch.dict(os.environ, through_it)
    scripted.always = drip_the_body(200)
    began = time.monotonic()
    with pytest.raises(ServerUnavailableError, match="no complete answer"):
        Transport("quay", "http://api.invalid", attempts=1, timeout=0.5).get("/x")
    assert time.monotonic() - began < 15


def test_after_an_answer_that_has_no_end_the_next_one_comes_over_a_connection_of_its_own(scripted: Scripted) -> None:
    is_over = threading.Event()

    def unfinished(content: bytes) -> Callable[[Handler], None]:
        def answer(handler: Handler) -> None:
            handler.close_connection = True
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + content)
            is_over.wait(60)

        return answer

    scripted.script = [unfinished(b"{"), unfinished(b" " * (MB + 1)), unfinished(b"{")]
    scripted.always = OK
    transport = Transport("quay", scripted.url, attempts=1, timeout=0.5, max_connections=1, max_answer_bytes=MB)
    answers: list[Any] = []

    def ask() -> None:
        for _ in range(5):
            try:
                answers.append(transport.get("/x"))
            except ReleasePipelineError as error:
                answers.append(type(error))

    # Were the only connection lost, it would wait for ever.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(60)
    is_over.set()
    assert answers == [ServerUnavailableError, UnexpectedResponseError, ServerUnavailableError, *[{"fine": True}] * 2]


def test_redirects_share_the_time_limit_of_their_request(scripted: Scripted) -> None:
    def slow_redirect(handler: Handler) -> None:
        time.sleep(0.6)
        handler.send(307, {"Location": "/again"}, None)

    scripted.always = slow_redirect
    with pytest.raises(ServerUnavailableError, match="no complete answer"):
        Transport("quay", scripted.url, attempts=1, timeout=1.0).get("/x")
    assert len(scripted.requests) <= 2


def test_the_time_limit_of_one_answer_is_not_that_of_the_next_one_over_the_same_connection(scripted: Scripted) -> None:
    def slow(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        time.sleep(1.2)
        handler.wfile.write(b"{}")

    # Together they take longer than one may.
    scripted.always = slow
    transport = Transport("quay", scripted.url, attempts=1, timeout=3.0, max_connections=1)
    assert [transport.request("POST", "/x", body={"a": "b" * 9}).data for _ in range(3)] == [{}] * 3
    assert len({request.client for request in scripted.requests}) == 1


# --- Retry-After


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("86400", 300.0),
        ("1e300", 300.0),
        ("Fri, 02 Jan 2099 03:04:15 GMT", 300.0),
        ("Fri, 02 Jan 99999 03:04:15 GMT", None),
        ("nan", None),
        ("-5", 0.0),
        ("inf", None),
        ("\xff\xfe", None),
    ],
)
def test_no_retry_after_is_longer_than_the_ceiling(scripted: Scripted, asked: str, kept: float | None) -> None:
    def throttle(handler: Handler) -> None:
        handler.send_response(429)
        handler.send_header("Retry-After", asked)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    scripted.always = throttle
    with pytest.raises(ThrottledError) as caught:
        Transport("quay", scripted.url, attempts=1).get("/x")
    assert caught.value.retry_after == kept


def test_the_ceiling_of_retry_after_can_be_set(scripted: Scripted) -> None:
    scripted.always = (503, {"Retry-After": "3600"}, None)
    with pytest.raises(ServerUnavailableError) as caught:
        Transport("quay", scripted.url, attempts=1, max_retry_after=1800.0).get("/x")
    assert caught.value.retry_after == 1800.0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_vendor_that_asks_for_a_pause_over_the_deadline_gets_none(scripted: Scripted, method: str) -> None:
    scripted.always = (429, {"Retry-After": "25"}, None)
    transport = Transport("quay", scripted.url)
    transport.give_up_at = time.time() + 20.0
    with pytest.raises(ThrottledError):
        transport.request(method, "/x")
    assert len(scripted.requests) == 1


def test_a_vendor_that_asks_for_a_pause_before_the_deadline_gets_it(scripted: Scripted) -> None:
    scripted.script = [(429, {"Retry-After": "1"}, None)]
    scripted.always = OK
    transport = Transport("quay", scripted.url)
    transport.give_up_at = time.time() + 600.0
    assert transport.get("/x") == {"fine": True}


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf"), -1.0])
def test_no_error_asks_for_a_pause_that_nobody_can_make(wrong: float) -> None:
    error = ThrottledError("too many", retry_after=wrong)
    assert error.retry_after in (None, 0.0)


# --- after sending


@pytest.mark.parametrize("location", ["http://[", "http://[::1", "//[x]/"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_that_cannot_be_read_leaves_open_what_a_write_has_done(
    scripted: Scripted, status: int, location: str
) -> None:
    scripted.always = (status, {"Location": location.encode().decode("latin-1")}, None)
    with pytest.raises(ReleasePipelineError) as caught:
        Transport("quay", scripted.url, attempts=1).request("POST", "/start", body={})
    assert caught.value.effect is Effect.UNKNOWN
    assert len(scripted.requests) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\n{}",
        b"HTTP/1.1 99999 OK\r\n\r\n{}",
        b"HTTP/1.1 abc OK\r\n\r\n{}",
        b"HTTP/9.9 200 OK\r\n\r\n{}",
        b"nonsense",
        b"",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n{}",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nno header at all\r\n\r\n{",
        b"HTTP/1.1 200 \xff\xfe\r\nContent-Length: 1\r\n\r\n{",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
        b"HTTP/1.1 300 Choices\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 499 Gone\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Encoding: gzip\r\n\r\n\xff\xff\xff\xff",
    ],
)
def test_a_write_whose_answer_makes_no_sense_may_have_taken_effect(scripted: Scripted, raw: bytes) -> None:
    def answer(handler: Handler) -> None:
        handler.wfile.write(raw)
        handler.close_connection = True

    scripted.always = answer
    with pytest.raises(ReleasePipelineError) as caught:
        Transport("quay", scripted.url, attempts=3, timeout=5.0).request("POST", "/start", body={})
    assert caught.value.effect.is_open
    assert len(scripted.requests) == 1


def test_an_error_of_the_reading_itself_is_reported_without_what_was_read(scripted: Scripted) -> None:
    scripted.always = OK

    def broken(content: bytes) -> Any:
        raise KeyError(content.decode())

    transport = Transport("quay", scripted.url, attempts=1)
    with pytest.raises(UnexpectedResponseError, match="KeyError in ") as caught:
        transport.request("POST", "/start", body={}, decode=broken)
    assert caught.value.effect is Effect.UNKNOWN
    assert "fine" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("body", [{"a": {1, 2}}, {"a": float("nan")}, {"a": "\ud800"}, {"a": b"x"}])
def test_an_argument_that_json_cannot_say_is_refused_before_anything_is_sent(scripted: Scripted, body: Any) -> None:
    with pytest.raises(BadRequestError, match="an argument cannot be written as JSON") as caught:
        Transport("quay", scripted.url).request("POST", "/start", body=body)
    assert caught.value.effect is Effect.REFUSED
    assert not scripted.requests


# --- what comes in


def test_what_airflow_cannot_store_is_cleaned_out_of_every_answer(scripted: Scripted) -> None:
    scripted.always = (200, {}, rb'{"\u0000": "a\u0000b\ud800", "n": NaN, "big": 123456789012345678901, "inf": 1e999}')
    cleaned = {"\ufffd": "a\ufffdb\ufffd", "n": None, "big": "123456789012345678901", "inf": None}
    assert Transport("quay", scripted.url).get("/x") == cleaned


def test_texts_of_errors_are_short_clean_and_without_secrets(scripted: Scripted) -> None:
    long = "x" * 10_000
    scripted.always = (
        400,
        {},
        {"code": f"E\0 hunter22-long {long}", "message": f"a\0 token=abc {long}", "requestId": f"hunter22-long {long}"},
    )
    transport = Transport("quay", scripted.url)
    transport.redact.add("hunter22-long")
    with pytest.raises(BadRequestError) as caught:
        transport.get("/x")
    error = caught.value
    assert len(str(error)) < 1500
    assert "\0" not in f"{error.code}{error.message}{error.request_id}"
    assert "hunter22" not in str(error)
    assert "abc" not in str(error)


def test_a_request_id_in_a_header_is_masked_and_short(scripted: Scripted) -> None:
    scripted.always = (400, {"X-Request-Id": "hunter22-long " + "x" * 9000}, None)
    transport = Transport("quay", scripted.url)
    transport.redact.add("hunter22-long")
    with pytest.raises(BadRequestError) as caught:
        transport.get("/x")
    assert (caught.value.request_id or "").startswith("*** x")
    assert len(caught.value.request_id or "") <= 200


def test_an_answer_does_not_repeat_the_connections_credentials_but_a_login_may(scripted: Scripted) -> None:
    scripted.always = (200, {}, {"echo": "got Bearer hunter22-long", "plain": "x"})
    transport = Transport("quay", scripted.url)
    transport.auth = HeaderAuth("Authorization", "Bearer hunter22-long")
    transport.redact.add("hunter22-long")
    assert transport.get("/x") == {"echo": "got Bearer ***", "plain": "x"}
    assert transport.get("/login", auth=NoAuth())["echo"] == "got Bearer hunter22-long"


# --- lists without end


def code_stream(scripted: Scripted) -> CodeStreamClient:
    return CodeStreamClient(scripted.url, refresh_token="refresh-token-1", attempts=1)


def service_stage(scripted: Scripted) -> ServiceStageClient:
    return ServiceStageClient(scripted.url, access_key="AK", secret_key="the-secret-key", project_id="project-1")


def page_of(*ids: str, total: int | None) -> dict[str, Any]:
    links = [f"/codestream/api/pipelines/{each}" for each in ids]
    return {"links": links, "documents": {link: {"id": link[-1]} for link in links}, "totalCount": total}


@pytest.mark.parametrize("total", [500, None])
def test_a_server_that_repeats_a_page_is_recognized(scripted: Scripted, total: int | None) -> None:
    ids = [f"p{number}" for number in range(100)]
    scripted.script = [(200, {}, {"token": "bearer-1"})]
    scripted.always = (200, {}, page_of(*ids, total=total))
    with pytest.raises(UnexpectedResponseError, match="same page again"):
        code_stream(scripted).pipelines.list()
    assert len(scripted.requests) == 3


def test_a_list_that_never_ends_is_given_up(scripted: Scripted, mocker: MockerFixture) -> None:
    mocker.patch("airflow_provider.clients.listing.MOST_PAGES", 5)
    scripted.script = [(200, {}, {"token": "bearer-1"})]
    scripted.always = lambda request: (200, {}, page_of(request.query["$skip"], total=10**9))
    with pytest.raises(UnexpectedResponseError, match="did not end"):
        code_stream(scripted).pipelines.list()
    assert len(scripted.requests) == 6


def quay(scripted: Scripted) -> QuayClient:
    return QuayClient(scripted.url, token="x" * 40)


def big_pipelines(request: Received) -> Reply:
    if request.method == "POST":
        return 200, {}, {"token": "bearer-1"}
    page = page_of(request.query["$skip"], total=10**9)
    return 200, {}, {**page, "filling": "x" * MB}


def big_tags(request: Received) -> Reply:
    tag = {"name": f"t{request.query['page']}", "manifest_digest": "sha256:a", "start_ts": 1, "filling": "x" * MB}
    return 200, {}, {"tags": [tag], "has_additional": True}


def big_repositories(request: Received) -> Reply:
    repository = {"name": f"r{request.query.get('next_page')}", "filling": "x" * MB}
    return 200, {}, {"repositories": [repository], "next_page": f"{request.query.get('next_page')}x"}


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        (big_pipelines, lambda server: code_stream(server).pipelines.list()),
        (big_tags, lambda server: quay(server).tags.list("acme/shop")),
        (big_repositories, lambda server: quay(server).repositories.list("acme")),
    ],
)
def test_all_pages_of_a_list_have_a_limit_together(
    scripted: Scripted, mocker: MockerFixture, answer: Callable[[Received], Reply], read: Callable[[Scripted], object]
) -> None:
    mocker.patch("airflow_provider.clients.listing.LARGEST_LIST", 3 * MB)
    mocker.patch("airflow_provider.clients.listing.MOST_PAGES", 20)
    scripted.always = answer
    with pytest.raises(EndlessListError, match="3 MB"):
        read(scripted)
    assert len([each for each in scripted.requests if each.method == "GET"]) == 3


def test_the_texts_of_an_execution_are_short_and_show_no_secret(scripted: Scripted) -> None:
    long = "x" * 50_000
    scripted.script = [(200, {}, {"token": "bearer-1"})]
    scripted.always = (
        200,
        {},
        {
            "id": "x-1",
            "status": f"FAILED{long}",
            "statusMessage": f"password=abcdef {long}",
            "output": {"echo": "refresh-token-1"},
            "stages": {
                f"S{long}": {"tasks": {"T": {"status": "FAILED", "failureMessage": f"https://u:abcdef@h {long}"}}}
            },
        },
    )
    seen = code_stream(scripted).observe({"system": "code_stream", "kind": "execution", "id": "x-1"})
    assert len(repr(seen)) < 10_000
    assert "abcdef" not in repr(seen)
    assert seen.outputs == {"echo": "***"}


def test_the_outputs_of_an_execution_are_no_larger_than_airflow_can_hand_on(scripted: Scripted) -> None:
    scripted.script = [(200, {}, {"token": "bearer-1"})]
    output = {"image": "shop:1", "log": "x" * 2 * MB, "all": list(range(100_000))}
    scripted.always = (200, {}, {"id": "x-1", "status": "COMPLETED", "output": output})
    seen = code_stream(scripted).observe({"system": "code_stream", "kind": "execution", "id": "x-1"})
    assert seen.outputs == {"image": "shop:1", "log": "... (too large)", "all": "... (too large)"}


def test_what_a_wait_keeps_of_an_execution_that_is_not_over_is_small(scripted: Scripted) -> None:
    tasks = {f"T{number}": {"status": "FAILED", "failureMessage": "x" * 5000} for number in range(2000)}
    document = {"id": "x-1", "status": "RUNNING", "output": {"image": "shop:1", "log": "x" * 200_000}}
    scripted.script = [(200, {}, {"token": "bearer-1"})]
    scripted.always = (200, {}, {**document, "stages": {"S": {"tasks": tasks}}})
    seen = code_stream(scripted).observe({"system": "code_stream", "kind": "execution", "id": "x-1"})
    assert seen.outputs == {"image": "shop:1", "log": "... (too large)"}
    assert 50 < len(seen.steps) <= 1000
    assert len(repr(seen)) < 300_000


def test_of_very_many_steps_that_say_little_the_first_ones_are_kept(scripted: Scripted) -> None:
    tasks = {f"T{number}": {"status": "RUNNING"} for number in range(2000)}
    scripted.script = [(200, {}, {"token": "bearer-1"})]
    scripted.always = (200, {}, {"id": "x-1", "status": "RUNNING", "stages": {"S": {"tasks": tasks}}})
    seen = code_stream(scripted).observe({"system": "code_stream", "kind": "execution", "id": "x-1"})
    assert len(seen.steps) == MOST_STEPS


def test_a_long_url_is_not_remembered(scripted: Scripted, mocker: MockerFixture) -> None:
    scripted.always = OK
    transport = Transport("quay", scripted.url, attempts=1)
    prepared = mocker.spy(requests.PreparedRequest, "prepare_url")
    for length, prepared_times in ((10, 1), (5000, 1 + 2)):
        transport.get("/" + "x" * length)
        transport.get("/" + "x" * length)
        assert prepared.call_count == prepared_times


def test_the_outputs_of_an_execution_are_cleaned_once_and_not_in_an_event_loop(scripted: Scripted) -> None:
    scripted.script = [(200, {}, {"token": "bearer-1"})]
    scripted.always = (200, {}, {"id": "x-1", "status": "COMPLETED", "output": {"all": list(range(9000))}})
    ref = {"system": "code_stream", "kind": "execution", "id": "x-1"}
    seen = code_stream(scripted).observe(ref)
    outcome = Wait(ref, 10.0).update(seen, 1.0)
    assert outcome
    assert outcome.to_event()["execution"]["outputs"]["all"] is seen.outputs["all"]
    assert type(outcome.to_event()["execution"]["outputs"]) is dict


def test_of_a_very_long_log_the_end_is_read(scripted: Scripted) -> None:
    one = "\n".join(f"line {number}" for number in range(50_000))
    scripted.always = (200, {}, {"start": 0, "total": 2, "logs": [{"message": "x\n" * 200_000}, {"message": one}]})
    client = QuayClient(scripted.url, token="the-quay-token", attempts=1)
    lines, offset = client.waits.read_log(
        {"system": "quay", "kind": "build", "id": "b-1", "repository": "acme/shop"}, 0
    )
    assert (len(lines), lines[-1], offset) == (MOST_LOG_LINES, "line 49999", 2)


def test_an_answer_about_another_execution_is_none(scripted: Scripted) -> None:
    scripted.script = [(200, {}, {"token": "bearer-1"})]
    scripted.always = (200, {}, {"id": "y-2", "status": "COMPLETED", "phase": "complete", "tags": ["1"]})
    stream, quay = code_stream(scripted), QuayClient(scripted.url, token="the-quay-token", attempts=1)
    for client, ref in (
        (stream, {"system": "code_stream", "kind": "execution", "id": "x-1"}),
        (stream, {"system": "code_stream", "kind": "approval", "id": "x-1"}),
        (quay, {"system": "quay", "kind": "build", "id": "x-1", "repository": "acme/shop"}),
    ):
        with pytest.raises(UnexpectedResponseError, match=r"must be .* x-1, got y-2"):
            client.observe(ref)


def test_an_execution_has_an_id_of_some_length(scripted: Scripted) -> None:
    scripted.script = [(200, {}, {"token": "bearer-1"})]
    scripted.always = (202, {}, {"executionId": "x" * MB, "id": "x" * MB, "phase": "waiting", "tags": ["1"]})
    quay = QuayClient(scripted.url, token="the-quay-token", attempts=1)
    stage = service_stage(scripted)
    for start in (
        lambda: code_stream(scripted).pipelines.run("p-1"),
        lambda: stage.releases.act("p-1", "start", before={"status_before": "2"}),
        lambda: quay.builds.start("acme/shop", archive_url="https://host/a.tgz", tags=["1"]),
    ):
        with pytest.raises(UnexpectedResponseError, match=r"usable|that can be used") as caught:
            start()
        assert caught.value.effect is Effect.UNKNOWN


def test_an_error_that_names_what_there_is_is_short(scripted: Scripted) -> None:
    scripted.always = (200, {}, {"pipelines": [{"id": str(n), "name": f"{n}{'x' * MB}"} for n in range(4)]})
    with pytest.raises(NotFoundError, match="there are 0x") as caught:
        service_stage(scripted).release_tasks.find("shop")
    assert len(str(caught.value)) < 5000


def test_the_lines_of_a_log_are_short_and_show_no_secret(scripted: Scripted) -> None:
    line = "git clone https://user:abcdef@host/x with the-quay-token " + "x" * 50_000
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEabcdef\n-----END RSA PRIVATE KEY-----"
    logs = [{"message": line}, {"message": "token=abcdef"}, {"message": key}]
    scripted.always = (200, {}, {"start": 0, "total": 1, "logs": logs})
    client = QuayClient(scripted.url, token="the-quay-token", attempts=1)
    ref = {"system": "quay", "kind": "build", "id": "b-1", "repository": "acme/shop"}
    lines, offset = client.waits.read_log(ref, 0)
    assert (len(lines), offset) == (5, 1)
    assert all(len(each) <= 4000 for each in lines)
    assert "abcdef" not in "".join(lines)
    assert "the-quay-token" not in "".join(lines)
