"""Waits of sensors on Code Stream."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.airflow_runs import TaskRun, run_task

BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["poke", "deferrable"])


def wait(sensor: type, **arguments: Any) -> TaskRun:
    return run_task(lambda: sensor(task_id="wait", **{"poke_interval": 0.1, "timeout": 10, **arguments}))
