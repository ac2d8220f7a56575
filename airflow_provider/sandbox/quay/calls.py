"""One request to Quay's API as its operations see it: repository, login, checked JSON body."""

from __future__ import annotations

import json
from pprint import pformat
from textwrap import indent
from typing import TYPE_CHECKING, Any

import jsonschema
from jsonschema.exceptions import best_match
from starlette.requests import Request

from airflow_provider.sandbox.quay.replies import Abort, Problem, not_found
from airflow_provider.sandbox.quay.store import Repository

if TYPE_CHECKING:
    from airflow_provider.sandbox.quay.auth import Login
    from airflow_provider.sandbox.quay.system import QuaySystem

NOT_JSON = "Did not attempt to load JSON data because the request Content-Type was not 'application/json'."
BROKEN_JSON = "The browser (or proxy) sent a request that this server could not understand."


class Call:
    """``params`` are the parts of the path; ``repository`` is None when there is none of that name."""

    def __init__(self, system: QuaySystem, request: Request, params: dict[str, str], body: bytes) -> None:
        self.system = system
        self.request = request
        self.params = params
        self.body = body
        self.now = system.world.clock.now()
        self.login: Login | None = None
        self.namespace, _, self.name = params.get("repository", "").partition("/")

    @property
    def repository(self) -> Repository | None:
        return self.system.repositories.get(f"{self.namespace}/{self.name}")

    @property
    def found(self) -> Repository:
        """:raises Problem: 404 when there is no such repository"""
        repository = self.repository
        if repository is None:
            raise not_found()
        return repository

    @property
    def user(self) -> str:
        return self.login.user if self.login else ""

    def query(self, name: str, default: str = "") -> str:
        return self.request.query_params.get(name, default)

    def number(self, name: str, default: int, what: str) -> int:
        """A number of the query, negative ones included.

        :param what: the server's words for it, with which it refuses a text that is none
        """
        value = self.query(name)
        try:
            return int(value) if value else default
        except ValueError:
            raise Abort(400, {name: what}) from None

    def flag(self, name: str, default: bool = False) -> bool:
        return self.query(name) not in ("false", "False", "FALSE", "0", "null") if self.query(name) else default

    def json(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The body, checked in the server's order: content type, JSON, schema."""
        kind = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
            raise Abort(415, NOT_JSON)
        try:
            value: Any = json.loads(self.body)
        except ValueError:
            raise Abort(400, BROKEN_JSON) from None
        if value is None:
            raise Problem("invalid_request", "Missing JSON body")
        error = best_match(jsonschema.Draft4Validator(schema).iter_errors(value))
        if error is not None:
            raise Problem("invalid_request", _told(error))
        return dict(value)


def _told(error: jsonschema.ValidationError) -> str:
    """An error as the real server's validator tells it, an older one: one line, then the schema and the value."""
    message = error.message.replace("should be non-empty", "is too short")
    broken = "".join(f"[{each!r}]" for each in list(error.relative_schema_path)[:-1])
    place = "".join(f"[{each!r}]" for each in error.relative_path)
    schema, value = (indent(pformat(each, width=72), "    ") for each in (error.schema, error.instance))
    rule = f"Failed validating {error.validator!r} in schema{broken}:\n{schema}"
    return f"{message}\n\n{rule}\n\nOn instance{place}:\n{value}"
