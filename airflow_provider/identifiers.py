"""What ids, tags, digests, URLs and durations must look like, checked before anything is sent; secret parts of URLs.

A function called ``..._problem`` returns what is wrong with a value, as the rest of a sentence that begins with the
value's name; ``None`` if nothing is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

LONGEST_TAG = 128
LONGEST_BUILD_TAG = 127
"""Quay truncates the tags of a build to this, although a tag itself may be one character longer."""

Severity = Literal["Unknown", "Negligible", "Low", "Medium", "High", "Critical"]
"""Of a finding of Quay's scanner, in ascending order."""

LONGEST = 10 * 365 * 86400
"""Most seconds of a duration: ten years. Longer ones overflow the clocks that they are added to."""

LONGEST_ID, LONGEST_REPOSITORY = 255, 1000
"""Characters of an id or a digest, and of the whole name of a repository: far more than Quay allows."""

SHORTEST_PIECE = 10
"""Fewest characters of a part of a URL that is masked by itself: shorter parts are words that other text contains."""

_LONGEST_SHOWN = 200

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"


SOURCES = ("variable:", "file:")
"""Where release windows may be kept: what a text that names such a place begins with."""


def windows_problem(value: object) -> str | None:
    """For release windows; their contents are checked where they are read."""
    if isinstance(value, (list, tuple)):
        return None
    if isinstance(value, str) and value.startswith(SOURCES) and value not in SOURCES:
        return None
    return f"must be a list, variable:<name> or file:<path>, {got(value)}"


def got(value: object) -> str:
    """A value as an error shows it."""
    shown = repr(value)
    return f"got {shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + '...'}"


def seconds_of(value: object, *, may_be_zero: bool = False) -> float:
    """The seconds of a duration given as a number or ``timedelta``.

    :raises ValueError: it is no usable limit: not finite, negative, longer than ten years, or no duration at all.
    """
    if isinstance(value, timedelta):
        seconds: float = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = value
    else:
        raise ValueError(f"must be seconds or a timedelta, got {value!r}")
    if not 0 <= seconds <= LONGEST or (seconds == 0 and not may_be_zero):
        least = "0" if may_be_zero else "more than 0"
        raise ValueError(f"must be {least} and at most {LONGEST} seconds (ten years), got {value!r}")
    return float(seconds)


def same_spelling(name: str) -> str:
    """A user's name in a form that is equal for spellings that differ only in case, spaces around them, or how Unicode
    composes their letters."""
    import unicodedata

    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def number_problem(value: object) -> str | None:
    """For an id that is a number."""
    text = str(value).strip()
    holds = isinstance(value, (int, str)) and text.isascii() and text.isdecimal() and len(text) < 20 and int(text) > 0
    return None if holds else f"must be a number of 1 or more, {got(value)}"


def is_name(value: object) -> bool:
    """Whether it may be one part of the name of a repository."""
    return isinstance(value, str) and len(value) <= LONGEST_ID and bool(re.fullmatch(_NAME, value))


def repository_problem(value: object) -> str | None:
    parts = value.split("/") if isinstance(value, str) else []
    holds = len(parts) >= 2 and all(map(is_name, parts)) and len(str(value)) <= LONGEST_REPOSITORY
    return None if holds else f"must be 'namespace/name', {got(value)}"


def tag_problem(value: object, longest: int = LONGEST_TAG) -> str | None:
    """For the tag of an image."""
    if not isinstance(value, str):
        return f"must be text, {got(value)}"
    if is_name(value) and len(str(value)) <= longest:
        return None
    return (
        f"must be letters, digits, '_', '.', '-', not begin with '.' or '-', and have at most {longest} characters, "
        f"{got(value)}"
    )


def build_tags_problem(value: object) -> str | None:
    """For the tags of a build in Quay, which changes invalid ones, so that the build could not be found by them."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        return f"must be a list of at least one tag, {got(value)}"
    problems = filter(None, (tag_problem(each, LONGEST_BUILD_TAG) for each in value))
    if problem := next(problems, None):
        return f"must be a list of tags, each of which {problem}"
    return None if len(set(value)) == len(value) else f"must hold each tag once, {got(value)}"


def tag_pattern_problem(value: object) -> str | None:
    """For a pattern that the names of tags are matched with."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.*?!\[\]-]{1,200}", value):
        return None
    return f"must be the characters of a tag, with '*', '?' and '[...]' as wildcards, {got(value)}"


def digest_problem(value: object) -> str | None:
    """As Quay's own routes accept it, in upper or lower case."""
    is_short = isinstance(value, str) and len(value) <= LONGEST_ID
    holds = is_short and re.fullmatch(r"[a-z0-9_+.-]+:[0-9a-f]+", str(value).lower())
    return None if holds else f"must be 'sha256:' and hexadecimal digits, {got(value)}"


def quay_id_problem(value: object) -> str | None:
    holds = isinstance(value, str) and len(value) <= LONGEST_ID and re.fullmatch(r"[A-Za-z0-9_-]+", value)
    return None if holds else f"must be one id (letters, digits, '-'), {got(value)}"


def host_of(url: object) -> str | None:
    """The host of a whole http or https URL; ``None`` for anything else."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        return None
    return parts.hostname if parts and parts.scheme in ("http", "https") else None


def url_problem(value: object) -> str | None:
    """The value is not shown, because a URL may hold a secret."""
    return None if host_of(value) else f"must be a whole http or https URL, got {_kind(value)}"


def callback_problem(value: object) -> str | None:
    """For a URL that Cocktail calls."""
    if problem := url_problem(value):
        return problem
    if any(mark in str(value).upper() for mark in ("?", "|", "%3A%2F%2F")):
        return "must not contain '?', '|' or '%3A%2F%2F', where Cocktail would split it"
    return None


def secrets_of_url(url: object, *, in_path: bool) -> Iterator[str]:
    """The secrets of a URL that is signed, or that anybody who knows it can call: the URL and its parts.

    :param in_path: whether its path may be secret, as that of a webhook is.
    """
    if not isinstance(url, str) or not url:
        return
    yield url
    yield quote(url, safe="")
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    yield from filter(None, (parts.password, unquote(parts.password or "")))
    pieces = [parts.query, *(value for _, _, value in (each.partition("=") for each in parts.query.split("&")))]
    if in_path:
        pieces += [parts.path, *parts.path.split("/")]
    for piece in pieces:
        if len(piece) >= SHORTEST_PIECE:
            yield piece
            yield unquote(piece)


def without_signature(url: object) -> str:
    """Host and path of a URL, without its credentials and query, which may be secret."""
    try:
        parts = urlsplit(str(url))
    except ValueError:
        return "an unreadable URL"
    return parts.netloc.rpartition("@")[2] + parts.path


def _kind(value: object) -> str:
    return "other text" if isinstance(value, str) else f"a {type(value).__name__}"
