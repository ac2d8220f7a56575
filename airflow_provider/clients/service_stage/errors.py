"""Reads error bodies of Huawei Cloud's gateway, IAM and ServiceStage.

Codes decide, never texts, which may be Chinese. The only exception is a signature that the gateway calls expired.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow_provider.clients.answers import HttpAnswer, VendorError
from airflow_provider.clients.times import parse_http_date
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    Effect,
    NotFoundError,
    ReleasePipelineError,
    ThrottledError,
    UnexpectedResponseError,
)

API_NOT_PUBLISHED = "APIGW.0101"
SIGNATURE_REFUSED = "APIGW.0301"
LARGEST_CLOCK_SKEW = 15 * 60
"""Seconds; the gateway refuses signatures whose time differs more from its own."""
THROTTLED_FOR = 2.0
"""Seconds to wait after a 429 without a ``Retry-After``; Huawei's FAQ asks for two to five."""

_CAUSES: dict[str, type[ReleasePipelineError]] = {
    API_NOT_PUBLISHED: NotFoundError,
    "APIGW.0201": BadRequestError,
    SIGNATURE_REFUSED: AuthenticationError,
    "APIGW.0308": ThrottledError,
    "SVCSTG.00100400": BadRequestError,
    "SVCSTG.00100433": NotFoundError,
}
_EFFECTS: dict[type[ReleasePipelineError], Effect] = {AuthenticationError: Effect.NONE, ThrottledError: Effect.NONE}
_EXPIRED = re.compile(r"signature\s+(has\s+|is\s+)?expired", re.IGNORECASE)
_SHAPES = (("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message"))


def read_huawei_error(answer: HttpAnswer, access_key: str | None = None) -> VendorError | None:
    """Read an error at the top of an answer's body or one level below; ``None`` for a successful answer.

    :param access_key: shortened if the gateway repeats it.
    """
    good_status = 200 <= answer.status < 300
    code, message = _find(answer.data, _SHAPES[:2] if good_status else _SHAPES)
    if good_status and not code:
        return None
    if not good_status and isinstance(answer.data, str) and answer.data.lstrip()[:1] != "<":
        message = answer.data.strip()
    if message and access_key:
        message = message.replace(access_key, f"{access_key[:4]}***")
    known = _CAUSES.get((code or "").replace("APIG.", "APIGW."))
    cause = known if answer.status < 500 else None
    effect = None
    if good_status:
        cause = cause or UnexpectedResponseError
        effect = _EFFECTS.get(cause, Effect.REFUSED) if known else Effect.UNKNOWN
    request_id = answer.data.get("request_id") if isinstance(answer.data, dict) else None
    return VendorError(
        code=code,
        message=message,
        request_id=str(request_id) if request_id else None,
        cause=cause,
        effect=effect,
        summary=_summary(answer, code, message or "", signed=access_key is not None),
        retry_after=THROTTLED_FOR if answer.status == 429 or known is ThrottledError else None,
    )


def _find(data: Any, shapes: tuple[tuple[str, str], ...]) -> tuple[str | None, str | None]:
    if not isinstance(data, dict):
        return None, None
    for body in (data, *(value for value in data.values() if isinstance(value, dict))):
        for code_name, message_name in shapes:
            code, message = body.get(code_name), body.get(message_name)
            if code or message:
                return str(code) if code else None, str(message) if message else None
    return None, None


def _summary(answer: HttpAnswer, code: str | None, message: str, *, signed: bool) -> str | None:
    if answer.status == 401 and signed:
        here, there = datetime.now(UTC), _date(answer.headers)
        apart = there is not None and abs((here - there).total_seconds()) > LARGEST_CLOCK_SKEW
        if apart or _EXPIRED.search(message):
            server = f" and the server's {there:%Y-%m-%dT%H:%M:%SZ}" if apart else ""
            return (
                "the signature counts as expired: check the clock of this machine, "
                f"which shows {here:%Y-%m-%dT%H:%M:%SZ}{server}"
            )
    if code == API_NOT_PUBLISHED:
        return "there is no such API here: check the connection's region, host and project_id"
    if answer.status == 403:
        return (
            "the credentials of the connection do not allow this, or its project_id is not the IAM project "
            "of the region (the project id of CodeArts is a different one)"
        )
    return None


def _date(headers: Mapping[str, str]) -> datetime | None:
    return parse_http_date(headers.get("Date"))
