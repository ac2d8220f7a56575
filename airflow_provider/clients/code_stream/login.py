"""Credentials of Code Stream, and how they become a bearer token: on-prem in two steps, SaaS with one form post."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

from airflow_provider.clients.auth import NoAuth, TokenAuth
from airflow_provider.clients.code_stream.references import SYSTEM
from airflow_provider.clients.login import Token, shared_login
from airflow_provider.clients.transport import Transport
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    Call,
    ConnectionConfigError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    UnexpectedResponseError,
)

LOCAL_LOGIN = "/csp/gateway/am/api/login"
DOMAIN_LOGIN = "/csp/gateway/am/idp/auth/login"
TOKEN_EXCHANGE = "/iaas/api/login"  # noqa: S105 - a path

OPAQUE_LIFETIME = 1200.0
"""Seconds for which a token without a known expiry is used: the shortest known lifetime is 25 minutes."""

LONGEST_LIFETIME = 90 * 86400.0
"""Seconds; a token that claims to live longer is replaced after this time."""

NO_SERVICE = (
    "no Pipelines service answers at this host. VMware Cloud Foundation (VCF) Automation 9 ships none: this needs "
    "vRealize or Aria Automation 8.x. If the host is one, check the connection's host and its extra `api_prefix`"
)
_NOT_SAAS = "no token service answers at the connection's extra `token_url`"

_REFUSALS = (AuthenticationError, BadRequestError, PermissionDeniedError)


@dataclass(frozen=True, repr=False)
class Credentials:
    """The credentials with which a bearer token is fetched, checked once.

    :raises ConnectionConfigError: they are incomplete or contradict each other.
    """

    username: str | None = None
    password: str | None = None
    domain: str | None = None
    refresh_token: str | None = None
    token_url: str | None = None

    def __post_init__(self) -> None:
        wrong = None
        if self.refresh_token and (self.username or self.password):
            wrong = "give username and password, or refresh_token, not both"
        elif self.token_url and not self.refresh_token:
            wrong = "token_url needs refresh_token"
        elif self.domain and not self.username:
            wrong = "domain needs username and password"
        elif not self.refresh_token and not (self.username and self.password):
            wrong = "username and password are needed, or refresh_token"
        if wrong:
            raise ConnectionConfigError(wrong, call=Call(system=SYSTEM))

    def login(self, transport: Transport) -> TokenAuth:
        if self.token_url:
            return SaasLogin(transport, token_url=self.token_url, refresh_token=str(self.refresh_token))
        return OnPremLogin(
            transport,
            username=self.username,
            password=self.password,
            domain=self.domain,
            refresh_token=self.refresh_token,
        )


class OnPremLogin(TokenAuth):
    """Exchanges user and password for a refresh token (valid for about 90 days), and that for a bearer token.

    :param username: with ``password``; without, ``refresh_token`` is needed.
    :param domain: of a directory user.
    :param refresh_token: an API token made in the UI.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        username: str | None = None,
        password: str | None = None,
        domain: str | None = None,
        refresh_token: str | None = None,
    ) -> None:
        login = shared_login("on-prem", transport.base_url, username, password, domain, refresh_token)
        super().__init__(transport.redact, login)
        self._transport = transport
        self._username, self._password, self._domain = username, password, domain
        self._refresh_token = refresh_token
        for secret in (password, refresh_token):
            transport.redact.add(secret)

    def login(self) -> Token:
        try:
            return self._log_in()
        except NotFoundError as error:
            raise _not_answered(NO_SERVICE, error) from None

    def _log_in(self) -> Token:
        if not self._password:
            return self._exchange(str(self._refresh_token))
        if self._refresh_token:
            try:
                return self._exchange(self._refresh_token)
            except AuthenticationError:
                self._refresh_token = None
        self._refresh_token = self._fetch_refresh_token()
        return self._exchange(self._refresh_token)

    def _fetch_refresh_token(self) -> str:
        body = {"username": self._username, "password": self._password}
        if self._domain:
            body["domain"] = self._domain
        try:
            try:
                reply = self._post(DOMAIN_LOGIN if self._domain else LOCAL_LOGIN, body)
            except NotFoundError:
                if not self._domain:
                    raise
                # Some releases take the domain at the path of the local users.
                reply = self._post(LOCAL_LOGIN, body)
        except _REFUSALS as error:
            raise _refused("the login and password of the connection are not accepted", error) from None
        token = reply.get("refresh_token")
        if not isinstance(token, str) or not token:
            raise UnexpectedResponseError(
                "the login was accepted, but its answer has no refresh token: this needs vRealize Automation 8.0.1 or "
                "newer, or the extra `refresh_token`",
                call=Call(system=SYSTEM, method="POST", path=LOCAL_LOGIN),
            )
        return token

    def _exchange(self, refresh_token: str) -> Token:
        # It is in use for as long as the bearer tokens that it yields.
        self._transport.redact.add_token(refresh_token)
        try:
            reply = self._transport.request(
                "POST", TOKEN_EXCHANGE, body={"refreshToken": refresh_token}, auth=NoAuth(), attempts=1
            ).data
        except _REFUSALS as error:
            raise _refused("the refresh token is not accepted; it may be older than 90 days", error) from None
        return bearer(reply, "token")

    def _post(self, path: str, body: dict[str, str | None]) -> dict[str, Any]:
        # Without ?access_token, the answer only has a token of the identity service.
        reply = self._transport.request("POST", f"{path}?access_token", body=body, auth=NoAuth(), attempts=1).data
        return reply if isinstance(reply, dict) else {}


