"""The shared transport over real sockets: what is repeated, what an answer means, what never leaks."""

from __future__ import annotations

import os
import pickle
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, formatdate
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients import retries
from airflow_provider.clients.auth import HeaderAuth, NoAuth, TokenAuth
from airflow_provider.clients.login import Token
from airflow_provider.clients.redaction import Redactor
from airflow_provider.clients.transport import Transport
from airflow_provider.clients.urls import path, query
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    Effect,
    ExecutionCanceled,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)
from bench.certificates import Certificates
from tests.support.scripted import Handler, Received, Reply, Scripted

OK: Reply = (200, {}, {"fine": True})
HTML = "<!DOCTYPE html><html><body>Sign in</body></html>"


@pytest.fixture(autouse=True)
def _short_pauses(mocker: MockerFixture) -> None:
    mocker.patch.object(retries, "FIRST_PAUSE", 0.01)


def reset_before(handler: Handler) -> None:
    handler.reset()


def truncated(handler: Handler) -> None:
    handler.send(200, {"Content-Length": "200"}, '{"fine": ')
    handler.close_connection = True


def chunked_and_cut(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b'9\r\n{"fine": \r\n')
    handler.close_connection = True


BROKEN = {
    "reset": reset_before,
    "truncated": truncated,
    "chunks cut off": chunked_and_cut,
    "broken JSON": (200, {}, '{"fine": '),
    "not UTF-8": (200, {}, b'{"fine": "\xff\xfe"}'),
    "an HTML page": (200, {"Content-Type": "text/html"}, HTML),
    "500": (500, {}, {"message": "oops"}),
    "502 as HTML": (502, {}, "<html>bad gateway</html>"),
    "503 empty": (503, {}, None),
    "504": (504, {}, None),
}


@pytest.mark.parametrize("broken", [*BROKEN.values(), (200, {}, None)], ids=[*BROKEN, "200 empty"])
def test_a_read_is_repeated_after_a_broken_answer(scripted: Scripted, broken: Any) -> None:
    scripted.script = [broken, broken, OK]
    assert Transport("quay", scripted.url).get("/x") == {"fine": True}
    assert len(scripted.requests) == 3


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_write_whose_answer_is_broken_is_sent_once_and_may_have_taken_effect(
    scripted: Scripted, broken: Any, method: str
) -> None:
    scripted.script = [broken]
    with pytest.raises((ServerUnavailableError, UnexpectedResponseError)) as caught:
        Transport("quay", scripted.url).request(method, "/x", body={})
    # Behind a gateway that gave up, the server may still be at work.
    assert caught.value.effect is (Effect.LATE if caught.value.status in (502, 504) else Effect.UNKNOWN)
    assert caught.value.effect.is_open
    assert len(scripted.requests) == 1


def test_reads_stop_after_the_attempts_that_were_asked_for(scripted: Scripted) -> None:
    scripted.always = (503, {}, None)
    with pytest.raises(ServerUnavailableError):
        Transport("quay", scripted.url, attempts=3).get("/x")
    assert len(scripted.requests) == 3
    with pytest.raises(ServerUnavailableError):
        Transport("quay", scripted.url, attempts=3).get("/x", attempts=1)
    assert len(scripted.requests) == 4


def test_a_refused_connection_is_tried_again_even_for_a_write() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    transport = Transport("quay", f"http://127.0.0.1:{port}", attempts=2)
    with pytest.raises(ServerUnavailableError, match="Connection refused") as caught:
        transport.request("POST", "/x", body={})
    assert caught.value.effect is Effect.NONE
    assert (caught.value.system, caught.value.method, caught.value.path) == ("quay", "POST", "/x")


def test_a_write_that_a_proxy_took_is_not_sent_again(scripted: Scripted, mocker: MockerFixture) -> None:
    mocker.patch.dict(os.environ, {"http_proxy": scripted.url})
    mocker.patch.dict(os.environ)
    os.environ.pop("no_proxy", None)
    mocker.patch.dict(os.environ)
    os.environ.pop("NO_PROXY", None)
    scripted.always = reset_before
    with pytest.raises(ServerUnavailableError) as caught:
        Transport("quay", "http://api.invalid", attempts=3).request("POST", "/start", body={})
    assert caught.value.effect is Effect.UNKNOWN
    assert [request.target for request in scripted.requests] == ["http://api.invalid/start"]


