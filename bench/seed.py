"""Puts deferred tasks into Airflow's database: ``python -m bench.seed``; one JSON line of input says which.

Each is a task instance of one DAG with its trigger, as a worker leaves it behind when it defers.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow._shared.timezones import timezone
from airflow.models.connection import Connection
from airflow.models.dag_version import DagVersion
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import select

from bench.contenders import BY_NAME, Endpoint, connection_json

BUNDLE = RUN_ID = "bench"
ADDED_AT_ONCE = 500


def add_waits(order: dict[str, Any]) -> None:
    """:param order: ``contender``, ``endpoint``, ``count`` (of all waits), ``start`` and ``stop`` (which to add)."""
    contender = BY_NAME[order["contender"]]
    dag_id = f"bench_{contender.name}"
    with DAG(dag_id, schedule=None) as dag:
        EmptyOperator(task_id="wait")
    _add_connection(contender.conn_id(0), connection_json(contender, Endpoint(**order["endpoint"]), 0))
    serialized = add_run(dag, RUN_ID)
    for first in range(order["start"], order["stop"], ADDED_AT_ONCE):
        with create_session() as session:
            version = session.scalars(select(DagVersion).where(DagVersion.dag_id == dag_id)).one()
            for index in range(first, min(first + ADDED_AT_ONCE, order["stop"])):
                path, arguments = contender.trigger(index, 0, order["interval"], order["count"])
                trigger = Trigger(path, arguments)
                session.add(trigger)
                session.flush()
                task = TaskInstance(
                    serialized.get_task("wait"),
                    dag_version_id=version.id,
                    run_id=RUN_ID,
                    state=TaskInstanceState.DEFERRED,
                    map_index=index,
                )
                task.trigger_id, task.try_number = trigger.id, 1
                task.next_method, task.next_kwargs = "resume", {}
                session.add(task)


def _add_connection(conn_id: str, connection: dict[str, Any]) -> None:
    with create_session() as session:
        if not session.scalar(select(Connection).where(Connection.conn_id == conn_id)):
            session.add(Connection(conn_id=conn_id, **connection))


def add_run(dag: DAG, run_id: str) -> SerializedDAG:
    """Put a DAG and a run of it into the database, unless they are there; returns the DAG as the database has it."""
    lazy = LazyDeserializedDAG.from_dag(dag)
    with create_session() as session:
        session.merge(DagBundleModel(name=BUNDLE))
        session.flush()
        SerializedDAG.bulk_write_to_db(BUNDLE, None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, bundle_name=BUNDLE, session=session)
        if not session.scalar(select(DagRun).where(DagRun.dag_id == dag.dag_id)):
            now = timezone.utcnow()
            run = DagRun(
                dag_id=dag.dag_id,
                run_id=run_id,
                run_type=DagRunType.MANUAL,
                triggered_by=DagRunTriggeredByType.CLI,
                state=DagRunState.RUNNING,
                logical_date=now,
                run_after=now,
                start_date=now,
                data_interval=(now, now),
            )
            session.add(run)
    with create_session() as session:
        found = session.scalars(select(SerializedDagModel).where(SerializedDagModel.dag_id == dag.dag_id)).one()
        return found.dag


if __name__ == "__main__":
    add_waits(json.loads(sys.stdin.read()))
