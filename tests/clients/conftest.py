from __future__ import annotations

from tests.support.scripted import Handler, Received, Reply, Scripted, Server, scripted

__all__ = ["Handler", "Received", "Reply", "Scripted", "Server", "scripted"]
