"""A tag that is pushed to Quay starts a DAG run once, whatever happens to triggerers: in real Airflow processes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from demo.sandbox_server import SandboxServer
from tests.chaos.cluster import TRIGGERERS, Cluster
from tests.e2e.conftest import Notified
from tests.support.until import until

DAG_ID = "on_image_push"
LIMIT = 240.0
PAUSE = 0.5
"""Seconds between two questions to the API server, which has other work to do."""
POLLS = 6
"""After which nothing more is expected."""


class Pushed:
    """What pushes to the sandbox lead to in Airflow."""

    def __init__(self, cluster: Cluster, sandbox: SandboxServer) -> None:
        self.cluster, self.sandbox = cluster, sandbox
        self._released: dict[str, list[str]] = {}

    def push(self, tag: str) -> None:
        self.sandbox.control.act("quay", "push_image", repository="acme/shop", tag=tag)

    def released(self) -> list[str]:
        """The tags that finished runs got, in no order."""
        api = self.cluster.api
        for run_id in api.run_ids(DAG_ID):
            # What a finished run got stays as it is.
            if run_id not in self._released and api.dag_run(DAG_ID, run_id)["state"] == "success":
                self._released[run_id] = api.xcom(DAG_ID, run_id, "release") or []
        return [tag for tags in self._released.values() for tag in tags]

    def polls(self) -> int:
        """How often a triggerer has seen the tags."""
        return sum(each["status"] == 200 for each in self.sandbox.control.requests("quay", "GET", "/tag/"))

    def looks_pass(self) -> None:
        before = self.polls()
        until(self.polls, lambda polls: polls >= before + POLLS, LIMIT, PAUSE)

    def until_released(self, holds: Callable[[list[str]], object]) -> None:
        until(self.released, holds, LIMIT, PAUSE)


@pytest.fixture
def pushed(notified: Notified) -> Pushed:
    return Pushed(notified.cluster, notified.sandbox)


def test_a_push_starts_a_run_once_also_when_triggerers_are_killed_and_restarted(pushed: Pushed) -> None:
    pushed.looks_pass()
    pushed.push("v1")
    pushed.push("nightly")
    pushed.until_released(lambda tags: tags == ["v1"])
    pushed.looks_pass()

    for name in TRIGGERERS:
        pushed.cluster.kill(name)
    pushed.push("v2")
    pushed.push("v3")
    for name in TRIGGERERS:
        pushed.cluster.restart(name)
    # One poll finds both.
    pushed.until_released(lambda tags: sorted(tags) == ["v1", "v2", "v3"])
    pushed.looks_pass()

    for name in TRIGGERERS:
        pushed.cluster.signal(name, signal.SIGTERM)
    time.sleep(5)
    for name in TRIGGERERS:
        pushed.cluster.kill(name)
        pushed.cluster.restart(name)
    pushed.looks_pass()
    pushed.push("v4")
    pushed.until_released(lambda tags: "v4" in tags)
    pushed.looks_pass()
    assert sorted(pushed.released()) == ["v1", "v2", "v3", "v4"]
