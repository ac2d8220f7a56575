"""Who calls Quay and what they may do: OAuth tokens with scopes, the web login with its CSRF header, browsers.

Rights are those of the granting user, narrowed by the scopes of the token.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from airflow_provider.sandbox.quay.replies import Plain, Problem
from airflow_provider.sandbox.quay.store import Repository

LEVELS = ("read", "write", "admin")
_BROWSER = re.compile(r"Mozilla/|Opera/|Chrome/|Firefox/|Safari/", re.IGNORECASE)
CSRF_TEXT = "CSRF token was invalid or missing."
BROWSER_TEXT = "API calls must be invoked with an X-Requested-With header if called from a browser"


@dataclass(frozen=True)
class Login:
    """``scopes`` None: logged in by cookie, nothing is narrowed."""

    user: str
    scopes: frozenset[str] | None

    def reaches(self, level: str) -> bool:
        if self.scopes is None:
            return True
        return any(f"repo:{each}" in self.scopes for each in LEVELS[LEVELS.index(level) :])


@dataclass
class Token:
    user: str
    scopes: frozenset[str]
    expires: float | None = None


@dataclass
class WebSession:
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    user: str = ""


class Directory:
    """Tokens, users with the namespaces that they own, web sessions."""

    def __init__(self, users: dict[str, dict[str, Any]], tokens: list[dict[str, Any]]) -> None:
        """:param users: name -> {password, namespaces}"""
        self.users = users
        self.namespaces = {namespace for user in users.values() for namespace in user["namespaces"]}
        self._tokens = {
            each["token"]: Token(each["user"], frozenset(each["scopes"]), each.get("expires")) for each in tokens
        }
        self.sessions: dict[str, WebSession] = {}

    def issue(self, user: str, scopes: list[str], expires: float | None) -> str:
        token = secrets.token_hex(20)
        self._tokens[token] = Token(user, frozenset(scopes), expires)
        return token

    def login(self, request: Request, now: float, expired: bool) -> Login | None:
        """The caller, None for everything that the API does not accept (an expired token included)."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme:
            token = self._tokens.get(value) if scheme.lower() == "bearer" else None
            alive = token is not None and not expired and (token.expires is None or token.expires > now)
            return Login(token.user, token.scopes) if token is not None and alive else None
        session = self.session(request)
        return Login(session.user, None) if session is not None and session.user else None

    def session(self, request: Request) -> WebSession | None:
        return self.sessions.get(request.cookies.get("session", ""))

    def check_call(self, request: Request, login: Login | None) -> None:
        """The checks before any permission: browsers on reads, CSRF on writes without a token.

        :raises Plain: 400 or 403
        """
        if request.method in ("GET", "HEAD", "OPTIONS"):
            from_browser = _BROWSER.search(request.headers.get("user-agent", ""))
            if from_browser and request.headers.get("x-requested-with") != "XMLHttpRequest":
                raise Plain(400, BROWSER_TEXT)
            return
        if login is not None and login.scopes is not None:
            return
        session = self.session(request)
        if session is None or request.headers.get("x-csrf-token") != session.csrf:
            raise Plain(403, CSRF_TEXT)

    def owns(self, user: str, namespace: str) -> bool:
        return namespace in self.users.get(user, {}).get("namespaces", ())

    def require(self, login: Login | None, namespace: str, repository: Repository | None, level: str) -> None:
        """:raises Problem: 401 for nobody, 403 for a login without the right or the scope"""
        if level == "read" and repository is not None and repository.public:
            return
        if login is None:
            raise Problem("invalid_token", "Requires authentication")
        if not self.owns(login.user, namespace) or not login.reaches(level):
            raise Problem("insufficient_scope", "Unauthorized")
