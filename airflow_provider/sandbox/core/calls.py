"""One request to a stand-in, as its gate and its routes receive it, and how it is refused."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from airflow_provider.sandbox.core.replies import decode_json

EXPIRED = "sandbox.expired"
"""Key in the scope of a request whose token is to be treated as expired, because of a fault."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request.

    :param user: the account
    :param login: what they authenticate with, if that is not the account, such as an access key
    :param scopes: the scopes of the token; None: not limited
    """

    user: str
    login: str = ""
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """What answers a method of a path.

    :param rule: what the system's gate needs to know about the route
    """

    handler: Callable[[Call], Response | Unlocked]
    rule: Any = None


@dataclass(frozen=True, slots=True)
class Match:
    """The route for a method and a path.

    :param redirect: the path with a trailing slash, if only that exists
    :param allowed: the methods that the path has, if this one is not among them
    """

    route: Route | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    redirect: str | None = None
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unlocked:
    """A slow reply: ``finish`` runs in a thread, without the lock of the sandbox."""

    finish: Callable[[], Response]


class Refused(Exception, ABC):  # noqa: N818 - a vendor's answer, not a fault of the sandbox
    """The vendor refuses a call. Each system derives its error formats from this."""

    @abstractmethod
    def reply(self, call: Call) -> Response:
        """The answer that the vendor gives."""


class Call:
    """One request. ``now`` is when it arrived (epoch seconds by the clock of the sandbox), ``switches`` are those of
    the system that it is for, ``caller`` is None until the gate has identified the caller."""

    def __init__(
        self,
        scope: Scope,
        body: bytes = b"",
        *,
        now: float = 0.0,
        switches: Mapping[str, Any] | None = None,
        match: Match | None = None,
    ) -> None:
        self.scope = scope
        self.body = body
        self.now = now
        self.switches = switches or {}
        self.match = match or Match()
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.root: str = scope.get("root_path", "")
        self.headers = Headers(scope=scope)
        self.caller: Caller | None = None

    @property
    def below(self) -> str:
        """The path below the one that the system is mounted at."""
        return self.path.removeprefix(self.root)

    @property
    def params(self) -> Mapping[str, str]:
        """The parts of the path that its route names."""
        return self.match.params

    @property
    def user(self) -> str:
        return self.caller.user if self.caller else ""

    @property
    def login(self) -> str:
        return (self.caller.login or self.caller.user) if self.caller else ""

    @property
    def token_expired(self) -> bool:
        """Whether a fault expires the token of this one request; for systems with static tokens."""
        return bool(self.scope.get(EXPIRED))

    @property
    def query_string(self) -> str:
        """As it was sent."""
        return str(self.scope["query_string"].decode("latin-1"))

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """The parameters of the query, in order."""
        return parse_qsl(self.query_string, keep_blank_values=True)

    @cached_property
    def _query(self) -> dict[str, str]:
        return dict(self.pairs)

    def query(self, name: str) -> str | None:
        """The last value of a parameter of the query."""
        return self._query.get(name)

    def cookie(self, name: str) -> str:
        found = SimpleCookie(self.headers.get("cookie", "")).get(name)
        return found.value if found else ""

    @property
    def base_url(self) -> str:
        """Scheme, host and the path that the system is mounted at."""
        return f"{self.scope['scheme']}://{self.headers.get('host', '')}{self.root}"

    def json(self) -> Any:
        """The JSON body, None when empty; ValueError when malformed."""
        return decode_json(self.body) if self.body else None
