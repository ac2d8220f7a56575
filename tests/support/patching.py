"""Patches for the length of a block, also where no fixture reaches. Those of ``mocker`` last until the test ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pytest_mock import MockerFixture

_config: pytest.Config | None = None


def pytest_configure(config: pytest.Config) -> None:
    global _config
    _config = config


@contextmanager
def patched(target: Any, *what: Any, **options: Any) -> Iterator[Any]:
    """As ``mocker.patch`` if the target is text, otherwise as ``mocker.patch.object``."""
    mocker = MockerFixture(_config)
    patch = mocker.patch if isinstance(target, str) else mocker.patch.object
    try:
        yield patch(target, *what, **options)
    finally:
        mocker.stopall()
