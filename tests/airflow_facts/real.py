"""The real Airflow around a task that a test defines: its scheduler, its supervisor of workers, and what people do.

Done by hand here, because it takes an executor or a whole installation: putting a task into the executor's queue, and
telling the scheduler how an executor's process has ended.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from airflow.api.common import mark_tasks
from airflow.executors.base_executor import BaseExecutor
from airflow.jobs.job import Job, JobState
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.dag import DagModel
from airflow.models.dagbag import DBDagBag
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import clear_task_instances
from airflow.models.trigger import Trigger
from airflow.sdk import BaseOperator
from airflow.sdk.api.datamodels._generated import BundleInfo
from airflow.sdk.execution_time import supervisor, task_runner
from airflow.triggers.base import BaseTrigger, TriggerEvent
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState

from tests.support import attempts
from tests.support.airflow_runs import BUNDLE, prepare_database
from tests.support.until import until

Work = Callable[[BaseOperator, Any], Any]
"""What a task does: called with its operator and the context."""


class Scripted(BaseOperator):
    """Does what a test wants."""

    script: Work = staticmethod(lambda operator, context: None)
    """In place of ``execute``, and of what continues after a deferral."""
    killed: Callable[[], Any] = staticmethod(lambda: None)
    """In place of ``on_kill``."""

    def execute(self, context: Any) -> Any:
        return self.script(self, context)

    def execute_complete(self, context: Any, event: Any) -> Any:
        return self.script(self, {**context, "event": event})

    def on_kill(self) -> None:
        self.killed()


class Patient(BaseTrigger):
    """Waits forever."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.Patient", {}

    async def run(self) -> Any:
        import asyncio

        await asyncio.Event().wait()
        yield None


def defer(operator: BaseOperator, context: Any) -> None:
    operator.defer(trigger=Patient(), method_name="execute_complete", timeout=timedelta(hours=1))


def fail(operator: BaseOperator, context: Any) -> None:
    raise RuntimeError("it failed")


def succeed(operator: BaseOperator, context: Any) -> None:
    pass


