"""The request log: what arrived at the four systems, in order, without secrets."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

KEPT = 200_000


@dataclass(slots=True)
class Entry:
    """One request; ``status`` is None until it is answered, and stays so if no answer was sent."""

    time: float
    system: str
    method: str
    path: str
    query: str
    who: str
    status: int | None = None
    fault: str | None = None
    reached: bool = False
    body: Any = None


class Journal:
    """The newest requests, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)

    def entries(self, system: str | None = None) -> list[dict[str, Any]]:
        """Every request, or those of one system."""
        return [asdict(entry) for entry in list(self._entries) if system in (None, entry.system)]

    def clear(self) -> None:
        self._entries.clear()
