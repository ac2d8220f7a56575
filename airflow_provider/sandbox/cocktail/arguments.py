"""Reads the parts of a call: numbers in the path and the query, and the JSON object in the body."""

from __future__ import annotations

import json
import re
from typing import Any

from airflow_provider.sandbox.cocktail.refusals import BadCall
from airflow_provider.sandbox.core.calls import Call

INT32 = 2**31 - 1


def path_number(call: Call, name: str) -> int:
    return int32(name, call.params[name])


def query_number(call: Call, name: str) -> int | None:
    value = call.query(name)
    return None if value is None else int32(name, value)


def required(call: Call, name: str) -> str:
    value = call.query(name)
    if value is None:
        raise BadCall(400, f"Required request parameter '{name}' is not present")
    return value


def object_of(call: Call) -> dict[str, Any]:
    if "json" not in call.headers.get("content-type", ""):
        raise BadCall(415, "Content type is not supported")
    try:
        value = json.loads(call.body)
    except ValueError:
        raise BadCall(400, "JSON parse error") from None
    if not isinstance(value, dict):
        raise BadCall(400, "JSON parse error")
    return value


def int32(name: str, text: str) -> int:
    if not re.fullmatch(r"-?\d+", text) or abs(int(text)) > INT32:
        raise BadCall(400, f"Failed to convert '{name}' to a number")
    return int(text)
