from __future__ import annotations

from tests.support.connections import CONN_ID, GOOD, Build, build, define
from tests.support.scripted import scripted

__all__ = ["CONN_ID", "GOOD", "Build", "build", "define", "scripted"]
