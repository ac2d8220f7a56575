from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.execution_time import supervisor
from pytest_mock import MockerFixture

from tests.airflow_facts.processes import Notes
from tests.airflow_facts.real import RealTask, defer


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    return Notes(tmp_path / "notes")


@pytest.fixture(autouse=True)
def look_often(mocker: MockerFixture) -> None:
    """Let a supervisor notice at once that its process has ended, not only when its next heartbeat is due."""
    whole = supervisor.WatchedSubprocess._service_subprocess

    def service(self: Any, max_wait_time: float, **options: Any) -> Any:
        return whole(self, min(max_wait_time, 0.05), **options)

    mocker.patch.object(supervisor.WatchedSubprocess, "_service_subprocess", service)


@pytest.fixture
def deferred() -> RealTask:
    task = RealTask().queue()
    task.run(defer)
    assert task.state == "deferred"
    return task
