"""The routes around the API: the web login with its CSRF token, the pages about errors, the Swagger head."""

from __future__ import annotations

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.page import execution_page, repository_page
from airflow_provider.sandbox.quay.access import Directory
from airflow_provider.sandbox.quay.arguments import body_of
from airflow_provider.sandbox.quay.refusals import ERROR_TYPES, Abort, not_found
from airflow_provider.sandbox.quay.results import result
from airflow_provider.sandbox.quay.rules import DECIDES, OPEN
from airflow_provider.sandbox.quay.state import State

SIGN_IN_SCHEMA = {
    "type": "object",
    "required": ["username", "password"],
    "properties": {"username": {"type": "string"}, "password": {"type": "string"}},
}


class Web:
    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def add_routes(self, router: Router) -> None:
        router.add("GET HEAD", "/csrf_token", self._csrf_token, OPEN)
        router.add("POST", "/api/v1/signin", self._sign_in, DECIDES)
        router.add("GET HEAD", "/api/v1/discovery", _discovery, OPEN)
        router.add("GET HEAD", "/api/v1/error/{error_type}", _error_type, OPEN)

    def _csrf_token(self, call: Call) -> Response:
        name, session = self._directory.open_session()
        reply = result({"csrf_token": session.csrf})
        reply.set_cookie("session", name, httponly=True)
        return reply

    def _sign_in(self, call: Call) -> Response:
        body = body_of(call, SIGN_IN_SCHEMA)
        session = self._directory.session(call)
        user = self._directory.users.get(body["username"])
        if session is None or user is None or user["password"] != body["password"]:
            raise Abort(403, "Invalid Username or Password", invalidCredentials=True)
        session.user = body["username"]
        return result({"success": True})


def _error_type(call: Call) -> Response:
    name = call.params["error_type"]
    if name not in ERROR_TYPES:
        raise not_found()
    address = f"{call.base_url}/api/v1/error/{name}"
    return result({"type": address, "title": name, "description": ERROR_TYPES[name][1]})


def _discovery(call: Call) -> Response:
    return result({"swagger": "2.0", "host": call.headers.get("host", ""), "basePath": "/", "paths": {}})


def page_of(state: State, path: str) -> str | None:
    """The page of a known repository or build, such as ``repository/acme/shop/build/<id>``."""
    root, _, rest = path.partition("/")
    name = "/".join(rest.split("/")[:2])
    repository = state.repositories.get(name)
    if root != "repository" or repository is None:
        return None
    builds = [{"system": "quay", **each} for each in state.executions() if each["repository"] == name]
    kind, _, what = rest.removeprefix(name).strip("/").partition("/")
    if kind == "build":
        return next((execution_page(each) for each in builds if each["id"] == what), None)
    tags = repository.living_tags(state.now)
    return repository_page(name, [(tag.name, tag.digest, tag.start) for tag in tags], builds)
