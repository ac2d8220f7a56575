"""Deferrable tasks in ``dag.test()``, ``airflow dags test`` and ``airflow tasks test``, in a real Airflow database."""

from __future__ import annotations

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest
from airflow.sdk import DAG
from pytest_mock import MockerFixture

from tests.support.airflow_runs import make_known, prepare_database, run_task
from tests.support.dag_tests import ARGUMENTS, OPERATORS
from tests.support.systems import LOGINS, Systems

DONE = {"code_stream": "COMPLETED", "service_stage": "2", "cocktail": "DONE", "quay": "complete"}


@pytest.fixture
def stored(systems: Systems, mocker: MockerFixture) -> Iterator[Systems]:
    """The connections are in Airflow's database, and nowhere else."""
    from airflow.models import Connection
    from airflow.utils.session import create_session

    prepare_database()
    ids = {system: f"{system}_default" for system in LOGINS}
    for conn_id in ids.values():
        mocker.patch.dict(os.environ)
        os.environ.pop(f"AIRFLOW_CONN_{conn_id.upper()}", None)
    with create_session() as session:
        for system, login in LOGINS.items():
            host = f"{systems.url}/{system}"
            session.add(Connection(**{"conn_id": ids[system], "conn_type": system, "host": host, **login}))
    yield systems
    with create_session() as session:
        session.query(Connection).filter(Connection.conn_id.in_(ids.values())).delete()


@pytest.mark.parametrize("system", OPERATORS)
def test_a_deferred_task_waits_for_what_it_started_with_its_connection_in_the_database(
    stored: Systems, system: str
) -> None:
    before = stored.executions(system)
    run = run_task(lambda: OPERATORS[system](**ARGUMENTS))
    assert (run.state, run.result["state"]) == ("success", "succeeded")
    assert len(stored.executions(system)) == len(before) + 1


@pytest.mark.parametrize("system", OPERATORS)
def test_a_deferred_task_waits_for_what_it_started_with_its_connection_in_the_environment(
    systems: Systems, system: str
) -> None:
    run = run_task(lambda: OPERATORS[system](**ARGUMENTS))
    assert (run.state, run.result["state"]) == ("success", "succeeded")


@pytest.mark.parametrize("system", OPERATORS)
def test_a_task_that_may_end_in_the_triggerer_ends_there_or_in_its_worker(stored: Systems, system: str) -> None:
    run = run_task(lambda: OPERATORS[system](**ARGUMENTS, finish_in_triggerer=True))
    assert (run.state, run.result["state"]) == ("success", "succeeded")


@pytest.mark.parametrize("system", OPERATORS)
def test_airflow_tasks_test_waits_for_what_the_task_started(stored: Systems, system: str) -> None:
    from airflow.cli.cli_parser import get_parser
    from airflow.cli.commands.task_command import task_test

    with DAG(f"test_{uuid4().hex[:8]}", schedule=None) as dag:
        OPERATORS[system](**ARGUMENTS)
    make_known(dag)
    before = {each["id"] for each in stored.executions(system)}
    task_test(get_parser().parse_args(["tasks", "test", dag.dag_id, "release"]), dag=dag)
    (execution,) = [each for each in stored.executions(system) if each["id"] not in before]
    assert not execution["cancels"]
    assert execution["state"] == DONE[system]


def test_a_connection_that_is_nowhere_is_named(systems: Systems) -> None:
    run = run_task(lambda: OPERATORS["quay"](**ARGUMENTS, quay_conn_id="nobody_defined_it"))
    assert run.state == "failed"
    assert "nobody_defined_it" in str(run.error)
