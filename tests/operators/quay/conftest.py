"""What the tests in tests/operators/quay begin with."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def fast(systems) -> None:
    systems.reset(speed=100)
