"""Logins of the on-prem and the SaaS kind, refresh tokens and bearers, and who a bearer belongs to."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from starlette.responses import Response

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.code_stream.errors import RefusedError, csp_refusal, iaas_refusal
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Call, Router

if TYPE_CHECKING:
    from airflow_provider.sandbox.code_stream.system import CodeStreamSystem

SAAS_LIFETIME = 1799


@dataclass(slots=True)
class Token:
    user: str
    expires_at: float
    idle: float = 0.0
    used_at: float = 0.0

    def valid(self, now: float) -> bool:
        return now < self.expires_at and (not self.idle or now - self.used_at < self.idle)


class Auth:
    """All tokens of the stand-in; expired ones stay known, so that they can be named in tests."""

    def __init__(self, system: CodeStreamSystem) -> None:
        self._system = system
        self.refresh_tokens: dict[str, Token] = {}
        self.bearers: dict[str, Token] = {}

    def reset(self) -> None:
        self.bearers.clear()
        self.refresh_tokens = {seed.CODE_STREAM_REFRESH_TOKEN: Token("release-bot", float("inf"))}

    def add_routes(self, router: Router) -> None:
        router.add("POST", "/csp/gateway/am/api/login", self._login)
        router.add("POST", "/csp/gateway/am/idp/auth/login", self._domain_login)
        router.add("POST", "/csp/gateway/am/api/auth/api-tokens/authorize", self._authorize)
        router.add("POST", "/iaas/api/login", self._exchange)

    def user_of(self, authorization: str, now: float) -> str:
        """The login of a valid bearer, else ""."""
        token = self.bearers.get(authorization.removeprefix("Bearer "))
        return token.user if token and authorization.startswith("Bearer ") and token.valid(now) else ""

    def authenticate(self, call: Call) -> str:
        """The login of the caller; RefusedError(401) for a missing, wrong or expired bearer."""
        authorization = call.headers.get("authorization", "")
        now = self._system.now
        user = self.user_of(authorization, now)
        if not user:
            raise RefusedError(401)
        self.bearers[authorization.removeprefix("Bearer ")].used_at = now
        return user

    def expire_bearers(self) -> None:
        for token in self.bearers.values():
            token.expires_at = 0.0

    def expire_refresh_tokens(self) -> None:
        for token in self.refresh_tokens.values():
            token.expires_at = 0.0

    def is_valid_refresh_token(self, text: str | None) -> bool:
        token = self.refresh_tokens.get(text or "")
        return token is not None and token.valid(self._system.now)

    def _login(self, call: Call) -> Response:
        return self._password_login(call, domain_needed=False)

    def _domain_login(self, call: Call) -> Response:
        return self._password_login(call, domain_needed=True)

    def _password_login(self, call: Call, *, domain_needed: bool) -> Response:
        status = self._system.switches["login_error_status"]
        now = self._system.now
        try:
            body = call.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            return csp_refusal(400, "Malformed request body", now)
        user, password, domain = body.get("username"), body.get("password"), body.get("domain")
        if not user or not password:
            return csp_refusal(400, "username and password must not be empty", now)
        wrong_domain = domain != seed.CODE_STREAM_DOMAIN and (domain_needed or domain not in (None, ""))
        if seed.CODE_STREAM_USERS.get(user) != password or wrong_domain:
            return csp_refusal(status, "Invalid username or password", now)
        reply: dict[str, Any] = {"cspAuthToken": secrets.token_urlsafe(24)}
        if call.query("access_token") is not None:
            refresh_token = secrets.token_urlsafe(24)
            lifetime = self._system.switches["refresh_lifetime"]
            self.refresh_tokens[refresh_token] = Token(user, now + lifetime)
            reply = {
                "refresh_token": refresh_token,
                "access_token": secrets.token_urlsafe(24),
                "token_type": "Bearer",
                "scope": "openid",
            }
        return json_reply(reply)

    def _exchange(self, call: Call) -> Response:
        status = self._system.switches["refresh_error_status"]
        try:
            body = call.json()
        except ValueError:
            body = None
        text = body.get("refreshToken") if isinstance(body, dict) else None
        if not isinstance(text, str) or not text:
            return iaas_refusal(400, "refreshToken must not be empty")
        if not self.is_valid_refresh_token(text):
            return iaas_refusal(status, "Invalid or expired refresh token")
        bearer = self._bearer(self.refresh_tokens[text].user, self._system.switches["bearer_lifetime"])
        return json_reply({"tokenType": "Bearer", "token": bearer})

    def _authorize(self, call: Call) -> Response:
        form = parse_qs(call.body.decode("latin-1"))
        text = form.get("refresh_token", [""])[0]
        if not self.is_valid_refresh_token(text):
            return csp_refusal(400, "Invalid refresh token: invalid_grant", self._system.now)
        lifetime = min(SAAS_LIFETIME, self._system.switches["bearer_lifetime"])
        bearer = self._bearer(self.refresh_tokens[text].user, lifetime, idle=self._system.switches["saas_idle"])
        reply = {
            "access_token": bearer,
            "expires_in": lifetime,
            "token_type": "bearer",
            "id_token": "id-token",
            "scope": "openid",
        }
        return json_reply(reply)

    def _bearer(self, user: str, lifetime: float, idle: float = 0.0) -> str:
        now = self._system.now
        text = secrets.token_urlsafe(32)
        if not self._system.switches["opaque_bearer"]:
            claims = {"sub": user, "iat": int(now), "exp": int(now + lifetime), "jti": text}
            text = ".".join((_base64({"alg": "RS256", "typ": "JWT"}), _base64(claims), secrets.token_urlsafe(32)))
        self.bearers[text] = Token(user, now + lifetime, idle, now)
        return text


def _base64(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
