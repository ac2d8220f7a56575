"""Makes values storable for Airflow: PostgreSQL's JSONB and msgpack refuse some values that JSON allows.

Airflow does not catch that: a NUL in an event crashes the triggerer of a whole deployment, again after each restart. So
whatever goes into an event, an XCom, the task state store, a trigger or an error passes through here, and so does each
line of a log.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from typing import Any

REPLACEMENT = "\ufffd"
DEEPEST = 100
"""Most levels of nesting; a vendor's documents have ten."""
TOO_DEEP = "... (too deep)"
TOO_LARGE = "... (too large)"
MOST_PARTS, MOST_CHARACTERS = 10_000, 1_000_000
"""Most values and characters of an execution's outputs, all of which pass through the event loop of a triggerer and
Airflow's messages into its database."""
MOST_NAMES, LONGEST_NAME = 1000, 200

_LARGEST, _SMALLEST = 2**64 - 1, -(2**63)


def storable_text(text: str) -> str:
    """The text without NUL and lone surrogates."""
    return _unfit().sub(REPLACEMENT, text)


@functools.cache
def _unfit() -> re.Pattern[str]:
    # Not at the top: it takes 0.3 ms, and parsing a DAG file does not need it.
    return re.compile("[\0\ud800-\udfff]")


def storable(value: Any, levels: int = DEEPEST) -> Any:
    """A copy of a JSON value that can be stored: ``None`` for NaN and infinity, text for integers of over 64 bits."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return storable_text(str(value))
    if isinstance(value, int):
        return value if _SMALLEST <= value <= _LARGEST else _digits(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        if levels <= 0:
            return TOO_DEEP
        return {storable_text(str(name)): storable(each, levels - 1) for name, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [storable(each, levels - 1) for each in value] if levels > 0 else TOO_DEEP
    return storable_text(str(value))


class Kept(dict[str, Any]):
    """Values that were bounded and cleaned when they were received, so that no event loop needs to do it again."""


def kept(values: Mapping[str, Any], parts: int = MOST_PARTS, characters: int = MOST_CHARACTERS) -> Kept:
    """The values, :func:`bounded` and storable."""
    return Kept(storable(bounded(values, parts, characters)))


def bounded(values: Mapping[str, Any], parts: int = MOST_PARTS, characters: int = MOST_CHARACTERS) -> dict[str, Any]:
    """The same values, except that a placeholder replaces each one that would make the whole too large."""
    kept: dict[str, Any] = {}
    for name, value in values.items():
        if len(kept) >= MOST_NAMES or parts <= 0:
            break
        cost = _cost((name, value), parts, characters)
        if cost is None:
            kept[str(name)[:LONGEST_NAME]] = TOO_LARGE
            continue
        kept[name] = value
        parts, characters = parts - cost[0], characters - cost[1]
    return kept


def _cost(value: Any, parts: int, characters: int) -> tuple[int, int] | None:
    """How many values and characters it has; ``None``, without counting the rest, if more than these."""
    left, used, length = [value], 0, 0
    while left:
        each = left.pop()
        used += 1
        if isinstance(each, str):
            length += len(each)
        elif isinstance(each, Mapping):
            left += each.keys()
            left += each.values()
        elif isinstance(each, (list, tuple, set, frozenset)):
            left += each
        if length > characters or used + len(left) > parts:
            return None
    return used, length


def _digits(number: int) -> str:
    try:
        return str(number)
    except ValueError:
        # Python formats no more than a few thousand digits.
        return hex(number)
