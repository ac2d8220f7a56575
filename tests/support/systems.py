"""The sandbox as tests see it: connections to its four systems, its request log, its faults, its executions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider.sandbox.app import SandboxServer
from airflow_provider.sandbox.client import SandboxClient
from tests.support.airflow_runs import define_connection

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


class Systems(SandboxClient):
    """:param url: of the sandbox."""

    def connect(self, **extras: Any) -> None:
        """Let the connections of all systems lead here.

        :param extras: of each of them, besides those that its login needs.
        """
        for system, login in LOGINS.items():
            fields = {**login, "extra": {**login.get("extra", {}), **extras}}
            define_connection(f"{system}_default", conn_type=system, host=f"{self.url}/{system}", **fields)


@contextmanager
def running_systems(speed: float) -> Iterator[Systems]:
    with SandboxServer(speed=speed) as server, Systems(server.url) as systems:
        systems.connect()
        yield systems
