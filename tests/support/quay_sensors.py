"""Waits of sensors on Quay."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.airflow_runs import TaskRun, run_task
from tests.support.quay_tasks import SHOP
from tests.support.systems import Systems

BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["poke", "deferrable"])


def wait(sensor: type, **arguments: Any) -> TaskRun:
    arguments = {"repository": SHOP, "poke_interval": 0.1, "timeout": 10, **arguments}
    return run_task(lambda: sensor(task_id="wait", **arguments))


def push(systems: Systems, tag: str = "1.4.2", **image: Any) -> str:
    """The digest of an image that somebody else pushed."""
    return systems.act("quay", "push_image", repository=SHOP, tag=tag, **image)["digest"]


def polls(systems: Systems) -> int:
    return len(systems.requests("quay", "GET", f"/repository/{SHOP}/"))
