"""Reads the body of a call."""

from __future__ import annotations

from typing import Any

from airflow_provider.sandbox.code_stream.refusals import Refusal
from airflow_provider.sandbox.core.calls import Call


def json_of(call: Call) -> Any:
    """The JSON value in the body; None if there is none."""
    try:
        return call.json()
    except ValueError as error:
        raise Refusal(400, f"Malformed JSON request: {error}") from None


def object_of(call: Call) -> dict[str, Any]:
    """The JSON object in the body, which must be there."""
    body = json_of(call)
    if not isinstance(body, dict):
        raise Refusal(400, "Required request body is missing")
    return body
