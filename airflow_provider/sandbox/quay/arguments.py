"""Reads the parts of a call: parameters of the query, the JSON body (checked against a schema), the repository."""

from __future__ import annotations

import json
from pprint import pformat
from textwrap import indent
from typing import Any

import jsonschema
from jsonschema.exceptions import best_match

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.quay.models import Repository
from airflow_provider.sandbox.quay.refusals import Abort, Problem, not_found
from airflow_provider.sandbox.quay.state import State

NOT_JSON = "Did not attempt to load JSON data because the request Content-Type was not 'application/json'."
BROKEN_JSON = "The browser (or proxy) sent a request that this server could not understand."


def text(call: Call, name: str) -> str:
    return call.query(name) or ""


def number(call: Call, name: str, default: int, what: str) -> int:
    """A number of the query, negative ones included.

    :param what: the server's description of it, which is its error message for anything else
    """
    value = text(call, name)
    try:
        return int(value) if value else default
    except ValueError:
        raise Abort(400, {name: what}) from None


def flag(call: Call, name: str, default: bool = False) -> bool:
    value = text(call, name)
    return value not in ("false", "False", "FALSE", "0", "null") if value else default


def body_of(call: Call, schema: dict[str, Any]) -> dict[str, Any]:
    """The body, checked in the server's order: content type, JSON, schema."""
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise Abort(415, NOT_JSON)
    try:
        value: Any = json.loads(call.body)
    except ValueError:
        raise Abort(400, BROKEN_JSON) from None
    if value is None:
        raise Problem("invalid_request", "Missing JSON body")
    error = best_match(jsonschema.Draft4Validator(schema).iter_errors(value))
    if error is not None:
        raise Problem("invalid_request", _described(error))
    return dict(value)


def path_of(call: Call) -> str:
    """``namespace/name`` of the repository in the path; "" if there is none."""
    return call.params.get("repository", "")


def namespace_of(call: Call) -> str:
    return path_of(call).partition("/")[0]


def repository_of(call: Call, state: State) -> Repository:
    """:raises Problem: 404 when there is no such repository"""
    repository = state.repositories.get(path_of(call))
    if repository is None:
        raise not_found()
    return repository


def _described(error: jsonschema.ValidationError) -> str:
    """An error in the words of the real server's validator, an older one: one line, then the schema and the value."""
    message = error.message.replace("should be non-empty", "is too short")
    broken = "".join(f"[{each!r}]" for each in list(error.relative_schema_path)[:-1])
    place = "".join(f"[{each!r}]" for each in error.relative_path)
    schema, value = (indent(pformat(each, width=72), "    ") for each in (error.schema, error.instance))
    rule = f"Failed validating {error.validator!r} in schema{broken}:\n{schema}"
    return f"{message}\n\n{rule}\n\nOn instance{place}:\n{value}"
