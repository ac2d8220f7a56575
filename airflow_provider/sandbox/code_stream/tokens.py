"""Refresh tokens and bearer tokens, and their users. No routes."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.clock import Clock
from airflow_provider.sandbox.core.issued import issue

SCHEME = "Bearer "


@dataclass(slots=True)
class Token:
    """:param expires_at: epoch seconds
    :param idle: seconds without use after which it expires; 0: never
    """

    user: str
    expires_at: float
    idle: float = 0.0
    used_at: float = 0.0

    def valid(self, now: float) -> bool:
        return now < self.expires_at and (not self.idle or now - self.used_at < self.idle)


class Tokens:
    """All tokens of the stand-in, expired ones included."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        self._bearers: dict[str, Token] = {}
        self._refresh_tokens = {seed.CODE_STREAM_REFRESH_TOKEN: Token("release-bot", float("inf"))}

    def user_of(self, call: Call) -> str:
        """The login of a valid bearer, else ""."""
        text = call.headers.get("authorization", "")
        token = self._bearers.get(text.removeprefix(SCHEME))
        return token.user if token and text.startswith(SCHEME) and token.valid(self._clock.now()) else ""

    def use(self, call: Call) -> str:
        """As ``user_of``; also counts as use for a bearer with an idle time-out."""
        user = self.user_of(call)
        if user:
            self._bearers[call.headers["authorization"].removeprefix(SCHEME)].used_at = self._clock.now()
        return user

    def user_of_refresh_token(self, text: str | None) -> str:
        """The login of a valid refresh token, else ""."""
        token = self._refresh_tokens.get(text or "")
        return token.user if token and token.valid(self._clock.now()) else ""

    def issue_refresh_token(self, user: str, lifetime: float) -> str:
        text = issue(24)
        self._refresh_tokens[text] = Token(user, self._clock.now() + lifetime)
        return text

    def issue_bearer(self, user: str, lifetime: float, *, idle: float = 0.0, opaque: bool) -> str:
        """A bearer: a JWT, unless it is to be ``opaque``."""
        now = self._clock.now()
        text = issue(32)
        if not opaque:
            claims = {"sub": user, "iat": int(now), "exp": int(now + lifetime), "jti": text}
            text = ".".join((_base64({"alg": "RS256", "typ": "JWT"}), _base64(claims), issue(32)))
        self._bearers[text] = Token(user, now + lifetime, idle, now)
        return text

    def expire_bearers(self) -> None:
        _expire(self._bearers)

    def expire_refresh_tokens(self) -> None:
        _expire(self._refresh_tokens)


def _expire(tokens: dict[str, Token]) -> None:
    for token in tokens.values():
        token.expires_at = 0.0


def _base64(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
