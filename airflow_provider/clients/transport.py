"""The HTTP session of a client: time limits, retries, renewal of credentials, redaction, and errors by cause.

The meaning of paths, and of answers beyond their HTTP status, belongs to the clients.
"""

from __future__ import annotations

import json
import logging
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from http import cookiejar
from pathlib import Path
from typing import Any, NoReturn, TypedDict
from urllib.parse import urljoin, urlsplit

import msgspec
import requests
import tenacity
import urllib3
from requests.structures import CaseInsensitiveDict

from airflow_provider import __version__
from airflow_provider.clients import retries
from airflow_provider.clients.auth import Auth, NoAuth
from airflow_provider.clients.decoding import TooManyPartsError, check_size, clean_bytes, is_blank, loads, text_of
from airflow_provider.clients.fast_reads import FastReads
from airflow_provider.clients.one_at_a_time import one_at_a_time
from airflow_provider.clients.reading import (
    ENCODINGS,
    Body,
    BoundedAdapter,
    TooLargeError,
    UnknownEncodingError,
    read_body,
)
from airflow_provider.clients.redaction import Redactor
from airflow_provider.clients.times import parse_http_date
from airflow_provider.clients.unforeseen import place_of_error
from airflow_provider.clients.urls import Params, query
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    Call,
    ConflictError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)

log = logging.getLogger(__name__)

ATTEMPTS = 4
CONNECT_TIMEOUT = 10.0
LONGEST_MESSAGE = 500
LONGEST_WORD = 200
"""Characters of an error's code and request id."""
MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""A page of a thousand executions, or the security report of a big image, has up to 10 MB. Decoded, it takes many times
that in memory, and blocks all other threads of the process for a second."""
MAX_RETRY_AFTER = 300.0
"""Seconds; a longer ``Retry-After`` is cut to this."""
MOST_REDIRECTS = 3
MAX_CLOCK_DIFFERENCE = 10 * 366 * 86400.0
"""Seconds by which a server's clock may differ from ours; anything more is not a real time."""
READ_OF_AN_ERROR = 65_536
"""Bytes of an error that is not JSON, such as a proxy's page: its beginning tells what it is."""
READS = frozenset({"GET", "HEAD"})
REQUEST_ID_HEADERS = ("X-Request-Id", "X-IAM-Trace-Id")
USER_AGENT = f"airflow-provider-release-pipelines/{__version__}"