def test_a_proxy_that_is_not_there_is_tried_again_even_for_a_write(mocker: MockerFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    mocker.patch.dict(os.environ, {"http_proxy": f"http://127.0.0.1:{port}"})
    mocker.patch.dict(os.environ)
    os.environ.pop("no_proxy", None)
    mocker.patch.dict(os.environ)
    os.environ.pop("NO_PROXY", None)
    with pytest.raises(ServerUnavailableError) as caught:
        Transport("quay", "http://api.invalid", attempts=2).request("POST", "/start", body={})
    assert caught.value.effect is Effect.NONE


def test_a_host_that_nobody_knows_is_an_error_without_effect() -> None:
    transport = Transport("quay", "http://no-such-host.invalid", attempts=1)
    with pytest.raises(ServerUnavailableError, match=r"no-such-host\.invalid") as caught:
        transport.request("POST", "/x", body={})
    assert caught.value.effect is Effect.NONE


def test_429_is_waited_out_as_asked_and_then_even_a_write_is_repeated(scripted: Scripted) -> None:
    scripted.script = [(429, {"Retry-After": "0.3"}, {"message": "slow down"}), (201, {}, {"id": 1})]
    before = time.monotonic()
    assert Transport("quay", scripted.url).request("POST", "/x", body={"a": 1}).data == {"id": 1}
    assert time.monotonic() - before >= 0.3
    assert [request.json for request in scripted.requests] == [{"a": 1}, {"a": 1}]


def test_a_date_in_retry_after_is_understood(scripted: Scripted) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=100)
    scripted.always = (429, {"Retry-After": format_datetime(moment, usegmt=True)}, None)
    with pytest.raises(ThrottledError) as caught:
        Transport("quay", scripted.url).get("/x")
    assert 95 < (caught.value.retry_after or 0) <= 100
    assert len(scripted.requests) == 1, "a pause that long is left to the caller"


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("-3", 0.0),
        ("nan", None),
        ("1e999", None),
        ("1e300", 1e300),
        ("-inf", None),
        (b"7", 7.0),
        (b"\xff\x00", None),
        ("\u0664\u0662", 42.0),
        ("Fri, 02 Jan 99999 03:04:15 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
        ("-" * 9999, None),
        ("soon", None),
        ("Fri, 02 Jan 2026 03:04:15 GMT", 10.0),
        ("Fri, 02 Jan 2026 03:04:15 -0000", 10.0),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0),
        ("Fri, 99 Jan 2026 03:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_nonsense_is_ignored(header: str | None, seconds: float | None) -> None:
    assert retries.parse_retry_after(header, NOW) == seconds


@pytest.mark.parametrize(
    ("body", "effect"),
    [
        (HTML, Effect.NONE),
        ("404 page not found", Effect.NONE),
        (None, Effect.REFUSED),
        ({"message": "no execution 7"}, Effect.REFUSED),
    ],
)
def test_what_a_gateway_does_not_find_may_be_there(scripted: Scripted, body: Any, effect: Effect) -> None:
    scripted.script = [(404, {}, body)]
    with pytest.raises(NotFoundError) as caught:
        Transport("quay", scripted.url).request("GET", "/a/b")
    assert caught.value.effect is effect


@pytest.mark.parametrize(
    ("status", "cause", "effect"),
    [
        (400, BadRequestError, Effect.REFUSED),
        (401, AuthenticationError, Effect.NONE),
        (403, PermissionDeniedError, Effect.REFUSED),
        (404, NotFoundError, Effect.REFUSED),
        (409, ConflictError, Effect.REFUSED),
        (422, BadRequestError, Effect.REFUSED),
        (500, ServerUnavailableError, Effect.UNKNOWN),
        (304, UnexpectedResponseError, Effect.UNKNOWN),
    ],
)
@pytest.mark.parametrize("body", [None, HTML, '{"cut', {"message": "because", "requestId": "r-1", "errorCode": 7}])
def test_a_status_decides_the_cause_whatever_the_body(
    scripted: Scripted, status: int, cause: type[ReleasePipelineError], effect: Effect, body: Any
) -> None:
    if status == 304:
        body = None
    scripted.script = [(status, {}, body)]
    with pytest.raises(cause) as caught:
        Transport("quay", scripted.url).request("POST", "/a/b?secret=1", body={})
    error = caught.value
    assert type(error) is cause
    assert (error.effect, error.status, error.path, error.method) == (effect, status, "/a/b", "POST")
    if isinstance(body, dict):
        assert (error.message, error.request_id, error.code) == ("because", "r-1", "7")
    assert "html" not in (error.message or "")
    same = pickle.loads(pickle.dumps(error))
    assert (str(same), same.effect, same.status) == (str(error), error.effect, error.status)


def test_an_empty_answer_to_a_write_is_no_error_of_the_transport(scripted: Scripted) -> None:
    scripted.script = [(204, {}, None), (200, {}, "  \n")]
    transport = Transport("quay", scripted.url)
    assert transport.request("DELETE", "/x").data is None
    assert transport.request("POST", "/x").data is None


def test_an_empty_answer_to_a_read_is_one_only_where_a_text_is_expected(scripted: Scripted) -> None:
    scripted.always = (200, {}, "  \n")
    transport = Transport("quay", scripted.url, attempts=1)
    with pytest.raises(UnexpectedResponseError, match="empty"):
        transport.get("/x")
    assert transport.get("/x", json_expected=False) is None


def test_a_list_can_be_decoded_into_just_the_fields_that_are_needed(scripted: Scripted) -> None:
    class Row(msgspec.Struct):
        name: str

    decode = msgspec.json.Decoder(list[Row]).decode
    scripted.script = [(200, {}, [{"name": "a", "fat": "x" * 1000}]), *[(200, {}, [{"fat": 1}])] * 2]
    transport = Transport("quay", scripted.url, attempts=1)
    assert transport.request("GET", "/x", decode=decode).data == [Row("a")]
    with pytest.raises(UnexpectedResponseError):
        transport.request("GET", "/x", decode=decode)


def test_a_slow_answer_ends_at_the_time_limit_although_packets_keep_coming(scripted: Scripted) -> None:
    def drip(handler: Handler) -> None:
        handler.send(200, {"Content-Length": "10000"}, b"{")
        with suppress(OSError):
            for _ in range(300):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.1)

    scripted.script = [drip]
    before = time.monotonic()
    with pytest.raises(ServerUnavailableError, match=r"within 0\.4 s"):
        Transport("quay", scripted.url, timeout=0.4, attempts=1).get("/x")
    assert time.monotonic() - before < 15


