"""``python -m demo`` as a process: interrupted, killed, and run to its end, whoever answers what it asks."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Set
from pathlib import Path
from typing import IO

import psutil
import pytest

ROOT = Path(__file__).parents[2]
CODE = "import pathlib, sys; import demo.__main__ as it; it.STATE = pathlib.Path(sys.argv.pop(1)); sys.exit(it.main())"
IN_A_TERMINAL = f"import os; os.close(os.open(os.ttyname(0), os.O_RDWR)); {CODE}"
"""The first terminal that a session leader opens becomes its controlling terminal."""
LIMIT = 900.0
"""Seconds: a whole demo took 300 on two processors with a load of 25."""


class RunningDemo:
    """The demo in a process group of its own, with its own state directory."""

    def __init__(self, state: Path, log: IO[bytes], *arguments: str) -> None:
        self._state = state
        self._process = subprocess.Popen(
            [sys.executable, "-c", CODE, str(state), *arguments], cwd=ROOT, stdout=log, stderr=log, process_group=0
        )

    def send(self, signal_number: int) -> int:
        """Signal the whole group, as a terminal does; returns the exit status."""
        os.killpg(self._process.pid, signal_number)
        return self._process.wait(LIMIT)

    def wait(self) -> int:
        return self._process.wait(LIMIT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pid in self.servers():
            os.kill(pid, signal.SIGKILL)

    def wait_for_airflow(self, besides: Set[int] = frozenset()) -> set[int]:
        """Process ids of the demo's servers, once Airflow has begun to start its components.

        :param besides: servers of an earlier demo.
        """
        deadline = time.monotonic() + LIMIT
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


class DemoInATerminal(RunningDemo):
    """The demo in a terminal of its own."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._ours, self._theirs = pty.openpty()
        termios.tcsetwinsize(self._theirs, (60, 160))
        self._mode = termios.tcgetattr(self._theirs)
        self._process = subprocess.Popen(
            [sys.executable, "-c", IN_A_TERMINAL, str(state)],
            cwd=ROOT,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm-256color"},
        )
        self.shown = ""

    def wait_for(self, text: str) -> None:
        """Read the output until this is shown."""
        deadline = time.monotonic() + LIMIT
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown[-3000:]
            if select.select([self._ours], [], [], 1)[0]:
                self.shown += os.read(self._ours, 65_536).decode(errors="replace")
            else:
                assert self._process.poll() is None, self.shown[-3000:]

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self._theirs) == self._mode

    def kill(self) -> None:
        super().kill()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Callable[..., RunningDemo]]:
    started: list[RunningDemo] = []
    with (tmp_path / "demo.log").open("wb") as log:

        def start(*arguments: str) -> RunningDemo:
            (tmp_path / "state").mkdir(exist_ok=True)
            started.append(RunningDemo(tmp_path / "state", log, *arguments))
            return started[-1]

        yield start
        for each in started:
            each.kill()


@pytest.fixture
def demo_in_a_terminal(tmp_path: Path) -> Iterator[DemoInATerminal]:
    (tmp_path / "state").mkdir()
    running = DemoInATerminal(tmp_path / "state")
    yield running
    running.kill()


def test_a_demo_that_is_interrupted_leaves_no_process_behind(demo: Callable[..., RunningDemo], tmp_path: Path) -> None:
    running = demo()
    running.wait_for_airflow()
    second = demo()
    assert second.wait() == 1
    assert "a demo is already running in this checkout" in (tmp_path / "demo.log").read_text()
    assert running.send(signal.SIGINT) == 1
    assert running.servers() == set()
    assert "Traceback" not in (tmp_path / "demo.log").read_text()


def test_a_demo_ends_what_a_killed_one_left_running(demo: Callable[..., RunningDemo], tmp_path: Path) -> None:
    killed = demo()
    orphans = killed.wait_for_airflow()
    killed.send(signal.SIGKILL)
    assert orphans <= killed.servers()
    following = demo()
    following.wait_for_airflow(besides=orphans)
    assert not following.servers() & orphans
    assert following.send(signal.SIGTERM) == 1
    assert following.servers() == set()


def test_a_demo_that_is_to_leave_approves_what_is_asked(demo: Callable[..., RunningDemo], tmp_path: Path) -> None:
    status = demo("--exit").wait()
    log = (tmp_path / "demo.log").read_text()
    assert status == 0, log
    for line in (
        "Approve or reject: ",
        "Approved by itself in a moment, because of EXIT=1: http://127.0.0.1:",
        "Approve, by itself, because of EXIT=1",
        "approved by admin: by itself, because of EXIT=1",
        "The release went through",
    ):
        assert line in log


def test_a_key_in_the_terminal_approves_and_the_terminal_is_as_before(demo_in_a_terminal: DemoInATerminal) -> None:
    it = demo_in_a_terminal
    it.wait_for("build_image")
    assert not it.is_as_before()
    # Nothing is asked yet.
    it.type("r")
    it.wait_for("Press a to approve or r to reject, or answer in Airflow: http://127.0.0.1:")
    it.type("a")
    it.wait_for("The release went through")
    it.wait_for("approved by admin: by a key in the terminal")
    it.wait_for("Ctrl-C stops them")
    assert it.is_as_before()
    it.type("\x03")
    it.wait_for("Stopped.")
    assert it.wait() == 0
    assert it.servers() == set()
