"""A real Airflow whose every component is a process group of its own, so that each can be killed and started again."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import requests

from demo.airflow_api import AirflowApi
from demo.ports import free_port
from demo.processes import Server, SessionProcess, StartError
from tests.chaos.databases import Postgres, Redis

LOGIN = PASSWORD = "admin"
TRIGGERERS = ("triggerer-1", "triggerer-2")
TRIGGERER_THRESHOLD = 8.0
"""Seconds without a heartbeat after which another triggerer takes over."""
HEARTBEAT_TIMEOUT = 10.0
"""Seconds without a heartbeat after which a task's process is given up, on a machine that does nothing else."""
SLOWEST = 8.0
"""How many times longer things may take on a busy machine, at most."""
COMMANDS = {
    "api-server": ["api-server"],
    "dag-processor": ["dag-processor"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "triggerer-1": ["triggerer", "--skip-serve-logs"],
    "triggerer-2": ["triggerer", "--skip-serve-logs"],
    "worker": ["celery", "worker", "--skip-serve-logs", "--concurrency", "12", "--without-gossip", "--without-mingle"],
}


_TASK = re.compile(r"airflow worker -- ([0-9a-f-]{36})")


class Cluster(Server):
    """API server, DAG processor, scheduler and two triggerers on PostgreSQL; with Celery also a worker and Redis.

    :param home: of everything that it writes.
    :param dags: folder of the DAG files.
    :param celery: CeleryExecutor instead of LocalExecutor.
    :param installed: virtual environment whose Airflow runs; default: the one of this process.
    :param path: below which its UI and API are served, as behind a proxy of many services; begins with a slash.
    :param variables: more environment variables of every component.
    """

    def __init__(
        self,
        home: Path,
        *,
        dags: Path,
        celery: bool = False,
        installed: Path | None = None,
        path: str = "",
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home.resolve()
        self._programs = installed / "bin" if installed else Path(sys.executable).parent
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{path}"
        self.api = AirflowApi(self.url, LOGIN, PASSWORD)
        self._postgres = Postgres()
        self._redis = Redis(self.home / "redis") if celery else None
        self.env = self._environment(dags.resolve()) | dict(variables or {})
        self.components: dict[str, SessionProcess] = {}
        self._servers: list[SessionProcess] = []
        self._killed: set[str] = set()

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self._servers.append(self._postgres.start())
        if self._redis:
            self._servers.append(self._redis.start())
        (self.home / "passwords.json").write_text(f'{{"{LOGIN}": "{PASSWORD}"}}')
        env = self.env | self._timeouts(self._migrate())
        for name, command in COMMANDS.items():
            if name != "worker" or self._redis:
                self.components[name] = SessionProcess(name, ["airflow", *command], directory=self.home, env=env)
                self.components[name].start()

    def _migrate(self) -> float:
        """Make Airflow's tables; returns how many times longer that took than the processor worked on it."""
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(["airflow", "db", "migrate"], env=self.env, cwd=self.home, capture_output=True, check=True)
        after, took = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - begun
        worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return min(SLOWEST, max(1.0, took / worked))

    @staticmethod
    def _timeouts(slowness: float) -> dict[str, str]:
        """Deaths are noticed within seconds, but on a busy machine who is slow is not dead.

        :param slowness: how many times longer things take than on a machine that does nothing else.
        """
        return {
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": str(int(10 * slowness)),
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(int(HEARTBEAT_TIMEOUT * slowness)),
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": str(int(20 * slowness)),
        }

    def dump(self) -> str:
        """All that Airflow's database contains, as text."""
        return self._postgres.dump()

    def stop(self) -> None:
        for component in self.components.values():
            if component.is_running:
                kill_session(component)
        for server in reversed(self._servers):
            server.stop()

    def wait_until_ready(self, *dag_ids: str, timeout: float = 300) -> None:
        """:raises StartError: a component ended, a DAG cannot be imported, or the time (seconds) is over."""
        deadline = time.monotonic() + timeout
        while missing := self._missing(dag_ids):
            for name, component in self.components.items():
                if name not in self._killed:
                    component.check_running()
            if time.monotonic() > deadline:
                raise StartError(f"Airflow did not come up, missing: {', '.join(missing)}")
            time.sleep(0.3)

    def _missing(self, dag_ids: tuple[str, ...]) -> list[str]:
        try:
            if missing := self.api.unhealthy_components():
                return missing
            if errors := self.api.import_errors():
                raise StartError(f"Airflow cannot import a DAG:\n{errors[0]}")
            return [dag_id for dag_id in dag_ids if not self.api.has_dag(dag_id)]
        except requests.RequestException:
            return ["api server"]

    @property
    def task_logs(self) -> Path:
        return self.home / "logs"

    @property
    def scheduler_log(self) -> Path:
        return self.components["scheduler"].log

    def kill(self, name: str) -> None:
        """SIGKILL a component together with all that it started, as when its container dies."""
        self._killed.add(name)
        kill_session(self.components[name])

    def restart(self, name: str) -> None:
        """Start a component that was killed."""
        self.components[name].start()
        self._killed.discard(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to all processes of a component."""
        for process in session(self.components[name].pid):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def task_processes(self) -> dict[str, psutil.Process]:
        """The processes that run the tasks' own code, by the id of the task instance; their parents supervise them."""
        found = {}
        for process in session((self.components.get("worker") or self.components["scheduler"]).pid):
            with suppress(psutil.Error, IndexError):
                if match := _TASK.fullmatch(process.cmdline()[0]):
                    found[match[1]] = process
        return found

    @staticmethod
    def supervisor_of(process: psutil.Process) -> psutil.Process | None:
        """The parent of a task's process, unless it is dead and the task an orphan of somebody else."""
        parent = process.parent()
        return parent if parent and os.getsid(parent.pid) == os.getsid(process.pid) else None

    def _environment(self, dags: Path) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if "AIRFLOW" not in name}
        environment = inherited | {
            "PATH": os.pathsep.join([str(self._programs), os.environ.get("PATH", "")]),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "NO_PROXY": "127.0.0.1,localhost",
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__SECRET_KEY": "chaos-secret-key",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "chaos-jwt-secret-that-is-long-enough-for-a-signature-of-512-bits--",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor" if self._redis else "LocalExecutor",
            "AIRFLOW__CORE__FERNET_KEY": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "6",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{LOGIN}:admin",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{self._postgres.url}",
            # The tables are made before anything starts; to check that, each process would load every migration.
            "AIRFLOW__DATABASE__CHECK_MIGRATIONS": "False",
            # The DAG files stay as they are.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
            # See _timeouts, too.
            "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "4",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": str(int(TRIGGERER_THRESHOLD)),
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        }
        if self._redis:
            environment |= {
                "AIRFLOW__CELERY__BROKER_URL": self._redis.url,
                "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{self._postgres.url}",
                "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "300",
            }
        return environment


def session(leader: int) -> list[psutil.Process]:
    """The living processes of a session."""
    members = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members


def kill_session(component: SessionProcess) -> None:
    """SIGKILL a component and all that it started; returns when they are gone."""
    while members := session(component.pid):
        for process in members:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        time.sleep(0.05)
    component.stop()
