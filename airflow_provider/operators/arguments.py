"""What the arguments of every operator and sensor must be: durations that bound something, text that stayed text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote, unquote, urlsplit

LONGEST = 10 * 365 * 86400
"""Seconds that a duration may have: ten years. Longer ones overflow the clocks that they are added to."""

SHORTEST_PIECE = 10
"""Characters of a part of a URL that is masked by itself: shorter ones are words that other texts hold, too."""

NUMBER = (
    "must be text, got the number {value!r}, which may have been written in another way: 1.10 becomes 1.1. Quote it, "
    "and in a template with render_template_as_native_obj write {{{{ ... | tojson }}}}"
)
CHANGED = (
    "was {text!r}, but render_template_as_native_obj made {value!r} of it: to keep the text, write "
    "{{{{ ... | tojson }}}}"
)
MISSING = (
    "came out as None: what its template reads is missing, such as the XCom of a task that was skipped. Where that is "
    "fine, write {{{{ ... or '' }}}}"
)


def seconds_of(value: object, *, may_be_zero: bool = False) -> float:
    """The seconds of a duration given as number or ``timedelta``.

    :raises ValueError: it bounds nothing: not finite, negative, years long, or no duration at all.
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


def bad_bound(bounds: Mapping[str, object]) -> str | None:
    """What is wrong with the durations of a sensor: its first look may be its last, so that ``timeout`` may be zero.

    Airflow's own sensors take what fails later; this is said before they see it.
    """
    for name, value in bounds.items():
        try:
            if value is not None:
                seconds_of(value, may_be_zero=name == "timeout")
        except ValueError as error:
            return f"{name} {error}"
    return None


def secrets_of_url(url: object, *, in_path: bool) -> Iterator[str]:
    """What nobody may read of a URL that was signed, or that lets whoever knows it call: itself, and its parts.

    :param in_path: whether its path may hold a secret, as that of a webhook does.
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
    """Host and path of a URL: what may be secret in it is its user and its query."""
    try:
        parts = urlsplit(str(url))
    except ValueError:
        return "of a URL that cannot be read"
    return parts.netloc.rpartition("@")[2] + parts.path


def is_number(value: object) -> bool:
    return isinstance(value, (int, float, complex)) and not isinstance(value, bool)


def text_problem(given: object, value: object) -> str | None:
    """What is wrong with an argument that holds text, ids or a mapping, after its templates were rendered.

    The values of a mapping may be numbers: a pipeline may have inputs that are.

    :param given: as it was before.
    """
    if value is None or value == "None":
        return None if given in (None, "", "None") else MISSING.format()
    if isinstance(value, float):
        return NUMBER.format(value=value)
    problems = (text_problem(each, rendered) for each, rendered in _parts(given, value))
    return next(filter(None, problems), None)


def _parts(given: object, value: object) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        before = given if isinstance(given, Mapping) else {}
        for name, each in value.items():
            # A number of the author's own is one; what a template made of a text is told where that happens.
            if not isinstance(each, float):
                yield before.get(name, each), each
    elif isinstance(value, (list, tuple)):
        before = given if isinstance(given, (list, tuple)) and len(given) == len(value) else value
        yield from zip(before, value, strict=True)
