"""The fault registry: which requests fail, and how. The edge executes the faults."""

from __future__ import annotations

import copy
import random
import re
import threading
from dataclasses import dataclass, field, fields
from typing import Any

from airflow_provider.sandbox.core.hostile import SLOWEST, Hostile

ALL = "all"
"""As the system of a fault: every system."""


@dataclass(slots=True)
class Fault:
    """One rule. ``times`` counts down, or ``probability`` decides each time; ``after`` requests pass unharmed first.

    Without either, ``hostile`` applies to every request until it is removed.
    """

    id: int
    system: str
    fault: str
    method: str | None = None
    path: str | None = None
    times: int | None = None
    probability: float | None = None
    seed: int | None = None
    after: int = 0
    seconds: float = 0.0
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    spared: list[Any] = field(default_factory=list)
    fired: int = 0
    _random: random.Random = field(default_factory=random.Random, repr=False)
    _seen: int = 0
    _hostile: Hostile | None = None

    def __post_init__(self) -> None:
        if self.fault == "hostile":
            self._hostile = Hostile(self.seed, self.spared, self.seconds or SLOWEST)
        elif self.times is None and self.probability is None:
            self.times = 1
        self._random.seed(self.seed)

    @property
    def hostile(self) -> Hostile:
        """The source of answers for the fault ``hostile``."""
        if self._hostile is None:
            raise ValueError(f"fault must be hostile, got {self.fault}")
        return self._hostile

    def matches(self, system: str, method: str, path: str, full_path: str) -> bool:
        if self.system not in (system, ALL) or (self.method and self.method.upper() != method):
            return False
        return not self.path or any(re.search(self.path, text) for text in (path, full_path))

    def fires(self) -> bool:
        """Whether the fault applies to this matching request; counts it."""
        self._seen += 1
        if self._seen <= self.after or (self.times is not None and self.fired >= self.times):
            return False
        if self.probability is not None and self._random.random() >= self.probability:
            return False
        self.fired += 1
        return True

    def as_dict(self) -> dict[str, Any]:
        return {
            each.name: copy.copy(getattr(self, each.name)) for each in fields(self) if not each.name.startswith("_")
        }


class Faults:
    """The faults in the order in which they were set."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._next_id = 1

    def add(self, **values: Any) -> Fault:
        with self._lock:
            fault = Fault(id=self._next_id, **values)
            self._next_id += 1
            self._faults.append(fault)
        return fault

    def strike(self, system: str, method: str, path: str, full_path: str) -> list[Fault]:
        """The faults for one request: every latency that fires, then at most one other."""
        if not self._faults:
            return []
        struck: list[Fault] = []
        with self._lock:
            for fault in self._faults:
                if fault.matches(system, method, path, full_path) and fault.fires():
                    struck.append(fault)
                    if fault.fault != "latency":
                        break
        return struck

    def all(self) -> list[dict[str, Any]]:
        return [fault.as_dict() for fault in self._faults]

    def clear(self) -> None:
        with self._lock:
            self._faults = []
