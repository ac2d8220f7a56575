"""JSON answers and JSON request bodies, encoded and decoded fast enough for a thousand polls a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response


def json_reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An ``application/json`` answer."""
    return Response(msgspec.json.encode(body), status, headers=dict(headers or {}), media_type="application/json")


def empty_reply(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """An answer without a body."""
    return Response(b"", status, headers=dict(headers or {}))


def decode_json(raw: bytes) -> Any:
    """The JSON value in ``raw``; ValueError if it is not JSON."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None
