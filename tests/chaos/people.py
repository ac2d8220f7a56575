"""What people do to tasks and runs through Airflow's REST API."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

import requests

from demo.airflow_api import FINISHED, AirflowApi


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


def questions(api: AirflowApi) -> list[TaskInstance]:
    """The tasks that ask people and are not over."""
    asked = api.call("GET", "dags/~/dagRuns/~/hitlDetails", params={"response_received": False, "limit": 100})
    tasks = [each["task_instance"] for each in asked["hitl_details"]]
    return [
        TaskInstance(each["dag_id"], each["dag_run_id"], each["task_id"], each["map_index"])
        for each in tasks
        if each["state"] not in FINISHED
    ]


def id_of(api: AirflowApi, ti: TaskInstance) -> str:
    """The id of the task instance's newest attempt."""
    return str(api.call("GET", f"{_run(ti)}/taskInstances/{ti.task_id}/{ti.map_index}")["id"])


def answer(api: AirflowApi, ti: TaskInstance, option: str, comment: str) -> bool | None:
    """Answer what a task asks; returns whether Airflow accepts it, ``None`` if it does not reply."""
    path = f"{_run(ti)}/taskInstances/{ti.task_id}/{ti.map_index}/hitlDetails"
    form = {"chosen_options": [option], "params_input": {"comment": comment}}
    try:
        api.call("PATCH", path, repeatable=False, json=form)
    except requests.HTTPError as error:
        return False if error.response.status_code < 500 else None
    except requests.RequestException:
        return None
    return True


def _run(ti: TaskInstance) -> str:
    return f"dags/{ti.dag_id}/dagRuns/{quote(ti.run_id, safe='')}"
