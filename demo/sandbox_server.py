"""The sandbox as a process of its own, and the Airflow connections to its four systems."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import requests

from airflow_provider.sandbox.client import SandboxClient, SandboxError
from demo.ports import free_port
from demo.processes import Server, SessionProcess, StartError


class SandboxServer(Server):
    """``python -m airflow_provider.sandbox`` on a free port of 127.0.0.1.

    :param directory: of its log.
    :param speed: how many times faster than nominal executions run.
    """

    def __init__(self, directory: Path, *, port: int | None = None, speed: float = 1.0) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "airflow_provider.sandbox", "--port", str(self.port), "--speed", str(speed)]
        self.process = SessionProcess("sandbox", command, directory=directory.resolve(), env=os.environ)
        self.control = SandboxClient(self.url)

    def wait_until_ready(self, timeout: float = 120) -> None:
        """:raises StartError: it ended, or does not answer within ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.control.health()
            except (requests.RequestException, SandboxError):
                self.process.check_running()
                if time.monotonic() > deadline:
                    raise StartError(f"the sandbox did not come up\n{self.process.log_tail()}") from None
                time.sleep(0.1)
            else:
                return

    def connections(self) -> list[dict[str, Any]]:
        """The connections that the example DAGs use, as Airflow's REST API takes them."""
        return [
            {
                "connection_id": f"{system}_default",
                "description": "the sandbox of this demo",
                # Airflow 3.3.2 tests no connection that has no port.
                "port": self.port,
                **fields,
                **({"extra": json.dumps(fields["extra"])} if "extra" in fields else {}),
            }
            for system, fields in self.control.connections.items()
        ]
