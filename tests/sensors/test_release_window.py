"""The release window sensor in real Airflow, and where windows are kept."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

import pendulum
import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider.core.release_window import DAYS
from airflow_provider.exceptions import BadRequestError, ConnectionConfigError
from airflow_provider.release_windows import WindowSource
from airflow_provider.sensors.release_window import ReleaseWindowSensor
from airflow_provider.triggers.release_window import ReleaseWindowTrigger
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
    assert outputs["opens"] < pendulum.now("Europe/Berlin").isoformat()


@BOTH_MODES
def test_a_window_that_never_closes_has_no_date_at_which_it_does(deferrable):
    with log_lines() as lines:
        ended = wait(deferrable=deferrable)
    assert ended.result["outputs"]["closes"] is None
    assert [line for line in lines if "window is open" in line] == [
        "info    The release window is open, and does not close within two years"
    ]


@BOTH_MODES
def test_a_window_that_closes_some_day_says_when(deferrable):
    at_new_year = [{"from": "2099-12-31", "to": "2100-01-01"}, {"from": "01-01", "to": "01-01"}]
    ended = wait(deferrable=deferrable, freezes=at_new_year)
    assert pendulum.now("UTC").isoformat() < ended.result["outputs"]["closes"]


def test_what_opens_after_a_freeze_and_never_closes_has_no_date_at_which_it_does():
    ended = wait(freezes=frozen_for(days=3), timeout=1)
    assert str(ended.error).endswith(", and does not close within two years")


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
        ("file:/nowhere/windows.yaml", "could not read file:/nowhere/windows.yaml: No such file"),
        ("file:no_such_windows.yaml", "a relative path starts in /"),
        ("variable:no_such_windows", "Variable 'no_such_windows' does not exist; create it under Admin, Variables"),
    ],
)
def test_windows_that_cannot_be_read_are_refused(windows, problem):
    ended = wait(windows=windows)
    assert isinstance(ended.error, ConnectionConfigError)
    assert problem in str(ended.error)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"\xff\xfe", "must contain JSON or YAML in UTF-8"),
        (b"windows: [", "must contain JSON or YAML"),
        (b"- days", "must contain an object with windows"),
        (b"windows: []\ntimezone: 3600", "timezone must be an IANA name such as Europe/Berlin, got 3600"),
        (b"windows: []\nfreezes: none", "freezes must be a list, got text"),
        (
            b"windows: []\nfreezes: {from: 2026-12-20, to: 2026-12-21}",
            "freezes must be a list, got a mapping",
        ),
        (b"windows: [{days: [mon], from: 22:00, to: '23:00'}]", "windows[0].from must be text, got a number"),
    ],
)
def test_a_file_of_windows_that_is_wrong_is_named_with_its_field(tmp_path, text, problem):
    file = tmp_path / "windows.yaml"
    file.write_bytes(text.replace(b"[]", json.dumps(ALWAYS).encode()))
    ended = wait(windows=f"file:{file}")
    assert isinstance(ended.error, ConnectionConfigError | BadRequestError)
    assert problem in str(ended.error)


def test_an_item_of_a_list_that_is_wrong_is_named_by_its_place():
    with pytest.raises(BadRequestError, match="freezes must be a list in which item 1 must be a mapping, got a str"):
        ReleaseWindowSensor(task_id="task", windows=ALWAYS, freezes=[{"from": "12-20", "to": "12-31"}, "01-01"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("nights", "variable:release_windows must contain JSON"),
        ("[]", "variable:release_windows must contain an object with windows"),
        ('{"windows": []}', "windows must hold at least one window"),
        ('{"windows": "variable:others"}', "windows must be a list, got text"),
        ('{"windows": [{"days": "mon", "from": "1:00"}]}', "windows[0].days must be a list, got text"),
        ('{"window": [], "windows": []}', "must have only windows, timezone and freezes, got window"),
    ],
)
def test_a_variable_of_windows_that_is_wrong_is_named_with_its_field(mocker, text, problem):
    mocker.patch.dict(os.environ, {"AIRFLOW_VAR_RELEASE_WINDOWS": text})
    ended = wait(windows="variable:release_windows")
    assert isinstance(ended.error, ConnectionConfigError | BadRequestError)
    assert problem in str(ended.error)


def test_until_a_window_opens_a_trigger_sleeps(mocker):
    source = WindowSource(ALWAYS, freezes=frozen_for(seconds=2))
    trigger = ReleaseWindowTrigger(source=source.to_json(), deadline=time.time() + 60)
    read = mocker.spy(WindowSource, "read")
    asyncio.run(trigger.until_open_or_over())
    # At first and when it has opened; a clock may be a moment ahead of another one.
    assert read.call_count <= 4
    assert source.read().opening_at(pendulum.now("UTC"))


def test_a_variable_that_cannot_be_read_for_a_while_ends_no_wait(mocker):
    """A secrets backend or an API server that is down, of which Airflow says that there is no such variable."""
    from airflow.sdk import Variable
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse

    mocker.patch("airflow_provider.triggers.release_window.READ_AGAIN", 0.1)
    answers = [{"windows": ALWAYS, "freezes": frozen_for(days=3)}, *[ErrorType.VARIABLE_NOT_FOUND] * 2]

    def get(name: str) -> str:
        answer = answers.pop(0) if answers else {"windows": ALWAYS}
        if isinstance(answer, ErrorType):
            raise AirflowRuntimeError(ErrorResponse(error=answer))
        return json.dumps(answer)

    mocker.patch.object(Variable, "get", get)
    assert wait(windows="variable:release_windows").state == "success"
    assert answers == []


def test_a_field_that_is_unknown_is_refused(tmp_path):
    ended = wait(windows=kept(tmp_path, freeze=[]))
    assert "must have only windows, timezone and freezes, got freeze" in str(ended.error)


def test_local_times_that_a_dag_file_writes_as_date_times_stay_local_in_the_triggerer():
    from airflow.serialization.encoders import encode_trigger
    from airflow.serialization.serialized_objects import BaseSerialization

    freeze = {"from": date(2026, 12, 20), "to": datetime(2027, 1, 3, 12, 0)}
    source = WindowSource(ALWAYS, "Asia/Tokyo", [freeze]).to_json()
    encoded = encode_trigger(ReleaseWindowTrigger(source=source, deadline=1.0))
    there = BaseSerialization.deserialize(json.loads(json.dumps(encoded))["kwargs"]["source"])
    opening = WindowSource(**there).read().opening_after(pendulum.datetime(2027, 1, 1))
    assert opening.opens == pendulum.datetime(2027, 1, 3, 12, 0, 1, tz="Asia/Tokyo")


def test_windows_in_the_dag_file_are_checked_when_it_is_parsed():
    with pytest.raises(BadRequestError, match=r"windows\[0\].from must be a time"):
        ReleaseWindowSensor(task_id="wait", windows=[{"days": ["mon"], "from": "10 pm", "to": "06:00"}])
