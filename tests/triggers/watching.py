"""DAGs that are scheduled on watched assets, and triggerers that run the watchers: Airflow's own, in this process.

Done by hand here: the border between the processes of runner and supervisor, and the endless loop of the latter.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import structlog
from airflow.jobs import triggerer_job_runner as airflow_triggerer
from airflow.jobs.job import Job
from airflow.models.asset import AssetActive, AssetDagRunQueue, AssetEvent, AssetModel, AssetWatcherModel
from airflow.models.asset_state_store import AssetStateStoreModel
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.trigger import Trigger
from airflow.sdk import DAG, Asset, AssetWatcher, BaseOperator
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import SetAssetStateStoreByName, _RequestFrame
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.triggers.base import BaseEventTrigger
from airflow.utils.session import create_session

from tests.airflow_facts.real import scheduler
from tests.support.airflow_runs import BUNDLE, prepare_database

_numbers = itertools.count(1)


class Watched:
    """An asset with a watcher, or several, and a DAG that is scheduled on it.

    :param triggers: each makes the trigger of a watcher, each time the DAG file is parsed.
    """

    def __init__(self, *triggers: Callable[[], BaseEventTrigger]) -> None:
        self.name = f"asset_{next(_numbers)}_{uuid4().hex[:8]}"
        self.triggers = triggers

    def dag(self) -> DAG:
        watchers = [
            AssetWatcher(name=f"watcher {number} of {self.name}", trigger=make())
            for number, make in enumerate(self.triggers)
        ]
        asset = Asset(self.name, watchers=watchers)
        with DAG(self.name, schedule=[asset], is_paused_upon_creation=False) as dag:
            BaseOperator(task_id="release")
        return dag

    def leave(self) -> None:
        """No DAG uses the asset any more."""
        with create_session() as session:
            session.query(AssetActive).filter_by(name=self.name).delete()

    def pause(self, is_paused: bool = True) -> None:
        with create_session() as session:
            session.get(DagModel, self.name).is_paused = is_paused

    def events(self) -> list[dict[str, Any]]:
        """What Airflow has stored for the asset, in order."""
        with create_session() as session:
            query = session.query(AssetEvent).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            return [
                each.extra["payload"] for each in query.filter(AssetModel.name == self.name).order_by(AssetEvent.id)
            ]

    def ids(self) -> list[str]:
        return [each["id"] for each in self.events()]

    def tags(self) -> list[str]:
        return [each["tag"] for each in self.events()]

    def cursors(self) -> dict[str, str]:
        """What stands in the state store of the asset, by key."""
        with create_session() as session:
            query = session.query(AssetStateStoreModel).join(AssetModel, AssetModel.id == AssetStateStoreModel.asset_id)
            return {row.key: row.value for row in query.filter(AssetModel.name == self.name)}

    def spoil_cursors(self) -> None:
        """Somebody writes something else in their places."""
        with create_session() as session:
            query = session.query(AssetStateStoreModel).join(AssetModel, AssetModel.id == AssetStateStoreModel.asset_id)
            for row in query.filter(AssetModel.name == self.name):
                row.value = '"spoilt"'

    def trigger_ids(self) -> set[int]:
        with create_session() as session:
            query = session.query(AssetWatcherModel).join(AssetModel, AssetModel.id == AssetWatcherModel.asset_id)
            return {row.trigger_id for row in query.filter(AssetModel.name == self.name)}

    def is_queued(self) -> bool:
        """Whether the scheduler will make a run."""
        with create_session() as session:
            return session.query(AssetDagRunQueue).filter_by(target_dag_id=self.name).count() > 0

    def runs(self) -> list[list[dict[str, Any]]]:
        """The scheduler checks whether to make a run; returns what each run so far was made for."""
        with create_session() as session:
            dag = session.get(DagModel, self.name)
            scheduler()._create_dag_runs_asset_triggered(dag_models=[dag], session=session)
        with create_session() as session:
            made = session.query(DagRun).filter_by(dag_id=self.name).order_by(DagRun.run_after)
            return [[each.extra["payload"] for each in run.consumed_asset_events] for run in made]

    def has_begun(self) -> bool:
        return bool(self.cursors())


def parse(*watched: Watched) -> None:
    """The DAG processor reads a file with their DAGs."""
    prepare_database()
    with create_session() as session:
        dags = [LazyDeserializedDAG.from_dag(each.dag()) for each in watched]
        SerializedDAG.bulk_write_to_db(BUNDLE, None, dags, session=session)
        for each in dags:
            SerializedDagModel.write_dag(each, bundle_name=BUNDLE, session=session)


def forget_watchers() -> None:
    """None of them runs in a later test."""
    with create_session() as session:
        session.query(AssetWatcherModel).delete()
        session.query(Trigger).delete()


class Supervisor(airflow_triggerer.TriggerRunnerSupervisor):
    """Airflow's supervisor of a triggerer's runner, which here is called by it directly.

    Attribute ``stores_events``: whether the events of triggers go to the database.
    Attribute ``keeps_cursors``: whether what triggers want to keep does.
    Attribute ``answers_about_cursors``: whether they get an answer.
    """

    stores_events = True
    keeps_cursors = True
    answers_about_cursors = True
    answer: Any = None

    def make_client(self) -> Any:
        return _client()

    def send_msg(self, msg: Any, request_id: int, error: Any = None, **options: Any) -> None:
        self.answer = SimpleNamespace(
            body=None if msg is None else msg.model_dump(**options), error=None if error is None else error.model_dump()
        )

    def is_asked(self, message: Any) -> Any:
        if isinstance(message, SetAssetStateStoreByName) and not self.keeps_cursors:
            raise ConnectionError("Airflow keeps nothing now")
        if not self.stores_events and isinstance(message, airflow_triggerer.messages.TriggerStateChanges):
            message.events = None
        requests = self.handle_requests(structlog.get_logger())
        next(requests)
        requests.send(_RequestFrame(id=1, body=message.model_dump()))
        return self.answer

    def check(self) -> None:
        """What it does between two messages of the runner: the next answer names the events that it has stored, and the
        triggers that are no longer there."""
        self.handle_events()
        self.handle_failed_triggers()
        self.clean_unused()
        self.load_triggers()


@functools.cache
def _client() -> Any:
    return airflow_triggerer.TriggerRunnerSupervisor.make_client(SimpleNamespace())  # type: ignore[arg-type]


class Comms:
    """What reaches the supervisor of the triggerer in whose event loop it is asked."""

    by_loop: dict[Any, Triggerer] = {}
    _decoder = airflow_triggerer.TriggerCommsDecoder(async_writer=None, async_reader=None, socket=None)  # type: ignore[arg-type]
    lock = threading.Lock()

    async def asend(self, message: Any) -> Any:
        triggerer = self.by_loop[asyncio.get_running_loop()]
        await asyncio.sleep(0)
        if isinstance(message, SetAssetStateStoreByName) and not triggerer.supervisor.answers_about_cursors:
            await asyncio.Event().wait()
        with self.lock:
            return self._decoder._from_frame(triggerer.supervisor.is_asked(message))


class Triggerer:
    """A triggerer, in a thread of its own.

    :param capacity: how many triggers it takes.
    """

    def __init__(self, capacity: int = 100) -> None:
        self.job = Job(job_type="TriggererJob", state="running", latest_heartbeat=datetime.now(UTC))
        with create_session() as session:
            session.add(self.job)
            session.flush()
            session.expunge(self.job)
        self.supervisor = Supervisor(
            id=uuid4(),
            pid=1,
            stdin=None,
            process=None,
            process_log=None,
            capacity=capacity,
            job=self.job,
        )
        self.runner: Any = None
        self.error: BaseException | None = None
        self._ended = False
        self._goes = threading.Event()
        self._goes.set()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Triggerer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()
        if self.error:
            raise self.error

    def die(self) -> None:
        """Nothing that has not reached the database yet does so any more; what it ran is free for another one."""
        self._ended = True
        self.go_on()
        if self._thread.is_alive():
            self._thread.join(60)
        self.is_given_up()

    def stand_still(self) -> None:
        """As a frozen process does, until it is continued."""
        self._goes.clear()

    def is_given_up(self) -> None:
        """Its heartbeat has been missing for too long."""
        with create_session() as session:
            session.get(Job, self.job.id).latest_heartbeat = datetime(2020, 1, 1, tzinfo=UTC)

    def go_on(self) -> None:
        self._goes.set()

    @property
    def streams(self) -> list[Any]:
        """The keys of what it watches."""
        return [*self.runner._shared_streams._groups] if self.runner else []

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self.error = error

    async def _main(self) -> None:
        comms = Comms()
        comms.by_loop[asyncio.get_running_loop()] = self
        task_runner.SUPERVISOR_COMMS = comms  # type: ignore[assignment]
        self.runner = runner = airflow_triggerer.TriggerRunner()
        runner.comms_decoder = comms
        while not self._ended:
            self._goes.wait()
            if self._ended:
                break
            with comms.lock:
                self.supervisor.check()
            await runner.sync_state_to_supervisor(await runner.cleanup_finished_triggers())
            await runner.create_triggers()
            await runner.cancel_triggers()
            await asyncio.sleep(0.05)
        runner.events.clear()
        self.supervisor.keeps_cursors = False
        tasks = [each["task"] for each in runner.triggers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner._shared_streams.stop_all()
