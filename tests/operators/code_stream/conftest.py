"""What the tests in tests/operators/code_stream begin with."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def fast(systems) -> None:
    systems.reset(speed=60)
