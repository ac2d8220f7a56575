from __future__ import annotations

from tests.support.scripted import scripted

__all__ = ["scripted"]
