"""People answer under CeleryExecutor, on PostgreSQL and Redis, and below a path: the same as under LocalExecutor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from demo.processes import adopt_orphans
from demo.sandbox_server import SandboxServer
from tests.chaos.cluster import Cluster
from tests.chaos.databases import missing
from tests.e2e.any_executor import APPROVALS, GATES
from tests.e2e.asking import answers, execution, start
from tests.e2e.conftest import ROLES, USERS
from tests.e2e.stage import Stage
from tests.e2e.ui.browser import signed_in_browser
from tests.e2e.ui.questions import press
from tests.support import secrets

DAGS = Path(__file__).parent / "dags"
CELERY = Path(__file__).parents[2] / ".chaos"
"""Airflow with Celery's provider, which would change what Airflow loads in all other tests."""
PATH = "/teams/release"


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
    cluster = Cluster(home / "airflow", dags=DAGS, celery=True, installed=CELERY, path=PATH, variables={USERS: ROLES})
    with SandboxServer(home / "sandbox") as sandbox, cluster:
        cluster.kill("triggerer-2")
        cluster.wait_until_ready("approvals", "approval_by_two", "approval_in_the_end", "approval_slowly", "gates")
        for connection in sandbox.connections():
            cluster.api.save_connection(connection)
        yield Stage(cluster, sandbox)
        assert secrets.found_in(secrets.kept_by_cluster(cluster)) == []


@pytest.mark.parametrize("promise", [*APPROVALS, *GATES], ids=lambda promise: promise.__name__)
def test_it_is_the_same_under_celery(stage: Stage, promise: Callable[[Stage], None]) -> None:
    stage.reset()
    promise(stage)


def test_a_reviewer_follows_the_links_of_a_question_below_a_path_in_a_browser_and_answers(
    stage: Stage, mocker: MockerFixture
) -> None:
    stage.reset()
    execution_id = execution(stage)
    with signed_in_browser(stage.airflow.url, mocker) as browser:
        asking = start(stage, "approvals", execution_id).until_it_asks()
        log, required_action = asking.links()
        browser.open(log)
        browser.until(lambda: "Notified: Approve or reject" in browser.text(), "the log of the task")
        browser.open(required_action)
        browser.until(lambda: execution_id in browser.text(), "which execution waits")
        browser.find("//*[@name='element_comment']").type("fine")
        press(browser, "Approve")
        (given,) = asking.result()["approvals"]
    assert (given["decision"], given["by"], given["comment"]) == ("approve", "admin", "fine")
    assert len(answers(stage)) == 1