def test_a_silent_server_is_given_up_and_a_write_is_not_repeated(scripted: Scripted) -> None:
    release = threading.Event()

    def silent(handler: Handler) -> None:
        release.wait(5)
        handler.close_connection = True

    scripted.script = [silent]
    with pytest.raises(ServerUnavailableError, match=r"within 0\.3 s") as caught:
        Transport("quay", scripted.url, timeout=0.3).request("POST", "/x", body={})
    release.set()
    assert caught.value.effect is Effect.LATE, "it may yet take effect"
    assert len(scripted.requests) == 1


def test_certificates_are_checked_unless_verify_is_false(scripted: Scripted, certificates: Certificates) -> None:
    scripted.use_tls(certificates.server)
    scripted.always = OK
    with pytest.raises(ServerUnavailableError, match="extra `verify`") as caught:
        Transport("quay", scripted.url, attempts=1).request("POST", "/x", body={})
    assert caught.value.effect is Effect.NONE
    assert "unable to get local issuer certificate" in str(caught.value)
    assert Transport("quay", scripted.url, verify=str(certificates.bundle)).get("/x") == {"fine": True}
    assert len(scripted.requests) == 1


def test_a_connection_that_checks_no_certificate_says_so_once(
    scripted: Scripted,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    scripted.use_tls(certificates.server)
    scripted.always = OK
    transport = Transport("quay", scripted.url, verify=False)
    assert [transport.get("/x"), transport.request("POST", "/x", body={}).data] == [{"fine": True}] * 2
    assert [record.message for record in caplog.records if "certificates" in record.message] == [
        "quay: certificates are not checked (the connection's extra `verify` is false)"
    ]
    assert not recwarn.list


@pytest.mark.parametrize("spoken", ["https to an http port", "a connection that ends in the handshake"])
def test_a_failure_inside_tls_is_an_error_by_cause(scripted: Scripted, spoken: str) -> None:
    if spoken.startswith("https"):
        url = scripted.url.replace("http", "https")
        with pytest.raises(ServerUnavailableError):
            Transport("quay", url, attempts=1).get("/x")
        return
    with socket.create_server(("127.0.0.1", 0)) as server:
        accept = threading.Thread(target=lambda: server.accept()[0].close())
        accept.start()
        with pytest.raises(ServerUnavailableError):
            Transport("quay", f"https://127.0.0.1:{server.getsockname()[1]}", attempts=1).get("/x")
        accept.join(5)


@pytest.mark.parametrize(
    ("base_url", "options", "words"),
    [
        ("vra.example.com", {}, "URL"),
        ("ftp://vra.example.com", {}, "URL"),
        ("http://", {}, "URL"),
        ("http://127.0.0.1:notaport", {}, "URL"),
        ("https://127.0.0.1", {"verify": "/no/such/bundle.pem"}, "verify"),
        ("http://127.0.0.1", {"headers": {"X-Tenant": "a\nb"}}, "header"),
    ],
)
def test_unusable_settings_are_named(base_url: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequestError, match=words):
        Transport("quay", base_url, attempts=1, **options).get("/x")


@pytest.mark.parametrize("secret", ["sécret\u4e2dtoken", "secret\ntoken", "secret\r\nX-Injected: 1"])
def test_credentials_that_no_header_can_hold_are_refused_without_being_shown(scripted: Scripted, secret: str) -> None:
    transport = Transport("quay", scripted.url, attempts=1)
    transport.auth = HeaderAuth("Authorization", f"Bearer {secret}")
    with pytest.raises(BadRequestError, match="header") as caught:
        transport.get("/x")
    assert "cret" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert scripted.requests == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_redirect_to_another_host_is_refused(scripted: Scripted, status: int, method: str) -> None:
    scripted.always = (status, {"Location": "http://user:hidden@elsewhere.invalid/login?next=/x"}, None)
    transport = Transport("quay", scripted.url, attempts=1)
    with pytest.raises(UnexpectedResponseError, match=r"http://elsewhere\.invalid/login") as caught:
        transport.request(method, "/x", body={} if method == "POST" else None)
    assert len(scripted.requests) == 1
    page_after_the_effect = method == "POST" and status in (301, 302, 303)
    assert caught.value.effect is (Effect.UNKNOWN if page_after_the_effect else Effect.REFUSED)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_on_the_same_host_is_followed_where_the_method_stays(scripted: Scripted, status: int) -> None:
    transport = Transport("quay", scripted.url, attempts=1)
    transport.auth = HeaderAuth("Authorization", "Bearer abc")
    scripted.script = [(status, {"Location": "/y?b=2"}, None), OK]
    assert transport.get("/x") == {"fine": True}
    assert scripted.requests[1].target == "/y?b=2"
    assert scripted.requests[1].headers["Authorization"] == "Bearer abc"

    scripted.script = [(status, {"Location": "/y"}, None), OK]
    if status in (307, 308):
        transport.request("POST", "/x", body={"a": "é"})
        assert scripted.requests[-1].method == "POST"
        assert scripted.requests[-1].json == {"a": "é"}
    else:
        with pytest.raises(UnexpectedResponseError, match="redirect"):
            transport.request("POST", "/x", body={"a": "é"})


def test_a_redirect_in_a_circle_ends(scripted: Scripted) -> None:
    scripted.always = (302, {"Location": "/x"}, None)
    with pytest.raises(UnexpectedResponseError):
        Transport("quay", scripted.url, attempts=1).get("/x")
    assert len(scripted.requests) == 4


@pytest.mark.parametrize(
    ("template", "values", "written"),
    [
        ("/pipelines/{id}", {"id": "a b/ü?#%"}, "/pipelines/a%20b%2F%C3%BC%3F%23%25"),
        ("/repository/{+name}/tag/{tag}", {"name": "acme/a b", "tag": "1~2"}, "/repository/acme/a%20b/tag/1~2"),
        ("/tasks/{id}", {"id": "x~0.0"}, "/tasks/x~0.0"),
        ("/tasks/{id}", {"id": 7}, "/tasks/7"),
        ("/tasks/{id}", {"id": "%2F"}, "/tasks/%252F"),
    ],
)
def test_values_are_escaped_in_paths_and_arrive_so(
    scripted: Scripted, template: str, values: dict[str, Any], written: str
) -> None:
    scripted.always = OK
    assert path(template, **values) == written
    Transport("quay", scripted.url).get(path(template, **values))
    assert scripted.requests[0].target == written


@pytest.mark.parametrize("bad", ["", " ", ".", "..", None])
def test_a_value_that_would_reach_another_path_is_refused(bad: Any) -> None:
    with pytest.raises(BadRequestError, match="id"):
        path("/pipelines/{id}", id=bad)
    with pytest.raises(BadRequestError, match="name"):
        path("/repository/{+name}", name=f"acme/{bad or ''}")


def test_queries_are_written_for_servers_that_take_no_plus_for_a_blank(scripted: Scripted) -> None:
    scripted.always = OK
    params = {"$filter": "name eq 'a+b & c'", "expand": None, "deep": True, "tag": ["x", "y"], "top": 5}
    assert query(params) == "$filter=name%20eq%20%27a%2Bb%20%26%20c%27&deep=true&tag=x&tag=y&top=5"
    Transport("quay", scripted.url).get("/x", params)
    assert scripted.requests[0].target == f"/x?{query(params)}"
    assert scripted.requests[0].query["$filter"] == "name eq 'a+b & c'"


def test_secrets_are_masked_by_value_and_by_name() -> None:
    passed_on: list[str] = []
    redact = Redactor(passed_on.append)
    for secret in ("hunter22", "hunter22-longer", "hunter22", "abc", None):
        redact.add(secret)
    assert passed_on == ["hunter22", "hunter22-longer"]
    text = (
        'bad hunter22-longer or hunter22; {"refreshToken": "r1 r2", "password":"p"} token=t1&x=1 '
        "Authorization: Bearer b.c-d_e; responderToken: 'q'; Invalid Oauth Refresh token. Verify "
        "https://robot:letmein@host/x; SDK-HMAC-SHA256 Access=AKEXAMPLE0000, SignedHeaders=host, Signature=abcdef01"
    )
    masked = redact(text)
    for secret in ("hunter22", "longer", "r1", '"p"', "t1", "b.c-d_e", "'q'", "letmein", "EXAMPLE0000", "abcdef01"):
        assert secret not in masked
    assert "Invalid Oauth Refresh token. Verify" in masked
    assert "x=1" in masked


def test_no_secret_reaches_an_error(scripted: Scripted) -> None:
    body = {"message": "bad token topsecret1; refresh_token=topsecret2", "code": "E1"}
    scripted.always = (400, {}, body)
    transport = Transport("quay", scripted.url)
    transport.redact.add("topsecret1")
    with pytest.raises(BadRequestError) as caught:
        transport.request("POST", "/hooks/topsecret1?token=topsecret2", body={"password": "topsecret2"})
    shown = f"{caught.value} {caught.value.__dict__}"
    assert "topsecret" not in shown
    assert "E1" in shown


class CountingLogin(TokenAuth):
    lifetime = 3600.0

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport.redact)
        self.logins = 0

    def login(self) -> Token:
        self.logins += 1
        time.sleep(0.05)
        return Token(f"token-{self.logins}", time.time() + self.lifetime)


