"""Who calls: IAM tokens and signatures, and the IAM routes that hand out tokens, temporary keys and project ids."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Call, Router
from airflow_provider.sandbox.core.system import EXPIRED
from airflow_provider.sandbox.service_stage.errors import BAD_REQUEST, KeystoneError, RefusedError, unauthenticated
from airflow_provider.sandbox.service_stage.signing import (
    Key,
    SignatureError,
    SignedRequest,
    access_key,
    expired,
    verify,
)

if TYPE_CHECKING:
    from airflow_provider.sandbox.service_stage.system import ServiceStageSystem

LARGEST_BODY = 12 * 1024 * 1024
PREFIXES = ("/iam", "")


@dataclass(slots=True)
class Token:
    user: str
    project_id: str | None
    expires_at: float


class Auth:
    """Tokens and access keys; ``projects`` maps the name of a project, which is its region, to its id."""

    def __init__(self, system: ServiceStageSystem) -> None:
        self._system = system
        self.tokens: dict[str, Token] = {}
        self.keys: dict[str, Key] = {}
        self.projects = seed.SERVICE_STAGE_PROJECTS

    def reset(self) -> None:
        self.tokens.clear()
        self.keys = {ak: Key(secret, user) for ak, (secret, user) in seed.SERVICE_STAGE_KEYS.items()}

    def add_routes(self, router: Router) -> None:
        for prefix in PREFIXES:
            router.add("POST", f"{prefix}/v3/auth/tokens", self._create_token)
            router.add("GET", f"{prefix}/v3/projects", self._list_projects)
            router.add("POST", f"{prefix}/v3.0/OS-CREDENTIAL/securitytokens", self._create_temporary_key)

    def who(self, token: str | None, authorization: str) -> str:
        """The user of a token, or the access key of a signature; "" when unknown."""
        if token is not None:
            return self.tokens[token].user if token in self.tokens else ""
        ak = access_key(authorization)
        return ak if ak in self.keys else ""

    def authenticate(self, call: Call) -> tuple[str, str, str | None]:
        """The login (user or access key), the user, and the project of a token (None with a signature)."""
        token = call.headers.get("x-auth-token")
        if token is not None:
            return self._by_token(token)
        if "authorization" not in call.headers:
            raise unauthenticated("x-auth-token and authorization not found")
        return self._by_signature(call)

    def _by_token(self, text: str) -> tuple[str, str, str | None]:
        token = self.tokens.get(text)
        if token is None:
            raise unauthenticated("decrypt token fail")
        if self._system.now >= token.expires_at:
            raise unauthenticated("token expires, please obtain a new one")
        return token.user, token.user, token.project_id or ""

    def _by_signature(self, call: Call) -> tuple[str, str, str | None]:
        if len(call.body) > LARGEST_BODY:
            raise RefusedError(413, BAD_REQUEST, "The request body is too large")
        now = self._system.now
        request = SignedRequest(
            call.method,
            (call.scope.get("raw_path") or call.path.encode()).decode("latin-1"),
            call.scope["query_string"].decode("latin-1"),
            [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in call.scope["headers"]],
            call.body,
        )
        try:
            if call.scope.get(EXPIRED):
                raise expired(request.header("x-sdk-date") or "", now)
            ak = verify(request, self.keys.get, now, plus_is_blank=self._system.switches["plus_is_blank"])
        except SignatureError as error:
            raise unauthenticated(str(error)) from None
        return ak, self.keys[ak].user, None

    def expire_tokens(self) -> None:
        for token in self.tokens.values():
            token.expires_at = 0.0

    def revoke(self, user: str) -> int:
        """Makes the tokens of a user unknown, as a changed password does."""
        gone = [text for text, token in self.tokens.items() if token.user == user]
        for text in gone:
            del self.tokens[text]
        return len(gone)

    def _create_token(self, call: Call) -> Response:
        identity, scope = self._password_request(call)
        user = _dig(identity, "password", "user")
        name = user.get("name")
        known = seed.SERVICE_STAGE_USERS.get(name) if isinstance(name, str) else None
        if (
            known is None
            or known != user.get("password")
            or _dig(user, "domain").get("name") != (seed.SERVICE_STAGE_DOMAIN)
        ):
            raise KeystoneError(401, "Unauthorized", "The username or password is wrong.")
        project = self._scoped_project(scope)
        issued_at = self._system.now
        expires_at = issued_at + self._system.switches["token_lifetime"]
        length = int(self._system.switches["token_length"])
        text = ("MIIE" + secrets.token_urlsafe(length))[:length]
        self.tokens[text] = Token(name, project[1] if project else None, expires_at)
        domain = {"id": "sandbox-domain-id", "name": seed.SERVICE_STAGE_DOMAIN}
        body: dict[str, Any] = {
            "issued_at": _iso(issued_at),
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

    def _password_request(self, call: Call) -> tuple[dict[str, Any], dict[str, Any]]:
        body = self._iam_body(call)
        identity = _dig(body, "auth", "identity")
        if identity.get("methods") != ["password"] or not _dig(identity, "password", "user"):
            raise KeystoneError(400, "Bad Request", "auth.identity must use the method password.")
        return identity, _dig(body, "auth", "scope")

    def _scoped_project(self, scope: dict[str, Any]) -> tuple[str, str] | None:
        wanted = _dig(scope, "project")
        if not wanted:
            return None
        for name, project_id in self.projects.items():
            if wanted.get("id", project_id) == project_id and wanted.get("name", name) == name:
                return name, project_id
        raise KeystoneError(401, "Unauthorized", "The project does not exist or the user has no access to it.")

    def _list_projects(self, call: Call) -> Response:
        self._authenticate_for_iam(call)
        name = call.query("name")
        projects = [
            {"id": project_id, "name": each, "domain_id": "sandbox-domain-id", "enabled": True, "is_domain": False}
            for each, project_id in self.projects.items()
            if name in (None, each)
        ]
        return json_reply({"links": {"next": None, "previous": None}, "projects": projects})

    def _create_temporary_key(self, call: Call) -> Response:
        user = self._authenticate_for_iam(call)
        role = _dig(self._iam_body(call), "auth", "identity", "assume_role")
        duration = role.get("duration_seconds", 900)
        if not role.get("agency_name") or not (role.get("domain_name") or role.get("domain_id")):
            raise KeystoneError(400, "Bad Request", "assume_role needs agency_name and domain_name or domain_id.")
        if not isinstance(duration, int) or not 900 <= duration <= 86400:
            raise KeystoneError(400, "Bad Request", "duration_seconds must be from 900 to 86400.")
        ak, expires_at = uuid.uuid4().hex[:20].upper(), self._system.now + duration
        key = Key(secrets.token_urlsafe(30), user, secrets.token_urlsafe(300), expires_at)
        self.keys[ak] = key
        credential = {
            "access": ak,
            "secret": key.secret,
            "securitytoken": key.security_token,
            "expires_at": _iso(expires_at),
        }
        return json_reply({"credential": credential}, 201)

    def _authenticate_for_iam(self, call: Call) -> str:
        try:
            return self.authenticate(call)[1]
        except RefusedError as refused:
            raise KeystoneError(401, "Unauthorized", refused.message) from None

    @staticmethod
    def _iam_body(call: Call) -> dict[str, Any]:
        try:
            body = call.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise KeystoneError(400, "Bad Request", "Expecting to find valid JSON.")
        return body


def _dig(value: Any, *names: str) -> dict[str, Any]:
    """The object below ``names``; an empty one where the way breaks off."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
