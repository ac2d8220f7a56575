"""A webhook that reports the end of an execution ends the waits for it at once, and no others."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.jobs import triggerer_job_runner as triggerer
from airflow.models.dag import DagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from pytest_mock import MockerFixture
from sqlalchemy import update
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import ExecutionFailed
from airflow_provider.links import MARKER_XCOM
from airflow_provider.operators import base
from airflow_provider.sensors.cocktail import CocktailBuildSensor
from airflow_provider.webhooks import handling, occurrences, waking
from tests.support.attempts import Task
from tests.support.patching import patched
from tests.support.story import STARTERS, Story, let_nothing_end_by_itself
from tests.support.until import until, until_in_loop
from tests.webhooks.conftest import Declare, Route, callback, events, recorded

SUCCEEDED = {"cocktail": "DONE", "quay": "complete", "code_stream": "COMPLETED"}
OTHER = "999999"


@pytest.fixture(autouse=True)
def hooks(systems: Any, declare: Declare, asset: str, mocker: MockerFixture) -> None:
    """A webhook of each system; nothing ends by itself, nor does anything call by itself."""
    mocker.patch.dict(os.environ, {"AIRFLOW__RELEASE_PIPELINES__WEBHOOKS_URL": "https://airflow.example.com"})
    with create_session() as session:
        # A sandbox that is emptied begins to count anew.
        session.execute(update(TaskInstance).where(TaskInstance.state == "deferred").values(state="failed"))
    # As if there were workers and a triggerer.
    mocker.patch.object(base, "in_dag_test", lambda: False)
    declare(**{system: {"asset": asset, "source": system} for system in SUCCEEDED})
    let_nothing_end_by_itself(systems)
    systems.switch("cocktail", callbacks_lost=True)


class Deferred:
    """A task that has started an execution and been deferred for it, long ago."""

    def __init__(self, systems: Any, starter: str = "cocktail", *, is_new: bool = False, **arguments: Any) -> None:
        if starter == "cocktail":
            arguments = {"callback": True, **arguments}
        self.story = Story(systems, STARTERS[starter], deferrable=True, **arguments)
        self._systems, self.system = systems, STARTERS[starter].system
        with create_session() as session:
            session.get_one(DagModel, self.task.dag_id).relative_fileloc = "dag.py"
        begun = self.story.attempt()
        assert begun.state == "deferred"
        self.trigger = self.task.trigger(begun)
        self.arguments = begun.msg.trigger_kwargs
        (execution,) = self.story.executions()
        self.id = str(execution["id"])
        if not is_new:
            self.grow_older()

    @property
    def task(self) -> Task:
        return self.story.task

    def grow_older(self) -> None:
        with create_session() as session:
            session.execute(update(Trigger).values(created_date=datetime.now(UTC) - timedelta(hours=1)))

    def end(self, state: str = "") -> None:
        """At the system, which sends no webhook."""
        self._systems.force(self.system, self.id, state or SUCCEEDED[self.system])

    def go_on(self) -> Any:
        """In a worker."""
        self.task.change(lambda ti: setattr(ti, "state", "queued"))
        return self.task.run_queued()

    def xcoms(self) -> dict[str, Any]:
        with create_session() as session:
            rows = session.query(XComModel).filter_by(**self.task.where).all()
            return {row.key: XComModel.deserialize_value(row) for row in rows}


def send(route: Route, system: str, execution_id: str, state: str = "") -> int:
    """The system sends its webhook."""
    state = state or SUCCEEDED[system]
    messages = {
        "cocktail": lambda: callback(execution_id, state),
        "quay": lambda: recorded("build_success") | {"repository": "acme/shop", "build_id": execution_id},
        "code_stream": lambda: {
            "executionId": execution_id,
            "event": {"COMPLETED": "SUCCESS", "FAILED": "FAILURE"}.get(state, state),
        },
    }
    return route.post(messages[system](), endpoint=system.replace("_", "-"))


# --- what a push ends


@pytest.mark.parametrize("starter", ["cocktail", "quay", "code_stream pipeline"])
def test_a_push_resumes_the_task_with_what_the_system_itself_answers(systems, route: Route, starter: str) -> None:
    task = Deferred(systems, starter)
    task.end()
    assert send(route, task.system, task.id) == 200
    assert task.task.state == "scheduled"
    ended = task.go_on()
    assert ended.state == "success"
    assert task.xcoms()["return_value"]["id"] == task.id
    assert task.story.seen() == {"starts": 1, "cancels": 0}


def test_a_push_ends_a_task_that_needs_no_worker_with_what_a_triggerer_would_store(systems, route: Route) -> None:
    task = Deferred(systems, finish_in_triggerer=True)
    task.end()
    assert send(route, "cocktail", task.id) == 200
    assert task.task.state == "success"
    by_push = task.xcoms()
    task.task.fire(task.trigger)
    polled = task.xcoms()
    assert by_push.pop(MARKER_XCOM).startswith("resumed airflow-")
    polled.pop(MARKER_XCOM)
    assert by_push == polled
    assert by_push["return_value"]["outputs"]["digest"].startswith("sha256:")


def test_a_failure_that_is_pushed_fails_the_task_in_a_worker(systems, route: Route, asset: str) -> None:
    task = Deferred(systems, finish_in_triggerer=True)
    task.end("ERROR")
    assert send(route, "cocktail", task.id, "ERROR") == 200
    assert task.task.state == "scheduled"
    ended = task.go_on()
    assert (type(ended.error), ended.state) == (ExecutionFailed, "up_for_retry")
    # Nobody has asked for events of failures.
    assert events(asset) == []


def test_a_sensor_that_waits_for_the_same_build_continues_too(systems, route: Route) -> None:
    task = Deferred(systems)
    sensor = Task(lambda: CocktailBuildSensor(task_id="wait", build_run_seq=task.id, deferrable=True))
    assert sensor.attempt().state == "deferred"
    task.grow_older()
    task.end()
    send(route, "cocktail", task.id)
    assert (task.task.state, sensor.state) == ("scheduled", "scheduled")


@pytest.mark.parametrize(("starter", "reads"), [("quay", 1), ("code_stream pipeline", 1), ("cocktail", 2)])
def test_a_wait_is_ended_with_the_reading_that_verified_the_push(
    systems, route: Route, starter: str, reads: int
) -> None:
    """Unless its reference says more than the push does, as the tag of a build in Cocktail."""
    task = Deferred(systems, starter)
    task.end()
    before = len(systems.requests(task.system, "GET"))
    assert send(route, task.system, task.id) == 200
    assert task.task.state == "scheduled"
    since = [each["path"] for each in systems.requests(task.system, "GET")[before:]]
    assert len([path for path in since if path.endswith(f"/{task.id}")]) == reads


# --- what a push does not end


def test_pushes_of_others_wrong_numbers_and_repeats_wake_nobody(systems, route: Route) -> None:
    systems.switch("cocktail", created_counts_as_running=False)
    task, other = Deferred(systems), Deferred(systems, "quay")
    task.end()
    assert [send(route, "cocktail", OTHER), send(route, "cocktail", OTHER, "ERROR")] == [200, 200]
    assert send(route, "quay", "11111111-2222-3333-4444-555555555555") == 200
    assert (task.task.state, other.task.state) == ("deferred", "deferred")
    assert send(route, "cocktail", task.id) == 200
    assert (task.task.state, other.task.state) == ("scheduled", "deferred")
    task.task.change(lambda ti: setattr(ti, "state", "running"))
    assert [send(route, "cocktail", task.id) for _ in range(3)] == [200] * 3
    assert task.task.state == "running"


@pytest.mark.parametrize("state", ["DONE", "ERROR"])
def test_a_message_alone_ends_nothing(systems, route: Route, mocker: MockerFixture, state: str) -> None:
    mocker.patch.object(occurrences, "PAUSE", 0.01)
    task = Deferred(systems, finish_in_triggerer=True)
    assert send(route, "cocktail", task.id, state) == 200
    assert task.task.state == "deferred"


def test_an_end_that_the_system_shows_only_after_its_report_was_answered_ends_the_wait_all_the_same(
    systems, route: Route, mocker: MockerFixture
) -> None:
    mocker.patch.object(occurrences, "PAUSE", 0.01)
    mocker.patch.object(handling, "POLL_DELAYS", (0.1,) * 100)
    task = Deferred(systems)
    assert send(route, "cocktail", task.id) == 200
    assert task.task.state == "deferred"
    task.end()
    until(lambda: task.task.state == "scheduled")
    assert task.go_on().state == "success"


def test_an_end_that_was_reported_while_the_system_did_not_answer_ends_the_wait_all_the_same(
    systems, route: Route, mocker: MockerFixture
) -> None:
    mocker.patch.object(handling, "POLL_DELAYS", (0.1,) * 100)
    task = Deferred(systems)
    task.end()
    systems.fault("cocktail", "status", method="GET", status=502, times=5)
    assert send(route, "cocktail", task.id) == 200
    until(lambda: task.task.state == "scheduled")


def test_a_failed_execution_that_may_yet_continue_ends_no_wait(systems, route: Route) -> None:
    """Code Stream may roll it back; and the task's next attempt may continue it, by the same id."""
    task = Deferred(systems, "code_stream pipeline")
    task.end("FAILED")
    assert send(route, "code_stream", task.id, "FAILED") == 200
    assert task.task.state == "deferred"