def only(token: str) -> Any:
    def answer(request: Received) -> Reply:
        return OK if request.headers.get("Authorization") == f"Bearer {token}" else (401, {}, None)

    return answer


def test_many_threads_share_one_login_and_one_renewal(scripted: Scripted) -> None:
    transport = Transport("quay", scripted.url, max_connections=8)
    transport.auth = login = CountingLogin(transport)
    with ThreadPoolExecutor(16) as threads:
        scripted.always = only("token-1")
        assert list(threads.map(lambda _: transport.get("/x"), range(40))) == [{"fine": True}] * 40
        assert login.logins == 1
        scripted.always = only("token-2")
        assert list(threads.map(lambda _: transport.get("/x"), range(40))) == [{"fine": True}] * 40
    assert login.logins == 2


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_second_401_in_a_row_fails(scripted: Scripted, method: str) -> None:
    scripted.always = (401, {}, None)
    transport = Transport("quay", scripted.url)
    transport.auth = login = CountingLogin(transport)
    with pytest.raises(AuthenticationError):
        transport.request(method, "/x")
    assert (len(scripted.requests), login.logins) == (2, 2)


def test_a_request_has_its_whole_time_again_after_a_login(scripted: Scripted) -> None:
    def slow(request: Received) -> Reply:
        time.sleep(1.2)
        return only("token-2")(request)

    scripted.always = slow
    transport = Transport("quay", scripted.url, attempts=1, timeout=2.0)
    transport.auth = CountingLogin(transport)
    assert transport.get("/x") == {"fine": True}


