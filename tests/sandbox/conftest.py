"""A sandbox server a module, and a way to talk to its control routes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from airflow_provider.sandbox.app import SandboxServer

SPEED = 40


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


def until(look: Callable[[], Any], holds: Callable[[Any], bool], seconds: float = 5) -> Any:
    """Polls until what ``look`` gives ``holds``; fails with the last thing seen."""
    deadline = time.monotonic() + seconds
    while not holds(seen := look()):
        assert time.monotonic() < deadline, f"still {seen}"
        time.sleep(0.01)
    return seen


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxServer]:
    with SandboxServer(SPEED) as server:
        yield server


@pytest.fixture
def control(sandbox: SandboxServer) -> Control:
    """The control routes, after a reset."""
    control = Control(sandbox.url)
    control.post("reset", speed=SPEED)
    return control
