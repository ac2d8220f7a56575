"""Quay's successful answers: JSON, no content, the pages of its web UI, redirects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call

METHOD_PAGE = (
    "<!doctype html>\n<html lang=en>\n<title>405 Method Not Allowed</title>\n<h1>Method Not Allowed</h1>\n"
    "<p>The method is not allowed for the requested URL.</p>\n"
)
UI_PAGE = "<!DOCTYPE html>\n<html>\n<head><title>Quay</title></head>\n<body>\n{}</body>\n</html>\n".format(
    '<script src="/static/build/main-quay-frontend.bundle.js"></script>\n' * 1050
)


def result(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    text = json.dumps(body) + "\n"
    return Response(text, status, headers=dict(headers or {}), media_type="application/json")


def no_content() -> Response:
    return Response(b"", 204, headers={"content-type": "application/json"})


def ui(status: int) -> Response:
    """The page of the web UI, which answers every path outside the API."""
    return Response(UI_PAGE, status, media_type="text/html")


def ui_refuses(methods: str) -> Response:
    return Response(METHOD_PAGE, 405, headers={"allow": methods}, media_type="text/html")


def redirect(call: Call, path: str) -> Response:
    query = f"?{call.query_string}" if call.query_string else ""
    target = f"{call.base_url}{path}{query}"
    page = (
        "<!doctype html>\n<html lang=en>\n<title>Redirecting...</title>\n<h1>Redirecting...</h1>\n"
        f'<p>You should be redirected automatically to the target URL: <a href="{target}">{target}</a>. '
        "If not, click the link.\n"
    )
    return Response(page, 308, headers={"location": target}, media_type="text/html")
