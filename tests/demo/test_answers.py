"""Keys of a terminal as answers: read one by one, and the terminal is restored afterwards, however that ended."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 60.0

# The first line makes the terminal that of the process, as a shell's is of what it starts.
READER = """
import os, select, sys
os.close(os.open(os.ttyname(0), os.O_RDWR))
from demo.answers import Keys
from demo.interruption import Interruption
Interruption()
keys = Keys(0)
with keys:
    print("reading", flush=True)
    while True:
        if option := keys.next(0.1):
            print(f"chosen {option}", flush=True)
            if sys.argv[1:] == ["fail"]:
                raise ValueError
            if sys.argv[1:] == ["forget"]:
                while not select.select([0], [], [], 0.1)[0]:
                    pass
                keys.forget()
                print("forgotten", flush=True)
"""


class Terminal:
    """A terminal in which a program reads keys."""

    def __init__(self, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self._theirs = theirs
        self.mode = self._mode()
        self.process = subprocess.Popen(
            [sys.executable, "-c", READER, *arguments],
            cwd=ROOT,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )
        self.until("reading")

    def _mode(self) -> list[Any]:
        return termios.tcgetattr(self._theirs)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def until(self, line: str) -> None:
        assert self.process.stdout
        # What is never shown fails the test, and does not hang it.
        assert select.select([self.process.stdout], [], [], LIMIT)[0], f"not shown within {LIMIT:g} s: {line}"
        assert self.process.stdout.readline().decode().strip() == line

    def is_as_before(self) -> bool:
        return self._mode() == self.mode

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self._ours)
        os.close(self._theirs)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_(*arguments: str) -> Terminal:
        opened.append(Terminal(*arguments))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


def test_a_key_counts_at_once_and_other_keys_do_not(terminal: Callable[..., Terminal]) -> None:
    it = terminal()
    assert not it.is_as_before()
    it.type("xa")
    it.until("chosen Approve")
    it.type("R")
    it.until("chosen Reject")


def test_keys_are_forgotten_on_request(terminal: Callable[..., Terminal]) -> None:
    it = terminal("forget")
    it.type("a")
    it.until("chosen Approve")
    it.type("a")
    it.until("forgotten")
    it.type("r")
    it.until("chosen Reject")


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("\x03", id="ctrl-c"),
        pytest.param("\x1c", id="ctrl-backslash"),
        pytest.param(signal.SIGTERM, id="terminated"),
        pytest.param(signal.SIGHUP, id="hung up"),
        pytest.param("fail", id="an error"),
    ],
)
def test_the_terminal_is_as_before_however_it_ends(end: Any, terminal: Callable[..., Terminal]) -> None:
    it = terminal(*(["fail"] if end == "fail" else []))
    assert not it.is_as_before()
    if isinstance(end, signal.Signals):
        it.process.send_signal(end)
    else:
        it.type("a" if end == "fail" else end)
    assert it.process.wait(LIMIT)
    assert it.is_as_before()


def test_a_terminal_that_is_not_ours_is_left_alone() -> None:
    """Like that of a demo started in the background, where a read would stop it."""
    ours, theirs = pty.openpty()
    try:
        before = termios.tcgetattr(theirs)
        code = "from demo.answers import Keys\nwith Keys(0) as keys: print(keys.next(0.1), flush=True); input()"
        with subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdin=theirs, stdout=subprocess.PIPE, start_new_session=True
        ) as process:
            assert process.stdout
            try:
                assert select.select([process.stdout], [], [], LIMIT)[0], "it was stopped by its read"
                assert process.stdout.readline() == b"None\n"
                assert termios.tcgetattr(theirs) == before
            finally:
                process.kill()
    finally:
        os.close(ours)
        os.close(theirs)
