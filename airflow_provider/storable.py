"""What Airflow can keep of a value: PostgreSQL's JSONB and msgpack refuse more than JSON does, and nobody catches it.

A NUL in an event ends the triggerer of a whole deployment, again after each restart. So whatever leaves for an event,
an XCom, the task state store, a trigger or an error passes here, and so does each line of a log.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

REPLACEMENT = "\ufffd"
DEEPEST = 100
"""Levels of a value; a vendor's documents have ten."""
TOO_DEEP = "... (too deep)"

_UNFIT = re.compile("[\0\ud800-\udfff]")
_LARGEST, _SMALLEST = 2**64 - 1, -(2**63)


def storable_text(text: str) -> str:
    """The text without NUL and halves of surrogate pairs."""
    return _UNFIT.sub(REPLACEMENT, text)


def storable(value: Any, levels: int = DEEPEST) -> Any:
    """A copy of a JSON value that can be kept: ``None`` for NaN and infinity, text for integers of over 64 bits."""
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


def _digits(number: int) -> str:
    try:
        return str(number)
    except ValueError:
        # Python writes no more than some thousand digits.
        return hex(number)
