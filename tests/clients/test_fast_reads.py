"""A read goes the short way: the server and the caller see no difference, and no connection is lost on it."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests
from pytest_mock import MockerFixture

from airflow_provider.clients import retries
from airflow_provider.clients.auth import HeaderAuth
from airflow_provider.clients.reading import ENCODINGS
from airflow_provider.clients.session import USER_AGENT
from airflow_provider.clients.transport import Transport
from airflow_provider.exceptions import ServerUnavailableError
from tests.support.scripted import Handler, Reply, Scripted

OK: Reply = (200, {"X-Told": "yes"}, {"fine": True})


def slow_drip(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b" ")
        time.sleep(0.05)
    handler.close_connection = True


def cut_off(handler: Handler) -> None:
    handler.send(200, {"Content-Length": "200"}, "{")
    handler.close_connection = True


def reset(handler: Handler) -> None:
    handler.reset()


@pytest.mark.parametrize(
    "path", ["/x", "/a%2Fb/c%20d?q=%C3%BC%26&r=1", "/ä/b c?d=e f", "/%7Ename/%zz", "/x?a=b&a=c#part", "", "?only=this"]
)
def test_the_server_sees_the_very_request_that_requests_would_send(scripted: Scripted, path: str) -> None:
    scripted.always = OK
    transport = Transport("quay", scripted.url, headers={"X-Own": "1", "accept": "text/plain"})
    transport.auth = HeaderAuth("Authorization", "Bearer token")
    transport.request("GET", path, headers={"x-own": "2"})
    session = requests.Session()
    session.headers.update(
        {"User-Agent": USER_AGENT, "accept": "text/plain", "Accept-Encoding": ENCODINGS, "X-Own": "1"}
    )
    session.get(scripted.url + path, headers={"x-own": "2"}, auth=transport.auth)
    short, long = scripted.requests
    assert (short.method, short.target, short.headers) == (long.method, long.target, long.headers)


def test_answer_and_headers_are_returned_as_ever(scripted: Scripted) -> None:
    scripted.always = OK
    answer = Transport("quay", scripted.url).request("GET", "/x")
    assert (answer.data, answer.headers["x-told"], answer.headers["X-Told"]) == ({"fine": True}, "yes", "yes")


def test_a_read_through_a_proxy_goes_through_the_proxy(scripted: Scripted, mocker: MockerFixture) -> None:
    scripted.always = OK
    mocker.patch.dict(os.environ, {"http_proxy": scripted.url})
    mocker.patch.dict(os.environ)
    os.environ.pop("no_proxy", None)
    mocker.patch.dict(os.environ)
    os.environ.pop("NO_PROXY", None)
    assert Transport("quay", "http://quay.invalid").get("/x") == {"fine": True}
    assert [request.target for request in scripted.requests] == ["http://quay.invalid/x"]


def test_after_any_trouble_the_one_connection_can_be_used_again(scripted: Scripted) -> None:
    transport = Transport("quay", scripted.url, max_connections=1, timeout=1.5, attempts=1)
    for trouble in (slow_drip, cut_off, reset):
        scripted.script = [trouble]
        with pytest.raises(ServerUnavailableError):
            transport.get("/x")
        scripted.script = [OK]
        assert transport.get("/x") == {"fine": True}


def test_a_closed_transport_keeps_no_connection(scripted: Scripted) -> None:
    is_over = threading.Event()

    def answer_and_wait_for_the_end(handler: Handler) -> None:
        handler.send(*OK)
        handler.close_connection = True
        with suppress(OSError):
            handler.connection.recv(1)
        is_over.set()

    scripted.always = answer_and_wait_for_the_end
    transport = Transport("quay", scripted.url)
    assert transport.get("/x") == {"fine": True}
    assert not is_over.is_set()
    transport.close()
    assert is_over.wait(60)
    scripted.always = OK
    assert transport.get("/x") == {"fine": True}


def test_what_the_thread_has_sent_is_counted_repetitions_and_all(scripted: Scripted, mocker: MockerFixture) -> None:
    mocker.patch.object(retries, "FIRST_PAUSE", 0.01)
    transport = Transport("quay", scripted.url)
    scripted.script = [(503, {}, None), (503, {}, None), OK, OK]
    transport.get("/x")
    assert transport.sent == 3
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(lambda: (transport.get("/x"), transport.sent)[1]).result() == 1
    assert transport.sent == 3
