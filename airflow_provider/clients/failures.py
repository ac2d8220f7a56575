"""The error of a failed request: its class by cause, what the request may have done, and a redacted text. No I/O."""

from __future__ import annotations

from urllib.parse import urlsplit

import requests

from airflow_provider.clients import lost_answers
from airflow_provider.clients.answers import LONGEST_MESSAGE, LONGEST_WORD, HttpAnswer, VendorError
from airflow_provider.clients.redaction import Redactor
from airflow_provider.clients.retries import parse_retry_after
from airflow_provider.clients.session import READS
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

REDIRECTS = (301, 302, 303, 307, 308)
REQUEST_ID_HEADERS = ("X-Request-Id", "X-IAM-Trace-Id")

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
_EFFECT_BY_STATUS = {
    401: Effect.NONE,
    408: Effect.UNKNOWN,
    429: Effect.NONE,
    499: Effect.UNKNOWN,
    502: Effect.LATE,
    504: Effect.LATE,
    **dict.fromkeys(REDIRECTS, Effect.REFUSED),
}
_SUMMARIES: dict[type[ReleasePipelineError], str] = {
    AuthenticationError: "the credentials of the connection are not accepted",
    PermissionDeniedError: "the credentials of the connection do not allow this",
    NotFoundError: "not found",
    BadRequestError: "the request was refused",
    ConflictError: "the system's state does not allow this",
    ThrottledError: "too many requests",
    ServerUnavailableError: "the system cannot answer now",
    UnexpectedResponseError: "undocumented response",
}


class Failures:
    """Creates the errors of one client.

    :param system: named in every error.
    :param redact: removes secrets from whatever an error shows.
    :param max_retry_after: seconds to which a vendor's ``Retry-After`` is cut.
    """

    def __init__(self, system: str, redact: Redactor, max_retry_after: float) -> None:
        self._system = system
        self._redact = redact
        self._max_retry_after = max_retry_after

    def unusable(self, summary: str) -> BadRequestError:
        """For a request that cannot be sent."""
        return BadRequestError(self._redact(summary, LONGEST_MESSAGE), call=Call(system=self._system))

    def lost(
        self, prepared: requests.PreparedRequest, error: Exception, *, timeout: float, connect_timeout: float
    ) -> ServerUnavailableError:
        """For a request without a complete answer; times as for :func:`lost_answers.reason_of`."""
        host = urlsplit(prepared.url or "").netloc.rpartition("@")[2]
        reason = lost_answers.reason_of(error, host, timeout=timeout, connect_timeout=connect_timeout)
        summary = self._redact(reason, LONGEST_MESSAGE)
        return ServerUnavailableError(summary, call=self._call(prepared), effect=lost_answers.effect_of(error))

    def unreadable(
        self, prepared: requests.PreparedRequest, summary: str, answer: HttpAnswer | None = None
    ) -> UnexpectedResponseError:
        """For an answer that makes no sense: the request was sent, and may have taken effect.

        :param summary: text without secrets.
        """
        return UnexpectedResponseError(summary, call=self._call(prepared, answer), effect=Effect.UNKNOWN)

    def not_json(self, prepared: requests.PreparedRequest, answer: HttpAnswer) -> UnexpectedResponseError:
        """For a success that is text or a page."""
        summary = (
            "the answer is an HTML page, not JSON: does the connection's host name the API?"
            if answer.is_html
            else "the answer is not JSON, as this call's answer must be"
        )
        return self.unreadable(prepared, summary, answer)

    def redirected(
        self, prepared: requests.PreparedRequest, answer: HttpAnswer, target: str, *, keeps_method: bool
    ) -> UnexpectedResponseError:
        """For a redirect that is not followed.

        :param keeps_method: whether the redirected request would be the same one.
        """
        there = urlsplit(target)
        return UnexpectedResponseError(
            self._redact(
                f"refused to follow a redirect to {there.scheme}://{there.netloc.rpartition('@')[2]}{there.path}: "
                "give the URL of the API itself in the connection's host",
                LONGEST_MESSAGE,
            ),
            call=self._call(prepared, answer),
            # A write may be answered with a redirect to a page, after it took effect.
            effect=Effect.REFUSED if keeps_method else Effect.UNKNOWN,
        )

    def refused(
        self, prepared: requests.PreparedRequest, answer: HttpAnswer, vendor: VendorError
    ) -> ReleasePipelineError:
        """For an error that the vendor answers with."""
        cause = vendor.cause or _cause_of(answer.status)
        asked = parse_retry_after(answer.headers.get("Retry-After"))
        retry_after = vendor.retry_after if asked is None else asked
        summary = vendor.summary or _SUMMARIES.get(cause, "the call failed")
        return cause(
            self._redact(summary, LONGEST_MESSAGE) + (" (the answer is an HTML page)" if answer.is_html else ""),
            call=self._call(prepared, answer, vendor),
            effect=vendor.effect or _effect_of(prepared.method or "", answer, vendor),
            retry_after=None if retry_after is None else min(retry_after, self._max_retry_after),
        )

    def _call(
        self, prepared: requests.PreparedRequest, answer: HttpAnswer | None = None, vendor: VendorError | None = None
    ) -> Call:
        vendor = vendor or VendorError()
        request_id = vendor.request_id
        if answer and not request_id:
            request_id = next((answer.headers[name] for name in REQUEST_ID_HEADERS if name in answer.headers), None)
        return Call(
            system=self._system,
            method=prepared.method,
            path=self._shown(urlsplit(prepared.url or "").path, LONGEST_MESSAGE),
            status=answer.status if answer else None,
            code=self._shown(vendor.code, LONGEST_WORD),
            message=self._shown(vendor.message, LONGEST_MESSAGE),
            request_id=self._shown(request_id, LONGEST_WORD),
        )

    def _shown(self, text: str | None, longest: int) -> str | None:
        return None if text is None else self._redact(text, longest)


def _cause_of(status: int) -> type[ReleasePipelineError]:
    if known := _BY_STATUS.get(status):
        return known
    if status >= 500:
        return ServerUnavailableError
    return BadRequestError if 400 <= status < 500 else UnexpectedResponseError


def _effect_of(method: str, answer: HttpAnswer, vendor: VendorError) -> Effect:
    status = answer.status
    is_foreign = status == 405 or (status == 404 and (vendor.is_foreign or isinstance(answer.data, str)))
    if is_foreign and method in READS:
        # A gateway did not find the system, as while it is being reconfigured: what was asked for may be there.
        return Effect.NONE
    return _EFFECT_BY_STATUS.get(status) or (Effect.REFUSED if 400 <= status < 500 else Effect.UNKNOWN)
