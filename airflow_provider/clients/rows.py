"""A name for the type of lists."""

from __future__ import annotations

from typing import TypeVar

Item = TypeVar("Item")

Rows = list[Item]
"""In classes with a method ``list``, the type needs another name."""
