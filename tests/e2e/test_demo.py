"""``python -m demo`` as a process that is interrupted or killed while Airflow comes up; the whole of it is in e2e."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Set
from pathlib import Path
from typing import IO

import psutil
import pytest

ROOT = Path(__file__).parents[2]
CODE = "import pathlib, sys; import demo.__main__ as it; it.STATE = pathlib.Path(sys.argv.pop(1)); sys.exit(it.main())"


class RunningDemo:
    """The demo in a process group of its own, with its own state directory."""

    def __init__(self, state: Path, log: IO[bytes]) -> None:
        self._state = state
        self._process = subprocess.Popen(
            [sys.executable, "-c", CODE, str(state)], cwd=ROOT, stdout=log, stderr=log, process_group=0
        )

    def send(self, signal_number: int) -> int:
        """Signal the whole group, as a terminal does; returns the exit status."""
        os.killpg(self._process.pid, signal_number)
        return self._process.wait(300)

    def wait(self) -> int:
        return self._process.wait(300)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pid in self.servers():
            os.kill(pid, signal.SIGKILL)

    def wait_for_airflow(self, besides: Set[int] = frozenset()) -> set[int]:
        """Process ids of the demo's servers, once Airflow has begun to start its components.

        :param besides: servers of an earlier demo.
        """
        deadline = time.monotonic() + 300
        while len(pids := self.servers() - besides) < 4:
            assert self._process.poll() is None, "the demo has ended"
            assert time.monotonic() < deadline, "Airflow does not start"
            time.sleep(0.1)
        return pids

    def servers(self) -> set[int]:
        """What runs in the state directory."""
        found = set()
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()).is_relative_to(self._state):
                    found.add(process.pid)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Callable[[], RunningDemo]]:
    started: list[RunningDemo] = []
    with (tmp_path / "demo.log").open("wb") as log:

        def start() -> RunningDemo:
            (tmp_path / "state").mkdir(exist_ok=True)
            started.append(RunningDemo(tmp_path / "state", log))
            return started[-1]

        yield start
        for each in started:
            each.kill()


def test_a_demo_that_is_interrupted_leaves_no_process_behind(demo: Callable[[], RunningDemo], tmp_path: Path) -> None:
    running = demo()
    running.wait_for_airflow()
    second = demo()
    assert second.wait() == 1
    assert "a demo runs in this checkout already" in (tmp_path / "demo.log").read_text()
    assert running.send(signal.SIGINT) == 1
    assert running.servers() == set()
    assert "Traceback" not in (tmp_path / "demo.log").read_text()


def test_a_demo_ends_what_a_killed_one_left_running(demo: Callable[[], RunningDemo], tmp_path: Path) -> None:
    killed = demo()
    orphans = killed.wait_for_airflow()
    killed.send(signal.SIGKILL)
    assert orphans <= killed.servers()
    following = demo()
    following.wait_for_airflow(besides=orphans)
    assert not following.servers() & orphans
    assert following.send(signal.SIGTERM) == 1
    assert following.servers() == set()
