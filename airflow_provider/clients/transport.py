"""Sends the requests of a client: attempts and pauses, renewal of credentials, redirects, redaction.

The meaning of paths, and of answers beyond their HTTP status, belongs to the clients.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypedDict, Unpack
from urllib.parse import urljoin, urlsplit

import requests
import tenacity
import urllib3
from requests.structures import CaseInsensitiveDict

from airflow_provider.clients import retries
from airflow_provider.clients.answers import Decoder, ErrorReader, Expected, HttpAnswer, read_common_error
from airflow_provider.clients.auth import Auth, NoAuth
from airflow_provider.clients.decoding import TooManyPartsError, clean_bytes, loads
from airflow_provider.clients.failures import REDIRECTS, Failures
from airflow_provider.clients.one_at_a_time import one_at_a_time
from airflow_provider.clients.reading import Body, TooLargeError, UnknownEncodingError, read_body
from airflow_provider.clients.redaction import Redactor
from airflow_provider.clients.session import READS, BoundedSession, UnsendableError
from airflow_provider.clients.times import parse_http_date
from airflow_provider.clients.unforeseen import place_of_error
from airflow_provider.clients.urls import Params, query
from airflow_provider.exceptions import ReleasePipelineError

log = logging.getLogger(__name__)

ATTEMPTS = 4
CONNECT_TIMEOUT = 10.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""A page of a thousand executions, or the security report of a big image, has up to 10 MB. Decoded, it takes many times
that in memory, and blocks all other threads of the process for a second."""
MAX_RETRY_AFTER = 300.0
"""Seconds; a longer ``Retry-After`` is cut to this."""
MOST_REDIRECTS = 3
MAX_CLOCK_DIFFERENCE = 10 * 366 * 86400.0
"""Seconds by which a server's clock may differ from ours; anything more is not a real time."""


class TransportOptions(TypedDict, total=False):
    """Arguments that every client passes on to its :class:`Transport`."""

    timeout: float
    verify: bool | str
    max_connections: int
    attempts: int
    max_retry_after: float
    max_answer_bytes: int
    on_secret: Callable[[str], None] | None
    on_forgotten: Callable[[str], None] | None


class RequestOptions(TypedDict, total=False):
    """Options of one request, see :meth:`Transport.request`."""

    body: object
    form: Mapping[str, str] | None
    headers: Mapping[str, str] | None
    auth: Auth | None
    safe_to_repeat: bool | None
    attempts: int | None
    json_expected: bool
    file_expected: bool
    decode: Decoder


class _Traffic(threading.local):
    sent = 0
    received = 0


