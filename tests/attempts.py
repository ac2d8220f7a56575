"""One task, attempt by attempt, in real Airflow in this process: killed, cleared or ended by a person at will."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from tests.airflow_runs import BUNDLE, prepare_database


class WorkerKilled(BaseException):
    """Raised where a worker dies: nothing of the provider catches it, so nothing after that point happens."""


class Task:
    """A task of a DAG run of its own.

    :param build: called inside a DAG; returns the operator.
    """

    def __init__(self, build: Callable[[], Any]) -> None:
        from airflow._shared.timezones import timezone
        from airflow.models.dagrun import get_or_create_dagrun
        from airflow.models.serialized_dag import SerializedDagModel
        from airflow.sdk import DAG
        from airflow.serialization.definitions.dag import SerializedDAG
        from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
        from airflow.utils.session import create_session
        from airflow.utils.types import DagRunTriggeredByType

        prepare_database()
        with DAG(f"test_{uuid4().hex[:8]}", schedule=None, default_args={"retries": 3}) as dag:
            self.operator = build()
        now = timezone.utcnow()
        with create_session() as session:
            lazy = LazyDeserializedDAG.from_dag(dag)
            SerializedDAG.bulk_write_to_db(BUNDLE, None, [lazy], session=session)
            SerializedDagModel.write_dag(lazy, bundle_name=BUNDLE, session=session)
            session.commit()
            run = get_or_create_dagrun(
                dag=DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)),
                run_id=f"run_{uuid4().hex[:8]}",
                logical_date=now,
                data_interval=None,
                run_after=now,
                conf=None,
                triggered_by=DagRunTriggeredByType.TEST,
                triggering_user_name="test",
                start_date=now,
                session=session,
            )
            self._where = {"dag_id": dag.dag_id, "run_id": run.run_id, "task_id": self.operator.task_id}

    def attempt(self) -> Any:
        """Run the next try until it ends, is deferred or dies; returns Airflow's ``TaskRunResult``."""

        def prepare(ti: Any) -> None:
            ti.try_number += 1
            ti.state = "queued"

        self._change(prepare)
        return self._run()

    def resume_without_event(self, error: str) -> Any:
        """What happens after a deferral that crashed (``Trigger failure``) or timed out (``Trigger timeout``)."""

        def prepare(ti: Any) -> None:
            ti.next_method, ti.next_kwargs = "__fail__", {"error": error, "traceback": ["it crashed"]}
            ti.state = "queued"

        self._change(prepare)
        return self._run()

    def clear(self) -> None:
        from airflow.models.taskinstance import clear_task_instances
        from airflow.utils.session import create_session

        with create_session() as session:
            clear_task_instances([self._row(session)], session)

    def mark(self, state: str | None) -> None:
        """What the UI's "mark as" does to a task instance; ``None`` is what a new scheduler does to orphans."""
        self._change(lambda ti: ti.set_state(state))

    @property
    def state(self) -> str:
        from airflow.utils.session import create_session

        with create_session() as session:
            return str(self._row(session).state)

    def trigger(self, result: Any) -> Any:
        """The trigger that a deferred attempt left, as the triggerer builds it."""
        from airflow.sdk._shared.module_loading import import_string
        from airflow.sdk.serde import deserialize

        trigger = import_string(result.msg.classpath)(**deserialize(result.msg.trigger_kwargs))
        trigger.task_instance = self._identity()
        return trigger

    def kill(self, trigger: Any) -> None:
        """What the triggerer does to a wait that is no longer its own."""
        from airflow.sdk.execution_time import supervisor

        class Comms(supervisor.InProcessSupervisorComms):
            async def asend(self, msg: Any) -> Any:
                return self.send(msg)

        identity = self._identity()
        running = supervisor.InProcessTestSupervisor(
            id=identity.id,
            pid=0,
            process=None,
            process_log=supervisor.log,
            client=supervisor.InProcessTestSupervisor._api_client(),
        )
        running.comms = Comms(supervisor=running)
        with supervisor.set_supervisor_comms(running.comms):
            asyncio.run(trigger.on_kill())

    def _identity(self) -> Any:
        from airflow.sdk.api.datamodels._generated import TaskInstance
        from airflow.utils.session import create_session

        with create_session() as session:
            ti = self._row(session)
            return TaskInstance(
                id=UUID(str(ti.id)),
                try_number=ti.try_number,
                map_index=ti.map_index,
                dag_version_id=UUID(str(ti.dag_version_id)),
                **self._where,
            )

    def _run(self) -> Any:
        from airflow.sdk.execution_time.supervisor import run_task_in_process

        return run_task_in_process(ti=self._identity(), task=self.operator)

    def _change(self, change: Callable[[Any], None]) -> None:
        from airflow.utils.session import create_session

        with create_session() as session:
            change(self._row(session))

    def _row(self, session: Any) -> Any:
        from airflow.models.taskinstance import TaskInstance

        return session.query(TaskInstance).filter_by(**self._where).one()
