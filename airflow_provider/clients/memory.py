"""What a client remembers about executions from one poll to the next. No I/O."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import Generic, TypeVar

LIFETIME = 900.0
"""Seconds after which an unused entry may be forgotten; after twice as long, it is."""

_LONGEST_DOUBT = 6 * 3600.0

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """A thread-safe dict that forgets entries that are no longer used.

    :param lifetime: seconds, see ``LIFETIME``.
    """

    def __init__(self, lifetime: float = LIFETIME) -> None:
        self._lifetime = lifetime
        self._lock = threading.Lock()
        self._young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}
        self._turned = time.monotonic()

    def get(self, key: Key) -> Value | None:
        return self.get_all([key])[0]

    def get_all(self, keys: Iterable[Key]) -> list[Value | None]:
        """The values of these keys, in order."""
        found = []
        with self._lock:
            self._turn()
            for key in keys:
                value = self._young.get(key)
                if value is None and (value := self._old.pop(key, None)) is not None:
                    self._young[key] = value
                found.append(value)
        return found

    def put(self, key: Key, value: Value) -> None:
        with self._lock:
            self._turn()
            self._young[key] = value

    def drop(self, key: Key) -> None:
        with self._lock:
            self._young.pop(key, None)
            self._old.pop(key, None)

    def clear(self) -> None:
        with self._lock:
            self._young, self._old = {}, {}

    def __len__(self) -> int:
        with self._lock:
            self._turn()
            return len(self._young) + len(self._old)

    def _turn(self) -> None:
        passed = time.monotonic() - self._turned
        if passed < self._lifetime:
            return
        self._old = self._young if passed < 2 * self._lifetime else {}
        self._young = {}
        self._turned = time.monotonic()


class Doubts:
    """Ends that the system may revoke. One counts at once if this client has not observed the execution unfinished."""

    def __init__(self) -> None:
        self._seen_unfinished: Recent[str, bool] = Recent(_LONGEST_DOUBT)
        self._since: Recent[str, float] = Recent(_LONGEST_DOUBT)

    def note_unfinished(self, execution_id: str) -> None:
        self._seen_unfinished.put(execution_id, True)
        self._since.drop(execution_id)

    def was_unfinished(self, execution_id: str) -> bool:
        return bool(self._seen_unfinished.get(execution_id))

    def is_believed(self, execution_id: str, settling: float) -> bool:
        """Whether an end that was just observed counts.

        :param settling: seconds for which it must be observed until it does.
        """
        if not self.was_unfinished(execution_id):
            return True
        now = time.monotonic()
        since = self._since.get(execution_id)
        if since is None:
            self._since.put(execution_id, since := now)
        return now - since >= settling
