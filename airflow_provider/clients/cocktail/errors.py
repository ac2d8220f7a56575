"""Reads Cocktail's errors: the table of its codes, and texts without a known code. No HTTP here."""

from __future__ import annotations

import re

from airflow_provider.clients.answers import HttpAnswer, VendorError, read_common_error
from airflow_provider.clients.cocktail.fields import number
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ConnectionConfigError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)

_Verdict = tuple[type[ReleasePipelineError], Effect]

_BUILD_CODE = re.compile(r"C[A-Z]BD[A-Z]?(?P<major>\d{3})\d{3}")
_SERVER_CODE = re.compile(r"(?:K8sApiStatus)?(?P<status>[1-5]\d{2})")

# After "failed to inquire" and "failed to read the history", reads may be retried, but never starts.
_UNREADABLE: _Verdict = (ServerUnavailableError, Effect.REFUSED)
_WRONG: _Verdict = (BadRequestError, Effect.REFUSED)
_IMPOSSIBLE: _Verdict = (ConflictError, Effect.REFUSED)
_BY_MAJOR: dict[str, _Verdict] = {
    "001": (ServerUnavailableError, Effect.UNKNOWN),
    "002": _WRONG,
    "003": _IMPOSSIBLE,
    "004": _IMPOSSIBLE,
    "005": (ServerUnavailableError, Effect.NONE),
    "006": _UNREADABLE,
    "007": _WRONG,
    "008": _WRONG,
    "009": _WRONG,
    "010": _UNREADABLE,
    "011": _WRONG,
    "012": _IMPOSSIBLE,
    "013": (ThrottledError, Effect.NONE),
    "014": (ConflictError, Effect.NONE),
    "015": _IMPOSSIBLE,
    "016": _WRONG,
    "017": _WRONG,
}
_BY_STATUS: dict[int, _Verdict] = {
    400: _WRONG,
    401: (AuthenticationError, Effect.NONE),
    403: (PermissionDeniedError, Effect.REFUSED),
    404: (NotFoundError, Effect.REFUSED),
    405: (NotFoundError, Effect.REFUSED),
    406: _WRONG,
    415: _WRONG,
}
_BUSY = ("005", "013")
_RUNS_ALREADY = "Build is running!"
# The codes of these two are not known; they are recognized by the beginning of their text.
_BY_TEXT: dict[str, _Verdict] = {
    _RUNS_ALREADY: (ConflictError, Effect.NONE),
    "Build is not running!": _IMPOSSIBLE,
}
_DECIDED_BY_GATEWAY = (401, 403, 429)


def read_error(answer: HttpAnswer) -> VendorError | None:
    """Read an error: with HTTP 200 and ``"status": "error"``, or with an HTTP status from the gateway."""
    body = answer.data
    is_envelope = isinstance(body, dict) and str(body.get("status", "")).lower() == "error"
    if not is_envelope or answer.status in _DECIDED_BY_GATEWAY:
        return read_common_error(answer)
    code = str(body.get("code") or "")
    message = " ".join(str(body[key]) for key in ("message", "additionalMessage") if body.get(key))
    cause, effect = _verdict(code, message, number(body.get("httpStatusCode")) or 0, answer.status)
    return VendorError(code=code or None, message=message or None, cause=cause, effect=effect)


def _verdict(
    code: str, message: str, body_status: int, http_status: int
) -> tuple[type[ReleasePipelineError] | None, Effect | None]:
    for start, verdict in _BY_TEXT.items():
        if message.startswith(start):
            return verdict
    if known := _BY_MAJOR.get(build_error_number(code)):
        return known
    status = int(match["status"]) if (match := _SERVER_CODE.fullmatch(code)) else body_status
    if known := _BY_STATUS.get(status):
        return known
    if http_status >= 400:
        return None, None
    if status >= 500:
        return ServerUnavailableError, Effect.UNKNOWN
    return UnexpectedResponseError, Effect.REFUSED


def build_error_number(code: str | None) -> str:
    """The major number of a code of the build category, ``"004"`` of ``CCBDW004000``; "" for any other code."""
    match = _BUILD_CODE.fullmatch(code or "")
    return match["major"] if match else ""


def is_busy(error: ReleasePipelineError) -> bool:
    """Whether a start was refused, without any effect, for a temporary reason: the build is already running, the
    account has reached its limit of parallel builds, or the build server is not connected.
    """
    if error.effect is not Effect.NONE:
        return False
    return build_error_number(error.code) in _BUSY or (error.message or "").startswith(_RUNS_ALREADY)


def is_path_missing(error: ReleasePipelineError) -> bool:
    """Whether an error means that a path is not published, or not for this token, not that an object is missing."""
    if isinstance(error, (PermissionDeniedError, ConnectionConfigError)):
        return True
    return isinstance(error, NotFoundError) and (
        error.status in (404, 405) or bool(_SERVER_CODE.fullmatch(error.code or ""))
    )
