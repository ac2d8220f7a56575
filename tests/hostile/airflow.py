"""Airflow's triggerer on PostgreSQL, and deferred tasks put into its database as workers leave them behind."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import psycopg2

from demo.processes import SessionProcess, StartError
from tests.chaos.databases import Postgres

DAG_ID = RUN_ID = "hostile"
PATIENCE = 180.0


class Ended(NamedTuple):
    """A wait that is over. :param at: epoch seconds; ``event``: of its trigger, ``None`` if it crashed."""

    index: int  # type: ignore[assignment]
    at: float
    method: str
    event: dict[str, Any] | None
    text: str


class Triggerer:
    """:param home: of everything that it writes. Only one in a process: Airflow reads its settings once."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._postgres = Postgres()
        self._count = self._log_begins = 0
        self._env = _environment(home, self._postgres.url)
        self._database: SessionProcess | None = None
        self._process = SessionProcess(
            "triggerer", ["airflow", "triggerer", "--skip-serve-logs"], directory=home, env=self._env
        )
        self._runner: psutil.Process | None = None

    def start(self, connections: Mapping[str, Mapping[str, Any]]) -> None:
        """:param connections: fields by id."""
        self._database = self._postgres.start()
        os.environ.clear()
        os.environ.update(self._env)
        from airflow.utils.db import initdb

        initdb()
        self._dag = _add_run(connections)
        self._process.start()
        deadline = time.monotonic() + PATIENCE
        while not (children := psutil.Process(self._process.pid).children()):
            self._process.check_running()
            if time.monotonic() > deadline:
                raise StartError(f"the triggerer did not start\n{self._process.log_tail()}")
            time.sleep(0.2)
        self._runner = children[0]

    def stop(self) -> None:
        self._process.stop()
        if self._database:
            self._database.stop()

    def wait_until_it_runs(self, shown_by: Path) -> None:
        """:param shown_by: a file that a trigger writes."""
        deadline = time.monotonic() + PATIENCE
        while not shown_by.exists() or not shown_by.stat().st_size:
            self._process.check_running()
            if time.monotonic() > deadline:
                raise StartError(f"the triggerer runs no trigger\n{self._process.log_tail()}")
            time.sleep(0.5)

    def forget_complaints(self) -> None:
        """Those of its start: while it reads its libraries, it complains of itself."""
        self._log_begins = self._process.log.stat().st_size

    @property
    def is_the_same(self) -> bool:
        """Whether its processes are those that were started."""
        return self._process.is_running and self._runner is not None and self._runner.is_running()

    def memory(self) -> int:
        """Bytes that the process of the loop holds."""
        return int(self._runner.memory_info().rss) if self._runner else 0

    def cpu(self) -> float:
        """Seconds that the process of the loop has used."""
        used = self._runner.cpu_times() if self._runner else None
        return used.user + used.system if used else 0.0

    def add(self, triggers: Sequence[tuple[str, dict[str, Any]]]) -> list[int]:
        """Defer a task for each of these (class path, arguments); returns their numbers."""
        from airflow.models.dag_version import DagVersion
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.trigger import Trigger
        from airflow.utils.session import create_session
        from airflow.utils.state import TaskInstanceState
        from sqlalchemy import select

        numbers = []
        with create_session() as session:
            version = session.scalars(select(DagVersion).where(DagVersion.dag_id == DAG_ID)).one()
            for path, arguments in triggers:
                trigger = Trigger(path, arguments)
                session.add(trigger)
                session.flush()
                task = TaskInstance(
                    self._dag.get_task("wait"),
                    dag_version_id=version.id,
                    run_id=RUN_ID,
                    state=TaskInstanceState.DEFERRED,
                    map_index=self._count,
                )
                task.trigger_id, task.try_number = trigger.id, 1
                task.next_method, task.next_kwargs = "resume", {}
                session.add(task)
                numbers.append(self._count)
                self._count += 1
        return numbers

    def take_ended(self) -> list[Ended]:
        """The waits that are over; each is returned once."""
        rows = self._query(
            "DELETE FROM task_instance WHERE dag_id = %s AND state <> 'deferred' "
            "RETURNING map_index, extract(epoch FROM updated_at), next_method, next_kwargs::text",
            DAG_ID,
        )
        return [
            Ended(index, float(at), method or "", _event(json.loads(text or "null")), text or "")
            for index, at, method, text in rows
        ]

    def complaints(self) -> list[str]:
        """Lines of the triggerer's log that show an error of its own since its start, one of each kind."""
        text = self._process.log.read_bytes()[self._log_begins :].decode(errors="replace")
        lines = (line for line in text.splitlines() if re.search(r"\[error|\[critical|Traceback|exited with", line))
        return list({re.sub(r"[0-9a-f-]{8,}|\d+", "#", line)[-120:]: line for line in lines}.values())

    def _query(self, text: str, *values: Any) -> list[Any]:
        with closing(psycopg2.connect(f"postgresql://{self._postgres.url}")) as connection, connection:
            cursor = connection.cursor()
            cursor.execute(text, values)
            return cursor.fetchall()


def _event(kwargs: Any) -> dict[str, Any] | None:
    """The event in what a task is to be resumed with, however deeply Airflow has packed it."""
    if isinstance(kwargs, dict):
        for name, value in kwargs.items():
            if name == "ending":
                return kwargs
            if (found := _event(value)) is not None:
                return found
    return None


def _environment(home: Path, database: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if "AIRFLOW" not in name}
    return inherited | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "NO_PROXY": "127.0.0.1,localhost",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://{database}",
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        # A vendor that may ask for five minutes would do no harm for most of the time.
        "AIRFLOW__RELEASE_PIPELINES__MAX_RETRY_AFTER": "2",
        "AIRFLOW__API_AUTH__JWT_SECRET": "hostile-jwt-secret-that-is-long-enough-for-a-signature-of-512-bits",
    }


def _add_run(connections: Mapping[str, Mapping[str, Any]]) -> Any:
    """Put connections and a run of a DAG into the database; returns the DAG."""
    from airflow.models.connection import Connection
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG
    from airflow.utils.session import create_session

    from bench.seed import add_run

    with DAG(DAG_ID, schedule=None) as dag:
        EmptyOperator(task_id="wait")
    with create_session() as session:
        for conn_id, fields in connections.items():
            extra = {"extra": json.dumps(fields["extra"])} if "extra" in fields else {}
            session.add(Connection(conn_id=conn_id, **{**fields, **extra}))
    return add_run(dag, RUN_ID)