def test_a_token_that_ends_behind_a_redirect_is_renewed_too(scripted: Scripted) -> None:
    scripted.script = [(307, {"Location": "/y"}, None), (401, {}, None), OK]
    transport = Transport("quay", scripted.url)
    transport.auth = login = CountingLogin(transport)
    assert transport.get("/x") == {"fine": True}
    assert login.logins == 2


@pytest.mark.parametrize(("lifetime", "logins"), [(3600.0, 1), (30.0, 1), (0.0, 3)])
def test_a_token_is_renewed_near_its_end_and_not_at_every_request(
    scripted: Scripted, lifetime: float, logins: int
) -> None:
    scripted.always = OK
    transport = Transport("quay", scripted.url)
    transport.auth = login = CountingLogin(transport)
    login.lifetime = lifetime
    for _ in range(3):
        transport.get("/x")
    assert login.logins == logins


OPEN = pytest.mark.parametrize("effect", [effect for effect in Effect if effect.is_open])


@OPEN
def test_a_login_that_breaks_leaves_the_request_unsent_and_is_tried_again(scripted: Scripted, effect: Effect) -> None:
    class BreakingLogin(CountingLogin):
        def login(self) -> Token:
            token = super().login()
            if self.logins < 3:
                raise ServerUnavailableError("the login broke", effect=effect)
            return token

    scripted.always = OK
    transport = Transport("quay", scripted.url)
    transport.auth = BreakingLogin(transport)
    transport.request("POST", "/x", body={})
    assert len(scripted.requests) == 1


