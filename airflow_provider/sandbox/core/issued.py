"""Tokens and keys that the sandbox issues: random, with a mark by which a search of logs and databases finds any."""

from __future__ import annotations

import secrets

MARK = "sandbox-issued-"


def issue(size: int) -> str:
    """:param size: how many random bytes."""
    return MARK + secrets.token_urlsafe(size)
