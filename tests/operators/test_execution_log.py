"""A worker copies the execution's own log beside its polls: a log that takes long holds up neither them nor the end."""

from __future__ import annotations

import time
from threading import Event
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.core.waiting import Wait
from airflow_provider.operators import execution_log
from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.operators.execution_log import ExecutionLog
from tests.support.airflow_runs import run_task
from tests.support.cocktail_tasks import SHOP
from tests.support.log_lines import log_lines

REF = {"kind": "build_run", "id": "7"}
FOREVER = 60.0


class SlowLog:
    """A client whose log has one more line at each read, which arrives when it may."""

    def __init__(self) -> None:
        self.may_arrive = Event()
        self.waits = self

    def read_log(self, ref: dict[str, Any], offset: int) -> tuple[list[str], int]:
        self.may_arrive.wait(FOREVER)
        return [f"line {offset}"], offset + 1


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def log(lines: list[str]) -> ExecutionLog:
    return ExecutionLog(lambda new: lines.extend(line.text for line in new))


def test_what_does_not_arrive_in_time_is_copied_later_and_once(
    log: ExecutionLog, lines: list[str], mocker: MockerFixture
) -> None:
    mocker.patch.object(execution_log, "TAIL_LIMIT", 0.05)
    client, wait = SlowLog(), Wait(REF, 5.0)
    log.copy(client, wait, is_last=False)
    log.copy(client, wait, is_last=False)
    assert (lines, wait.log_offset) == ([], 0)
    client.may_arrive.set()
    mocker.patch.object(execution_log, "TAIL_LIMIT", FOREVER)
    log.copy(client, wait, is_last=True)
    assert (lines, wait.log_offset) == (["  | line 0", "  | line 1"], 2), "the second was read after the end"


def test_a_log_is_not_waited_for_beyond_the_deadline(log: ExecutionLog, lines: list[str]) -> None:
    began = time.monotonic()
    log.copy(SlowLog(), Wait(REF, 5.0, deadline=time.time() - 1.0), is_last=True)
    assert time.monotonic() - began < execution_log.TAIL_LIMIT
    assert lines == ["  | the end of the log of 7 could not be read within 0 s"]


def test_a_worker_reports_the_end_although_the_log_has_not_arrived(systems: Any) -> None:
    systems.fault("cocktail", "latency", path="/build/run/log/", seconds=4, times=99)
    with log_lines() as lines:
        ended = run_task(
            lambda: CocktailRunBuildOperator(
                task_id="build", build_seq=SHOP, tag_name="1.4.2", poll_interval=0.1, deferrable=False
            )
        )
    assert ended.state == "success"
    assert any("the end of the log of" in line and "could not be read within" in line for line in lines)
