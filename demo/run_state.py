"""One run of a DAG as the terminal shows it: Airflow's states beside those of the systems. Nothing is drawn here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from typing import Any

from airflow_provider.clients.service_stage.release_states import WORDS
from demo.airflow_api import FINISHED, AirflowApi
from demo.sandbox_server import SandboxServer

SYSTEMS = ("code_stream", "service_stage", "cocktail", "quay")
OVER = ("success", "failed", "skipped", "upstream_failed", "removed")
SETTLED = 3.0
"""Seconds before a question is shown: an answer within the first of them may fail the task in Airflow 3.3."""


@dataclass(slots=True)
class TaskState:
    """A task, and the execution that it started or waits for.

    :param system: one of ``SYSTEMS``, "" for a task that talks to none.
    :param state: Airflow's word.
    :param execution_id: "" until it is known.
    :param url: of the execution, "" if it has no page.
    :param status: the system's own word for the execution.
    :param asks: what people are asked, "" if nothing; ``asks_since`` on this machine's monotonic clock.
    :param result: what the task returned.
    """

    task_id: str
    system: str = ""
    state: str = "none"
    execution_id: str = ""
    url: str = ""
    status: str = ""
    asks: str = ""
    asks_since: float | None = None
    started: datetime | None = None
    ended: datetime | None = None
    try_number: int = 0
    result: Any = None

    @property
    def is_over(self) -> bool:
        return self.state in OVER

    @property
    def seconds(self) -> float | None:
        """How long it takes so far."""
        if self.started is None:
            return None
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()


@dataclass
class RunState:
    """A run of ``dag_id``, as of the last :meth:`refresh`."""

    api: AirflowApi
    sandbox: SandboxServer
    dag_id: str
    run_id: str
    state: str = "queued"
    tasks: dict[str, TaskState] = field(init=False)

    def __post_init__(self) -> None:
        # Airflow lists tasks and what follows them in no order that can be relied on.
        tasks = sorted(self.api.tasks(self.dag_id), key=lambda task: str(task["task_id"]))
        order = TopologicalSorter({task["task_id"]: set() for task in tasks})
        for task in tasks:
            for downstream in sorted(task["downstream_task_ids"]):
                order.add(downstream, task["task_id"])
        modules = {task["task_id"]: task["class_ref"]["module_path"].rpartition(".")[2] for task in tasks}
        self.tasks = {
            task_id: TaskState(task_id, modules[task_id] if modules[task_id] in SYSTEMS else "")
            for task_id in order.static_order()
        }

    @property
    def is_over(self) -> bool:
        return self.state in FINISHED

    @property
    def asking(self) -> list[TaskState]:
        """The tasks that wait for people's answers."""
        return [task for task in self.tasks.values() if task.asks]

    def answer(self, task: TaskState, option: str, comment: str) -> bool:
        """Answer a task's question; returns whether nobody else has answered before."""
        task.asks, task.asks_since = "", None
        return self.api.answer(self.dag_id, self.run_id, task.task_id, option, comment)

    def refresh(self) -> Iterator[TaskState]:
        """Poll Airflow; yields the tasks that changed."""
        self.state = self.api.dag_run(self.dag_id, self.run_id)["state"]
        statuses = self._statuses()
        instances = self.api.task_instances(self.dag_id, self.run_id)
        questions = self._questions(instances)
        for instance in instances:
            task = self.tasks[instance["task_id"]]
            if task.is_over:
                continue
            before = (task.state, task.execution_id, task.status, task.asks)
            task.state = instance["state"] or "none"
            task.try_number = instance["try_number"]
            task.started, task.ended = _moment(instance["start_date"]), _moment(instance["end_date"])
            if task.started:
                self._read_execution(task, statuses)
            _read_question(task, questions.get(task.task_id, ""))
            if (task.state, task.execution_id, task.status, task.asks) != before:
                yield task

    def _read_execution(self, task: TaskState, statuses: dict[tuple[str, str], str]) -> None:
        if task.system and not task.execution_id:
            task.execution_id = str(self._xcom(task, "id") or "")
            task.url = self._xcom(task, "url") or "" if task.execution_id else ""
        task.status = statuses.get((task.system, task.execution_id), task.status)
        if task.state == "success":
            task.result = self._xcom(task, "return_value")
            if task.system:
                task.execution_id, task.url = task.result["id"], task.result["url"] or ""
                task.status = _in_words(task.system, task.result["status"])

    def _questions(self, instances: list[dict[str, Any]]) -> dict[str, str]:
        """The open questions of deferred tasks, by task."""
        deferred = {instance["task_id"] for instance in instances if instance["state"] == "deferred"}
        actions = self.api.required_actions(self.dag_id, self.run_id) if deferred else []
        asked = {each["task_instance"]["task_id"]: each["subject"] for each in actions if not each["response_received"]}
        return {task_id: subject for task_id, subject in asked.items() if task_id in deferred}

    def _xcom(self, task: TaskState, key: str) -> Any:
        return self.api.xcom(self.dag_id, self.run_id, task.task_id, key)

    def _statuses(self) -> dict[tuple[str, str], str]:
        """What each execution is doing now, from the sandbox: Airflow knows it only once a task has ended."""
        return {
            (execution["system"], str(execution["id"])): _in_words(execution["system"], str(execution["state"]))
            for execution in self.sandbox.control.executions()
        }


def _read_question(task: TaskState, subject: str) -> None:
    if not subject:
        task.asks, task.asks_since = "", None
        return
    if task.asks_since is None:
        task.asks_since = time.monotonic()
    if time.monotonic() - task.asks_since >= SETTLED:
        task.asks = subject


def _in_words(system: str, status: str) -> str:
    return WORDS.get(status, status) if system == "service_stage" else status


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
