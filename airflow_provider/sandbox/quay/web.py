"""What lies around the API: the web login with its CSRF token, the pages about errors, the Swagger head."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from starlette.responses import Response

from airflow_provider.sandbox.page import execution_page, repository_page
from airflow_provider.sandbox.quay.auth import WebSession
from airflow_provider.sandbox.quay.replies import ERROR_TYPES, Abort, not_found, result, root_url

if TYPE_CHECKING:
    from airflow_provider.sandbox.quay.calls import Call
    from airflow_provider.sandbox.quay.system import QuaySystem

SIGN_IN_SCHEMA = {
    "type": "object",
    "required": ["username", "password"],
    "properties": {"username": {"type": "string"}, "password": {"type": "string"}},
}


def csrf_token(call: Call) -> Response:
    session = WebSession()
    name = secrets.token_urlsafe(16)
    call.system.directory.sessions[name] = session
    reply = result({"csrf_token": session.csrf})
    reply.set_cookie("session", name, httponly=True)
    return reply


def sign_in(call: Call) -> Response:
    body = call.json(SIGN_IN_SCHEMA)
    session = call.system.directory.session(call.request)
    user = call.system.directory.users.get(body["username"])
    if session is None or user is None or user["password"] != body["password"]:
        raise Abort(403, "Invalid Username or Password", invalidCredentials=True)
    session.user = body["username"]
    return result({"success": True})


def error_type(call: Call) -> Response:
    name = call.params["error_type"]
    if name not in ERROR_TYPES:
        raise not_found()
    address = f"{root_url(call.request)}/api/v1/error/{name}"
    return result({"type": address, "title": name, "description": ERROR_TYPES[name][1]})


def discovery(call: Call) -> Response:
    return result({"swagger": "2.0", "host": call.request.headers.get("host", ""), "basePath": "/", "paths": {}})


def page(system: QuaySystem, path: str) -> str | None:
    """What the web UI shows of a repository or a build that is there: ``repository/acme/shop/build/<id>``."""
    root, _, rest = path.partition("/")
    name = "/".join(rest.split("/")[:2])
    repository = system.repositories.get(name)
    if root != "repository" or repository is None:
        return None
    builds = [{"system": "quay", **each} for each in system.executions() if each["repository"] == name]
    kind, _, what = rest.removeprefix(name).strip("/").partition("/")
    if kind == "build":
        return next((execution_page(each) for each in builds if each["id"] == what), None)
    tags = repository.living_tags(system.world.clock.now())
    return repository_page(name, [(tag.name, tag.digest, tag.start) for tag in tags], builds)
