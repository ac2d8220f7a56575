"""What a client remembers from one look to the next, and whom it has told what. No I/O."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from airflow_provider.execution import Execution, ExecutionRef

LIFETIME = 900.0
"""Seconds after which something that nobody asks for may be forgotten; after twice as many it is."""

_LONGEST_DOUBT = 6 * 3600.0

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """A dict for several threads that forgets by itself what is not asked for any more.

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
    """Ends that may not be one yet. They are believed at once of what this client has not seen going on."""

    def __init__(self) -> None:
        self._seen_going_on: Recent[str, bool] = Recent(_LONGEST_DOUBT)
        self._since: Recent[str, float] = Recent(_LONGEST_DOUBT)

    def note_going_on(self, execution_id: str) -> None:
        self._seen_going_on.put(execution_id, True)
        self._since.drop(execution_id)

    def is_believed(self, execution_id: str, settling: float) -> bool:
        """Whether an end that was seen now counts.

        :param settling: seconds for which it must be seen until it does.
        """
        if not self._seen_going_on.get(execution_id):
            return True
        now = time.monotonic()
        since = self._since.get(execution_id)
        if since is None:
            self._since.put(execution_id, since := now)
        return now - since >= settling


class _Receipt(msgspec.Struct, Generic[Value]):
    """:param told: the last that was told, with the reference that is the receipt.
    :param is_owed: whether it is to be told again: an error was told since.
    """

    told: Execution
    value: Value
    is_owed: bool = False


class Receipts(Generic[Value]):
    """Which waits were told of an execution, and what the client wants to remember for each of them.

    Each telling goes out with a reference object of its own. Only who comes back with that very object was told before:
    an equal reference may be that of another wait, which knows nothing yet.
    """

    def __init__(self) -> None:
        # The reference object is kept, too: no other one can get its id while it is here.
        self._kept: Recent[int, _Receipt[Value]] = Recent()

    def __len__(self) -> int:
        return len(self._kept)

    def values_of(self, refs: Iterable[ExecutionRef]) -> list[Value | None]:
        """What is remembered for each of these waits; ``None`` for one that was told nothing yet."""
        return [kept.value if kept else None for kept in self._kept.get_all(map(id, refs))]

    def hand_out(self, seen: Execution, value: Value) -> Execution:
        """What the wait is to be told; after the end of an execution nothing is remembered."""
        told = replace(seen, ref=dict(seen.ref))
        if not seen.state.is_terminal:
            self._kept.put(id(told.ref), _Receipt(told, value))
        return told

    def forget(self, ref: ExecutionRef) -> None:
        """After an error of its own, what a wait is told is looked up anew."""
        self._kept.drop(id(ref))

    def owe(self, refs: Iterable[ExecutionRef]) -> None:
        """After an error that concerned all, each wait is told again how things stand, changed or not."""
        for kept in self._kept.get_all(map(id, refs)):
            if kept:
                kept.is_owed = True

    def owed(self, refs: Sequence[ExecutionRef]) -> dict[int, Execution]:
        """By place, what these waits are still owed: what they were told last."""
        kept = self._kept.get_all(map(id, refs))
        due = {place: each for place, each in enumerate(kept) if each and each.is_owed}
        for each in due.values():
            each.is_owed = False
        return {place: each.told for place, each in due.items()}


def is_news(told: Execution | None, seen: Execution) -> bool:
    """Whether a wait is to be told this, after what it was told before: an end is, whenever it is seen."""
    return told is None or seen.state.is_terminal or has_changed(told, seen)


def has_changed(before: Execution, now: Execution) -> bool:
    """Whether a wait that was told ``before`` must be told ``now``.

    A list may tell of stages where a single look tells of their tasks: less detail is no change.
    """
    if (before.state, before.status, before.message) != (now.state, now.status, now.message):
        return True
    steps_before = {step.name: step for step in before.steps}
    steps_now = {step.name: step for step in now.steps}
    return steps_before.keys() <= steps_now.keys() and steps_before != steps_now
