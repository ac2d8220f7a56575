"""The release window sensor in real Airflow, and where windows are kept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import pendulum
import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider.core.release_window import DAYS
from airflow_provider.exceptions import BadRequestError, ConnectionConfigError
from airflow_provider.sensors.release_window import ReleaseWindowSensor
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.log_lines import log_lines

ALWAYS = [{"days": list(DAYS), "from": "00:00", "to": "24:00"}]
BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["poke", "deferrable"])


def wait(**arguments: Any) -> TaskRun:
    arguments = {"windows": ALWAYS, "timeout": 30, "poke_interval": 0.2, **arguments}
    return run_task(lambda: ReleaseWindowSensor(task_id="wait", **arguments))


def frozen_for(**span: float) -> list[dict[str, str]]:
    now = pendulum.now("UTC").replace(microsecond=0)
    return [{"from": str(now.subtract(hours=1)), "to": str(now + timedelta(**span)), "reason": "a freeze"}]


def kept(folder, **document: Any) -> str:
    file = folder / "windows.yaml"
    file.write_text(json.dumps({"windows": ALWAYS, **document}))
    return f"file:{file}"


@BOTH_MODES
def test_an_open_window_is_returned_at_once(deferrable):
    ended = wait(deferrable=deferrable, timezone="Europe/Berlin", environment="production")
    assert (ended.state, ended.result["system"], ended.result["state"]) == ("success", "release_window", "succeeded")
    outputs = ended.result["outputs"]
    assert outputs["environment"] == "production"
    assert outputs["opens"] < pendulum.now("Europe/Berlin").isoformat() < outputs["closes"]


@BOTH_MODES
def test_a_closed_window_is_waited_for(deferrable):
    ended = wait(deferrable=deferrable, freezes=frozen_for(seconds=2))
    assert ended.state == "success"
    assert pendulum.parse(ended.result["outputs"]["opens"]) >= pendulum.now("UTC").subtract(minutes=1)


def reasons(lines: list[str]) -> list[str]:
    return [line for line in lines if "No release window is open" in line]


@BOTH_MODES
def test_why_it_waits_is_logged_once(deferrable):
    with log_lines() as lines:
        wait(deferrable=deferrable, freezes=frozen_for(days=3), timeout=1)
    assert len(reasons(lines)) == 1


@pytest.fixture
def at_poke(mocker) -> dict[int, Callable[[], Any]]:
    """What happens during which poke, counted from 1."""
    happens: dict[int, Callable[[], Any]] = {}
    number = count(1)
    poke = ReleaseWindowSensor.poke

    def counted(sensor: ReleaseWindowSensor, context: Any) -> Any:
        happens.get(next(number), lambda: None)()
        return poke(sensor, context)

    mocker.patch.object(ReleaseWindowSensor, "poke", counted)
    return happens


def test_why_it_waits_is_logged_once_although_each_poke_is_a_process_of_its_own(at_poke, tmp_path):
    source = kept(tmp_path, freezes=frozen_for(days=3))
    at_poke[4] = lambda: kept(tmp_path)
    with log_lines() as lines:
        ended = wait(mode="reschedule", deferrable=False, windows=source)
    assert ended.state == "success"
    assert len(reasons(lines)) == 1


def test_a_reason_that_changes_is_logged_again(at_poke, tmp_path):
    source = kept(tmp_path, freezes=frozen_for(days=3))
    at_poke[2] = lambda: kept(tmp_path, freezes=frozen_for(days=2))
    at_poke[4] = lambda: kept(tmp_path)
    with log_lines() as lines:
        ended = wait(mode="reschedule", deferrable=False, windows=source)
    assert ended.state == "success"
    assert len(reasons(lines)) == 2


@BOTH_MODES
def test_no_window_in_time_fails_and_says_when_the_next_one_opens(deferrable):
    ended = wait(deferrable=deferrable, freezes=frozen_for(days=3), timeout=1)
    assert isinstance(ended.error, AirflowSensorTimeout)
    if deferrable:
        assert "freeze" in str(ended.error)
        assert "(a freeze). The next one opens" in str(ended.error)


@BOTH_MODES
def test_soft_fail_skips(deferrable):
    assert wait(deferrable=deferrable, freezes=frozen_for(days=3), timeout=1, soft_fail=True).state == "skipped"


def test_windows_are_kept_in_a_variable_for_many_dags(mocker):
    mocker.patch.dict(
        os.environ, {"AIRFLOW_VAR_RELEASE_WINDOWS": json.dumps({"windows": ALWAYS, "timezone": "Asia/Tokyo"})}
    )
    ended = wait(windows="variable:release_windows")
    assert ended.result["outputs"]["opens"].endswith("+09:00")


def test_windows_that_are_kept_in_a_file_are_read_again_while_the_sensor_sleeps(tmp_path, mocker):
    mocker.patch("airflow_provider.triggers.release_window.READ_AGAIN", 0.1)
    source = kept(tmp_path, freezes=frozen_for(days=3))
    reads = []

    def lift_the_freeze(*arguments: Any) -> Any:
        reads.append(arguments)
        if len(reads) == 3:
            kept(tmp_path)
        return load(*arguments)

    import yaml

    load = yaml.safe_load
    mocker.patch.object(yaml, "safe_load", lift_the_freeze)
    assert wait(windows=source).state == "success"


@pytest.mark.parametrize(
    ("windows", "problem"),
    [
        ("nights", "must be a list, variable:<name> or file:<path>, got 'nights'"),
        ("file:/nowhere/windows.yaml", "could not read file:/nowhere/windows.yaml: No such file"),
    ],
)
def test_windows_that_cannot_be_read_are_refused(windows, problem):
    ended = wait(windows=windows)
    assert isinstance(ended.error, ConnectionConfigError)
    assert problem in str(ended.error)


def test_a_field_that_is_unknown_is_refused(tmp_path):
    ended = wait(windows=kept(tmp_path, freeze=[]))
    assert "must have only windows, timezone and freezes, got freeze" in str(ended.error)


def test_windows_in_the_dag_file_are_checked_when_it_is_parsed():
    with pytest.raises(BadRequestError, match=r"windows\[0\].from must be a time"):
        ReleaseWindowSensor(task_id="wait", windows=[{"days": ["mon"], "from": "10 pm", "to": "06:00"}])
