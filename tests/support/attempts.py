"""One task, attempt by attempt, in real Airflow in this process: killed, cleared or ended by a person at will."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Literal, cast
from uuid import UUID, uuid4

from tests.support.airflow_runs import BUNDLE, prepare_database

BESIDE = "beside"
"""Another task of the same run."""


class WorkerKilled(BaseException):
    """Raised where a worker dies: nothing of the provider catches it, so nothing after that point happens."""


class Task:
    """A task of a DAG run of its own, with another task beside it.

    :param build: called inside a DAG; returns the operator.
    :param is_dated: whether the run has a logical date.
    :param dag: arguments of the DAG.
    """

    def __init__(self, build: Callable[[], Any], *, is_dated: bool = True, retries: int = 3, **dag: Any) -> None:
        from airflow._shared.timezones import timezone
        from airflow.models.dagrun import get_or_create_dagrun
        from airflow.serialization.serialized_objects import DagSerialization
        from airflow.utils.session import create_session
        from airflow.utils.types import DagRunTriggeredByType

        prepare_database()
        self.dag_id = f"test_{uuid4().hex[:8]}"
        self._dag = dag
        self.deploy(build, retries=retries)
        now = timezone.utcnow()
        with create_session() as session:
            run = get_or_create_dagrun(
                dag=DagSerialization.deserialize_dag(DagSerialization.serialize_dag(self.operator.dag)),
                run_id=f"run_{uuid4().hex[:8]}",
                logical_date=now if is_dated else None,
                data_interval=None,
                run_after=now,
                conf=None,
                triggered_by=DagRunTriggeredByType.TEST,
                triggering_user_name="test",
                start_date=now,
                session=session,
            )
            self._run_of = {"dag_id": self.dag_id, "run_id": run.run_id}
        self.where = {**self._run_of, "task_id": self.operator.task_id}

    def deploy(self, build: Callable[[], Any], *, retries: int = 3) -> None:
        """Put the DAG file, or a new version of it, where Airflow reads it."""
        from airflow.models.serialized_dag import SerializedDagModel
        from airflow.sdk import DAG, BaseOperator
        from airflow.serialization.definitions.dag import SerializedDAG
        from airflow.serialization.serialized_objects import LazyDeserializedDAG
        from airflow.utils.session import create_session

        with DAG(self.dag_id, schedule=None, default_args={"retries": retries}, **self._dag) as dag:
            self.operator = build()
            BaseOperator(task_id=BESIDE)
        with create_session() as session:
            lazy = LazyDeserializedDAG.from_dag(dag)
            SerializedDAG.bulk_write_to_db(BUNDLE, None, [lazy], session=session)
            SerializedDagModel.write_dag(lazy, bundle_name=BUNDLE, session=session)

    def attempt(self) -> Any:
        """Run the next try until it ends, is deferred or dies; returns Airflow's ``TaskRunResult``."""

        def prepare(ti: Any) -> None:
            ti.try_number += 1
            ti.state = "queued"

        self.change(prepare)
        return self.run_queued()

    def resume(self, event: Any) -> Any:
        """What happens when the trigger of a deferred attempt has fired."""
        from airflow.models.trigger import handle_event_submit
        from airflow.utils.session import create_session

        with create_session() as session:
            handle_event_submit(event, task_instance=self._row(session), session=session)
        self.change(lambda ti: setattr(ti, "state", "queued"))
        return self.run_queued()

    def resume_without_event(self, error: str) -> Any:
        """What happens after a deferral that crashed (``Trigger failure``) or timed out (``Trigger timeout``)."""

        def prepare(ti: Any) -> None:
            ti.next_method, ti.next_kwargs = "__fail__", {"error": error, "traceback": ["it crashed"]}
            ti.state = "queued"

        self.change(prepare)
        return self.run_queued()

    def clear(self, *, leaving_the_run: bool = False) -> None:
        """:param leaving_the_run: as it is, so that its ``clear_number`` stays the same."""
        from airflow.models.taskinstance import clear_task_instances
        from airflow.utils.session import create_session
        from airflow.utils.state import DagRunState

        run_state: DagRunState | Literal[False] = False if leaving_the_run else DagRunState.QUEUED
        with create_session() as session:
            clear_task_instances([self._row(session)], session, dag_run_state=run_state)

    def clear_beside(self) -> None:
        """Clear the other task of the run."""
        from airflow.models.taskinstance import clear_task_instances
        from airflow.utils.session import create_session

        with create_session() as session:
            clear_task_instances([self._row(session, BESIDE)], session)

    def begin_another_attempt(self) -> None:
        """Its process runs, but has not come to do anything yet."""

        def begin(ti: Any) -> None:
            ti.try_number += 1
            ti.state = "running"

        self.change(begin)

    def delete_run(self) -> None:
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session

        with create_session() as session:
            session.delete(session.query(DagRun).filter_by(**self._run_of).one())

    def forget_xcoms(self) -> None:
        """What the process of a new attempt does first."""
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        with create_session() as session:
            session.query(XComModel).filter_by(**self.where).delete()

    def push_xcom(self, key: str, value: Any) -> None:
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        with create_session() as session:
            XComModel.set(key=key, value=value, **self.where, session=session)

    def xcoms(self) -> dict[str, Any]:
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        with create_session() as session:
            rows = session.query(XComModel).filter_by(**self.where).all()
            return {row.key: XComModel.deserialize_value(row) for row in rows}

    def stored(self, key: str) -> tuple[Any, datetime | None]:
        """What the task has in its state store, and when Airflow may delete that; ``None``: never."""
        from airflow.models.task_state_store import TaskStateStoreModel
        from airflow.utils.session import create_session

        with create_session() as session:
            row = session.query(TaskStateStoreModel).filter_by(**self.where, key=key).one()
            return json.loads(row.value), row.expires_at

    def store(self, key: str, value: Any) -> None:
        """Put another value in the place of one that the task has stored."""
        from airflow.models.task_state_store import TaskStateStoreModel
        from airflow.utils.session import create_session

        with create_session() as session:
            row = session.query(TaskStateStoreModel).filter_by(**self.where, key=key).one()
            row.value = json.dumps(value)

    def mark(self, state: str | None) -> None:
        """What the UI's "mark as" does to a task instance; ``None`` is what a new scheduler does to orphans."""
        self.change(lambda ti: ti.set_state(state))

    @property
    def state(self) -> str:
        from airflow.utils.session import create_session

        with create_session() as session:
            return str(self._row(session).state)

    def trigger(self, result: Any) -> Any:
        """The trigger that a deferred attempt left, as the triggerer builds it."""
        from airflow.sdk._shared.module_loading import import_string
        from airflow.sdk.serde import deserialize

        trigger = import_string(result.msg.classpath)(**cast("dict[str, Any]", deserialize(result.msg.trigger_kwargs)))
        trigger.task_instance = self.identity()
        return trigger

    def clear_while_deferred(self, trigger: Any) -> None:
        """As Airflow does it: it ends the trigger once the task is scheduled again, without its XComs."""
        self.clear()
        self.begin_another_attempt()
        self.forget_xcoms()
        self.kill(trigger)

    def kill(self, trigger: Any) -> None:
        """What the triggerer does to a wait that is no longer its own."""
        self.in_triggerer(trigger.on_kill)

    def fire(self, trigger: Any) -> Any:
        """Wait in a triggerer for the trigger's event; returns it."""

        async def first() -> Any:
            async for event in trigger.run():
                return event
            raise AssertionError("it has ended without an event")

        return self.in_triggerer(first)

    def in_triggerer(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run something in a triggerer's event loop, where Airflow can be asked."""
        from airflow.sdk.execution_time import supervisor

        class Comms(supervisor.InProcessSupervisorComms):
            async def asend(self, msg: Any) -> Any:
                return self.send(msg)

        running = supervisor.InProcessTestSupervisor(
            id=uuid4(),
            pid=0,
            process=None,  # type: ignore[arg-type]
            process_log=supervisor.log,
            client=supervisor.InProcessTestSupervisor._api_client(),  # noqa: SLF001 - Airflow's own tests do so
        )
        running.comms = Comms(supervisor=running)
        with supervisor.set_supervisor_comms(running.comms):
            return asyncio.run(work())

    def identity(self) -> Any:
        """The task instance as its worker gets it."""
        from airflow.sdk.api.datamodels._generated import TaskInstance
        from airflow.utils.session import create_session

        with create_session() as session:
            ti = self._row(session)
            return TaskInstance(
                id=UUID(str(ti.id)),
                try_number=ti.try_number,
                map_index=ti.map_index,
                dag_version_id=UUID(str(ti.dag_version_id)),
                **self.where,
            )

    def run_queued(self) -> Any:
        """Run what is queued in this process; returns Airflow's ``TaskRunResult``."""
        from airflow.sdk.execution_time.supervisor import run_task_in_process

        return run_task_in_process(ti=self.identity(), task=self.operator)

    def change(self, change: Callable[[Any], None]) -> None:
        """Do something to the task instance's row in Airflow's database."""
        from airflow.utils.session import create_session

        with create_session() as session:
            change(self._row(session))

    def _row(self, session: Any, task_id: str | None = None) -> Any:
        from airflow.models.taskinstance import TaskInstance

        where = {**self.where, "task_id": task_id or self.operator.task_id}
        return session.query(TaskInstance).filter_by(**where).one()
