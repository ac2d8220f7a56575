"""One real Airflow and one sandbox for all tests here; the DAGs run once, and the tests ask what each side saw."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.sandbox import seed
from demo.airflow_server import AirflowServer, webhooks
from demo.ports import free_port
from demo.processes import adopt_orphans
from demo.sandbox_server import SandboxServer
from tests.chaos.cluster import Cluster, kill_session
from tests.chaos.databases import missing
from tests.e2e.stage import SeenRun, Stage
from tests.support import secrets

DAG_FILES = [
    file for folder in (Path(__file__).parents[2], Path(__file__).parent) for file in (folder / "dags").glob("[!_]*.py")
]
TAG = "e2e-1.4.0"
PEOPLE = ["ada", "bob"]
"""Beside the admin."""
USERS = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"
ROLES = "admin:admin,ada:admin,bob:admin,eve:viewer"
"""Eve may only read."""
SETTINGS = {
    USERS: ROLES,
    # The tables are made before anything else starts; to check that, each process would load every migration.
    "AIRFLOW__DATABASE__CHECK_MIGRATIONS": "False",
    # Less often than in the demo, where somebody looks on: each round of the scheduler costs CPU.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
    # The DAG files stay as they are.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
}
PUSH_DAGS = Path(__file__).parent / "push_dags"
CALLBACK_SECRET = f"{secrets.OF_WEBHOOKS}-0000000001"


@dataclass
class Notified:
    """Airflow on PostgreSQL, which watches Quay and which Cocktail calls back."""

    cluster: Cluster
    sandbox: SandboxServer


@dataclass
class Released:
    """A release that went well; ``changes`` and ``executions`` are the systems' side."""

    run: SeenRun
    changes: list[str]
    executions: list[dict[str, Any]]


@dataclass
class FailedBuild:
    """A train whose first step fails."""

    run: SeenRun
    changes: list[str]


@dataclass
class BadDay:
    """Failed events are rerun, and meanwhile a release fails in its last step; ``events`` are the seeded ones."""

    events: list[dict[str, Any]]
    reruns: SeenRun
    rerun_states: list[str]
    release: SeenRun
    changes: list[str]


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    adopt_orphans()
    home = tmp_path_factory.mktemp("e2e")
    (home / "dags").mkdir()
    for file in DAG_FILES:
        shutil.copy(file, home / "dags")
    port = free_port()
    config = {**webhooks(port), **SETTINGS}
    airflow = AirflowServer(home / "airflow", dags=home / "dags", port=port, config=config, people=PEOPLE)
    with SandboxServer(home / "sandbox") as sandbox, airflow:
        airflow.wait_until_ready([file.stem for file in DAG_FILES])
        for connection in sandbox.connections():
            airflow.api.save_connection(connection)
        with secrets.ArgumentsSeen(airflow.process.pid, sandbox.process.pid) as arguments:
            yield Stage(airflow, sandbox)
        # Nothing is asked of it any more, and its API server takes up to ten seconds to heed a polite signal.
        kill_session(airflow.process)
    assert any("airflow" in each for each in arguments.texts)
    assert secrets.found_in(arguments.texts) == []
    assert secrets.found_in(secrets.kept_by_airflow(home / "airflow")) == []


@pytest.fixture(scope="session")
def notified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notified]:
    if absent := missing("postgresql"):
        pytest.skip(f"needs Debian's packages {' '.join(absent)}")
    adopt_orphans()
    home = tmp_path_factory.mktemp("notified")
    with SandboxServer(home / "sandbox") as sandbox:
        endpoint = {"source": "cocktail", "asset": "built-image", "secrets": [CALLBACK_SECRET]}
        declared = {"AIRFLOW__RELEASE_PIPELINES__WEBHOOKS": json.dumps({"builds": endpoint})}
        variables = declared | seed.environment(sandbox.url)
        with Cluster(home / "airflow", dags=PUSH_DAGS, variables=variables) as cluster:
            cluster.wait_until_ready("on_image_push", "ends_by_push", "goes_on_after_push")
            yield Notified(cluster, sandbox)
            assert secrets.found_in(secrets.kept_by_cluster(cluster)) == []


@pytest.fixture(scope="session")
def released(stage: Stage) -> Released:
    stage.reset()
    run = stage.watch("release_train", stage.start("release_train", {"tag": TAG}))
    return Released(run, stage.changes(), stage.sandbox.control.executions())


@pytest.fixture(scope="session")
def bad_day(stage: Stage, released: Released) -> BadDay:
    """The train starts after the failed events were found, so that its own event is none of them."""
    stage.reset()
    events = stage.events()
    rerun_id = stage.scheduled("rerun_failed_events")
    stage.wait_for_task("rerun_failed_events", rerun_id, "find_failed_events")
    train_id = stage.start("release_train", {"release_task": "broken-release"})
    return BadDay(
        events=events,
        reruns=stage.watch("rerun_failed_events", rerun_id),
        rerun_states=stage.mapped_states("rerun_failed_events", rerun_id),
        release=stage.watch("release_train", train_id),
        changes=stage.changes(),
    )


@pytest.fixture(scope="session")
def failed_build(stage: Stage, bad_day: BadDay) -> FailedBuild:
    stage.reset()
    run = stage.watch("release_train", stage.start("release_train", {"build": 14}))
    return FailedBuild(run, stage.changes())
