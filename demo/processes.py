"""Long-running processes: each leads its own session, is recorded in a file, and ends together with all it started."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""
SAME_TIME = 2.0
"""Seconds by which two readings of the start of one process may differ."""
LOG_TAIL = 20


_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of what a stopped session leaves behind: in a container, nobody else might reap it.

    Only Linux knows this; elsewhere the system reaps orphans.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class StartError(RuntimeError):
    """A process did not come up; the message holds the end of its log."""


class SessionProcess:
    """A command in a session of its own, so that nothing it starts escapes :meth:`stop`.

    :param command: its first word is found in the ``PATH`` of ``env``.
    :param directory: where it runs and its log is kept; also where its record is.
    :param name: of its log and its record.
    """

    def __init__(self, name: str, command: Sequence[str], *, directory: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self.command = list(command)
        self._directory = directory
        self._env = dict(env)
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._popen is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                self.command,
                cwd=self._directory,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        record = {"pid": self.pid, "started": _started(self.pid), "command": self.command}
        (self._directory / f"{self.name}.process.json").write_text(json.dumps(record))

    def check_running(self) -> None:
        """:raises StartError: it has ended."""
        if not self.is_running:
            raise StartError(f"{self.name} has ended unexpectedly:\n{self.log_tail()}")

    def log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([*lines[-LOG_TAIL:], f"(the whole log: {self.log})"])

    def stop(self) -> None:
        """End it and everything that it started; returns when they are gone."""
        if self._popen is None:
            return
        _end_sessions([self.pid])
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(GRACE)
        (self._directory / f"{self.name}.process.json").unlink(missing_ok=True)


class Server(ABC):
    """What one process serves, and all that it starts; up inside ``with``, gone after it."""

    process: SessionProcess
    """Of one that needs several, ``start`` and ``stop`` are its own."""

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self.process.start()

    def stop(self) -> None:
        self.process.stop()

    @abstractmethod
    def wait_until_ready(self) -> None:
        """:raises StartError: it ended, or does not come up in time."""


def end_leftovers(directory: Path) -> list[str]:
    """End what was started below ``directory`` and has outlived the one who started it; returns the names.

    Only what is certainly ours: the recorded process itself, or members of its session that run in ``directory``.
    """
    leftovers = {}
    for record in directory.rglob("*.process.json"):
        try:
            said = json.loads(record.read_text())
            pid, started = int(said["pid"]), float(said["started"])
        except (ValueError, KeyError, TypeError):
            record.unlink()
            continue
        if _is_ours(pid, started, directory):
            leftovers[pid] = record.name.removesuffix(".process.json")
        else:
            record.unlink()
    _end_sessions(leftovers)
    return list(leftovers.values())


def _is_ours(leader: int, started: float, directory: Path) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return abs(psutil.Process(leader).create_time() - started) < SAME_TIME
    members = _members([leader])
    return bool(members) and all(_runs_in(member, directory) for member in members)


def _runs_in(process: psutil.Process, directory: Path) -> bool:
    try:
        return Path(process.cwd()).is_relative_to(directory.resolve())
    except psutil.Error:
        return False


def _started(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return time.time()


def _members(leaders: Iterable[int]) -> list[psutil.Process]:
    """The living processes of these sessions. Airflow gives its tasks groups of their own, but no sessions."""
    leaders = set(leaders)
    living = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getsid(process.pid) not in leaders:
                continue
            if process.status() != psutil.STATUS_ZOMBIE:
                living.append(process)
            elif process.ppid() == os.getpid() and process.pid not in leaders:
                os.waitpid(process.pid, os.WNOHANG)
    return living


def _end_sessions(leaders: Iterable[int]) -> None:
    leaders = list(leaders)
    asked: set[psutil.Process] = set()
    began = time.monotonic()
    while (members := _members(leaders)) and (waited := time.monotonic() - began) < 2 * GRACE:
        is_late = waited > GRACE
        for process in members if is_late else set(members) - asked:
            asked.add(process)
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL if is_late else signal.SIGTERM)
        time.sleep(0.1)
