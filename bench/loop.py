"""One load in one event loop: a fresh worker process against a cleared stub, and what became of it as figures."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.contenders import BY_NAME, Contender
from bench.stub.control import Counts, Stub

BUSY_STUB = 0.8
ENDING_RATE = 5
"""Executions that finish in a second, at random moments: their last log lines are read within our budget, too."""
REQUESTS_PER_SECOND = 20
"""Our budget: what the polls leave of it, logs may take."""


@dataclass(frozen=True)
class Load:
    """:param interval: seconds between polls, as asked for.
    :param window: seconds over which cost is measured.
    :param connections: over which the waits are spread evenly.
    :param ending: waits whose finish is timed.
    """

    contender: str
    waits: int
    interval: float = 5.0
    window: float = 20.0
    connections: int = 1
    ending: int = 0


@dataclass(frozen=True)
class Figures:
    """What a load cost. CPU is net of an idle loop.

    :param cpu: seconds a minute, of the process; ``loop_cpu``: of the loop's thread.
    :param requests: a second; ``connections``: new ones a second; ``open``: at the end of the window.
    :param memory: kB for each wait.
    :param latency: seconds from the vendor's finish to the event.
    :param messages: to the supervisor, for each poll that each wait asked for; ``lines``: of log, likewise.
    :param block: seconds of the longest block of the loop by its own process while it only waits; ``block_at_start``
        and ``block_at_end``: while waits begin, and while executions finish.
    :param lag: as ``block``, with what other processes of the machine did to it.
    :param stub_cpu: part of a core that the stub used.
    :param problems: anything that makes the figures doubtful.
    """

    load: Load
    cpu: float
    loop_cpu: float
    requests: float
    connections: float
    open: int
    memory: float
    latency: list[float]
    messages: float
    lines: float
    block: float
    block_at_start: float
    block_at_end: float
    lag: float
    stub_cpu: float
    problems: list[str] = field(default_factory=list)


def percentile(values: Sequence[float], percent: int) -> float | None:
    """``None`` if there are too few values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else None


class LoopBench:
    """Measures loads one after the other.

    :param bundle: authorities to trust.
    :param home: an ``AIRFLOW_HOME`` for the workers.
    """

    def __init__(self, stub: Stub, bundle: Path, home: Path) -> None:
        self._stub, self._bundle, self._home = stub, bundle, home
        self.idle: Figures | None = None

    def measure_idle(self, window: float) -> Figures:
        """What a loop costs that waits for nothing; the others are net of it from then on."""
        self.idle = self.measure(Load(next(iter(BY_NAME)), 0, window=window))
        return self.idle

    def measure(self, load: Load) -> Figures:
        """Run one load from start to end."""
        contender, each = BY_NAME[load.contender], load.waits // load.connections
        clear_when_idle(self._stub)
        for connection in range(load.connections):
            self._stub.begin(contender.system, str(connection), each, contender.lists or each)
        order = {
            **asdict(load),
            "settle": 1.2 * load.interval + 1 + _seconds_for_logs(contender, load),
            "patience": 3 * load.interval + 15,
            "endpoint": {"port": self._stub.port, "bundle": str(self._bundle)},
        }
        worker = subprocess.Popen(
            [sys.executable, "-m", "bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(self._home, self._bundle),
        )
        try:
            return self._follow(worker, order, load)
        finally:
            worker.kill()
            worker.wait(10)

    def _follow(self, worker: subprocess.Popen[str], order: dict[str, Any], load: Load) -> Figures:
        assert worker.stdout
        seen: dict[str, Counts] = {}
        _say(worker, order)
        for line in worker.stdout:
            if not line.startswith('{"now"'):
                continue  # a library that prints
            said = json.loads(line)
            seen[said["now"]] = self._stub.counts()
            if said["now"] == "done":
                return self._figures(load, said["result"], seen["steady"], seen["ending"])
            _say(worker, {"ends": plan_ends(self._stub, load)} if said["now"] == "plan" else {})
        raise RuntimeError(f"the worker for {load} ended early with {worker.wait(10)}")

    def _figures(self, load: Load, result: dict[str, Any], before: Counts, after: Counts) -> Figures:
        steady, idle = result["steady"], self.idle
        minutes, between = steady["seconds"] / 60, after.at - before.at
        polls = max(1.0, load.waits * steady["seconds"] / load.interval)
        stub_cpu = (after.cpu - before.cpu) / between
        return Figures(
            load=load,
            cpu=steady["cpu"] / minutes - (idle.cpu if idle else 0.0),
            loop_cpu=steady["loop_cpu"] / minutes - (idle.loop_cpu if idle else 0.0),
            requests=(after.total - before.total) / between,
            connections=(after.connections - before.connections) / between,
            open=after.open,
            memory=result["memory"] / 1024 / max(1, load.waits - 1),
            latency=sorted(result["latencies"]),
            messages=steady["messages"] / polls,
            lines=steady["lines"] / polls,
            block=steady["block"],
            block_at_start=result["start"]["block"],
            block_at_end=result.get("end", {}).get("block", 0.0),
            lag=steady["lag"],
            stub_cpu=stub_cpu,
            problems=_problems(result, stub_cpu),
        )


def _seconds_for_logs(contender: Contender, load: Load) -> float:
    """Until the log of each wait has been read once. Where polls alone take the whole budget, that is never."""
    logs_per_second = REQUESTS_PER_SECOND - contender.lists / load.interval
    return 1.3 * load.waits / logs_per_second if contender.reads_logs and contender.lists else 0.0


def clear_when_idle(stub: Stub) -> None:
    """Forget what was before, once the connections of the process before are gone."""
    deadline = time.monotonic() + 10
    while stub.clear().open and time.monotonic() < deadline:
        time.sleep(0.1)


def _problems(result: dict[str, Any], stub_cpu: float) -> list[str]:
    problems = [f"a wait crashed: {text}" for text in result["crashed"]]
    if result["missing"]:
        problems.append(f"{result['missing']} waits did not end in time")
    if result["early"]:
        problems.append(f"{result['early']} waits ended before their execution, for example with {result['sample']}")
    if stub_cpu > BUSY_STUB:
        problems.append(f"the stub used {stub_cpu:.0%} of a core: it may be what limits requests and latency")
    return problems


def environment(home: Path, bundle: Path) -> dict[str, str]:
    """Of a process that waits: an Airflow of its own, and the stub's authority trusted by everybody."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if "AIRFLOW" not in name
        and not name.endswith(("CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "DONTWRITEBYTECODE"))
    }
    return inherited | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONPYCACHEPREFIX": str(home / "pycache"),
        "SSL_CERT_FILE": str(bundle),
        "REQUESTS_CA_BUNDLE": str(bundle),
    }


def _say(worker: subprocess.Popen[str], answer: dict[str, Any]) -> None:
    assert worker.stdin
    worker.stdin.write(json.dumps(answer) + "\n")
    worker.stdin.flush()


def plan_ends(stub: Stub, load: Load) -> dict[int, float]:
    """Let some executions finish at random moments, a few a second."""
    contender, each = BY_NAME[load.contender], load.waits // load.connections
    chance = random.Random(load.waits)  # noqa: S311 - the same moments in every run
    chosen = chance.sample(range(load.waits), min(load.ending, load.waits))
    begin = time.time() + 1
    ends = {number: begin + chance.uniform(0, len(chosen) / ENDING_RATE) for number in chosen}
    for connection in range(load.connections):
        own = {number % each: end for number, end in ends.items() if number // each == connection}
        stub.plan(contender.system, str(connection), own)
    return ends