@OPEN
@pytest.mark.parametrize("renewed", [False, True], ids=["before the request", "after a 401"])
def test_a_login_that_fails_leaves_a_write_without_effect(scripted: Scripted, effect: Effect, renewed: bool) -> None:
    class FailingLogin(CountingLogin):
        def login(self) -> Token:
            token = super().login()
            if not renewed or self.logins > 1:
                raise ServerUnavailableError("the login broke", effect=effect)
            return token

    scripted.always = (401, {}, None)
    transport = Transport("quay", scripted.url, attempts=1)
    transport.auth = FailingLogin(transport)
    with pytest.raises(ServerUnavailableError, match="the login broke") as caught:
        transport.request("POST", "/x", body={})
    assert caught.value.effect is Effect.NONE
    assert len(scripted.requests) == renewed


@pytest.mark.parametrize("fault", [(504, {}, None), "silence"], ids=["504", "silence"])
def test_a_login_over_http_that_may_take_effect_late_leaves_a_write_without_effect(
    scripted: Scripted, fault: Any
) -> None:
    release = threading.Event()

    def silent(handler: Handler) -> None:
        release.wait(5)
        handler.close_connection = True

    class HttpLogin(TokenAuth):
        def login(self) -> Token:
            transport.request("POST", "/login", body={}, auth=NoAuth(), attempts=1)
            raise AssertionError("the login got an answer")

    scripted.always = silent if fault == "silence" else fault
    transport = Transport("quay", scripted.url, timeout=0.3, attempts=1)
    transport.auth = HttpLogin(transport.redact)
    with pytest.raises(ServerUnavailableError) as caught:
        transport.request("POST", "/start", body={})
    release.set()
    assert (caught.value.effect, caught.value.path) == (Effect.NONE, "/login")
    assert [request.path for request in scripted.requests] == ["/login"]


