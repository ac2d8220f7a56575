"""How requests are authenticated: a fixed header, or a token that is fetched once for all threads and renewed."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod

import msgspec
from requests import PreparedRequest
from requests.auth import AuthBase

from airflow_provider.clients.redaction import Redactor
from airflow_provider.exceptions import Effect, ReleasePipelineError

RENEW_BEFORE = 60.0
"""Seconds before its end at which a token is replaced, or at half of a short life: it must not end on the way."""


class Auth(AuthBase):
    """Authenticates each attempt of a request anew, when ``requests`` calls it."""

    def renew(self, refused: PreparedRequest) -> bool:
        """After a 401: whether new credentials make one repetition worth while."""
        return False


class NoAuth(Auth):
    """For logins: also keeps ``requests`` from adding credentials of a .netrc file."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        return request


class HeaderAuth(Auth):
    """The same header on every request."""

    def __init__(self, header: str, value: str) -> None:
        self._header, self._value = header, value

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers[self._header] = self._value
        return request


class Token(msgspec.Struct, frozen=True):
    """:param expires_at: epoch seconds."""

    value: str
    expires_at: float

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at!r})"


class TokenAuth(Auth):
    """A token from a login, shared by all threads of a client; a subclass says how to log in."""

    header = "Authorization"
    scheme = "Bearer"

    def __init__(self, redact: Redactor) -> None:
        self._redact = redact
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._renew_at = 0.0

    @abstractmethod
    def login(self) -> Token:
        """Fetch a new token. Called by one thread at a time."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers[self.header] = f"{self.scheme} {self._current().value}".strip()
        return request

    def renew(self, refused: PreparedRequest) -> bool:
        sent = str(refused.headers.get(self.header, ""))
        with self._lock:
            # Many threads may be refused at once: only the first of them throws the token away.
            if self._token and sent.endswith(self._token.value):
                self._token = None
        return True

    def _current(self) -> Token:
        with self._lock:
            if self._token is None or self._renew_at <= time.time():
                try:
                    token = self.login()
                except ReleasePipelineError as error:
                    # Whatever happened to the login: the request that it was for has not been sent.
                    if error.effect.is_open:
                        error.effect = Effect.NONE
                    raise
                self._redact.add_token(token.value)
                self._token = token
                lifetime = token.expires_at - time.time()
                self._renew_at = token.expires_at - min(RENEW_BEFORE, lifetime / 2)
            return self._token
