"""One request to Quay's API as its operations see it: repository, login, checked JSON body."""

from __future__ import annotations

import json
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

    def number(self, name: str, default: int) -> int:
        """A number of the query; as the server does, a text that is none counts as not given."""
        value = self.query(name)
        return int(value) if value.isdecimal() else default

    def flag(self, name: str) -> bool:
        return self.query(name) not in ("", "false", "False", "FALSE", "0", "null")

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
            raise Problem("invalid_request", str(error))
        return dict(value)
