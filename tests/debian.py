"""Commands from Debian's packages that some tests need, installed when they are missing."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest


def require(command: str, *packages: str) -> str:
    """The path of a command; installs packages where that can be done.

    Skips where it cannot (no Debian, no root); fails if the packages cannot be installed.
    """
    if path := shutil.which(command):
        return path
    if not shutil.which("apt-get") or os.geteuid() != 0:
        pytest.skip(f"needs the command {command}: install Debian's {' '.join(packages)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(["apt-get", "-qq", *step], env=env, capture_output=True, text=True, check=False)
    path = shutil.which(command)
    assert path, f"{' '.join(packages)} cannot be installed: {done.stderr}"
    return path
