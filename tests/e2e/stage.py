"""A real Airflow and the sandbox as the tests see them: runs that are watched, and requests that change something."""

from __future__ import annotations

import functools
import re
import signal
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.sandbox import seed
from demo.airflow_api import FINISHED, AirflowApi
from demo.airflow_server import AirflowServer
from demo.sandbox_server import SandboxServer
from tests.support.until import until as until_soon

SPEED = 8.0
RUN_LIMIT = 120.0
PAUSE = 0.5
"""Seconds between two questions to the API server, which has other work to do."""
EVENT_TYPES = ("docker", "git", "gerrit")
until = functools.partial(until_soon, seconds=RUN_LIMIT, pause=PAUSE)
OVER = ("success", "failed", "skipped", "upstream_failed")


@dataclass
class SeenRun:
    """A finished run, from Airflow's side.

    :param results: what each task returned.
    :param links: of the button "Open in ...", by task.
    :param early_ids: what the tasks had pushed as ``id`` when they were seen the last time before they were over.
    :param early_links: where their button led at that time.
    :param errors: the last error in the log of each failed task, for the reader of a failed test.
    """

    state: str
    states: dict[str, str]
    results: dict[str, Any]
    links: dict[str, str | None]
    early_ids: dict[str, str]
    early_links: dict[str, str | None]
    errors: dict[str, Any]


@dataclass
class Stage:
    """Airflow and the sandbox."""

    airflow: AirflowServer
    sandbox: SandboxServer

    def reset(self) -> None:
        self.sandbox.control.reset(SPEED)

    def start(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        return self.airflow.api.trigger(dag_id, conf)

    def scheduled(self, dag_id: str) -> str:
        """Unpause a DAG; returns the run that the scheduler then makes."""
        self.airflow.api.unpause(dag_id)
        return until(lambda: self.airflow.api.run_ids(dag_id))[0]

    def states(self, dag_id: str, run_id: str) -> dict[str, str]:
        """Of each task that is not mapped."""
        instances = self.airflow.api.task_instances(dag_id, run_id)
        return {each["task_id"]: each["state"] for each in instances if each["map_index"] < 0}

    def mapped_states(self, dag_id: str, run_id: str) -> list[str]:
        """Of all instances of mapped tasks, sorted."""
        instances = self.airflow.api.task_instances(dag_id, run_id)
        return sorted(each["state"] for each in instances if each["map_index"] >= 0)

    def watch(self, dag_id: str, run_id: str) -> SeenRun:
        """Wait for the end of a run, noting what its tasks show before they are over."""
        api = self.airflow.api
        early_ids: dict[str, str] = {}
        early_links: dict[str, str | None] = {}

        def read() -> str:
            state = str(api.dag_run(dag_id, run_id)["state"])
            for task_id, task_state in self.states(dag_id, run_id).items():
                if task_state == "deferred" and state not in FINISHED:
                    early_ids[task_id] = api.xcom(dag_id, run_id, task_id, "id")
                    early_links[task_id] = link_of(api, dag_id, run_id, task_id)
            return state

        # Some tasks are deferred for a second only.
        state = until(read, lambda state: state in FINISHED, pause=0.2)
        states = self.states(dag_id, run_id)
        return SeenRun(
            state=state,
            states=states,
            results={task_id: api.xcom(dag_id, run_id, task_id) for task_id in states},
            links={task_id: link_of(api, dag_id, run_id, task_id) for task_id in states},
            early_ids=early_ids,
            early_links=early_links,
            errors={
                task_id: [line for line in api.log_lines(dag_id, run_id, task_id, 1) if line.get("level") == "error"]
                for task_id, state in states.items()
                if state == "failed"
            },
        )

    def wait_for_task(self, dag_id: str, run_id: str, task_id: str) -> None:
        until(lambda: self.states(dag_id, run_id), lambda states: states.get(task_id) in OVER)

    def wait_for_its_trigger(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Wait until a deferred task has nothing but its trigger.

        Airflow 3.3.2 fails a task that is resumed before its scheduler has heard of the end of the process, and a
        trigger that has not begun yet hears of nothing that people do.
        """
        key = rf"dag_id='{dag_id}', task_id='{task_id}', run_id='{re.escape(run_id)}'"
        sent = rf"Trying to enqueue tasks: .*<TaskInstance: {dag_id}\.{task_id} {re.escape(run_id)} "
        ended = rf"Received executor event with state (?:success|failed) for .*TaskInstanceKey\({key}"
        folder = self.airflow.home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"

        def last_of_process() -> str:
            lines = self.airflow.scheduler_log.read_text(errors="replace").splitlines()
            return next((line for line in reversed(lines) if re.search(f"{sent}|{ended}", line)), "")

        def running_trigger() -> str:
            """The line of its start. An earlier trigger may end a moment after that."""
            lines = [line for file in folder.glob("*.trigger.*") for line in file.read_text().splitlines()]
            # A line begins with its moment.
            started = max((line for line in lines if ' starting"' in line), default="")
            number = re.search(r"\(ID \d+\)", started)
            is_over = any(
                number and number[0] in line for line in lines if '"trigger completed"' in line and line > started
            )
            return "" if is_over else started

        until(last_of_process, lambda line: re.search(ended, line))
        until(running_trigger)

    @contextmanager
    def stopped_triggerer(self) -> Iterator[None]:
        """Only of an Airflow on SQLite."""
        session = psutil.Process(self.airflow.process.pid)
        triggerers = [each for each in session.children(recursive=True) if "triggerer" in " ".join(each.cmdline())]
        assert triggerers
        until(lambda: stop_without_lock(triggerers, self.airflow.home / "airflow.db"))
        try:
            yield
        finally:
            for each in triggerers:
                each.send_signal(signal.SIGCONT)

    def events(self) -> list[dict[str, Any]]:
        """Every trigger event that Code Stream holds."""
        login, password = next(iter(seed.CODE_STREAM_USERS.items()))
        with CodeStreamClient(f"{self.sandbox.url}/code_stream", username=login, password=password) as client:
            return [event for kind in EVENT_TYPES for event in client.events.list(kind)]

    def changes(self, system: str | None = None) -> list[str]:
        """Every request since the last reset that changes something, in order: system, method, path and query."""
        requests = self.sandbox.control.requests(system)
        return [
            f"{entry['system']} {entry['method']} {entry['path']}?{entry['query']}".rstrip("?")
            for entry in requests
            if entry["method"] != "GET" and not re.search(r"/csp/|/iaas/api/login", entry["path"])
        ]


def stop_without_lock(processes: Sequence[psutil.Process], database: Path) -> bool:
    """Stop processes, unless nobody could write into a database of SQLite then, whose locks a stopped process keeps."""
    for each in processes:
        each.send_signal(signal.SIGSTOP)
    with closing(sqlite3.connect(database, timeout=2, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            for each in processes:
                each.send_signal(signal.SIGCONT)
            return False
        connection.execute("ROLLBACK")
    return True


def link_of(api: AirflowApi, dag_id: str, run_id: str, task_id: str) -> str | None:
    """Where the button of a task leads that is named after a system."""
    links = api.extra_links(dag_id, run_id, task_id)
    return next((url for name, url in links.items() if name.startswith("Open in ")), None)
