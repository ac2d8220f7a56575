"""The routes of IAM, below ``/iam`` and at the root: tokens, temporary access keys, project ids."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.service_stage.credentials import Credentials
from airflow_provider.sandbox.service_stage.refusals import KeystoneRefusal, Refusal

PREFIXES = ("/iam", "")
ROOTS = tuple(prefix + root for prefix in PREFIXES for root in ("/v3/auth/", "/v3/projects", "/v3.0/"))


def is_iam(call: Call) -> bool:
    return call.below.startswith(ROOTS)


class Iam:
    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def add_routes(self, router: Router) -> None:
        for prefix in PREFIXES:
            router.add("POST", f"{prefix}/v3/auth/tokens", self._create_token)
            router.add("GET", f"{prefix}/v3/projects", self._list_projects)
            router.add("POST", f"{prefix}/v3.0/OS-CREDENTIAL/securitytokens", self._create_temporary_key)

    def _create_token(self, call: Call) -> Response:
        identity, scope = _password_request(call)
        user = _dig(identity, "password", "user")
        name, domain_name = user.get("name"), _dig(user, "domain").get("name")
        known = seed.SERVICE_STAGE_USERS.get(name) if isinstance(name, str) else None
        right = known is not None and known == user.get("password") and domain_name == seed.SERVICE_STAGE_DOMAIN
        if not isinstance(name, str) or not right:
            raise KeystoneRefusal(401, "Unauthorized", "The username or password is wrong.")
        project = self._scoped_project(scope)
        expires_at = call.now + call.switches["token_lifetime"]
        text = self._credentials.issue_token(
            name, project[1] if project else None, expires_at, int(call.switches["token_length"])
        )
        domain = {"id": "sandbox-domain-id", "name": seed.SERVICE_STAGE_DOMAIN}
        body: dict[str, Any] = {
            "issued_at": _iso(call.now),
            "expires_at": _iso(expires_at),
            "methods": ["password"],
            "user": {"id": f"{name}-id", "name": name, "password_expires_at": "", "domain": domain},
            "roles": [{"id": "0", "name": "te_admin"}],
        }
        if project:
            body["project"] = {"id": project[1], "name": project[0], "domain": domain}
        if not call.query("nocatalog"):
            body["catalog"] = []
        return json_reply({"token": body}, 201, {"X-Subject-Token": text})

    def _scoped_project(self, scope: dict[str, Any]) -> tuple[str, str] | None:
        wanted = _dig(scope, "project")
        if not wanted:
            return None
        for name, project_id in self._credentials.projects.items():
            if wanted.get("id", project_id) == project_id and wanted.get("name", name) == name:
                return name, project_id
        raise KeystoneRefusal(401, "Unauthorized", "The project does not exist or the user has no access to it.")

    def _list_projects(self, call: Call) -> Response:
        self._identify(call)
        name = call.query("name")
        projects = [
            {"id": project_id, "name": each, "domain_id": "sandbox-domain-id", "enabled": True, "is_domain": False}
            for each, project_id in self._credentials.projects.items()
            if name in (None, each)
        ]
        return json_reply({"links": {"next": None, "previous": None}, "projects": projects})

    def _create_temporary_key(self, call: Call) -> Response:
        user = self._identify(call)
        role = _dig(_body(call), "auth", "identity", "assume_role")
        duration = role.get("duration_seconds", 900)
        if not role.get("agency_name") or not (role.get("domain_name") or role.get("domain_id")):
            raise KeystoneRefusal(400, "Bad Request", "assume_role needs agency_name and domain_name or domain_id.")
        if not isinstance(duration, int) or not 900 <= duration <= 86400:
            raise KeystoneRefusal(400, "Bad Request", "duration_seconds must be from 900 to 86400.")
        expires_at = call.now + duration
        ak, key = self._credentials.issue_key(user, expires_at)
        credential = {
            "access": ak,
            "secret": key.secret,
            "securitytoken": key.security_token,
            "expires_at": _iso(expires_at),
        }
        return json_reply({"credential": credential}, 201)

    def _identify(self, call: Call) -> str:
        try:
            return self._credentials.identify(call)[0].user
        except Refusal as refusal:
            raise KeystoneRefusal(401, "Unauthorized", refusal.message) from None


def _password_request(call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
    body = _body(call)
    identity = _dig(body, "auth", "identity")
    if identity.get("methods") != ["password"] or not _dig(identity, "password", "user"):
        raise KeystoneRefusal(400, "Bad Request", "auth.identity must use the method password.")
    return identity, _dig(body, "auth", "scope")


def _body(call: Call) -> dict[str, Any]:
    try:
        body = call.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise KeystoneRefusal(400, "Bad Request", "Expecting to find valid JSON.")
    return body


def _dig(value: Any, *names: str) -> dict[str, Any]:
    """The object at the path ``names``; an empty one if any of them is missing."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
