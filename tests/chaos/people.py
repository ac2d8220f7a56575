"""What people do to tasks and runs through Airflow's REST API."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from demo.airflow_api import AirflowApi


class TaskInstance(NamedTuple):
    """One task instance of one run."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


def mark(api: AirflowApi, ti: TaskInstance, state: str) -> None:
    """:param state: ``failed`` or ``success``."""
    path = f"{_run(ti)}/taskInstances/{ti.task_id}/{ti.map_index}"
    api.call("PATCH", path, json={"new_state": state})


def clear(api: AirflowApi, ti: TaskInstance) -> None:
    body = {
        "dry_run": False,
        "only_failed": False,
        "dag_run_id": ti.run_id,
        "task_ids": [[ti.task_id, ti.map_index]],
    }
    api.call("POST", f"dags/{ti.dag_id}/clearTaskInstances", json=body)


def fail_run(api: AirflowApi, ti: TaskInstance) -> None:
    """Mark the whole run of a task failed."""
    api.call("PATCH", _run(ti), json={"state": "failed"})


def _run(ti: TaskInstance) -> str:
    return f"dags/{ti.dag_id}/dagRuns/{quote(ti.run_id, safe='')}"
