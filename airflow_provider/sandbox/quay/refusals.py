"""How Quay refuses calls: problem JSON, message JSON, JSON labeled as HTML, the page of a crash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call, Refused
from airflow_provider.sandbox.quay.results import result

# error_type -> (status, description at /api/v1/error/<error_type>)
ERROR_TYPES: dict[str, tuple[int, str]] = {
    "invalid_request": (400, "The request was invalid. It may have been missing required fields."),
    "invalid_response": (400, "The response was invalid."),
    "invalid_token": (401, "The access token provided was invalid. It may have been revoked."),
    "expired_token": (401, "The access token provided has expired."),
    "fresh_login_required": (401, "The action requires a fresh login to succeed."),
    "exceeds_license": (402, "The action was refused because the current license does not allow it."),
    "insufficient_scope": (403, "The access token did not have sufficient scope to access the requested resource."),
    "not_found": (404, "The resource was not found."),
    "tag_immutable": (409, "The tag is immutable and cannot be changed."),
    "token_rotation_failed": (500, "The token could not be rotated."),
    "external_service_timeout": (520, "An external service timed out. Retrying the request may resolve the issue."),
    "downstream_issue": (520, "An error occurred in a downstream service."),
}
CRASH_PAGE = (
    "<html>\n  <head>\n    <title>Internal Server Error</title>\n  </head>\n  <body>\n"
    "    <h1><p>Internal Server Error</p></h1>\n    \n  </body>\n</html>\n"
)


class Problem(Refused):
    """Shape (a): problem JSON."""

    def __init__(self, error_type: str, detail: str) -> None:
        super().__init__(detail)
        self.error_type = error_type

    def reply(self, call: Call) -> Response:
        status = ERROR_TYPES[self.error_type][0]
        body = {
            "detail": str(self),
            "error_message": str(self),
            "error_type": self.error_type,
            "title": self.error_type,
            "type": f"{call.base_url}/api/v1/error/{self.error_type}",
            "status": status,
        }
        return result(body, status)


class Abort(Refused):
    """Shape (b): ``{"message": ...}``."""

    def __init__(self, status: int, message: Any, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.headers = dict(headers or {})
        self.more = more

    def reply(self, call: Call) -> Response:
        return result({"message": self.message} | self.more, self.status, self.headers)


class Plain(Refused):
    """Shape (c): ``{"error": ...}`` labeled text/html, without a final newline."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status

    def reply(self, call: Call) -> Response:
        return Response(json.dumps({"error": str(self)}), self.status, media_type="text/html")


class Crash(Refused):
    """An unhandled error in the server: its 500 page."""

    def reply(self, call: Call) -> Response:
        return Response(CRASH_PAGE, 500, headers={"content-type": "text/html"})


def not_found() -> Problem:
    return Problem("not_found", "Not Found")


def invalid(detail: str) -> Problem:
    return Problem("invalid_request", detail)
