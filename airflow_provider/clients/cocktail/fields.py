"""Reads the fields of Cocktail's documents: envelopes, numbers, dates, image references."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_provider.clients.times import from_iso, if_real, in_utc

Json = dict[str, Any]
Document = Mapping[str, Any]
"""An object of Cocktail that is only read."""
Objects = list[Json]
"""In classes with a method ``list``, the type needs another name."""


def unwrap(data: Any) -> Any:
    """The object itself, which some servers wrap in an envelope as ``result``."""
    return data["result"] if isinstance(data, dict) and "result" in data else data


def number_text(value: object) -> str:
    """A number, which may be a text, as text; "" if there is none."""
    found = number(value)
    return "" if found is None else str(found)


def number(value: object) -> int | None:
    """A number, which may be a text; ``None`` if there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = int(value)
        return found if -(2**63) <= found < 2**63 else None
    except (ValueError, OverflowError):
        return None


def parse_time(text: object) -> datetime | None:
    """A date in either of two forms; the one without a zone is in UTC."""
    moment = from_iso(text)
    return if_real(in_utc(moment)) if moment else None


def objects_in(value: object) -> list[dict[str, Any]]:
    """A list of objects; none if the server sends something else in its place."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def in_order(steps: object) -> list[dict[str, Any]]:
    """The steps of a run, or of its log, in the order in which they run."""
    return sorted(objects_in(steps), key=lambda step: number(step.get("stepOrder")) or 0)


def image_name(image_url: object) -> str | None:
    """The image URL without its tag: a colon before the last slash belongs to the registry's port."""
    if not isinstance(image_url, str) or not image_url:
        return None
    path, slash, name = image_url.partition("@")[0].rpartition("/")
    return path + slash + name.partition(":")[0]
