"""Keeps secrets out of the journal and the list of deliveries."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

MASK = "***"
_SECRET_NAME = re.compile(
    r"pass(word)?|token|secret|credential|signature|authorization|api_?key|callback_?url|archive_?url|^(email|url)$",
    re.IGNORECASE,
)


def redact(value: Any) -> Any:
    """A copy of a JSON value in which everything below a key that names a secret is masked."""
    if isinstance(value, dict):
        return {k: MASK if _hides(k, v) else redact(v) for k, v in value.items()}
    if isinstance(value, list):
        return [redact(item) for item in value]
    return value


def _hides(name: str, value: Any) -> bool:
    return bool(_SECRET_NAME.search(name)) and value is not None and not isinstance(value, (dict, list))


def redact_query(query: str) -> str:
    """The query string with the values of secret parameters masked; otherwise exactly as sent."""
    pairs = parse_qsl(query, keep_blank_values=True)
    if not any(value and _SECRET_NAME.search(name) for name, value in pairs):
        return query
    return urlencode(
        [(name, MASK if value and _SECRET_NAME.search(name) else value) for name, value in pairs], safe="*"
    )


def redact_url(url: str) -> str:
    """Scheme and host only: the path of a webhook is a secret too."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return MASK
    return f"{parts.scheme}://{host}/{MASK}" if host else MASK
