"""How Code Stream refuses: an exception and the bodies of the three services that answer."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from starlette.responses import Response

from airflow_provider.sandbox.core.replies import empty_reply, json_reply

WITHOUT_BODY = (401, 403)


class RefusedError(Exception):
    """The call is refused with this HTTP status and message."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def not_found(what: str) -> RefusedError:
    return RefusedError(404, f"{what} not found")


def refusal(status: int, message: str, path: str, now: float) -> Response:
    """The answer of Code Stream itself; 401 and 403 carry no body."""
    if status in WITHOUT_BODY:
        return empty_reply(status)
    body = {
        "timestamp": int(now * 1000),
        "path": path,
        "status": status,
        "error": HTTPStatus(status).phrase,
        "message": message,
        "requestId": uuid.uuid4().hex[:8],
        "@type": "java.util.LinkedHashMap",
    }
    return json_reply(body, status)


def iaas_refusal(status: int, message: str) -> Response:
    """The ServiceErrorResponse of ``/iaas/api/login``."""
    body = {
        "documentKind": "com:vmware:xenon:common:ServiceErrorResponse",
        "messageId": str(uuid.uuid4()),
        "errorCode": 0,
        "details": ["SHOULD_RETRY"] if status >= 500 else [],
        "serverErrorId": str(uuid.uuid4()),
        "stackTrace": [],
        "message": message,
        "statusCode": status,
    }
    return json_reply(body, status)


def csp_refusal(status: int, message: str, now: float) -> Response:
    """The error body of the identity service."""
    phrase = HTTPStatus(status).phrase
    body = {
        "timestamp": int(now * 1000),
        "type": "CLIENT_ERROR",
        "status": f"{status} {phrase}",
        "error": phrase,
        "serverMessage": message,
    }
    return json_reply(body, status)
