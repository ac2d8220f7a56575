"""The same waits in Airflow's real triggerer over PostgreSQL: what its two processes and the database spend on them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg2

from bench.contenders import BY_NAME
from bench.loop import Load, clear_when_idle, environment, plan_ends
from bench.postgres import Postgres
from bench.stub.control import Stub

CAPACITY = 20_000
TAKEN_AT_ONCE = 200
"""Waits that the triggerer takes in one pass; Airflow's default of 50 would need minutes for the largest load."""
START_LIMIT = 240.0
"""Seconds within which the triggerer must have started all waits."""


@dataclass(frozen=True)
class TriggererFigures:
    """CPU in seconds a minute, net of the same triggerer without a wait.

    :param runner: of the process that runs the loop; ``supervisor``: of its parent; ``database``: of PostgreSQL.
    :param requests: a second.
    :param memory: kB that each wait adds to both processes of the triggerer, over the load before; ``None`` for the
        first load, which also brings the libraries.
    :param latency: seconds from the vendor's finish until the database shows that the task may resume.
    :param start: seconds from their deferral until all waits ran and the supervisor had said so.
    :param blocked: how often the triggerer itself complained of a blocked loop.
    :param problems: anything that makes the figures doubtful.
    """

    load: Load
    runner: float
    supervisor: float
    database: float
    requests: float
    memory: float | None
    latency: list[float]
    start: float
    blocked: int
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Usage:
    at: float
    runner: float
    supervisor: float
    database: float
    resident: int


