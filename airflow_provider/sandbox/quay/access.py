"""Who calls Quay and what they may do: OAuth tokens with scopes, the web login with its CSRF header, browsers.

Rights are those of the granting user, narrowed by the scopes of the token.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.core.calls import Call, Caller
from airflow_provider.sandbox.quay.models import Repository
from airflow_provider.sandbox.quay.refusals import Plain, Problem

LEVELS = ("read", "write", "admin")
_BROWSER = re.compile(r"Mozilla/|Opera/|Chrome/|Firefox/|Safari/", re.IGNORECASE)
CSRF_TEXT = "CSRF token was invalid or missing."
BROWSER_TEXT = "API calls must be invoked with an X-Requested-With header if called from a browser"


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

    def __init__(self) -> None:
        self.users = seed.QUAY_USERS
        self.namespaces = {namespace for user in self.users.values() for namespace in user["namespaces"]}
        self.clear()

    def clear(self) -> None:
        self._tokens = {
            each["token"]: Token(each["user"], frozenset(each["scopes"]), each.get("expires"))
            for each in seed.QUAY_TOKENS
        }
        self._sessions: dict[str, WebSession] = {}

    def issue(self, user: str, scopes: list[str], expires: float | None) -> str:
        token = secrets.token_hex(20)
        self._tokens[token] = Token(user, frozenset(scopes), expires)
        return token

    def open_session(self) -> tuple[str, WebSession]:
        """The cookie value of a new session without a user, and the session."""
        name, session = secrets.token_urlsafe(16), WebSession()
        self._sessions[name] = session
        return name, session

    def session(self, call: Call) -> WebSession | None:
        return self._sessions.get(call.cookie("session"))

    def caller(self, call: Call) -> Caller | None:
        """The caller; None for anything that the API does not accept, such as an expired token."""
        scheme, _, value = call.headers.get("authorization", "").partition(" ")
        if scheme:
            token = self._tokens.get(value) if scheme.lower() == "bearer" else None
            if token is None or call.token_expired or (token.expires is not None and token.expires <= call.now):
                return None
            return Caller(token.user, scopes=token.scopes)
        session = self.session(call)
        return Caller(session.user) if session is not None and session.user else None

    def check_call(self, call: Call) -> None:
        """The checks before any permission: browsers on reads, CSRF on writes without a token.

        :raises Plain: 400 or 403
        """
        if call.method in ("GET", "HEAD", "OPTIONS"):
            from_browser = _BROWSER.search(call.headers.get("user-agent", ""))
            if from_browser and call.headers.get("x-requested-with") != "XMLHttpRequest":
                raise Plain(400, BROWSER_TEXT)
            return
        if call.caller is not None and call.caller.scopes is not None:
            return
        session = self.session(call)
        if session is None or call.headers.get("x-csrf-token") != session.csrf:
            raise Plain(403, CSRF_TEXT)

    def owns(self, user: str, namespace: str) -> bool:
        return namespace in self.users.get(user, {}).get("namespaces", ())

    def may(self, caller: Caller | None, namespace: str, level: str) -> bool:
        """Whether the caller has the right in the namespace, and their token its scope."""
        return caller is not None and self.owns(caller.user, namespace) and _reaches(caller, level)

    def require(self, caller: Caller | None, namespace: str, repository: Repository | None, level: str) -> None:
        """:raises Problem: 401 without a login, 403 for a login without the right or the scope"""
        if level == "read" and repository is not None and repository.public:
            return
        if caller is None:
            raise Problem("invalid_token", "Requires authentication")
        if not self.may(caller, namespace, level):
            raise Problem("insufficient_scope", "Unauthorized")


def _reaches(caller: Caller, level: str) -> bool:
    if caller.scopes is None:
        return True
    return any(f"repo:{each}" in caller.scopes for each in LEVELS[LEVELS.index(level) :])
