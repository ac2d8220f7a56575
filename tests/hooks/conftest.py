from __future__ import annotations

from tests.support.connections import build, define
from tests.support.scripted import scripted

__all__ = ["build", "define", "scripted"]
