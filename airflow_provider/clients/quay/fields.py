"""Reads the fields of Quay's documents: dates, lists, image references."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_provider.clients.times import if_real, parse_http_date

Json = dict[str, Any]
Document = Mapping[str, Any]
"""An object of Quay that is only read."""
Objects = list[Json]
"""In classes with a method ``list``, the type needs another name."""

LONGEST_NAME = 300
"""Characters of a name, an id or a digest: they go into the events and states that Airflow stores."""
LATEST = 1e11
"""Epoch seconds; anything later is not a real time."""


def parse_time(text: object) -> datetime | None:
    """Dates such as ``Sat, 21 Nov 2026 00:18:17 -0000``, which are in UTC."""
    return if_real(parse_http_date(text)) if isinstance(text, str) else None


def began_at(tag: Mapping[str, Any]) -> int:
    """Epoch seconds at which a listed tag began; 0 if unknown."""
    began = tag.get("start_ts")
    if not isinstance(began, (int, float)) or isinstance(began, bool):
        return 0
    return int(began) if 0 < began < LATEST else 0


def texts_in(value: object) -> list[str]:
    """A list of texts, without anything else that the server sends in their place."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def objects_in(value: object) -> list[dict[str, Any]]:
    """A list of objects, without anything else that the server sends in their place."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def is_text(value: object) -> bool:
    """Whether it may be a name, an id or a digest."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_NAME


def image_ref(registry: str, repository: str, digest: str | None) -> str | None:
    """The image pinned by its digest; :param registry: host and port."""
    return f"{registry}/{repository}@{digest}" if digest else None
