"""Reads the times, links and secrets in Code Stream's objects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from airflow_provider.clients.times import from_epoch, from_iso, if_real, in_utc

Json = dict[str, Any]
Document = Mapping[str, Any]
"""A vendor's object that is only read."""
Documents = list[Document]
Objects = list[Json]
"""In classes with a method ``list``, the type needs another name."""

SECRET_FIELDS = frozenset(
    {"password", "refreshToken", "refresh_token", "secretToken", "apiToken", "responderToken", "token", "cspAuthToken"}
)
LONGEST_ID, LONGEST_FIELD = 200, 1000
"""Characters of an id, and of a field that is compared: both go into references, which Airflow stores."""
_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


def parse_time(value: object) -> datetime | None:
    """A time from epoch micro-, milli- or seconds (distinguished by their size), or from a text with its zone.

    ``None`` for anything else, including a text without a zone: Code Stream does not write those in UTC.
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return from_epoch(value)
    moment = from_iso(value) if isinstance(value, str) else None
    return in_utc(moment) if moment and moment.tzinfo else None


def first_time(document: Document, *names: str) -> datetime | None:
    """The first of these fields that holds a time."""
    return next((moment for name in names if (moment := if_real(parse_time(document.get(name))))), None)


def id_from_link(link: object) -> str:
    """The id at the end of a link, whatever its prefix; "" for no link."""
    try:
        return _short(urlsplit(link).path.rstrip("/").rpartition("/")[2]) if isinstance(link, str) else ""
    except ValueError:
        return ""


def id_of(document: Document) -> str:
    """The id of a document; "" if it has none that can be used."""
    return _short(str(document.get("id") or "")) or id_from_link(document.get("_link"))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_ID else ""


def as_text(value: object) -> str:
    """A field as comparable text: "" for none, ``true`` and ``false`` in lower case."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text[:LONGEST_FIELD]


def fields_of(value: object) -> Json:
    """An object's fields; none if the server sends something else in its place."""
    return value if isinstance(value, dict) else {}


def texts_of(value: object, otherwise: Mapping[str, object]) -> list[str]:
    """A list of names; the keys of an object if the server sends no such list."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) and value else list(otherwise)


def without_secrets(data: Any) -> Any:
    """The same object without the fields that hold secrets, for XCom and logs."""
    if isinstance(data, dict):
        return {key: without_secrets(value) for key, value in data.items() if key not in SECRET_FIELDS}
    return [without_secrets(item) for item in data] if isinstance(data, list) else data


def secrets_in(data: Any) -> Iterator[str]:
    """The secrets of an object: webhook and listener tokens, values of SECRET variables."""
    if isinstance(data, dict):
        for key, value in data.items():
            if isinstance(value, str):
                if key in SECRET_FIELDS or (key == "value" and data.get("type") == "SECRET"):
                    # A value that the server has masked is not a secret, and its stars occur everywhere.
                    yield from [value] if value.strip("*") else []
            else:
                yield from secrets_in(value)
    elif isinstance(data, list):
        for item in data:
            yield from secrets_in(item)
