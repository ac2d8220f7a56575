"""The shapes in which Quay answers: problem JSON, message JSON, JSON labelled as HTML, HTML pages, plain results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

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
METHOD_PAGE = (
    "<!doctype html>\n<html lang=en>\n<title>405 Method Not Allowed</title>\n<h1>Method Not Allowed</h1>\n"
    "<p>The method is not allowed for the requested URL.</p>\n"
)
UI_PAGE = "<!DOCTYPE html>\n<html>\n<head><title>Quay</title></head>\n<body>\n{}</body>\n</html>\n".format(
    '<script src="/static/build/main-quay-frontend.bundle.js"></script>\n' * 1050
)


class Problem(Exception):  # noqa: N818 - Quay's own word
    """Shape (a)."""

    def __init__(self, error_type: str, detail: str) -> None:
        super().__init__(detail)
        self.error_type = error_type


class Abort(Exception):  # noqa: N818
    """Shape (b): ``{"message": ...}``."""

    def __init__(self, status: int, message: Any, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.headers = dict(headers or {})
        self.more = more


class Plain(Exception):  # noqa: N818
    """Shape (c): ``{"error": ...}`` labelled text/html, without a final newline."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status


class Crash(Exception):  # noqa: N818
    """An uncaught error of the server: the 500 page."""


def not_found() -> Problem:
    return Problem("not_found", "Not Found")


def root_url(request: Request) -> str:
    """Scheme, host and the path that the application is mounted at."""
    return f"{request.url.scheme}://{request.headers.get('host', '')}{request.scope['root_path']}"


def of_error(error: Exception, request: Request) -> Response:
    match error:
        case Problem():
            return _problem(error, request)
        case Abort():
            return result({"message": error.message} | error.more, error.status, error.headers)
        case Plain():
            return Response(json.dumps({"error": str(error)}), error.status, media_type="text/html")
        case _:
            return Response(CRASH_PAGE, 500, headers={"content-type": "text/html"})


def _problem(error: Problem, request: Request) -> Response:
    status = ERROR_TYPES[error.error_type][0]
    body = {
        "detail": str(error),
        "error_message": str(error),
        "error_type": error.error_type,
        "title": error.error_type,
        "type": f"{root_url(request)}/api/v1/error/{error.error_type}",
        "status": status,
    }
    return result(body, status)


def result(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    text = json.dumps(body) + "\n"
    return Response(text, status, headers=dict(headers or {}), media_type="application/json")


def no_content() -> Response:
    return Response(b"", 204, headers={"content-type": "application/json"})


def ui(status: int) -> Response:
    """The page of the web UI, which stands behind every path that is none of the API's."""
    return Response(UI_PAGE, status, media_type="text/html")


def ui_refuses(methods: str) -> Response:
    return Response(METHOD_PAGE, 405, headers={"allow": methods}, media_type="text/html")


def redirect(request: Request, path: str) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    target = f"{root_url(request)}{path}{query}"
    page = (
        "<!doctype html>\n<html lang=en>\n<title>Redirecting...</title>\n<h1>Redirecting...</h1>\n"
        f'<p>You should be redirected automatically to the target URL: <a href="{target}">{target}</a>. '
        "If not, click the link.\n"
    )
    return Response(page, 308, headers={"location": target}, media_type="text/html")
