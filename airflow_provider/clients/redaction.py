"""Takes secrets out of texts that people may see. Knows the secrets of one client and the usual names of secrets."""

from __future__ import annotations

import re
from collections.abc import Callable

MASK = "***"

_NAMES = (
    r"password|passwd|secret[_-]?key|secret[_-]?token|refresh[_-]?token|access[_-]?token|api[_-]?token|api[_-]?key"
    r"|responder[_-]?token|csp[_-]?auth[_-]?token|x-auth-token|x-subject-token|x-security-token|authorization|token"
)
_NAMED_VALUE = re.compile(
    rf"""(?P<name>["']?\b(?:{_NAMES})\b["']?\s*[:=]\s*)(?P<value>"[^"]*"|'[^']*'|(?:bearer\s+)?[^\s,;&|}}"']+)""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(bearer)\s+[\w.~+/=-]+", re.IGNORECASE)
_SIGNATURE = re.compile(r"\b(Access=[^\s,]{4})[^\s,]*(.*?Signature=)\w+", re.IGNORECASE | re.DOTALL)
_USER_IN_URL = re.compile(r"://[^/\s@]+@")
_SHORTEST = 4


class Redactor:
    """Masks secrets by value (those it was told) and by name (those it recognises in a text).

    :param on_secret: told every secret once, so that a log system can mask it too.
    """

    def __init__(self, on_secret: Callable[[str], None] | None = None) -> None:
        self._secrets: frozenset[str] = frozenset()
        self._on_secret = on_secret

    def add(self, secret: str | None) -> None:
        """Remember a secret; texts shorter than four characters cannot be masked without masking half of a text."""
        if not secret or len(secret) < _SHORTEST or secret in self._secrets:
            return
        self._secrets |= {secret}
        if self._on_secret:
            self._on_secret(secret)

    def __call__(self, text: str) -> str:
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        text = _USER_IN_URL.sub(f"://{MASK}@", text)
        text = _SIGNATURE.sub(rf"\1{MASK}\2{MASK}", text)
        text = _NAMED_VALUE.sub(lambda match: match["name"] + MASK, text)
        return _BEARER.sub(rf"\1 {MASK}", text)
