"""Cases in which two ways take turns, where all of them times both would prove the same twice."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle, product
from typing import Any

PAUSES = ["25", "86400", "1e300", "Fri, 02 Jan 2099 03:04:15 GMT", "Fri, 02 Jan 99999 03:04:15 GMT"]
"""What a system may ask for in ``Retry-After``, longer than any test."""


def in_turns(*values: Iterable[Any]) -> list[tuple[Any, ...]]:
    """All combinations of the values, each with ``False`` or ``True`` in turns.

    Every value of two lists or more comes with both of them.
    """
    lists = [list(each) for each in values]
    combined = product(*(enumerate(each) for each in lists))
    return [(*(value for _, value in row), bool(sum(number for number, _ in row) % 2)) for row in combined]


def in_rotation(values: Iterable[Any], others: Iterable[Any]) -> list[tuple[Any, Any]]:
    """Each of the values with one of the others, which take turns."""
    return list(zip(values, cycle(others)))