_BY_STATUS: dict[int, type[ReleasePipelineError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    405: NotFoundError,
    408: ServerUnavailableError,
    409: ConflictError,
    429: ThrottledError,
}
_UNSENDABLE = re.compile(r"[^\t -~\x80-\xff]")
_REDIRECTS = (301, 302, 303, 307, 308)
_EFFECT_BY_STATUS = {
    401: Effect.NONE,
    408: Effect.UNKNOWN,
    429: Effect.NONE,
    499: Effect.UNKNOWN,
    502: Effect.LATE,
    504: Effect.LATE,
    **dict.fromkeys(_REDIRECTS, Effect.REFUSED),
}


class Answer(msgspec.Struct, frozen=True):
    """An HTTP answer whose body was read.

    :param data: the decoded JSON; ``None`` for an empty body; the text if the body is not JSON.
    :param is_json: whether ``data`` was decoded.
    """

    status: int
    headers: CaseInsensitiveDict[str]
    data: Any
    is_json: bool

    def __repr__(self) -> str:
        # The answer to a login contains the token.
        return f"<Answer {self.status}>"


class VendorError(msgspec.Struct, frozen=True):
    """The content of a vendor's error body.

    :param cause: the error class, if the body says more than the HTTP status.
    :param effect: the effect, if the body says more than the HTTP status.
    :param summary: text for people, if the body says more than its cause.
    :param retry_after: seconds to wait, if the system asks for that without a ``Retry-After``.
    """

    code: str | None = None
    message: str | None = None
    request_id: str | None = None
    cause: type[ReleasePipelineError] | None = None
    effect: Effect | None = None
    summary: str | None = None
    retry_after: float | None = None


def read_common_error(answer: Answer) -> VendorError | None:
    """Read the error formats that several systems use; ``None`` for a successful answer."""
    if 200 <= answer.status < 300:
        return None
    body = answer.data if isinstance(answer.data, dict) else {}
    nested = body.get("error")
    if isinstance(nested, dict):
        body = nested
    code = _first(body, "error_code", "errorCode", "code", "error_type", "messageId")
    message = _first(body, "error_msg", "errorMsg", "message", "detail", "error_message", "serverMessage", "error")
    if not body and isinstance(answer.data, str) and not _looks_like_html(answer.data):
        message = answer.data.strip() or None
    return VendorError(code=code, message=message, request_id=_first(body, "request_id", "requestId", "serverErrorId"))


Decoder = Callable[[bytes], Any]

ErrorReader = Callable[[Answer], VendorError | None]
"""Reads a vendor's error from an answer of any status; ``None`` means that the answer is a success."""


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


class _Sent(threading.local):
    count = 0


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
        self._max_retry_after = max_retry_after
        self._max_answer_bytes = max_answer_bytes
        self._verify = verify
        self.attempts = attempts
        self.guard: Callable[[], None] | None = None
        """Called before each request that may have an effect; refuses it by raising."""
        self.give_up_at: float | None = None
        """Epoch seconds: a pause that a vendor asks for is not made if it lasts until then; the error is raised."""
        self._read_error = read_error
        self._clock_ahead: float | None = None
        self._sent = _Sent()
        self._environment: dict[tuple[str, ...], Mapping[str, Any]] = {}
        self._session = requests.Session()
        own_headers = {"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": ENCODINGS}
        self._session.headers.update({**own_headers, **(headers or {})})
        # Cookies would make one thread's request depend on another's answer.
        self._session.cookies.set_policy(cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(
                scheme, BoundedAdapter(pool_connections=4, pool_maxsize=max_connections, max_retries=0, pool_block=True)
            )
        self._fast_reads = FastReads(self._session)
        if verify is False:
            log.warning("%s: certificates are not checked (the connection's extra `verify` is false)", system)

    @property
    def sent(self) -> int:
        """Requests that the current thread has sent so far."""
        return self._sent.count

    def close(self) -> None:
        self._fast_reads.close()
        self._session.close()

    def get(self, path: str, params: Params | None = None, **options: Any) -> Any:
        """The decoded body of a GET; ``options`` as for :meth:`request`."""
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
        decode: Decoder = loads,
    ) -> Answer:
        """Send a request and return its successful answer.

        :param path: escaped, below the base URL; or a whole URL.
        :param body: sent as JSON, encoded once, because a signature covers the exact bytes. Bytes are sent as they are.
        :param form: sent as a form instead.
        :param auth: used instead of the client's own.
        :param safe_to_repeat: whether it may be sent again after it may have arrived; default: for GET and HEAD.
        :param attempts: used instead of the client's own.
        :param json_expected: whether a body that is not JSON is an error (an empty one never is).
        :param decode: decodes a successful body, for long lists of which few fields are needed; raises ``ValueError``.
        :raises ReleasePipelineError: every failure, by cause.
        """
        url = path if "://" in path else self.base_url + path
        if text := query(params):
            url = f"{url}?{text}"
        data, content_type = self._encode(body, form)
        all_headers = dict(headers or {})
        if content_type:
            all_headers.setdefault("Content-Type", content_type)
        request = requests.Request(method, url, headers=all_headers, data=data, auth=auth or self.auth)
        repeatable = method in READS if safe_to_repeat is None else safe_to_repeat
        guard = None if method in READS or isinstance(request.auth, NoAuth) else self.guard
        if (attempts or self.attempts) == 1:
            return self._attempt(request, json_expected, decode, guard)
        may_repeat = retries.may_repeat_read if repeatable else retries.may_repeat_write
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(attempts or self.attempts),
            wait=retries.pause,
            retry=tenacity.retry_if_exception(lambda error: may_repeat(error) and self._is_in_time(error)),
            reraise=True,
        )
        return retrying(self._attempt, request, json_expected, decode, guard)

    def _is_in_time(self, error: BaseException) -> bool:
        asked = getattr(error, "retry_after", None)
        return asked is None or self.give_up_at is None or time.time() + asked < self.give_up_at

    def server_time(self) -> float | None:
        """Epoch seconds by the server's own clock, from the ``Date`` of its last answer; ``None`` before the first."""
        return None if self._clock_ahead is None else time.time() + self._clock_ahead

    def _attempt(
        self, request: requests.Request, json_expected: bool, decode: Decoder, guard: Callable[[], None] | None
    ) -> Answer:
        may_renew, redirects_left = True, MOST_REDIRECTS
        deadline: float | None = None
        while True:
            prepared = self._prepare(request)
            if guard:
                guard()
            deadline = deadline or time.monotonic() + self.timeout
            try:
                is_login = isinstance(request.auth, NoAuth)
                answer = self._send(prepared, decode, deadline, is_login=is_login, json_expected=json_expected)
                if answer.status == 401 and may_renew and isinstance(request.auth, Auth):
                    may_renew = False
                    if request.auth.renew(prepared):
                        deadline = None
                        continue
                elif answer.status in _REDIRECTS and redirects_left:
                    redirects_left -= 1
                    request = self._redirected(request, prepared, answer)
                    continue
                return self._judge(prepared, answer, json_expected)
            except ReleasePipelineError:
                raise
            except Exception as error:
                # Whatever it is: the request was sent, or has taken effect.
                raise UnexpectedResponseError(
                    f"the answer cannot be read ({place_of_error(error)})",
                    call=self._call(prepared),
                    effect=Effect.UNKNOWN,
                ) from None

    def _prepare(self, request: requests.Request) -> requests.PreparedRequest:
        try:
            if request.method in READS and not request.data and isinstance(request.auth, Auth):
                prepared = self._fast_reads.prepare(request.method, request.url, request.headers, request.auth)
            else:
                prepared = self._session.prepare_request(request)
        except requests.exceptions.InvalidHeader:
            # The original text shows the header, which may be the credentials.
            raise self._unusable(_BAD_HEADER) from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            raise self._unusable(f"the URL of the connection cannot be used: {error}") from None
        if not all(_is_sendable(value) for value in prepared.headers.values()):
            # It would fail while the request is being sent, after an unknown part of it.
            raise self._unusable(_BAD_HEADER) from None
        return prepared

    def _send(
        self,
        prepared: requests.PreparedRequest,
        decode: Decoder,
        deadline: float,
        *,
        is_login: bool,
        json_expected: bool,
    ) -> Answer:
        settings = self._settings(prepared.url or "")
        limit = max(0.001, deadline - time.monotonic())
        connect_timeout = min(CONNECT_TIMEOUT, limit)
        self._sent.count += 1
        raw: urllib3.BaseHTTPResponse
        try:
            if prepared.method in READS and prepared.body is None and not settings["proxies"]:
                raw = self._fast_reads.send(prepared, urllib3.Timeout(connect_timeout, limit), settings)
            else:
                # Not with the session, which reads the whole body of a redirect, and follows it.
                adapter = self._session.get_adapter(prepared.url or "")
                raw = adapter.send(prepared, timeout=(connect_timeout, limit), **settings).raw
            body = read_body(raw, self._max_answer_bytes)
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema) as error:
            raise self._unusable(f"the URL of the connection cannot be used: {error}") from None
        except TooLargeError:
            raise self._unreadable(prepared, raw, f"it has more than {self._max_answer_bytes} bytes") from None
        except UnknownEncodingError:
            raise self._unreadable(prepared, raw, "its encoding was not asked for") from None
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
            self._raise_for_lost_answer(prepared, error)
        except OSError as error:
            if isinstance(self._verify, str) and not Path(self._verify).exists():
                summary = f"the CA bundle in the connection's extra `verify` cannot be used: {error}"
                raise self._unusable(summary) from None
            self._raise_for_lost_answer(prepared, error)
        self._note_clock(raw.headers.get("Date"))
        read = partial(self._read, raw, body, decode, is_login=is_login, json_expected=json_expected)
        try:
            return one_at_a_time(read) if body.is_large else read()
        except TooManyPartsError as error:
            raise self._unreadable(prepared, raw, str(error)) from None

    def _read(
        self,
        raw: urllib3.BaseHTTPResponse,
        body: Body,
        decode: Decoder,
        *,
        is_login: bool,
        json_expected: bool,
    ) -> Answer:
        content = clean_bytes(body.take())
        if not is_login:
            # A login may answer with text that is already a known secret.
            content = self.redact.answer(content)
        return _decode(raw.status, CaseInsensitiveDict(raw.headers), content, decode, json_expected)

    def _note_clock(self, date: str | None) -> None:
        if moment := parse_http_date(date):
            ahead = moment.timestamp() - time.time()
            if abs(ahead) < MAX_CLOCK_DIFFERENCE:
                self._clock_ahead = ahead

    def _settings(self, url: str) -> Mapping[str, Any]:
        """Proxies and trust from the environment, read once per host: reading them takes as long as the request."""
        host = urlsplit(url)[:2]
        if host not in self._environment:
            settings = self._session.merge_environment_settings(url, {}, True, self._verify, None)
            self._environment[host] = settings
        return self._environment[host]

    def _unusable(self, summary: str) -> BadRequestError:
        return BadRequestError(self.redact(summary, LONGEST_MESSAGE), call=Call(system=self.system))

    def _unreadable(
        self, prepared: requests.PreparedRequest, raw: urllib3.BaseHTTPResponse, why: str
    ) -> UnexpectedResponseError:
        answer = Answer(raw.status, CaseInsensitiveDict(raw.headers), None, is_json=False)
        return UnexpectedResponseError(
            f"the answer cannot be read: {why}", call=self._call(prepared, answer), effect=Effect.UNKNOWN
        )

    def _encode(self, body: object, form: Mapping[str, str] | None) -> tuple[Any, str | None]:
        if isinstance(body, bytes):
            return body, None
        if body is None:
            return (dict(form), "application/x-www-form-urlencoded") if form is not None else (None, None)
        try:
            text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            return text.encode(), "application/json"
        except (TypeError, ValueError, RecursionError) as error:
            # The text of the error would show the value.
            raise self._unusable(f"an argument cannot be written as JSON ({type(error).__name__})") from None

    def _raise_for_lost_answer(self, prepared: requests.PreparedRequest, error: Exception) -> NoReturn:
        timeouts = (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError)
        effect = (
            Effect.NONE if _never_arrived(error) else Effect.LATE if isinstance(error, timeouts) else Effect.UNKNOWN
        )
        host = urlsplit(prepared.url or "").netloc.rpartition("@")[2]
        if _is_tls_failure(error):
            advice = (
                "It does not seem to speak TLS: should the connection's host begin with http://?"
                if "WRONG_VERSION_NUMBER" in str(error)
                else "If a private CA has signed its certificate, give the CA bundle in the connection's extra `verify`"
            )
            summary = f"TLS with {host} failed: {_innermost(error)}. {advice}"
        elif _is_connect_timeout(error):
            summary = f"no connection to {host} within {min(CONNECT_TIMEOUT, self.timeout):g} s"
        elif effect is Effect.LATE:
            summary = f"no complete answer from {host} within {self.timeout:g} s"
        elif effect is Effect.NONE:
            summary = f"cannot connect to {host}: {_innermost(error)}"
        else:
            summary = f"the connection to {host} broke before the answer was complete: {_innermost(error)}"
        summary = self.redact(summary, LONGEST_MESSAGE)
        raise ServerUnavailableError(summary, call=self._call(prepared), effect=effect) from None

    def _redirected(
        self, request: requests.Request, prepared: requests.PreparedRequest, answer: Answer
    ) -> requests.Request:
        target = urljoin(prepared.url or "", answer.headers.get("Location", ""))
        here, there = urlsplit(prepared.url or ""), urlsplit(target)
        keeps_method = answer.status in (307, 308) or request.method in READS
        if (here.scheme, here.netloc) != (there.scheme, there.netloc) or not keeps_method:
            raise UnexpectedResponseError(
                self.redact(
                    f"refused to follow a redirect to {there.scheme}://{there.netloc.rpartition('@')[2]}{there.path}: "
                    "give the URL of the API itself in the connection's host",
                    LONGEST_MESSAGE,
                ),
                call=self._call(prepared, answer),
                # A write may be answered with a redirect to a page, after it took effect.
                effect=Effect.REFUSED if keeps_method else Effect.UNKNOWN,
            )
        return requests.Request(request.method, target, headers=request.headers, data=request.data, auth=request.auth)

    def _judge(self, prepared: requests.PreparedRequest, answer: Answer, json_expected: bool) -> Answer:
        is_html = isinstance(answer.data, str) and _looks_like_html(answer.data)
        if 200 <= answer.status < 300 and not answer.is_json and (json_expected or is_html) and answer.data is not None:
            raise UnexpectedResponseError(
                "the answer is an HTML page, not JSON: does the connection's host name the API?"
                if is_html
                else "the answer is not JSON, as this call's answer must be",
                call=self._call(prepared, answer),
                effect=Effect.UNKNOWN,
            )
        vendor = self._read_error(answer)
        if vendor is None:
            return answer
        cause = vendor.cause or _BY_STATUS.get(answer.status)
        if cause is None:
            cause = (
                ServerUnavailableError
                if answer.status >= 500
                else BadRequestError
                if 400 <= answer.status < 500
                else UnexpectedResponseError
            )
        effect = vendor.effect or _EFFECT_BY_STATUS.get(answer.status)
        if effect is None:
            effect = Effect.REFUSED if 400 <= answer.status < 500 else Effect.UNKNOWN
        asked = retries.parse_retry_after(answer.headers.get("Retry-After"))
        retry_after = vendor.retry_after if asked is None else asked
        summary = vendor.summary or _SUMMARIES.get(cause, "the call failed")
        raise cause(
            self.redact(summary, LONGEST_MESSAGE) + (" (the answer is an HTML page)" if is_html else ""),
            call=self._call(prepared, answer, vendor),
            effect=effect,
            retry_after=None if retry_after is None else min(retry_after, self._max_retry_after),
        )

    def _call(
        self, prepared: requests.PreparedRequest, answer: Answer | None = None, vendor: VendorError | None = None
    ) -> Call:
        vendor = vendor or VendorError()
        request_id = vendor.request_id
        if answer and not request_id:
            request_id = next((answer.headers[name] for name in REQUEST_ID_HEADERS if name in answer.headers), None)
        return Call(
            system=self.system,
            method=prepared.method,
            path=self._shown(urlsplit(prepared.url or "").path, LONGEST_MESSAGE),
            status=answer.status if answer else None,
            code=self._shown(vendor.code, LONGEST_WORD),
            message=self._shown(vendor.message, LONGEST_MESSAGE),
            request_id=self._shown(request_id, LONGEST_WORD),
        )

    def _shown(self, text: str | None, longest: int) -> str | None:
        return None if text is None else self.redact(text, longest)


