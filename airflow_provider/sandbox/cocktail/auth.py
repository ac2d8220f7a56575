"""The gateway in front of Cocktail: which token may call which route, from which address.

Tokens are opaque or RS256 JWTs; none of them ever leaves this module.
"""

from __future__ import annotations

import ipaddress
import uuid
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.requests import Request

from airflow_provider.sandbox.cocktail.models import ACCOUNT_SEQ

YEAR_9999 = 253_370_764_800


class GatewayRefusal(Exception):  # noqa: N818
    """401 or 403 before the API server sees anything."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Token:
    """``scopes`` None means every route; ``expires`` is in epoch seconds."""

    name: str
    scopes: frozenset[str] | None = None
    expires: float = YEAR_9999
    revoked: bool = False


class Gateway:
    def __init__(self, switches: dict[str, Any], opaque: dict[str, str]) -> None:
        """:param opaque: token -> its name; they reach every route."""
        self._switches = switches
        self._tokens = {token: Token(name) for token, name in opaque.items()}
        self._key: rsa.RSAPrivateKey | None = None

    def issue(self, name: str, scopes: list[str] | None, expires: float | None, now: float) -> str:
        """A JWT as Cocktail makes them: RS256, ``kid``, ``exp`` in the year 9999 unless told."""
        if self._key is None:
            self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        token = Token(name, None if scopes is None else frozenset(scopes), expires or YEAR_9999)
        claims = {
            "iss": "cocktail",
            "aud": "Gateway",
            "exp": int(token.expires),
            "iat": int(now),
            "jti": str(uuid.uuid4()),
            "accountSeq": ACCOUNT_SEQ,
        }
        text = jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": "sandbox-1", "typ": "jwt"})
        self._tokens[text] = token
        return text

    def revoke(self, name: str) -> bool:
        """Whether there was a token of that name."""
        named = [token for token in self._tokens.values() if token.name == name]
        for token in named:
            token.revoked = True
        return bool(named)

    def who(self, request: Request) -> str:
        token = self._token(request)
        return token.name if token else ""

    def check(self, request: Request, route: str, now: float, expired: bool) -> None:
        """:raises GatewayRefusal: 401 for the token itself, 403 for its scope or the caller's address"""
        token = self._token(request)
        if token is None:
            raise GatewayRefusal(401, "Unauthorized")
        if expired or token.expires <= now:
            raise GatewayRefusal(401, "Token is expired")
        if token.revoked:
            raise GatewayRefusal(401, "Token is revoked")
        if not self._address_allowed(request.client.host if request.client else ""):
            raise GatewayRefusal(403, "Address is not allowed")
        if token.scopes is not None and route not in token.scopes:
            raise GatewayRefusal(403, "Permission denied")

    def _token(self, request: Request) -> Token | None:
        value = request.headers.get(self._switches["auth_header"], "")
        scheme = self._switches["auth_scheme"]
        if scheme:
            given, _, value = value.partition(" ")
            if given.lower() != scheme.lower():
                return None
        return self._tokens.get(value.strip())

    def _address_allowed(self, address: str) -> bool:
        def listed(networks: list[str]) -> bool:
            return any(ipaddress.ip_address(address) in ipaddress.ip_network(each) for each in networks)

        allow, deny = self._switches["allow_addresses"], self._switches["deny_addresses"]
        return not listed(deny) and (not allow or listed(allow))
