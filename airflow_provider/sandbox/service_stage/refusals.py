"""How the gateway, ServiceStage and IAM refuse calls."""

from __future__ import annotations

import uuid

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call, Refused
from airflow_provider.sandbox.core.replies import json_reply

BAD_PARAMETER = "SVCSTG.00100400"
FORBIDDEN = "SVCSTG.00100403"
CONFLICT = "SVCSTG.00100409"
UNKNOWN_TASK = "SVCSTG.00100433"
NOT_PUBLISHED = "APIGW.0101"
BAD_REQUEST = "APIGW.0201"
UNAUTHENTICATED = "APIGW.0301"
NO_ACCESS = "APIGW.0302"
THROTTLED = "APIGW.0308"


class Refusal(Refused):
    """The call is refused with this HTTP status, error code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def reply(self, call: Call) -> Response:
        body = {"error_code": self.code, "error_msg": self.message}
        if self.code.startswith("APIGW"):
            body["request_id"] = uuid.uuid4().hex
        return json_reply(body, self.status)


class KeystoneRefusal(Refusal):
    """A refusal of IAM, in its own form."""

    def reply(self, call: Call) -> Response:
        return json_reply({"error": {"code": self.status, "message": self.message, "title": self.code}}, self.status)


def bad_parameter(message: str) -> Refusal:
    return Refusal(400, BAD_PARAMETER, message)


def unauthenticated(reason: str) -> Refusal:
    return Refusal(401, UNAUTHENTICATED, f"Incorrect IAM authentication information: {reason}")
