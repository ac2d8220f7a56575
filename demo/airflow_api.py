"""Airflow's own REST API, as far as the demo and the tests use it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import requests

Json = dict[str, Any]
FINISHED = ("success", "failed")
TRIES = 5
PAUSE = 0.5
"""Seconds between tries of what may be repeated: on a busy machine Airflow's SQLite is locked now and then, and its API
server does not answer for half a minute."""


class AirflowApi:
    """A signed-in user of the REST API; not safe for use from several threads.

    :param url: of the API server, without ``/api/v2``.
    """

    def __init__(self, url: str, login: str, password: str) -> None:
        self.url = url
        self._credentials = {"username": login, "password": password}
        self._session = requests.Session()
        self._session.trust_env = False

    def call(
        self, method: str, path: str, *, missing_ok: bool = False, repeatable: bool | None = None, **options: Any
    ) -> Any:
        """The JSON that a call answers; ``None`` for a 404 with ``missing_ok``.

        :param path: below ``/api/v2/``; or from the root, if it begins with a slash.
        :param repeatable: whether it may be sent again after a 5xx or no answer; default: anything but a POST.
        :raises requests.RequestException: no answer, or a refusal; its text holds what Airflow said.
        """
        if repeatable is None:
            repeatable = method != "POST"
        url = self.url + (path if path.startswith("/") else f"/api/v2/{path}")
        if "Authorization" not in self._session.headers:
            self._sign_in()
        for tries_left in reversed(range(TRIES)):
            try:
                answer = self._session.request(method, url, timeout=30, **options)
            except requests.ReadTimeout:
                if not repeatable or not tries_left:
                    raise
                continue
            if answer.status_code == 401:
                self._sign_in()
            elif answer.status_code < 500 or not repeatable:
                break
            else:
                time.sleep(PAUSE)
        if answer.status_code == 404 and missing_ok:
            return None
        if not answer.ok:
            raise requests.HTTPError(f"{method} {path}: {answer.status_code} {answer.text[:500]}", response=answer)
        return answer.json() if answer.content else None

    def _sign_in(self) -> None:
        answer = self._session.post(f"{self.url}/auth/token", json=self._credentials, timeout=30)
        answer.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def unhealthy_components(self) -> list[str]:
        """Names of what is not up yet: scheduler, triggerer, DAG processor, metadata database."""
        answer = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=5)
        answer.raise_for_status()
        return [name for name, component in answer.json().items() if (component or {}).get("status") != "healthy"]

    def import_errors(self) -> list[str]:
        return [error["stack_trace"] for error in self.call("GET", "importErrors")["import_errors"]]

    def has_dag(self, dag_id: str) -> bool:
        return self.call("GET", f"dags/{quote(dag_id)}", missing_ok=True) is not None

    def save_connection(self, connection: Mapping[str, Any]) -> None:
        """Create a connection, or replace the one of the same id."""
        path = f"connections/{quote(connection['connection_id'])}"
        if self.call("GET", path, missing_ok=True) is None:
            self.call("POST", "connections", json=dict(connection))
        else:
            self.call("PATCH", path, json=dict(connection))

    def unpause(self, dag_id: str) -> None:
        """A DAG with a schedule then gets its latest run by itself."""
        self.call("PATCH", f"dags/{quote(dag_id)}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None) -> str:
        """Unpause a DAG and start a run of it; returns the run's id."""
        self.unpause(dag_id)
        now = datetime.now(UTC).isoformat()
        body = {"dag_run_id": f"manual__{now}", "conf": dict(conf or {}), "logical_date": now}
        # By the name of the run, Airflow refuses a second one.
        return str(self.call("POST", f"dags/{quote(dag_id)}/dagRuns", json=body, repeatable=True)["dag_run_id"])

    def run_ids(self, dag_id: str) -> list[str]:
        return [run["dag_run_id"] for run in self.call("GET", f"dags/{quote(dag_id)}/dagRuns")["dag_runs"]]

    def dag_run(self, dag_id: str, run_id: str) -> Json:
        return self.call("GET", _run(dag_id, run_id))

    def tasks(self, dag_id: str) -> list[Json]:
        return self.call("GET", f"dags/{quote(dag_id)}/tasks")["tasks"]

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        return self.call("GET", f"{_run(dag_id, run_id)}/taskInstances")["task_instances"]

    def xcom(
        self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", *, map_index: int = -1
    ) -> Any | None:
        """What a task pushed; ``None`` if nothing."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}/xcomEntries/{quote(key)}"
        entry = self.call("GET", path, missing_ok=True, params={"map_index": map_index})
        return entry["value"] if entry else None

    def extra_links(self, dag_id: str, run_id: str, task_id: str) -> dict[str, str | None]:
        """The buttons of a task instance in the UI, by name."""
        return self.call("GET", f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}/links")["extra_links"]

    def required_actions(self, dag_id: str, run_id: str) -> list[Json]:
        """The questions of a run's tasks to people, answered or not."""
        return self.call("GET", f"{_run(dag_id, run_id)}/hitlDetails")["hitl_details"]

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str, comment: str) -> bool:
        """Answer a task's question; returns whether that answer counts, and not an earlier one."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}/-1/hitlDetails"
        form = {"chosen_options": [option], "params_input": {"comment": comment}}
        try:
            self.call("PATCH", path, repeatable=False, json=form)
        except requests.HTTPError as error:
            if error.response.status_code != 409:
                raise
            return False
        return True

    def log_lines(self, dag_id: str, run_id: str, task_id: str, try_number: int, *, map_index: int = -1) -> list[Json]:
        """The log of one try, as structured lines."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{quote(task_id)}/logs/{try_number}"
        answer = self.call("GET", path, params={"map_index": map_index}, headers={"Accept": "application/json"})
        return answer["content"]


def _run(dag_id: str, run_id: str) -> str:
    return f"dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"
