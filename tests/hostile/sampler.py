"""A trigger that measures the event loop which it shares with the waits: how long it was held up, and by whom.

A lag alone proves nothing: the machine may be busy with something else, Python may have collected garbage, or Airflow
may have been at work. So each lag is held against what the threads of the process did meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider.clients.one_at_a_time import THREAD

HEARTBEAT = 0.005
TOLD_FROM = 0.02
"""Seconds of a lag that is worth a line."""
OUR_THREADS = ("poll-", THREAD)
OUR_TASKS = ("poll ", "build logs", "Poller.", "BuildLogs.", "TriggerRunner.run_trigger")

_SHOWN = 4
"""Threads that a line names."""


class _Step(NamedTuple):
    """A step of the loop, in seconds of its thread's CPU, collecting garbage apart."""

    what: str
    took: float
    is_ours: bool


class Garbage:
    """Seconds that Python has spent on collecting garbage."""

    def __init__(self) -> None:
        self.total = self._began = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, _: Any) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.total += time.perf_counter() - self._began


class Steps:
    """The slowest steps of the loop since they were last asked for."""

    def __init__(self, garbage: Garbage) -> None:
        self._garbage = garbage
        self._steps: list[_Step] = []
        run = asyncio.Handle._run

        def timed(handle: Any) -> None:
            began, collected = time.thread_time(), garbage.total
            run(handle)
            took = time.thread_time() - began - (garbage.total - collected)
            if took > TOLD_FROM / 4:
                self._steps.append(_of(handle, took))

        asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]

    def take(self) -> list[_Step]:
        taken, self._steps = self._steps, []
        return taken


def _of(handle: Any, took: float) -> _Step:
    callback = handle._callback
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.Task):
        name = f"{owner.get_name()} {getattr(owner.get_coro(), '__qualname__', '')}"
    else:
        name = getattr(callback, "__qualname__", repr(callback))[:80]
    return _Step(name, took, "airflow_provider" in repr(callback) or any(part in name for part in OUR_TASKS))


class Threads:
    """CPU seconds of each thread of the process that serves the waits, and how long the loop's waited for a CPU."""

    def __init__(self) -> None:
        self._clocks: dict[int, tuple[str, int]] = {}
        self._queue = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")

    def read(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for thread in threading.enumerate():
            if thread.ident and thread.name.startswith(OUR_THREADS):
                with suppress(OSError, OverflowError):
                    found[f"{thread.name} {thread.ident}"] = time.clock_gettime(
                        time.pthread_getcpuclockid(thread.ident)
                    )
        return found

    def queued(self) -> float:
        """Seconds for which the loop's thread was ready and no processor was free."""
        return int(self._queue.read_text().split()[1]) / 1e9


class LoopSampler(BaseTrigger):
    """Never ends. :param path: of a file that gets a line of JSON a second."""

    def __init__(self, path: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.path = path

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "tests.hostile.sampler.LoopSampler", {"path": self.path}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        garbage = Garbage()
        steps, threads = Steps(garbage), Threads()
        second = _Second()
        with Path(self.path).open("a") as file:  # noqa: ASYNC230 - a line a second
            while True:
                before = time.perf_counter(), garbage.total, threads.read(), threads.queued()
                await asyncio.sleep(HEARTBEAT)
                began, collected, cpu, queued = before
                lag = time.perf_counter() - began - HEARTBEAT
                if lag > second.lag / 2 or lag > TOLD_FROM:
                    waited = threads.queued() - queued
                    used = {name: now - cpu.get(name, 0.0) for name, now in threads.read().items()}
                    second.note(lag, garbage.total - collected, waited, used, steps.take())
                if second.is_over():
                    file.write(json.dumps(second.to_json()) + "\n")
                    file.flush()
                    second = _Second()
                    steps.take()
        yield TriggerEvent(None)


class _Second:
    """What was worst in it, in seconds.

    ``lag``: whatever caused it. ``garbage``: of collecting garbage. ``ours``: that part of a lag in which the threads
    of the waits, or their steps of the loop, were at work and the loop was not only waiting for a processor.
    ``others``: the longest step of the loop that is not ours.
    """

    def __init__(self) -> None:
        self._began = time.time()
        self.lag = self.garbage = self.ours = self.others = 0.0
        self.culprit = self.other = ""

    def note(self, lag: float, garbage: float, waited: float, used: dict[str, float], steps: list[_Step]) -> None:
        """:param used: seconds of CPU by thread."""
        self.lag, self.garbage = max(self.lag, lag), max(self.garbage, garbage)
        threads = sum(used.values())
        in_loop = sum(step.took for step in steps if step.is_ours)
        held_up = max(0.0, lag - garbage - waited)
        foreign = sum(step.took for step in steps if not step.is_ours)
        ours = min(max(0.0, held_up - foreign), threads + in_loop)
        if ours > self.ours:
            self.ours = ours
            slowest = max((step for step in steps if step.is_ours), default=None, key=lambda step: step.took)
            self.culprit = _busiest(used) if threads > in_loop or not slowest else slowest.what
        for step in steps:
            if not step.is_ours and step.took > self.others:
                self.others, self.other = step.took, step.what

    def is_over(self) -> bool:
        return time.time() - self._began >= 1

    def to_json(self) -> dict[str, Any]:
        return {
            "at": time.time(),
            "lag": self.lag,
            "garbage": self.garbage,
            "ours": self.ours,
            "culprit": self.culprit,
            "others": self.others,
            "other": self.other,
            "blocks": sys.getallocatedblocks(),
        }


def _busiest(used: dict[str, float]) -> str:
    """The threads that used most of the CPU, with their milliseconds."""
    most = sorted(used, key=used.__getitem__, reverse=True)[:_SHOWN]
    return "threads " + ", ".join(f"{name.split()[0]} {used[name] * 1000:.0f} ms" for name in most)
