"""The control routes of a running sandbox: what a test tells it, and what it saw."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, ClassVar

import requests


class Control:
    """The ``/_sandbox`` routes of a running sandbox."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, what: str, **body: Any) -> Any:
        reply = requests.post(f"{self.url}/_sandbox/{what}", json=body, timeout=5)
        assert reply.ok, reply.text
        return reply.json()

    def get(self, what: str, **query: Any) -> Any:
        reply = requests.get(f"{self.url}/_sandbox/{what}", params=query, timeout=5)
        assert reply.ok, reply.text
        return reply.json()


class SystemControl(Control):
    """The same for one system, after a reset."""

    system: ClassVar[str]
    speed: ClassVar[float] = 100

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.post("reset", speed=self.speed)

    def switch(self, **switches: Any) -> None:
        self.post("switches", system=self.system, **switches)

    def act(self, action: str, **values: Any) -> Any:
        return self.post("actions", system=self.system, action=action, **values)

    def fault(self, **fault: Any) -> None:
        self.post("faults", system=self.system, **fault)

    def requests(self, method: str = "") -> list[str]:
        """Method and path of what was asked."""
        entries = self.get("requests", system=self.system)
        return [f"{each['method']} {each['path']}" for each in entries if method in ("", each["method"])]


def until(look: Callable[[], Any], holds: Callable[[Any], bool], seconds: float = 5) -> Any:
    """Polls until what ``look`` gives ``holds``; fails with the last thing seen."""
    deadline = time.monotonic() + seconds
    while not holds(seen := look()):
        assert time.monotonic() < deadline, f"still {seen}"
        time.sleep(0.01)
    return seen
