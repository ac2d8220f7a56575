"""Lists of answers."""

from __future__ import annotations

from typing import TypeVar

Item = TypeVar("Item")

Rows = list[Item]
"""Classes with a method ``list`` need another name for the type."""