class TriggererBench:
    """:param home: an ``AIRFLOW_HOME``.
    :param bundle: authorities to trust.
    """

    def __init__(self, stub: Stub, bundle: Path, home: Path, postgres: Postgres) -> None:
        self._stub, self._bundle, self._home, self._postgres = stub, bundle, home, postgres
        self._env = environment(home, bundle) | {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{postgres.address}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://{postgres.address}",
            "AIRFLOW__TRIGGERER__CAPACITY": str(CAPACITY),
            "AIRFLOW__TRIGGERER__MAX_TRIGGER_TO_SELECT_PER_LOOP": str(TAKEN_AT_ONCE),
            "AIRFLOW__CORE__FERNET_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        }
        self._airflow("db", "migrate")

    def measure(self, loads: Sequence[Load]) -> list[TriggererFigures]:
        """Growing loads of one contender, one after the other in one triggerer; the last one's latency."""
        contender, most = BY_NAME[loads[0].contender], loads[-1].waits
        clear_when_idle(self._stub)
        self._stub.begin(contender.system, "0", most, contender.lists or most)
        self._empty()
        measured = []
        with self._triggerer(contender.name) as (supervisor, log):
            time.sleep(3)
            idle = self._over(supervisor, loads[0].window / 2)
            resident, present = 0, 0
            for load in loads:
                begun = time.monotonic()
                self._add(load, present, most)
                problems = self._wait_until_all_run(load)
                took, added, present = time.monotonic() - begun, load.waits - present, load.waits
                time.sleep(1.2 * load.interval + 1)
                before = self._stub.counts()
                spent = self._over(supervisor, load.window)
                after = self._stub.counts()
                resident_before, resident = resident, self._usage(supervisor).resident
                latency, missing = self._time_ends(load) if load.ending else ([], 0)
                problems += [f"{missing} waits did not end in time"] if missing else []
                text = log.read_text(errors="replace")
                problems += [f"the log says: {line[:200]}" for line in _complaints(text)]
                measured.append(
                    TriggererFigures(
                        load=load,
                        runner=spent["runner"] - idle["runner"],
                        supervisor=spent["supervisor"] - idle["supervisor"],
                        database=spent["database"] - idle["database"],
                        requests=(after.total - before.total) / (after.at - before.at),
                        memory=(resident - resident_before) / 1024 / added if resident_before else None,
                        latency=sorted(latency),
                        start=took,
                        blocked=text.count("async thread was blocked"),
                        problems=problems,
                    )
                )
        return measured

    @contextmanager
    def _triggerer(self, name: str) -> Iterator[tuple[psutil.Process, Path]]:
        log = self._home / f"triggerer-{name}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [str(Path(sys.executable).parent / "airflow"), "triggerer", "--skip-serve-logs"],
                env=self._env,
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        try:
            supervisor = psutil.Process(process.pid)
            deadline = time.monotonic() + START_LIMIT
            while not supervisor.children():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the triggerer did not start:\n{log.read_text()[-2000:]}")
                time.sleep(0.2)
            yield supervisor, log
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                for child in psutil.Process(process.pid).children():
                    child.kill()
                process.kill()
                process.wait(10)

    def _usage(self, supervisor: psutil.Process) -> _Usage:
        (runner,) = supervisor.children()
        own, child = supervisor.cpu_times(), runner.cpu_times()
        return _Usage(
            at=time.monotonic(),
            runner=child.user + child.system,
            supervisor=own.user + own.system,
            database=self._postgres.cpu(),
            resident=supervisor.memory_info().rss + runner.memory_info().rss,
        )

    def _over(self, supervisor: psutil.Process, window: float) -> dict[str, float]:
        before = self._usage(supervisor)
        time.sleep(window)
        after = self._usage(supervisor)
        minutes = (after.at - before.at) / 60
        return {
            kind: (getattr(after, kind) - getattr(before, kind)) / minutes
            for kind in ("runner", "supervisor", "database")
        }

    def _add(self, load: Load, start: int, count: int) -> None:
        order = {
            "contender": load.contender,
            "endpoint": {"port": self._stub.port, "bundle": str(self._bundle)},
            "interval": load.interval,
            "count": count,
            "start": start,
            "stop": load.waits,
        }
        command = [sys.executable, "-m", "bench.seed"]
        done = subprocess.run(command, input=json.dumps(order), env=self._env, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the waits could not be stored: {done.stderr[-2000:]}")

    def _wait_until_all_run(self, load: Load) -> list[str]:
        """Each wait has a log from its start on; once the supervisor has written them all, nothing is piled up."""
        deadline = time.monotonic() + START_LIMIT
        folder = self._home / "logs" / f"dag_id=bench_{load.contender}"
        while (running := sum(1 for _ in folder.rglob("*.trigger.*.log"))) < load.waits:
            if time.monotonic() > deadline:
                return [f"only {running} of {load.waits} waits had started after {START_LIMIT:.0f} s"]
            time.sleep(0.5)
        return []

    def _time_ends(self, load: Load) -> tuple[list[float], int]:
        ends = plan_ends(self._stub, load)
        deadline = max(ends.values()) + 4 * load.interval + 20
        ended = "SELECT map_index, extract(epoch FROM updated_at) FROM task_instance WHERE state <> 'deferred'"
        while len(rows := self._query(ended)) < len(ends) and time.time() < deadline:
            time.sleep(0.5)
        moments = {index: float(moment) for index, moment in rows}
        latency = [moments[index] - end for index, end in ends.items() if index in moments]
        return latency, len(ends) - len(latency)

    def _empty(self) -> None:
        self._query("UPDATE task_instance SET trigger_id = NULL, state = 'success'", fetch=False)
        self._query("DELETE FROM task_instance", fetch=False)
        self._query("DELETE FROM trigger", fetch=False)

    def _query(self, text: str, *, fetch: bool = True) -> list[Any]:
        user, _, rest = self._postgres.address.partition("@")
        connection = psycopg2.connect(f"postgresql://{user}@{rest}")
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(text)
                return cursor.fetchall() if fetch else []
        finally:
            connection.close()

    def _airflow(self, *arguments: str) -> None:
        command = [str(Path(sys.executable).parent / "airflow"), *arguments]
        done = subprocess.run(command, env=self._env, cwd=self._home, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"airflow {' '.join(arguments)} failed: {done.stderr[-2000:]}")


def _complaints(log: str) -> list[str]:
    """The first lines that show an error, one of each kind."""
    errors = (line for line in log.splitlines() if re.search(r"\[error|Traceback", line))
    lines = {re.sub(r"\d+", "#", line)[-120:]: line for line in errors}
    return list(lines.values())[:3]
