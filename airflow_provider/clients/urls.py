"""Writes and reads URLs: a call's path and query are escaped once, and checked before anything is sent."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from airflow_provider.exceptions import BadRequestError

_VARIABLE = re.compile(r"\{(\+?)(\w+)\}")

Params = Mapping[str, Any]


def path(template: str, /, **values: object) -> str:
    """Fill a path template: ``{x}`` is one segment (a slash in it is escaped), ``{+x}`` may span several.

    :raises BadRequestError: a value is empty or has an empty or dot segment, so that the call would reach another path.
    """

    def fill(match: re.Match[str]) -> str:
        spans, name = match.groups()
        text = "" if values[name] is None else str(values[name])
        _check_text(name, text)
        for segment in text.split("/") if spans else [text]:
            if not segment.strip() or segment in (".", ".."):
                raise BadRequestError(f"{name} must not be empty or hold an empty or dot segment, got {text!r}")
        # A colon needs no escape in a path, and the vendors' own pages write digests with it.
        return quote(text, safe="/:~" if spans else ":~")

    return _VARIABLE.sub(fill, template)


def query(params: Params | None) -> str:
    """Write a query: ``%20`` for blanks, ``None`` left out, lists repeated, booleans ``true`` and ``false``."""
    pairs: list[str] = []
    for key, value in (params or {}).items():
        values = value if isinstance(value, (list, tuple)) else [value]
        for item in values:
            _check_text(key, str(item))
        pairs.extend(f"{quote(key, safe='~$')}={quote(_text(item), safe='~')}" for item in values if item is not None)
    return "&".join(pairs)


def _check_text(name: str, text: str) -> None:
    if any("\ud800" <= char <= "\udfff" for char in text):
        # Not shown: it may be a URL with a secret in it.
        raise BadRequestError(f"{name} must be a text that can be written in UTF-8")


def page(template: str | None, base_url: str, ref: Mapping[str, str], *, whole: Collection[str] = ()) -> str | None:
    """The URL at which a person can see an execution; ``None`` if the page, or a value in its URL, is not known.

    :param template: with ``{base}`` and the names of texts of the reference, such as ``{id}``.
    :param whole: names of texts in which slashes and colons separate parts, and are not escaped.
    """
    needed = set(_VARIABLE.findall(template or "")) & {("", name) for name in ref}
    if not template or any(not ref[name] for _, name in needed):
        return None
    filled = template.replace("{base}", base_url)
    for _, name in needed:
        filled = filled.replace(f"{{{name}}}", quote(ref[name], safe=":/~" if name in whole else "~", errors="replace"))
    return filled


@functools.lru_cache(64)
def place_of(url: str) -> str:
    """A base URL in a comparable form: without credentials, upper case in the host, or the scheme's default port."""
    parts = urlsplit(url)
    port = "" if parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path.rstrip('/')}"


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
