"""Runs a task in real Airflow: serialized, through task runner and API server in process, deferred and resumed."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.support.patching import patched

BUNDLE = "testing"


@functools.cache
def prepare_database() -> None:
    from airflow import settings
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session
    from sqlalchemy import event

    assert settings.engine
    assert settings.async_engine
    _work_out_dependencies_once()
    for engine in (settings.engine, settings.async_engine.sync_engine):
        event.listen(engine, "connect", _do_not_wait_for_the_disk)
    initdb()
    with create_session() as session:
        session.merge(DagBundleModel(name=BUNDLE))


def _work_out_dependencies_once() -> None:
    """FastAPI inspects each dependency anew for each request if one is overridden, as in Airflow's API in process."""
    from fastapi.dependencies import utils

    known: dict[Any, Any] = {}
    get_dependant = utils.get_dependant

    def get_known(*, path: str, call: Any, **options: Any) -> Any:
        hashable = [(name, tuple(value) if isinstance(value, list) else value) for name, value in options.items()]
        key = (path, call, *hashable)
        if key not in known:
            # Airflow overrides one of them with another function in each task.
            if len(known) > 1000:
                known.clear()
            known[key] = get_dependant(path=path, call=call, **options)
        return known[key]

    utils.get_dependant = get_known


def _do_not_wait_for_the_disk(connection: Any, _: object) -> None:
    """What is lost with the machine is of no use to a test, and a DAG run commits dozens of times."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=OFF")
    cursor.close()


def define_connection(conn_id: str, **fields: Any) -> None:
    """Where ``dag.test()`` finds connections; ``extra`` is a dict."""
    os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(fields)


@dataclass
class TaskRun:
    """How a task ended.

    :param state: of the task instance.
    :param result: what it returned.
    :param xcoms: everything it pushed.
    :param error: what it raised, if it failed.
    """

    state: str
    result: Any
    xcoms: dict[str, Any]
    error: BaseException | None


def make_known(dag: Any) -> None:
    """Write a DAG into Airflow's database, as the DAG processor does."""
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session

    prepare_database()
    with create_session() as session:
        lazy = LazyDeserializedDAG.from_dag(dag)
        SerializedDAG.bulk_write_to_db(BUNDLE, None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name=BUNDLE, session=session)


def run_dag(dag: Any) -> Any:
    """Run a DAG to its end; returns the DAG run."""
    make_known(dag)
    with patched(time, "sleep", _sleep_less):
        return dag.test()


_sleep = time.sleep


def _sleep_less(seconds: float) -> None:
    """``dag.test()`` checks once a second whether a rescheduled task may continue; nobody else sleeps for 1."""
    _sleep(0.1 if isinstance(seconds, int) else seconds)


def run_task(build: Callable[[], Any], *, retries: int = 0, map_index: int = -1, dag_id: str | None = None) -> TaskRun:
    """Run the task that ``build`` makes, after those that it makes before it.

    :param build: called inside a DAG; returns the operator.
    :param map_index: which instance, if the task is mapped.
    :param dag_id: default: one that no other test has.
    """
    from airflow.models.xcom import XComModel
    from airflow.sdk import DAG
    from airflow.utils.session import create_session

    errors: list[BaseException] = []
    dag_id = dag_id or f"test_{uuid4().hex[:8]}"
    with DAG(
        dag_id,
        schedule=None,
        default_args={"retries": retries, "on_failure_callback": lambda context: errors.append(context["exception"])},
    ) as dag:
        task = build()
    run = run_dag(dag)
    with create_session() as session:
        ti = run.get_task_instance(task.task_id, session=session, map_index=map_index)
        rows = session.query(XComModel).filter_by(dag_id=dag_id, task_id=task.task_id, map_index=map_index).all()
        xcoms = {row.key: row.value for row in rows}
        state = str(ti.state)
    return TaskRun(state, xcoms.get("return_value"), xcoms, errors[-1] if errors else None)
