"""How requests are authenticated: a fixed header, or a token that is fetched once for all threads and renewed."""

from __future__ import annotations

from abc import abstractmethod

from requests import PreparedRequest
from requests.auth import AuthBase

from airflow_provider.clients.login import Login, Token
from airflow_provider.clients.redaction import Redactor


class Auth(AuthBase):
    """Authenticates each attempt of a request anew, when ``requests`` calls it."""

    def renew(self, refused: PreparedRequest) -> bool:
        """After a 401: whether there are new credentials, so that one retry is worthwhile."""
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


class TokenAuth(Auth):
    """A token from a login; a subclass defines how to log in.

    :param redact: masks the tokens.
    :param login: the shared login, see :func:`shared_login`; default: one for this client only.
    """

    header = "Authorization"
    scheme = "Bearer"

    def __init__(self, redact: Redactor, login: Login | None = None) -> None:
        self._redact = redact
        self._login = login or Login()

    @abstractmethod
    def login(self) -> Token:
        """Fetch a new token. Called by one thread at a time."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers[self.header] = f"{self.scheme} {self._current().value}".strip()
        return request

    def renew(self, refused: PreparedRequest) -> bool:
        self._login.drop(str(refused.headers.get(self.header, "")))
        return True

    def _current(self) -> Token:
        token = self._login.token(self.login)
        self._redact.add_token(token.value)
        return token
