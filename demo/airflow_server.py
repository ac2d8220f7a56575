"""A real Airflow on this machine: ``airflow standalone`` with SQLite, its own home and a free port of 127.0.0.1."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import requests

from demo.airflow_api import AirflowApi
from demo.ports import free_port
from demo.processes import Server, SessionProcess, StartError

LOGIN = PASSWORD = "admin"  # noqa: S105 - it listens on 127.0.0.1 only

_AIRFLOW_COMMAND = """\
#!/bin/sh
# The servers of task logs listen on all interfaces, which no option changes. On one machine the UI reads the files.
case "$1" in scheduler|triggerer) set -- "$@" --skip-serve-logs ;; esac
exec {airflow} "$@"
"""


def webhooks(port: int) -> dict[str, str]:
    """Settings that declare the webhook of the example DAGs, under a new secret.

    :param port: of the Airflow that gets them. Quay takes no URL that names 127.0.0.1: this is another way to write it.
    """
    pushes = {"source": "quay", "asset": "shop-image", "secrets": [secrets.token_urlsafe(32)]}
    return {
        "AIRFLOW__RELEASE_PIPELINES__WEBHOOKS": json.dumps({"shop-pushes": pushes}),
        "AIRFLOW__RELEASE_PIPELINES__WEBHOOKS_URL": f"http://127.1:{port}",
    }


class AirflowServer(Server):
    """Scheduler, triggerer, DAG processor and API server in one session of processes.

    ``with AirflowServer(tmp_path, dags=Path("dags")) as airflow: airflow.api.trigger("release_train")``

    :param home: its ``AIRFLOW_HOME``: database, logs, configuration.
    :param dags: folder of the DAG files.
    :param port: of UI and API; default: any free one.
    :param config: more settings, ``{"AIRFLOW__SECTION__KEY": value}``.
    :param people: more admins; the password of each is their name.
    """

    def __init__(
        self,
        home: Path,
        *,
        dags: Path,
        port: int | None = None,
        config: Mapping[str, str] | None = None,
        people: Sequence[str] = (),
    ) -> None:
        self.home = home.resolve()
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.api = AirflowApi(self.url, LOGIN, PASSWORD)
        self._passwords = {LOGIN: PASSWORD} | {name: name for name in people}
        self._commands = self.home / "bin"
        env = self.environment(dags.resolve()) | dict(config or {})
        self.process = SessionProcess("airflow", ["airflow", "standalone"], directory=self.home, env=env)

    def start(self) -> None:
        self._commands.mkdir(parents=True, exist_ok=True)
        command = self._commands / "airflow"
        command.write_text(_AIRFLOW_COMMAND.format(airflow=shlex.quote(str(Path(sys.executable).parent / "airflow"))))
        command.chmod(0o755)
        (self.home / "passwords.json").write_text(json.dumps(self._passwords))
        super().start()

    @property
    def scheduler_log(self) -> Path:
        return self.process.log

    def wait_until_ready(self, dag_ids: Iterable[str] = (), timeout: float = 300) -> None:
        """Wait until all components are healthy and these DAGs are known.

        :raises StartError: Airflow ended, a DAG cannot be imported, or the time (seconds) is over.
        """
        deadline = time.monotonic() + timeout
        self._wait(self._missing_components, deadline)
        self._wait(lambda: self._missing_dags(dag_ids), deadline)

    def _wait(self, missing: Callable[[], list[str]], deadline: float) -> None:
        while names := missing():
            self.process.check_running()
            if time.monotonic() > deadline:
                raise StartError(f"Airflow did not come up, missing: {', '.join(names)}\n{self.process.log_tail()}")
            time.sleep(0.25)

    def _missing_components(self) -> list[str]:
        try:
            return self.api.unhealthy_components()
        except requests.RequestException:
            return ["api server"]

    def _missing_dags(self, dag_ids: Iterable[str]) -> list[str]:
        missing = [dag_id for dag_id in dag_ids if not self.api.has_dag(dag_id)]
        if missing and (errors := self.api.import_errors()):
            raise StartError(f"Airflow cannot import a DAG:\n{errors[0]}")
        return missing

    def environment(self, dags: Path) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if "AIRFLOW" not in name}
        return inherited | {
            "PATH": os.pathsep.join(
                [str(self._commands), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
            ),
            "NO_PROXY": "127.0.0.1,localhost",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:admin" for name in self._passwords),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            # On a busy machine the first answer of an API server takes longer than Airflow tries: five times 5 s.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            # A worker may notice that its task has ended only this much later (seconds). Airflow 3.3 fails a task whose
            # wait was over before that, and the executions of the sandbox are short.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        }
