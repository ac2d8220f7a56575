"""One run of a DAG as the terminal shows it: Airflow's states beside those of the systems. Nothing is drawn here."""

from __future__ import annotations

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


@dataclass(slots=True)
class TaskState:
    """A task, and the execution that it started or waits for.

    :param system: one of ``SYSTEMS``, "" for a task that talks to none.
    :param state: Airflow's word.
    :param execution_id: "" until it is known.
    :param url: of the execution, "" if it has no page.
    :param status: the system's own word for the execution.
    :param result: what the task returned.
    """

    task_id: str
    system: str = ""
    state: str = "none"
    execution_id: str = ""
    url: str = ""
    status: str = ""
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
    """A run of ``dag_id``, as last seen by :meth:`refresh`."""

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

    def refresh(self) -> Iterator[TaskState]:
        """PendingObservation again; yields the tasks that changed."""
        self.state = self.api.dag_run(self.dag_id, self.run_id)["state"]
        statuses = self._statuses()
        for instance in self.api.task_instances(self.dag_id, self.run_id):
            task = self.tasks[instance["task_id"]]
            if task.is_over:
                continue
            before = (task.state, task.execution_id, task.status)
            task.state = instance["state"] or "none"
            task.try_number = instance["try_number"]
            task.started, task.ended = _moment(instance["start_date"]), _moment(instance["end_date"])
            if task.started:
                self._look_at_execution(task, statuses)
            if (task.state, task.execution_id, task.status) != before:
                yield task

    def _look_at_execution(self, task: TaskState, statuses: dict[tuple[str, str], str]) -> None:
        if task.system and not task.execution_id:
            task.execution_id = str(self._xcom(task, "id") or "")
            task.url = self._xcom(task, "url") or "" if task.execution_id else ""
        task.status = statuses.get((task.system, task.execution_id), task.status)
        if task.state == "success":
            task.result = self._xcom(task, "return_value")
            if task.system:
                task.execution_id, task.url = task.result["id"], task.result["url"] or ""
                task.status = _in_words(task.system, task.result["status"])

    def _xcom(self, task: TaskState, key: str) -> Any:
        return self.api.xcom(self.dag_id, self.run_id, task.task_id, key)

    def _statuses(self) -> dict[tuple[str, str], str]:
        """What each execution is doing now, from the sandbox: Airflow itself knows only when a task has ended."""
        return {
            (execution["system"], str(execution["id"])): _in_words(execution["system"], str(execution["state"]))
            for execution in self.sandbox.control.executions()
        }


def _in_words(system: str, status: str) -> str:
    return WORDS.get(status, status) if system == "service_stage" else status


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