class RealTask(attempts.Task):
    """A task in its own run, next to another one, as Airflow stores it in its database."""

    operator: Scripted

    def __init__(self, *, retries: int = 3, execution_timeout: timedelta | None = None, **options: Any) -> None:
        super().__init__(lambda: self._build(execution_timeout), retries=retries, **options)
        with create_session() as session:
            session.get(DagModel, self.dag_id).relative_fileloc = "dag.py"

    def _build(self, execution_timeout: timedelta | None = None) -> Scripted:
        return Scripted(task_id="release", retry_delay=timedelta(0), execution_timeout=execution_timeout)

    def deploy_retries(self, retries: int) -> None:
        """Somebody changes ``retries`` in the DAG file."""
        self.deploy(self._build, retries=retries)

    # What the database says

    def __getattr__(self, name: str) -> Any:
        """A column of the task instance."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self.read(lambda ti: getattr(ti, name))

    def read(self, what: Callable[[Any], Any]) -> Any:
        with create_session() as session:
            return what(self._row(session))

    @property
    def state(self) -> str | None:  # type: ignore[override]
        state = self.read(lambda ti: ti.state)
        return None if state is None else str(state)

    @property
    def state_beside(self) -> str | None:
        with create_session() as session:
            return self._row(session, attempts.BESIDE).state

    @property
    def clear_number(self) -> int:
        return int(self.read(lambda ti: ti.dag_run.clear_number))

    @property
    def numbers(self) -> tuple[int, int]:
        """``try_number`` and ``max_tries``."""
        return self.read(lambda ti: (ti.try_number, ti.max_tries))  # type: ignore[no-any-return]

    # The scheduler

    def schedule(self) -> None:
        """The scheduler examines the run; what it schedules is put into the executor's queue."""
        runner = scheduler()
        with create_session() as session:
            run = session.query(DagRun).filter_by(**self._run_of).one()
            # A run whose last task was cleared is queued first.
            run.state = DagRunState.RUNNING
            runner._schedule_dag_run(run, session)
        self.enqueue()

    def enqueue(self, job: Job | None = None) -> None:
        def put(ti: Any) -> None:
            if ti.state == TaskInstanceState.SCHEDULED:
                ti.state = TaskInstanceState.QUEUED
            ti.queued_by_job_id = (job or scheduler().job).id

        self.change(put)

    def process_ended(self, *, is_clean: bool) -> None:
        """The executor reports the end of the process to the scheduler: as a success, unless its supervisor raised."""
        state = TaskInstanceState.SUCCESS if is_clean else TaskInstanceState.FAILED
        scheduler().executor.change_state(self.read(lambda ti: ti.key), state)
        heed_executor()

    def miss_heartbeats(self) -> None:
        """The scheduler finds that its worker has sent no heartbeat for too long."""
        self.change(lambda ti: setattr(ti, "last_heartbeat_at", datetime.now(UTC) - timedelta(hours=1)))
        scheduler()._find_and_purge_task_instances_without_heartbeats()
        heed_executor()

    def resume_by_event(self, payload: Any = "event") -> None:
        """The trigger of the deferred task fires; it is put into the executor's queue again."""
        with create_session() as session:
            Trigger.submit_event(self.trigger_id, TriggerEvent(payload), session=session)
        self.enqueue()

    def time_deferral_out(self) -> None:
        """The scheduler finds that the deferral has lasted too long."""
        self.change(lambda ti: setattr(ti, "trigger_timeout", datetime.now(UTC) - timedelta(seconds=1)))
        scheduler().check_trigger_timeouts()

    def crash_trigger(self) -> None:
        """The triggerer reports that the trigger has raised."""
        with create_session() as session:
            Trigger.submit_failure(self.trigger_id, RuntimeError("it crashed"), session=session)

    # People

    def clear_but_not_the_run(self) -> None:
        """As the API does with ``reset_dag_runs=False``."""
        with create_session() as session:
            clear_task_instances([self._row(session)], session, dag_run_state=False)

    def mark_by_hand(self, state: TaskInstanceState) -> None:
        """What the UI does."""
        with create_session() as session:
            self._deployed(session).set_task_instance_state(
                task_id=self.operator.task_id, run_id=self.where["run_id"], state=state, session=session
            )

    def mark_failed(self) -> None:
        self.mark_by_hand(TaskInstanceState.FAILED)

    def mark_success(self) -> None:
        self.mark_by_hand(TaskInstanceState.SUCCESS)

    def fail_run(self) -> None:
        """A person marks the whole run failed."""
        with create_session() as session:
            dag, run_id = self._deployed(session), self.where["run_id"]
            mark_tasks.set_dag_run_state_to_failed(dag=dag, run_id=run_id, commit=True, session=session)

    def put_beside(self, state: str | None) -> None:
        """Let the other task of the run be in some state, as if it had come there."""
        with create_session() as session:
            self._row(session, attempts.BESIDE).state = state

    def _deployed(self, session: Any) -> Any:
        return DBDagBag().get_latest_version_of_dag(self.dag_id, session=session)

    # Workers

    def queue(self) -> RealTask:
        """Schedule the first or next try, up to the executor's queue."""
        self.schedule()
        assert self.state == "queued"
        return self

    def run(self, script: Work = succeed) -> Any:
        """Run what is queued in this process; returns Airflow's ``TaskRunResult``."""
        self.operator.script = script  # type: ignore[method-assign]
        return self.run_queued()

    def begin(self) -> Any:
        """A supervisor reports to Airflow that it runs what is queued, and nothing more; returns the answer."""
        ti = self.identity()
        return client().task_instances.start(ti.id, os.getpid(), datetime.now(UTC))

    def supervise(self, script: Work) -> supervisor.ActivitySubprocess:
        """Run what is queued in a process of its own, under Airflow's supervisor; see ``wait``."""
        self.operator.script = script  # type: ignore[method-assign]

        def parse(details: Any, log: Any) -> Any:
            return task_runner.RuntimeTaskInstance.model_construct(
                **details.ti.model_dump(exclude_unset=True),
                task=self.operator,
                bundle_instance=BundleInfo(name=BUNDLE, version=None),
                _ti_context_from_server=details.ti_context,
                max_tries=details.ti_context.max_tries,
                start_date=details.start_date,
                state=TaskInstanceState.RUNNING,
                sentry_integration="",
            )

        def main() -> None:
            # In the child: the operator is there already.
            task_runner.parse = parse
            task_runner.main()

        return supervisor.ActivitySubprocess.start(
            what=self.identity(),
            dag_rel_path="dag.py",
            bundle_info=BundleInfo(name=BUNDLE, version=None),
            client=client(),
            target=main,
            logger=structlog.get_logger(),
        )

    def wait(self, worker: supervisor.ActivitySubprocess, meanwhile: Callable[[], Any] | None = None) -> bool:
        """Wait for the end of a supervised process; whether an executor would call that a success.

        :param meanwhile: what happens just after a heartbeat.
        """

        def act() -> None:
            until(lambda: worker._last_successful_heartbeat > worker._last_heartbeat_attempt > 0)
            meanwhile()  # type: ignore[misc]

        if meanwhile:
            threading.Thread(target=act).start()
        with suppress(Exception):
            worker.wait()
            return True
        return False


def client() -> Any:
    """Airflow's execution API, as a supervisor uses it."""
    return supervisor.InProcessTestSupervisor._api_client()


@functools.cache
def scheduler() -> SchedulerJobRunner:
    prepare_database()
    executor = BaseExecutor()
    executor.callback_sink = _NoCallbacks()
    return SchedulerJobRunner(job=job_of_scheduler(JobState.RUNNING), executors=[executor])


def job_of_scheduler(state: JobState) -> Job:
    job = Job(job_type="SchedulerJob", state=state)
    with create_session() as session:
        session.add(job)
        session.flush()
        session.expunge(job)
    return job


def heed_executor() -> None:
    """The scheduler reads what its executor reports."""
    runner = scheduler()
    with create_session() as session:
        SchedulerJobRunner.process_executor_events(
            executor=runner.executor, job_id=runner.job.id, scheduler_dag_bag=DBDagBag(), session=session
        )


class _NoCallbacks:
    def send(self, callback: Any) -> None:
        pass
