"""People answer under CeleryExecutor: the same tests as under LocalExecutor, on PostgreSQL and Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.processes import adopt_orphans
from demo.sandbox_server import SandboxServer
from tests.chaos.cluster import Cluster
from tests.chaos.databases import missing
from tests.e2e.any_executor import APPROVALS, GATES
from tests.e2e.conftest import ROLES, USERS
from tests.e2e.stage import Stage
from tests.support import secrets

DAGS = Path(__file__).parent / "dags"
CELERY = Path(__file__).parents[2] / ".chaos"
"""Airflow with Celery's provider, which would change what Airflow loads in all other tests."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    if absent := missing("postgresql", "redis-server"):
        pytest.skip(f"needs Debian's packages {' '.join(absent)}")
    if not (CELERY / "bin" / "celery").exists():
        pytest.skip("needs Celery: run `make .chaos/.installed`")
    adopt_orphans()
    home = tmp_path_factory.mktemp("celery")
    # PostgreSQL runs as a user of its own, who must be able to reach its directory.
    for path in (home, *list(home.parents)[:2]):
        path.chmod(0o755)
    cluster = Cluster(home / "airflow", dags=DAGS, celery=True, installed=CELERY, variables={USERS: ROLES})
    with SandboxServer(home / "sandbox") as sandbox, cluster:
        cluster.kill("triggerer-2")
        cluster.wait_until_ready("approvals", "approval_by_two", "approval_slowly", "gates")
        for connection in sandbox.connections():
            cluster.api.save_connection(connection)
        yield Stage(cluster, sandbox)
        assert secrets.found_in(secrets.kept_by_cluster(cluster)) == []


@pytest.mark.parametrize("promise", [*APPROVALS, *GATES], ids=lambda promise: promise.__name__)
def test_it_is_the_same_under_celery(stage: Stage, promise: Callable[[Stage], None]) -> None:
    stage.reset()
    promise(stage)