def test_a_task_does_not_resume_before_airflow_has_noticed_that_its_process_ended(systems, route: Route) -> None:
    task = Deferred(systems, is_new=True)
    task.end()
    assert send(route, "cocktail", task.id) == 200
    assert task.task.state == "deferred"
    task.grow_older()
    assert send(route, "cocktail", task.id) == 200
    assert task.task.state == "scheduled"


@pytest.mark.parametrize("state", ["failed", "success", None])
def test_a_task_that_a_person_has_ended_stays_so(systems, route: Route, state: str | None) -> None:
    task = Deferred(systems)
    task.end()
    if state:
        task.task.mark(state)
    else:
        task.task.clear()
    assert send(route, "cocktail", task.id) == 200
    assert task.task.state == str(state)


def test_a_wait_that_somebody_else_ends_in_this_moment_is_ended_once(systems, route: Route) -> None:
    task = Deferred(systems)
    task.end()
    event = task.task.fire(task.trigger)
    find = waking.waiting_for

    def and_then_it_fires(execution: Any) -> Any:
        waiting = find(execution)
        assert len(waiting) == 1
        with create_session() as session:
            Trigger.submit_event(waiting[0].trigger_id, event, session=session)
        # Airflow's scheduler goes on with it.
        task.task.change(lambda ti: setattr(ti, "state", "queued"))
        return waiting

    with patched(waking, "waiting_for", and_then_it_fires):
        assert send(route, "cocktail", task.id) == 200
    assert task.task.state == "queued"
    assert not task.xcoms()[MARKER_XCOM].startswith("resumed")