# --- who is asked before a write ---


class Guard:
    """Lets the first writes pass and refuses those after them."""

    def __init__(self, passes: int, error: Exception) -> None:
        self.passes, self.error, self.asked = passes, error, 0

    def __call__(self) -> None:
        self.asked += 1
        if self.asked > self.passes:
            raise self.error


REFUSALS = pytest.mark.parametrize(
    "error", [ExecutionCanceled("given up"), RuntimeError("given up")], ids=["an error of ours", "any other"]
)


def guarded(scripted: Scripted, guard: Guard) -> Transport:
    transport = Transport("quay", scripted.url)
    transport.auth = HeaderAuth("Authorization", "Bearer abc")
    transport.guard = guard
    return transport


@REFUSALS
def test_a_guard_that_refuses_keeps_a_write_from_being_sent(scripted: Scripted, error: Exception) -> None:
    guard = Guard(0, error)
    with pytest.raises(type(error), match="given up"):
        guarded(scripted, guard).request("POST", "/x", body={})
    assert (guard.asked, scripted.requests) == (1, [])


@REFUSALS
def test_a_guard_that_refuses_stops_the_repeat_after_a_429(scripted: Scripted, error: Exception) -> None:
    scripted.always = (429, {"Retry-After": "0.01"}, None)
    guard = Guard(1, error)
    with pytest.raises(type(error), match="given up"):
        guarded(scripted, guard).request("POST", "/x", body={})
    assert (guard.asked, len(scripted.requests)) == (2, 1)


def test_a_guard_is_asked_before_each_time_that_a_write_is_sent(scripted: Scripted) -> None:
    scripted.script = [
        (429, {"Retry-After": "0.01"}, None),
        (401, {}, None),
        (307, {"Location": "/y"}, None),
        OK,
    ]
    guard = Guard(4, RuntimeError("given up"))
    transport = guarded(scripted, guard)
    transport.auth = CountingLogin(transport)
    transport.request("POST", "/x", body={})
    assert (guard.asked, len(scripted.requests)) == (4, 4)


def test_a_guard_that_refuses_stops_the_repeat_after_a_refused_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    transport = Transport("quay", f"http://127.0.0.1:{port}", attempts=3)
    transport.auth = HeaderAuth("Authorization", "Bearer abc")
    transport.guard = guard = Guard(1, ExecutionCanceled("given up"))
    with pytest.raises(ExecutionCanceled):
        transport.request("POST", "/x", body={})
    assert guard.asked == 2


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reads_and_logins_ask_no_guard(scripted: Scripted, method: str) -> None:
    class HttpLogin(TokenAuth):
        def login(self) -> Token:
            transport.request("POST", "/login", body={}, auth=NoAuth(), attempts=1)
            return Token("token-1", time.time() + 3600)

    scripted.always = OK
    transport = guarded(scripted, Guard(0, RuntimeError("a guard was asked")))
    transport.auth = HttpLogin(transport.redact)
    transport.request(method, "/x", json_expected=False)
    assert [request.path for request in scripted.requests] == ["/login", "/x"]


# --- the server's clock ---


def dated(seconds: float, status: int = 200) -> Callable[[Handler], None]:
    """An answer of a server whose clock is ahead by some seconds."""

    def answer(handler: Handler) -> None:
        handler.date_time_string = lambda timestamp=None: formatdate(time.time() + seconds, usegmt=True)  # type: ignore[method-assign]
        handler.send(status, {}, {})

    return answer


