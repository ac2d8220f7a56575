"""Airflow's home for all tests, set before anything imports Airflow; and one sandbox, emptied before each test."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.systems import Systems

_home = Path(tempfile.mkdtemp(prefix="airflow-tests-"))
(_home / "dags").mkdir()

os.environ |= {
    "AIRFLOW_HOME": str(_home),
    "AIRFLOW__CORE__DAGS_FOLDER": str(_home / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__FERNET_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
}

SPEED = 20.0


@pytest.fixture(scope="session")
def running() -> Iterator[Systems]:
    from tests.systems import running_systems

    with running_systems(SPEED) as systems:
        yield systems


@pytest.fixture
def systems(running: Systems, monkeypatch: pytest.MonkeyPatch) -> Systems:
    from airflow_provider.triggers import poller

    # Ten times as fast as production may poll.
    monkeypatch.setattr(poller, "FASTEST", 0.1)
    monkeypatch.setattr(poller, "GATHER", 0.02)
    running.connect()
    running.reset(SPEED)
    return running