def test_a_wait_that_cannot_be_ended_costs_no_event(systems, route: Route, asset: str) -> None:
    task = Deferred(systems)
    task.end()

    def breaks(*_: Any) -> None:
        raise OperationalError("SELECT", {}, Exception("the database is away"))

    with patched(waking, "waiting_for", breaks):
        assert send(route, "cocktail", task.id) == 200
    assert [event["id"] for event in events(asset)] == [task.id]
    assert task.task.state == "deferred"


def test_a_wait_that_cannot_be_ended_is_no_matter_for_another(systems, route: Route) -> None:
    broken = Deferred(systems)
    sound = Task(lambda: CocktailBuildSensor(task_id="wait", build_run_seq=broken.id, deferrable=True))
    assert sound.attempt().state == "deferred"
    broken.grow_older()
    broken.end()
    with create_session() as session:
        ti = session.query(TaskInstance).filter_by(**broken.task.where).one()
        session.get_one(Trigger, ti.trigger_id).kwargs = {
            "system": "cocktail",
            "conn_id": "cocktail_default",
            "ref": {},
            "poll_interval": "soon",
        }
    assert send(route, "cocktail", broken.id) == 200
    assert (broken.task.state, sound.state) == ("deferred", "scheduled")


# --- the trigger, which is ended then


def run_until(trigger: Any, task: Deferred, act: Callable[[], Any]) -> list[str]:
    """Run a wait as Airflow does, until it polls seldom; after ``act``, Airflow takes it away. Returns the log."""
    # From its first poll on, a push can end it.
    trigger.hold_back = 0.0

    async def run() -> None:
        runner = triggerer.TriggerRunner()
        wait = asyncio.create_task(runner.run_trigger(1, trigger))
        runner.triggers[1] = {"task": wait, "is_watcher": False, "name": "wait", "events": 0}
        await until_in_loop(lambda: trigger.current_wait and trigger.current_wait.interval_now == trigger.net)
        # The next poll was due before that was known.
        await asyncio.sleep(1.0)
        await asyncio.to_thread(act)
        assert not wait.done()
        runner.to_cancel.append(1)
        await runner.cancel_triggers()
        await asyncio.wait({wait}, timeout=60)
        assert runner.events == deque()

    with capture_logs() as lines:
        task.task.in_triggerer(run)
    return [str(line["event"]) % line.get("positional_args", ()) for line in lines]


@pytest.mark.parametrize("finish_in_triggerer", [False, True])
def test_the_trigger_cancels_nothing_and_logs_the_end_for_the_task(
    systems, route: Route, finish_in_triggerer: bool
) -> None:
    task = Deferred(systems, finish_in_triggerer=finish_in_triggerer)

    def push() -> None:
        task.end()
        assert send(route, "cocktail", task.id) == 200

    log = "\n".join(run_until(task.trigger, task, push))
    assert task.task.state == ("success" if finish_in_triggerer else "scheduled")
    assert f"Not canceling build run {task.id}: the task continues without this wait" in log
    assert f"Build run {task.id} succeeded (DONE)" in log
    assert systems.requests("cocktail", "PUT") == []
    assert task.story.seen() == {"starts": 1, "cancels": 0}


def test_a_trigger_that_is_ended_late_cancels_nothing(systems, route: Route) -> None:
    task = Deferred(systems)
    task.end()
    send(route, "cocktail", task.id)
    assert task.go_on().state == "success"
    task.task.kill(task.trigger)
    assert systems.requests("cocktail", "PUT") == []


def test_a_person_who_ends_the_task_before_the_push_has_the_build_canceled(systems, route: Route) -> None:
    task = Deferred(systems)
    task.task.mark("failed")
    task.task.kill(task.trigger)
    assert task.story.cancels() == [1]


# --- who polls seldom


def test_a_task_that_is_called_back_is_polled_seldom_and_others_as_ever(systems) -> None:
    assert Deferred(systems).trigger.net == DURATIONS.pushed_interval == 600.0
    assert Deferred(systems, "quay").trigger.net is None
    assert Deferred(systems, "code_stream pipeline").trigger.net is None
