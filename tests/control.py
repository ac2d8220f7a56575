"""Waiting for what a running sandbox does by itself; its control routes are in tests/support/control.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.support.control import Control, SystemControl

__all__ = ["Control", "SystemControl", "until"]


def until(look: Callable[[], Any], holds: Callable[[Any], bool], seconds: float = 5) -> Any:
    """Polls until what ``look`` gives ``holds``; fails with the last thing seen."""
    deadline = time.monotonic() + seconds
    while not holds(seen := look()):
        assert time.monotonic() < deadline, f"still {seen}"
        time.sleep(0.01)
    return seen