_BAD_HEADER = "a header of the connection holds characters that headers must not hold"
_SUMMARIES: dict[type[ReleasePipelineError], str] = {
    AuthenticationError: "the credentials of the connection are not accepted",
    PermissionDeniedError: "the credentials of the connection do not allow this",
    NotFoundError: "not found",
    BadRequestError: "the request was refused",
    ConflictError: "the system's state does not allow this",
    ThrottledError: "too many requests",
    ServerUnavailableError: "the system cannot answer now",
    UnexpectedResponseError: "this API does not document such an answer",
}


def _decode(
    status: int, headers: CaseInsensitiveDict[str], content: bytes, decode: Decoder, json_expected: bool
) -> Answer:
    if is_blank(content):
        return Answer(status, headers, None, is_json=False)
    is_success = 200 <= status < 300
    try:
        check_size(content)
        data = decode(content) if is_success else loads(content)
        return Answer(status, headers, data, is_json=True)
    except ValueError:
        is_wanted = is_success and not json_expected
        return Answer(status, headers, text_of(content if is_wanted else content[:READ_OF_AN_ERROR]), is_json=False)


def _is_sendable(header: str | bytes) -> bool:
    return not _UNSENDABLE.search(header if isinstance(header, str) else header.decode("latin-1"))


def _looks_like_html(text: str) -> bool:
    return text.lstrip()[:1] == "<"


