"""A wait that ends soon after its deferral is held back until Airflow knows the end of its process, but no longer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.operators import base
from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.sensors.cocktail import CocktailBuildSensor
from tests.support.attempts import Task
from tests.support.patching import patched
from tests.support.systems import Systems
from tests.support.watched import start_build


def operator(**arguments: Any) -> Any:
    return CocktailRunBuildOperator(build_seq=12, tag_name="1.4.2", poll_interval=0.2, **arguments)


def sensor(**arguments: Any) -> Any:
    return CocktailBuildSensor(build_run_seq=start_build(), poke_interval=0.2, **arguments)


@pytest.fixture(autouse=True)
def in_a_real_worker(systems: Systems, mocker: MockerFixture) -> None:
    """As far as the provider knows."""
    systems.reset(1e-4)  # whose clock is this process's, too
    mocker.patch.object(base, "in_dag_test", lambda: False)


@pytest.mark.parametrize("build", [operator, sensor])
def test_a_worker_whose_clock_is_ahead_holds_no_end_back(systems, build: Callable[..., Any], mocker):
    mocker.patch.dict(os.environ, {"AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "0"})
    task = Task(lambda: build(task_id="build", deferrable=True))
    real = time.time
    with patched(time, "time", lambda: real() + 3600):
        trigger = task.trigger(task.attempt())
    systems.force("cocktail", systems.executions("cocktail")[0]["id"], "DONE")
    begun = time.monotonic()
    assert task.fire(trigger).payload["ending"] == "finished"
    assert time.monotonic() < begun + 60


def test_a_sensor_whose_time_is_up_before_a_deferral_could_come_back_waits_in_its_worker(systems):
    """By default that takes 7 s."""
    task = Task(lambda: sensor(task_id="build", deferrable=True, timeout=1.0))
    assert task.attempt().state in ("failed", "up_for_retry")
