"""What the demo starts, it ends, and nothing else: sessions, stubborn processes, leftovers, ports."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from pytest_mock import MockerFixture

from demo import processes
from demo.ports import free_port
from demo.processes import SessionProcess, StartError, end_leftovers
from tests.support.until import until

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
FAMILY = [
    sys.executable,
    "-c",
    # A child in a group of its own, as Airflow's tasks are, which shrugs off SIGTERM.
    "import os, signal, subprocess, sys, time\n"
    "code = 'import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)'\n"
    "child = subprocess.Popen([sys.executable, '-c', code], process_group=0, stdout=subprocess.PIPE)\n"
    "child.stdout.readline(); print(child.pid, flush=True); time.sleep(60)",
]


@pytest.fixture(autouse=True)
def short_grace(mocker: MockerFixture) -> None:
    mocker.patch.object(processes, "GRACE", 1.0)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[list[str]], SessionProcess]]:
    started: list[SessionProcess] = []

    def start(command: list[str]) -> SessionProcess:
        started.append(SessionProcess(f"p{len(started)}", command, directory=tmp_path, env=os.environ))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.stop()


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pid_in_log(process: SessionProcess) -> int:
    return int(until(lambda: process.log.read_text().strip()))


def test_stopping_ends_a_child_in_a_group_of_its_own_that_ignores_sigterm(start: Callable[..., SessionProcess]) -> None:
    family = start(FAMILY)
    child = pid_in_log(family)
    family.stop()
    assert not lives(family.pid)
    assert not lives(child)


def test_a_leftover_is_ended_even_if_only_its_child_lives(start: Callable[..., SessionProcess], tmp_path: Path) -> None:
    family = start(FAMILY)
    child = pid_in_log(family)
    os.kill(family.pid, signal.SIGKILL)
    os.waitpid(family.pid, 0)
    assert end_leftovers(tmp_path) == ["p0"]
    assert not lives(child)


@pytest.mark.parametrize("case", ["another start time", "a session elsewhere", "not a record"])
def test_what_is_not_certainly_ours_is_left_alone(tmp_path: Path, case: str) -> None:
    stranger = subprocess.Popen(SLEEP, cwd="/", start_new_session=True)
    try:
        record = {"pid": stranger.pid, "started": psutil.Process(stranger.pid).create_time() - 100}
        if case == "a session elsewhere":
            record["pid"] = os.getsid(0)
        (tmp_path / "x.process.json").write_text("{" if case == "not a record" else json.dumps(record))
        assert end_leftovers(tmp_path) == []
        assert lives(stranger.pid)
        assert not list(tmp_path.glob("*.process.json"))
    finally:
        stranger.kill()
        stranger.wait()


def test_a_process_that_ended_is_reported_with_the_end_of_its_log(start: Callable[..., SessionProcess]) -> None:
    process = start([sys.executable, "-c", "print('no such port')"])
    until(lambda: not process.is_running)
    with pytest.raises(StartError, match="no such port"):
        process.check_running()


def test_a_port_that_is_taken_is_not_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port