class SaasLogin(TokenAuth):
    """The token service of the former SaaS: one form post.

    :param token_url: whole URL, such as ``https://<token service>/csp/gateway/am/api/auth/api-tokens/authorize``.
    """

    def __init__(self, transport: Transport, *, token_url: str, refresh_token: str) -> None:
        super().__init__(transport.redact, shared_login("saas", token_url, refresh_token))
        self._transport, self._token_url, self._refresh_token = transport, token_url, refresh_token
        transport.redact.add(refresh_token)

    def login(self) -> Token:
        form = {"refresh_token": self._refresh_token}
        try:
            reply = self._transport.request("POST", self._token_url, form=form, auth=NoAuth(), attempts=1).data
        except _REFUSALS as error:
            raise _refused("the token service does not accept the refresh token", error) from None
        except NotFoundError as error:
            raise _not_answered(_NOT_SAAS, error) from None
        return bearer(reply, "access_token")


def bearer(reply: object, field: str) -> Token:
    """The bearer token in a login's reply, with the expiry from the reply or the token.

    :raises UnexpectedResponseError: there is none.
    """
    value = reply.get(field) if isinstance(reply, dict) else None
    if not isinstance(reply, dict) or not isinstance(value, str) or not value:
        raise UnexpectedResponseError(f"the login's answer has no field `{field}`", call=Call(system=SYSTEM))
    seconds = reply.get("expires_in")
    lifetime = float(seconds) if isinstance(seconds, (int, float)) and seconds > 0 else _jwt_lifetime(value)
    return Token(value, time.time() + min(lifetime or OPAQUE_LIFETIME, LONGEST_LIFETIME))


def _jwt_lifetime(token: str) -> float | None:
    """Remaining seconds of a JWT that was just issued, by the issuer's clock, which may differ from ours."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        lifetime = float(claims["exp"]) - float(claims.get("iat", time.time()))
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        return None
    return lifetime if lifetime > 0 else None


def _not_answered(summary: str, error: NotFoundError) -> UnexpectedResponseError:
    """The error for a login that nobody answers, as while a gateway is down: it is no news of an execution."""
    return UnexpectedResponseError(summary, call=error.call, effect=Effect.NONE)


def _refused(summary: str, error: ReleasePipelineError) -> AuthenticationError:
    return AuthenticationError(summary, call=error.call)