def _first(body: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        if (value := body.get(name)) not in (None, "") and not isinstance(value, (dict, list)):
            return str(value)
    return None


def _never_arrived(error: Exception) -> bool:
    # Of all TLS failures, only one about the server's certificate certainly comes before the request. A failure that
    # names a proxy does not: it may also be a connection that the proxy dropped after it had taken the request.
    before_sending = (
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        ssl.SSLCertVerificationError,
    )
    return any(isinstance(cause, before_sending) for cause in _causes(error))


def _is_connect_timeout(error: Exception) -> bool:
    # In urllib3, a refused connection is a kind of time-out, too.
    connect_timeouts = (requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError)
    return isinstance(error, connect_timeouts) and not isinstance(error, urllib3.exceptions.NewConnectionError)


def _is_tls_failure(error: Exception) -> bool:
    """Whether TLS failed; a connection that merely ends inside TLS is a lost answer instead."""
    if not isinstance(error, (requests.exceptions.SSLError, urllib3.exceptions.SSLError)):
        return False
    return not any(isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)) for cause in _causes(error))


def _causes(error: BaseException) -> list[BaseException]:
    """The error and all errors wrapped inside it, however `requests` and `urllib3` wrapped them."""
    found: list[BaseException] = []
    left: list[object] = [error]
    while left:
        item = left.pop()
        if isinstance(item, BaseException) and item not in found:
            found.append(item)
            left.extend([*item.args, getattr(item, "reason", None), item.__cause__])
    return found


def _innermost(error: BaseException) -> str:
    """The operating system's own words (``Connection refused``), without the wrappers."""
    for cause in reversed(_causes(error)):
        if isinstance(cause, OSError) and not isinstance(cause, requests.exceptions.RequestException) and str(cause):
            return str(cause.strerror or cause)
    return type(error).__name__