def get(transport: Transport) -> float:
    """Read something; returns by how much the server's clock may be off."""
    begun = time.monotonic()
    with suppress(NotFoundError):
        transport.get("/x")
    # The header has whole seconds, and some of them may pass until it is read.
    return 1.1 + time.monotonic() - begun


@pytest.mark.parametrize("ahead", [0, -3, 3, 7200, -86400])
def test_the_time_of_the_server_is_that_of_its_own_clock(scripted: Scripted, ahead: float) -> None:
    scripted.always = dated(ahead)
    transport = Transport("quay", scripted.url)
    assert transport.server_time() is None, "it has not answered yet"
    tolerance = get(transport)
    for _ in range(2):
        assert transport.server_time() == pytest.approx(time.time() + ahead, abs=tolerance)
        time.sleep(0.05)


def test_any_answer_gives_the_time_of_the_server_and_the_last_one_counts(scripted: Scripted) -> None:
    scripted.script = [dated(100, status=404), dated(50)]
    transport = Transport("quay", scripted.url)
    for seconds in (100, 50):
        tolerance = get(transport)
        assert transport.server_time() == pytest.approx(time.time() + seconds, abs=tolerance)


@pytest.mark.parametrize("date", ["", "soon", "Fri, 99 Jan 2026 03:04:05 GMT"])
def test_a_date_that_cannot_be_read_changes_nothing(scripted: Scripted, date: str) -> None:
    def answer(handler: Handler) -> None:
        handler.date_time_string = lambda timestamp=None: date  # type: ignore[method-assign]
        handler.send(200, {}, {})

    scripted.script = [answer, dated(60), answer]
    transport = Transport("quay", scripted.url)
    transport.get("/x")
    assert transport.server_time() is None
    tolerance = get(transport)
    transport.get("/x")
    assert transport.server_time() == pytest.approx(time.time() + 60, abs=tolerance)


def test_no_more_connections_than_allowed_are_opened_and_they_are_used_again(scripted: Scripted) -> None:
    busy, most, lock = 0, 0, threading.Lock()

    def count(request: Received) -> Reply:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.02)
        with lock:
            busy -= 1
        return OK

    scripted.always = count
    transport = Transport("quay", scripted.url, max_connections=3)
    with ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda _: transport.get("/x"), range(36)))
    assert most == 3
    assert len({request.client for request in scripted.requests}) == 3


@pytest.mark.parametrize("headers", [{}, {"Transfer-Encoding": "chunked"}], ids=["with length", "chunked"])
@pytest.mark.parametrize("size", [1, 70_000])
def test_a_connection_is_kept_after_answers_of_every_size(
    scripted: Scripted, headers: dict[str, str], size: int
) -> None:
    def chunked(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        content = b'"%s"' % (b"x" * size)
        handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content))

    scripted.always = chunked if headers else (200, {}, '"%s"' % ("x" * size))
    transport = Transport("quay", scripted.url)
    for _ in range(5):
        assert transport.get("/x") == "x" * size
    assert len({request.client for request in scripted.requests}) == 1


def test_cookies_and_netrc_do_not_change_requests(scripted: Scripted, tmp_path: Path, mocker: MockerFixture) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    mocker.patch.dict(os.environ, {"NETRC": str(netrc)})
    scripted.always = (200, {"Set-Cookie": "session=1; Path=/"}, {})
    transport = Transport("quay", scripted.url)
    transport.get("/x")
    transport.get("/x")
    assert not {"Cookie", "Authorization"} & scripted.requests[1].headers.keys()


def test_bytes_are_sent_as_they_are_and_forms_as_forms(scripted: Scripted) -> None:
    scripted.always = OK
    transport = Transport("quay", scripted.url)
    transport.request("POST", "/import", body=b"name: a\n", headers={"Content-Type": "application/x-yaml"})
    transport.request("POST", "/token", form={"refresh_token": "a b&c"})
    first, second = scripted.requests
    assert (first.body, first.headers["Content-Type"]) == (b"name: a\n", "application/x-yaml")
    assert second.body == b"refresh_token=a+b%26c"
    assert second.headers["Content-Type"] == "application/x-www-form-urlencoded"
