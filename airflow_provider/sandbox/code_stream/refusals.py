"""How Code Stream refuses calls, in the formats of the three services that answer."""

from __future__ import annotations

import uuid
from http import HTTPStatus

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call, Refused
from airflow_provider.sandbox.core.replies import empty_reply, json_reply

WITHOUT_BODY = (401, 403)


class Refusal(Refused):
    """Code Stream itself refuses the call, with this HTTP status and message; 401 and 403 carry no body."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def reply(self, call: Call) -> Response:
        if self.status in WITHOUT_BODY:
            return empty_reply(self.status)
        body = {
            "timestamp": int(call.now * 1000),
            "path": call.path,
            "status": self.status,
            "error": HTTPStatus(self.status).phrase,
            "message": self.message,
            "requestId": uuid.uuid4().hex[:8],
            "@type": "java.util.LinkedHashMap",
        }
        return json_reply(body, self.status)


class IaasRefusal(Refusal):
    """The ServiceErrorResponse of ``/iaas/api/login``."""

    def reply(self, call: Call) -> Response:
        body = {
            "documentKind": "com:vmware:xenon:common:ServiceErrorResponse",
            "messageId": str(uuid.uuid4()),
            "errorCode": 0,
            "details": ["SHOULD_RETRY"] if self.status >= 500 else [],
            "serverErrorId": str(uuid.uuid4()),
            "stackTrace": [],
            "message": self.message,
            "statusCode": self.status,
        }
        return json_reply(body, self.status)


class CspRefusal(Refusal):
    """The error body of the identity service."""

    def reply(self, call: Call) -> Response:
        phrase = HTTPStatus(self.status).phrase
        body = {
            "timestamp": int(call.now * 1000),
            "type": "CLIENT_ERROR",
            "status": f"{self.status} {phrase}",
            "error": phrase,
            "serverMessage": self.message,
        }
        return json_reply(body, self.status)


def not_found(what: str) -> Refusal:
    return Refusal(404, f"{what} not found")
