"""Programs that some tests need besides Python; ``.ci/run`` installs them."""

from __future__ import annotations

import shutil

import pytest


def require(command: str, *packages: str) -> str:
    """The path of a command; skips where it is missing, and names Debian's packages that have it."""
    path = shutil.which(command)
    if path is None:
        pytest.skip(f"needs the command {command}: install Debian's {' '.join(packages)}")
    return path
