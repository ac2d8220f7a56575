"""The sandbox as tests see it: connections to its four systems, its request log, its faults, its executions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from airflow_provider.sandbox.app import SandboxServer
from tests.airflow_runs import define_connection

LOGINS: dict[str, dict[str, Any]] = {
    "code_stream": {"login": "release-bot", "password": "release-bot-password"},
    "service_stage": {
        "login": "SANDBOXACCESSKEY0001",
        "password": "sandbox-secret-key-0001",
        "extra": {"region": "sandbox-1", "project_id": "77b6a44cba5143ab91d13ab9a8ff44fd"},
    },
    "cocktail": {"password": "sandbox-cocktail-token"},
    "quay": {"password": "sandbox-quay-oauth-token-0000000000000000"},
}


class Systems:
    """:param url: of the sandbox."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def connect(self, **extras: Any) -> None:
        """Let the connections of all systems lead here.

        :param extras: of each of them, besides those that its login needs.
        """
        for system, login in LOGINS.items():
            fields = {**login, "extra": {**login.get("extra", {}), **extras}}
            define_connection(f"{system}_default", conn_type=system, host=f"{self.url}/{system}", **fields)

    def reset(self, speed: float) -> None:
        self._control("POST", "reset", json={"speed": speed})

    def let_pass(self, seconds: float) -> None:
        """By the clock of the systems; that of Airflow does not move."""
        self._control("POST", "clock", json={"advance": seconds})

    def fault(self, system: str, fault: str, **details: Any) -> None:
        self._control("POST", "faults", json={"system": system, "fault": fault, **details})

    def clear_faults(self) -> None:
        self._control("DELETE", "faults")

    def switch(self, system: str, **switches: Any) -> None:
        self._control("POST", "switches", json={"system": system, **switches})

    def act(self, system: str, action: str, **values: Any) -> Any:
        """What one system alone can be made to do."""
        return self._control("POST", "actions", json={"system": system, "action": action, **values})

    def requests(self, system: str, method: str | None = None, path: str = "") -> list[dict[str, Any]]:
        """What arrived at a system, in order."""
        found = self._control("GET", "requests", params={"system": system})
        return [each for each in found if method in (None, each["method"]) and path in each["path"]]

    def executions(self, system: str) -> list[dict[str, Any]]:
        return self._control("GET", "executions", params={"system": system})

    def force(self, system: str, execution_id: str, state: str) -> None:
        self._control("POST", f"executions/{system}/{execution_id}", json={"state": state})

    def _control(self, method: str, what: str, **kwargs: Any) -> Any:
        answer = self._session.request(method, f"{self.url}/_sandbox/{what}", timeout=30, **kwargs)
        answer.raise_for_status()
        return answer.json() if answer.content else None


@contextmanager
def running_systems(speed: float) -> Iterator[Systems]:
    with SandboxServer(speed=speed) as server:
        systems = Systems(server.url)
        systems.connect()
        yield systems