class Transport:
    """Sends the requests of one client. Safe to use from several threads; does no I/O before its first request.

    :param system: named in every error.
    :param base_url: scheme, host, port and the path below which the API lives.
    :param timeout: seconds for one attempt, besides those for connecting (at most 10).
    :param verify: ``True``, ``False`` or the path of a CA bundle.
    :param max_connections: connections kept and used at once.
    :param attempts: attempts per call; 1 leaves retries to the caller.
    :param max_retry_after: seconds to which a vendor's ``Retry-After`` is cut.
    :param max_answer_bytes: for the unpacked body of an answer; a larger one is an error.
    :param headers: sent with every request.
    :param read_error: reads the system's own error bodies.
    :param on_secret: called with every secret.
    :param on_forgotten: called with each token that is no longer in use.
    """

    def __init__(
        self,
        system: str,
        base_url: str,
        *,
        timeout: float = 30.0,
        verify: bool | str = True,
        max_connections: int = 8,
        attempts: int = ATTEMPTS,
        max_retry_after: float = MAX_RETRY_AFTER,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        headers: Mapping[str, str] | None = None,
        read_error: ErrorReader = read_common_error,
        on_secret: Callable[[str], None] | None = None,
        on_forgotten: Callable[[str], None] | None = None,
    ) -> None:
        self.system = system
        self.base_url = base_url.rstrip("/")
        self.auth: Auth = NoAuth()
        self.max_connections = max_connections
        self.redact = Redactor(on_secret, on_forgotten)
        self.timeout = timeout
        self.attempts = attempts
        self.guard: Callable[[], None] | None = None
        """Called before each request that may have an effect; refuses it by raising."""
        self.give_up_at: float | None = None
        """Epoch seconds: a pause that a vendor asks for is not made if it lasts until then; the error is raised."""
        self._max_answer_bytes = max_answer_bytes
        self._read_error = read_error
        self._failures = Failures(system, self.redact, max_retry_after)
        self._session = BoundedSession(verify=verify, max_connections=max_connections, headers=headers or {})
        self._clock_ahead: float | None = None
        self._traffic = _Traffic()
        if verify is False:
            log.warning("%s: certificates are not checked (the connection's extra `verify` is false)", system)

    @property
    def sent(self) -> int:
        """Requests that the current thread has sent so far."""
        return self._traffic.sent

    @property
    def received(self) -> int:
        """Bytes of the answers, unpacked, that the current thread has received so far."""
        return self._traffic.received

    def close(self) -> None:
        self._session.close()

    def get(self, path: str, params: Params | None = None, **options: Unpack[RequestOptions]) -> Any:
        """The decoded body of a GET."""
        return self.request("GET", path, params, **options).data

    def request(
        self,
        method: str,
        path: str,
        params: Params | None = None,
        *,
        body: object = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: Auth | None = None,
        safe_to_repeat: bool | None = None,
        attempts: int | None = None,
        json_expected: bool = True,
        file_expected: bool = False,
        decode: Decoder = loads,
    ) -> HttpAnswer:
        """Send a request and return its successful answer.

        :param path: escaped, below the base URL; or a whole URL.
        :param body: sent as JSON, encoded once, because a signature covers the exact bytes. Bytes are sent as they are.
        :param form: sent as a form instead.
        :param auth: used instead of the client's own.
        :param safe_to_repeat: whether it may be sent again after it may have arrived; default: for GET and HEAD.
        :param attempts: used instead of the client's own.
        :param json_expected: whether a body that is not JSON is an error (an empty one only after a GET).
        :param file_expected: whether the answer is a file: its ``data`` are the bytes.
        :param decode: decodes a successful body, for long lists of which few fields are needed; raises ``ValueError``.
        :raises ReleasePipelineError: every failure, by cause.
        """
        url = path if "://" in path else self.base_url + path
        if text := query(params):
            url = f"{url}?{text}"
        data, content_type = self._encoded(body, form)
        all_headers = dict(headers or {})
        if content_type:
            all_headers.setdefault("Content-Type", content_type)
        if file_expected or not json_expected:
            all_headers.setdefault("Accept", "*/*")
        request = requests.Request(method, url, headers=all_headers, data=data, auth=auth or self.auth)
        repeatable = method in READS if safe_to_repeat is None else safe_to_repeat
        is_login = isinstance(request.auth, NoAuth)
        guard = None if method in READS or is_login else self.guard
        expected = Expected(decode, is_json=json_expected, is_file=file_expected, is_login=is_login)
        if (attempts or self.attempts) == 1:
            return self._attempt(request, expected, guard)
        may_repeat = retries.may_repeat_read if repeatable else retries.may_repeat_write
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(attempts or self.attempts),
            wait=retries.pause,
            retry=tenacity.retry_if_exception(lambda error: may_repeat(error) and self._is_in_time(error)),
            reraise=True,
        )
        return retrying(self._attempt, request, expected, guard)

    def _is_in_time(self, error: BaseException) -> bool:
        asked = getattr(error, "retry_after", None)
        return asked is None or self.give_up_at is None or time.time() + asked < self.give_up_at

    def server_time(self) -> float | None:
        """Epoch seconds by the server's own clock, from the ``Date`` of its last answer; ``None`` before the first."""
        return None if self._clock_ahead is None else time.time() + self._clock_ahead

    def _attempt(self, request: requests.Request, expected: Expected, guard: Callable[[], None] | None) -> HttpAnswer:
        may_renew, redirects_left = True, MOST_REDIRECTS
        deadline: float | None = None
        while True:
            prepared = self._prepared(request)
            if guard:
                guard()
            deadline = deadline or time.monotonic() + self.timeout
            try:
                answer = self._send(prepared, expected, deadline)
                if answer.status == 401 and may_renew and isinstance(request.auth, Auth):
                    may_renew = False
                    if request.auth.renew(prepared):
                        deadline = None
                        continue
                elif answer.status in REDIRECTS and redirects_left:
                    redirects_left -= 1
                    request = self._redirected(request, prepared, answer)
                    continue
                return self._judged(prepared, answer, expected)
            except ReleasePipelineError:
                raise
            except Exception as error:
                # Whatever it is: the request was sent, or has taken effect.
                summary = f"the answer cannot be read ({place_of_error(error)})"
                raise self._failures.unreadable(prepared, summary) from None

    def _prepared(self, request: requests.Request) -> requests.PreparedRequest:
        try:
            return self._session.prepare(request)
        except UnsendableError as error:
            raise self._failures.unusable(str(error)) from None

    def _send(self, prepared: requests.PreparedRequest, expected: Expected, deadline: float) -> HttpAnswer:
        limit = max(0.001, deadline - time.monotonic())
        self._traffic.sent += 1
        try:
            raw = self._session.send(prepared, min(CONNECT_TIMEOUT, limit), limit)
            body = self._body(prepared, raw)
        except UnsendableError as error:
            raise self._failures.unusable(str(error)) from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            connect_timeout = min(CONNECT_TIMEOUT, self.timeout)
            raise self._failures.lost(prepared, error, timeout=self.timeout, connect_timeout=connect_timeout) from None
        self._traffic.received += body.size
        self._note_clock(raw.headers.get("Date"))
        read = partial(self._read, raw, body, expected)
        try:
            return one_at_a_time(read) if body.is_large else read()
        except TooManyPartsError as error:
            raise self._unreadable(prepared, raw, str(error)) from None

    def _body(self, prepared: requests.PreparedRequest, raw: urllib3.BaseHTTPResponse) -> Body:
        try:
            return read_body(raw, self._max_answer_bytes)
        except TooLargeError:
            raise self._unreadable(prepared, raw, f"it has more than {self._max_answer_bytes} bytes") from None
        except UnknownEncodingError:
            raise self._unreadable(prepared, raw, "its encoding was not asked for") from None

    def _unreadable(
        self, prepared: requests.PreparedRequest, raw: urllib3.BaseHTTPResponse, why: str
    ) -> ReleasePipelineError:
        answer = HttpAnswer(raw.status, CaseInsensitiveDict(raw.headers), None, is_json=False)
        return self._failures.unreadable(prepared, f"the answer cannot be read: {why}", answer)

    def _read(self, raw: urllib3.BaseHTTPResponse, body: Body, expected: Expected) -> HttpAnswer:
        if expected.is_kept(raw.status, raw.headers.get("Content-Type", "")):
            return HttpAnswer(raw.status, CaseInsensitiveDict(raw.headers), body.take(), is_json=False)
        content = body.take()
        if not expected.has_read(content):
            content = clean_bytes(content)
        if not expected.is_login:
            # A login may answer with text that is already a known secret.
            content = self.redact.answer(content)
        return expected.read(raw.status, CaseInsensitiveDict(raw.headers), content)

    def _note_clock(self, date: str | None) -> None:
        if moment := parse_http_date(date):
            ahead = moment.timestamp() - time.time()
            if abs(ahead) < MAX_CLOCK_DIFFERENCE:
                self._clock_ahead = ahead

    def _encoded(self, body: object, form: Mapping[str, str] | None) -> tuple[Any, str | None]:
        """The bytes or the form to send, and their type."""
        if isinstance(body, bytes):
            return body, None
        if body is None:
            return (dict(form), "application/x-www-form-urlencoded") if form is not None else (None, None)
        try:
            text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            return text.encode(), "application/json"
        except (TypeError, ValueError, RecursionError) as error:
            # The text of the error would show the value.
            raise self._failures.unusable(f"an argument cannot be written as JSON ({type(error).__name__})") from None

    def _redirected(
        self, request: requests.Request, prepared: requests.PreparedRequest, answer: HttpAnswer
    ) -> requests.Request:
        target = urljoin(prepared.url or "", answer.headers.get("Location", ""))
        keeps_method = answer.status in (307, 308) or request.method in READS
        if urlsplit(prepared.url or "")[:2] != urlsplit(target)[:2] or not keeps_method:
            raise self._failures.redirected(prepared, answer, target, keeps_method=keeps_method)
        return requests.Request(request.method, target, headers=request.headers, data=request.data, auth=request.auth)

    def _judged(self, prepared: requests.PreparedRequest, answer: HttpAnswer, expected: Expected) -> HttpAnswer:
        is_text = answer.is_success and isinstance(answer.data, str) and not answer.is_json
        if is_text and (expected.is_json or answer.is_html):
            raise self._failures.not_json(prepared, answer)
        is_empty = answer.is_success and answer.data is None and not answer.is_json
        if is_empty and expected.is_json and prepared.method == "GET":
            # Missing objects and empty lists are JSON, too. It is worth another attempt, like half an answer.
            raise self._failures.unreadable(prepared, "the answer is empty", answer)
        if vendor := self._read_error(answer):
            raise self._failures.refused(prepared, answer, vendor)
        return answer
