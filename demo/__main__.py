"""``python -m demo``: starts Airflow and the sandbox, runs the release train, shows it, and cleans up after itself."""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from rich.console import Console

from demo import progress, report
from demo.airflow_server import LOGIN, PASSWORD, AirflowServer, webhooks
from demo.answers import Answers, ByItself, Keys
from demo.interruption import Interruption
from demo.ports import free_port
from demo.processes import StartError, adopt_orphans, end_leftovers
from demo.run_state import RunState
from demo.sandbox_server import SandboxServer

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".demo"
DAG_ID = "release_train"
CONF = {"release_task": "shop-release-approval"}
"""So that people are asked."""
SECOND_PERSON = "ada"
"""Signs in with her name as password; for gates at which two people must agree."""
AIRFLOW_PORT, SANDBOX_PORT = 8080, 8900
SPEED = 2.0
TIMEOUT = 600.0
"""Seconds after which the run counts as stuck."""


LOG_WIDTH = 140
"""Columns of output to a file or a pipe."""


class DemoError(RuntimeError):
    """Why the demo cannot continue, in words for the person who started it."""


class Demo:
    """Airflow, the sandbox, and what is shown of them."""

    def __init__(self, console: Console, interruption: Interruption) -> None:
        self._console = console
        self._interruption = interruption
        self._sandbox = SandboxServer(STATE / "sandbox", port=self._port("the sandbox", SANDBOX_PORT), speed=SPEED)
        port = self._port("Airflow", AIRFLOW_PORT)
        self._airflow = AirflowServer(
            STATE / "airflow", dags=ROOT / "dags", port=port, config=webhooks(port), people=[SECOND_PERSON]
        )

    def _port(self, who: str, preferred: int) -> int:
        port = free_port(preferred)
        if port != preferred:
            self._console.print(f"Port {preferred} is taken: {who} listens on {port}")
        return port

    def start(self) -> None:
        with self._interruption.postponed():
            self._sandbox.start()
            self._airflow.start()
        with self._console.status("Starting Airflow and the sandbox (half a minute) ..."):
            self._sandbox.wait_until_ready()
            self._airflow.wait_until_ready([DAG_ID])
        for connection in self._sandbox.connections():
            self._airflow.api.save_connection(connection)
        self._console.print(f"Airflow: [link]{self._airflow.url}[/link]  login {LOGIN}  password {PASSWORD}")
        self._console.print(f"Sandbox: {self._sandbox.url}  (stands in for Code Stream, ServiceStage, Cocktail, Quay)")

    def run_train(self, answers: Answers) -> bool:
        """Run the release train to its end; returns whether it succeeded.

        :param answers: who answers in this terminal when people are asked.
        """
        began = time.monotonic()
        run_id = self._airflow.api.trigger(DAG_ID, CONF)
        run = RunState(self._airflow.api, self._sandbox, DAG_ID, run_id)
        progress.follow(run, self._console, TIMEOUT, answers)
        report.show(run, self._console, time.monotonic() - began)
        self._console.print(f"See it in Airflow: {self._airflow.url}/dags/{DAG_ID}/runs/{run_id}", soft_wrap=True)
        self._console.print(f"Login {LOGIN}, password {PASSWORD}")
        return run.state == "success"

    def keep_running(self) -> None:
        """Until an interruption.

        :raises StartError: Airflow or the sandbox ended by itself.
        """
        self._console.print("Airflow and the sandbox keep running. Ctrl-C stops them.")
        while True:
            for process in (self._airflow.process, self._sandbox.process):
                process.check_running()
            time.sleep(0.5)

    def stop(self) -> None:
        self._interruption.ignore()
        with self._console.status("Stopping Airflow and the sandbox ..."):
            self._airflow.stop()
            self._sandbox.stop()
        self._console.print("Stopped.")


@contextmanager
def only_demo() -> Iterator[None]:
    """Hold the state directory; the system frees it however a demo ends.

    :raises DemoError: another demo holds it.
    """
    STATE.mkdir(exist_ok=True)
    with (STATE / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            other = lock.read() or "?"
            raise DemoError(f"a demo is already running in this checkout (process {other}): stop it") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def run(console: Console, *, leave: bool, svg: Path | None = None) -> int:
    """The whole demo; returns the exit status, 0 only if the release succeeded.

    :param svg: where to save a picture of the output if the release succeeded; ``console`` must record.
    """
    interruption = Interruption()
    adopt_orphans()
    succeeded = False
    try:
        with only_demo():
            for name in end_leftovers(STATE):
                console.print(f"Ended the {name} that an earlier demo had left running")
            for directory in ("airflow", "sandbox"):
                shutil.rmtree(STATE / directory, ignore_errors=True)
            demo = Demo(console, interruption)
            try:
                demo.start()
                succeeded = demo.run_train(_answers(console, leave=leave))
                if svg and succeeded:
                    console.save_svg(str(svg), title="make demo", unique_id="demo")
                if not leave:
                    demo.keep_running()
            finally:
                demo.stop()
    except KeyboardInterrupt:
        pass
    except (DemoError, StartError, TimeoutError, requests.RequestException) as error:
        console.print(f"The demo cannot continue: {error}", style="red", markup=False, soft_wrap=True)
        return 1
    return 0 if succeeded else 1


def _answers(console: Console, *, leave: bool) -> Answers:
    if leave:
        return ByItself()
    return Keys(sys.stdin.fileno()) if console.is_terminal and sys.stdin.isatty() else Answers()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Starts Airflow and the sandbox on this machine and shows the release train live. Its files "
        "are in .demo/.",
    )
    parser.add_argument(
        "--exit",
        action="store_true",
        help="approve every question, and exit when the run is done instead of waiting for Ctrl-C",
    )
    parser.add_argument("--svg", type=Path, metavar="FILE", help="save a picture of a successful release")
    arguments = parser.parse_args()
    is_live = sys.stdout.isatty() and arguments.svg is None
    console = Console(
        highlight=False,
        width=None if is_live else LOG_WIDTH,
        force_terminal=None if is_live else False,
        record=arguments.svg is not None,
    )
    return run(console, leave=arguments.exit, svg=arguments.svg)


if __name__ == "__main__":
    sys.exit(main())
