"""What a process knows about a login: its token, whether a thread is logging in right now, and whether it was refused.

Accounts are locked after a few wrong logins, and a token saves a login: so all clients in a process with the same
credentials share this knowledge, which outlives each of them. How to log in is defined in the clients.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable

import msgspec

from airflow_provider.clients.memory import Recent
from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import (
    AuthenticationError,
    ConnectionConfigError,
    Effect,
    PermissionDeniedError,
    ReleasePipelineError,
)

RENEW_BEFORE = 60.0
"""Seconds before its expiry at which a token is replaced, or half of a shorter life: it must not expire in transit."""
LAST_USE = 5.0
"""Seconds before its expiry until which a token is used while a new one is being fetched, or could not be."""
RENEW_AGAIN = 30.0
"""Seconds until another attempt to replace a token that has not expired."""
KEPT_FOR = 3600.0
"""Seconds for which an unused login is kept."""

_REFUSALS = (AuthenticationError, ConnectionConfigError, PermissionDeniedError)


class Token(msgspec.Struct, frozen=True):
    """:param expires_at: epoch seconds.
    :param project_id: the project that it is for, if the system reports it.
    """

    value: str
    expires_at: float
    project_id: str | None = None

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at!r})"


class Login:
    """One login, shared by any number of threads and clients."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._token: Token | None = None
        self._renew_at = 0.0
        self._is_running = False
        self._count = 0
        """Login attempts that have finished."""
        self._failure: ReleasePipelineError | None = None
        """Error of the last one."""
        self._refusals = 0
        self._refused_until = 0.0

    def token(self, log_in: Callable[[], Token]) -> Token:
        """The token; the first thread that needs a new one fetches it for all, and blocks no other thread.

        :raises ReleasePipelineError: the login's own error, the same for all threads that wait for it. A refused login
            is not repeated for a while.
        """
        with self._changed:
            token = self._known_or_awaited()
            if token:
                return token
            self._is_running = True
        failure: ReleasePipelineError | None = None
        try:
            token = log_in()
        except ReleasePipelineError as error:
            # Whatever happened to the login, the request that needs it was not sent.
            if error.effect.is_open:
                error.effect = Effect.NONE
            failure = error
        finally:
            with self._changed:
                self._is_running = False
                self._count += 1
                self._note(token, failure)
                self._changed.notify_all()
                # However short its life is: it has just been issued.
                token = token or self._usable(time.time())
        if token is None:
            raise failure or AuthenticationError("the login returned no token", effect=Effect.NONE)
        return token

    def drop(self, header: str) -> None:
        """Discard the token that was refused; many threads may report the same one."""
        with self._changed:
            if self._token and header.endswith(self._token.value):
                self._token = None

    def _known_or_awaited(self) -> Token | None:
        """The token, or ``None`` for the thread that must log in now."""
        while True:
            now = time.time()
            if self._token and now < self._renew_at:
                return self._token
            if not self._is_running:
                self._refuse_again()
                return None
            if usable := self._usable(now):
                return usable
            count = self._count
            self._changed.wait_for(lambda count=count: self._count != count)  # type: ignore[misc]
            if self._failure:
                raise copy.copy(self._failure)

    def _usable(self, now: float) -> Token | None:
        return self._token if self._token and now < self._token.expires_at - LAST_USE else None

    def _note(self, token: Token | None, failure: ReleasePipelineError | None) -> None:
        now = time.time()
        self._failure = copy.copy(failure) if failure else None
        if token:
            self._token, self._refusals = token, 0
            self._renew_at = token.expires_at - min(RENEW_BEFORE, (token.expires_at - now) / 2)
            return
        self._renew_at = now + RENEW_AGAIN
        if isinstance(failure, _REFUSALS):
            pause = DURATIONS.refused_login_pause * 2.0 ** min(self._refusals, 16)
            self._refusals += 1
            self._refused_until = time.monotonic() + min(DURATIONS.longest_refused_login_pause, pause)

    def _refuse_again(self) -> None:
        left = self._refused_until - time.monotonic()
        if self._refusals and left > 0 and self._failure:
            again = copy.copy(self._failure)
            raise type(again)(
                f"{again.summary} (no new login for {left:.0f} s unless the connection changes, so that the account is "
                "not locked)",
                call=again.call,
                effect=again.effect,
            )


_SALT = secrets.token_bytes(32)
_LOCK = threading.Lock()
_SHARED: Recent[str, Login] = Recent(KEPT_FOR)


def shared_login(*credentials: str | None) -> Login:
    """The login of all clients in this process with these credentials.

    :param credentials: everything that identifies the login, including its URL.
    """
    text = "\0".join(each or "" for each in credentials)
    key = hmac.new(_SALT, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
    with _LOCK:
        login = _SHARED.get(key)
        if login is None:
            _SHARED.put(key, login := Login())
        return login


def forget_shared_logins() -> None:
    """For tests: the next client logs in anew."""
    with _LOCK:
        _SHARED.clear()
