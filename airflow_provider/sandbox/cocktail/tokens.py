"""The tokens that the gateway knows: opaque ones, and RS256 JWTs. None of them ever leaves this module."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from airflow_provider.sandbox.cocktail.models import ACCOUNT_SEQ
from airflow_provider.sandbox.core.calls import Call

YEAR_9999 = 253_370_764_800


@dataclass
class Token:
    """``scopes`` None means every route; ``expires`` is in epoch seconds."""

    name: str
    scopes: frozenset[str] | None = None
    expires: float = YEAR_9999
    revoked: bool = False


class Tokens:
    def __init__(self, switches: Mapping[str, Any], opaque: dict[str, str]) -> None:
        """:param opaque: token -> its name; they reach every route."""
        self._switches = switches
        self._opaque = opaque
        self._key: rsa.RSAPrivateKey | None = None
        self.clear()

    def clear(self) -> None:
        self._tokens = {text: Token(name) for text, name in self._opaque.items()}

    def issue(self, name: str, scopes: list[str] | None, expires: float | None, now: float) -> str:
        """A JWT as Cocktail makes them: RS256, ``kid``, ``exp`` in the year 9999 by default."""
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

    def of(self, call: Call) -> Token | None:
        """The token that a call sends, if it is known."""
        value = call.headers.get(self._switches["auth_header"], "")
        scheme = self._switches["auth_scheme"]
        if scheme:
            given, _, value = value.partition(" ")
            if given.lower() != scheme.lower():
                return None
        return self._tokens.get(value.strip())
