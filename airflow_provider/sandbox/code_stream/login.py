"""The routes of logins, on-prem and SaaS: they exchange a password or a refresh token for a bearer token."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from starlette.responses import Response

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.code_stream.refusals import CspRefusal, IaasRefusal
from airflow_provider.sandbox.code_stream.tokens import Tokens
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.issued import issue
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Router

SAAS_LIFETIME = 1799
OPEN = "open"
"""The rule of routes that need no bearer token."""


class Login:
    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def add_routes(self, router: Router) -> None:
        router.add("POST", "/csp/gateway/am/api/login", self._login, OPEN)
        router.add("POST", "/csp/gateway/am/idp/auth/login", self._domain_login, OPEN)
        router.add("POST", "/csp/gateway/am/api/auth/api-tokens/authorize", self._authorize, OPEN)
        router.add("POST", "/iaas/api/login", self._exchange, OPEN)

    def _login(self, call: Call) -> Response:
        return self._password_login(call, domain_needed=False)

    def _domain_login(self, call: Call) -> Response:
        return self._password_login(call, domain_needed=True)

    def _password_login(self, call: Call, *, domain_needed: bool) -> Response:
        body = _object(call)
        if body is None:
            raise CspRefusal(400, "Malformed request body")
        user, password, domain = body.get("username"), body.get("password"), body.get("domain")
        if not user or not password:
            raise CspRefusal(400, "username and password must not be empty")
        wrong_domain = domain != seed.CODE_STREAM_DOMAIN and (domain_needed or domain not in (None, ""))
        if seed.CODE_STREAM_USERS.get(user) != password or wrong_domain:
            raise CspRefusal(call.switches["login_error_status"], "Invalid username or password")
        if call.query("access_token") is None:
            return json_reply({"cspAuthToken": issue(24)})
        return json_reply(
            {
                "refresh_token": self._tokens.issue_refresh_token(user, call.switches["refresh_lifetime"]),
                "access_token": issue(24),
                "token_type": "Bearer",
                "scope": "openid",
            }
        )

    def _exchange(self, call: Call) -> Response:
        text = (_object(call) or {}).get("refreshToken")
        if not isinstance(text, str) or not text:
            raise IaasRefusal(400, "refreshToken must not be empty")
        user = self._tokens.user_of_refresh_token(text)
        if not user:
            raise IaasRefusal(call.switches["refresh_error_status"], "Invalid or expired refresh token")
        bearer = self._tokens.issue_bearer(
            user, call.switches["bearer_lifetime"], opaque=call.switches["opaque_bearer"]
        )
        return json_reply({"tokenType": "Bearer", "token": bearer})

    def _authorize(self, call: Call) -> Response:
        form = parse_qs(call.body.decode("latin-1"))
        user = self._tokens.user_of_refresh_token(form.get("refresh_token", [""])[0])
        if not user:
            raise CspRefusal(400, "Invalid refresh token: invalid_grant")
        lifetime = min(SAAS_LIFETIME, call.switches["bearer_lifetime"])
        bearer = self._tokens.issue_bearer(
            user, lifetime, idle=call.switches["saas_idle"], opaque=call.switches["opaque_bearer"]
        )
        return json_reply(
            {
                "access_token": bearer,
                "expires_in": lifetime,
                "token_type": "bearer",
                "id_token": "id-token",
                "scope": "openid",
            }
        )


def _object(call: Call) -> dict[str, Any] | None:
    """The JSON object in the body; None when there is none."""
    try:
        body = call.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None
