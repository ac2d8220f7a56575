"""Deferrals in Airflow 3.3.2: how they end, who is told, and what a triggerer can ask."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, get_args
from uuid import uuid4

import pytest
from airflow.configuration import conf
from airflow.jobs import triggerer_job_runner as triggerer
from airflow.jobs.job import Job
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.trigger import Trigger
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR
from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout
from airflow.sdk.execution_time.comms import PreviousTIResult, TaskStatesResult, XComResult
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState

from airflow_provider.core.canceling import GONE, NO_STATE
from airflow_provider.core.durations import DURATIONS
from airflow_provider.task_instances import task_state
from tests.airflow_facts.real import Patient, RealTask, defer, fail, scheduler, succeed
from tests.simulation.triggerers import HEALTH_THRESHOLD


@pytest.fixture
def deferred() -> RealTask:
    task = RealTask().queue()
    task.run(defer)
    assert task.state == "deferred"
    return task


def resumed(task: RealTask) -> dict[str, Any]:
    """How the next process of the task goes on: with which method and arguments."""
    told: list[Any] = []

    class Operator(type(task.operator)):  # type: ignore[misc]
        def resume_execution(self, next_method: str, next_kwargs: dict[str, Any], context: Any) -> None:
            told.append({"method": next_method, "arguments": next_kwargs})

    task.operator.__class__ = Operator
    task.run()
    assert len(told) == 1
    return told[0]  # type: ignore[no-any-return]


def time_out(task: RealTask) -> None:
    """The scheduler looks for deferrals that have lasted too long."""
    task._change(lambda ti: setattr(ti, "trigger_timeout", datetime.now(UTC) - timedelta(seconds=1)))
    scheduler().check_trigger_timeouts()


def crash(task: RealTask) -> None:
    """The triggerer tells that the trigger has raised."""
    with create_session() as session:
        Trigger.submit_failure(task.trigger_id, RuntimeError("it crashed"), session=session)


def fire(trigger_id: int, event: TriggerEvent) -> None:
    with create_session() as session:
        Trigger.submit_event(trigger_id, event, session=session)


def has_trigger(trigger_id: int) -> bool:
    """Whether triggerers go on with it, after the look that they take each second."""
    Trigger.clean_unused()
    with create_session() as session:
        return session.get(Trigger, trigger_id) is not None


# How a deferral ends


def test_an_event_resumes_the_task_in_the_same_try(deferred: RealTask) -> None:
    before = (deferred.id, deferred.numbers)
    deferred.resume_by_event({"ending": "finished"})
    assert (deferred.state, (deferred.id, deferred.numbers)) == ("queued", before)
    assert resumed(deferred) == {"method": "execute_complete", "arguments": {"event": {"ending": "finished"}}}


def test_a_deferral_that_times_out_resumes_the_task_to_fail(deferred: RealTask) -> None:
    before = (deferred.id, deferred.numbers)
    time_out(deferred)
    assert (deferred.state, (deferred.id, deferred.numbers), deferred.trigger_id) == ("scheduled", before, None)
    deferred.enqueue()
    assert resumed(deferred) == {"method": TRIGGER_FAIL_REPR, "arguments": {"error": "Trigger timeout"}}


def test_a_trigger_that_crashes_resumes_the_task_to_fail_and_tells_its_traceback(deferred: RealTask) -> None:
    before = (deferred.id, deferred.numbers)
    crash(deferred)
    assert (deferred.state, (deferred.id, deferred.numbers), deferred.trigger_id) == ("scheduled", before, None)
    deferred.enqueue()
    told = resumed(deferred)
    assert (told["method"], told["arguments"].pop("error")) == (TRIGGER_FAIL_REPR, "Trigger failure")
    assert "it crashed" in "".join(told["arguments"].pop("traceback"))
    assert told["arguments"] == {}


@pytest.mark.parametrize(("end", "error"), [(time_out, TaskDeferralTimeout), (crash, TaskDeferralError)])
def test_an_operator_that_does_not_handle_that_fails_and_is_retried(
    deferred: RealTask, end: Callable[[RealTask], None], error: type[Exception]
) -> None:
    end(deferred)
    deferred.enqueue()
    assert isinstance(deferred.run(succeed).error, error)
    assert deferred.state == "up_for_retry"


def test_execution_timeout_does_not_end_a_deferral() -> None:
    task = RealTask(execution_timeout=timedelta(milliseconds=200)).queue()
    task.run(defer)
    assert task.trigger_timeout > datetime.now(UTC) + timedelta(minutes=50)


def test_a_success_event_ends_the_task_without_a_worker(deferred: RealTask) -> None:
    before = (deferred.id, deferred.numbers)
    fire(deferred.trigger_id, TaskSuccessEvent())
    assert (deferred.state, (deferred.id, deferred.numbers), deferred.trigger_id) == ("success", before, None)


@pytest.mark.parametrize("act", ["clear", "mark failed", "crash"])
def test_an_event_of_a_task_that_is_not_deferred_any_more_is_ignored(deferred: RealTask, act: str) -> None:
    acts: dict[str, Callable[[], None]] = {
        "clear": deferred.clear,
        "mark failed": lambda: deferred.mark_by_hand(TaskInstanceState.FAILED),
        "crash": lambda: crash(deferred),
    }
    trigger_id = deferred.trigger_id
    acts[act]()
    state = deferred.state
    fire(trigger_id, TriggerEvent("late"))
    assert deferred.state == state
    assert "late" not in str(deferred.next_kwargs)


# Which waits triggerers are told to end


def test_a_mark_takes_the_wait_away_at_once(deferred: RealTask) -> None:
    trigger_id = deferred.trigger_id
    assert has_trigger(trigger_id)
    deferred.mark_by_hand(TaskInstanceState.FAILED)
    assert not has_trigger(trigger_id)


def test_a_clear_takes_the_wait_away_only_when_the_task_is_scheduled_again(deferred: RealTask) -> None:
    trigger_id = deferred.trigger_id
    deferred.clear()
    # In a paused DAG it stays so until somebody lets the DAG go on.
    assert (deferred.state, has_trigger(trigger_id)) == (None, True)
    deferred.schedule()
    assert not has_trigger(trigger_id)


@pytest.mark.parametrize("end", [time_out, crash, lambda task: task.resume_by_event()])
def test_the_end_of_a_deferral_takes_the_wait_away(deferred: RealTask, end: Callable[[RealTask], None]) -> None:
    trigger_id = deferred.trigger_id
    end(deferred)
    assert not has_trigger(trigger_id)


def test_who_deletes_a_run_takes_the_wait_away(deferred: RealTask) -> None:
    trigger_id = deferred.trigger_id
    deferred.delete_run()
    assert not has_trigger(trigger_id)


def test_a_triggerer_without_a_heartbeat_loses_its_waits_after_the_threshold(deferred: RealTask) -> None:
    threshold = conf.getint("triggerer", "triggerer_health_check_threshold")
    assert threshold == HEALTH_THRESHOLD
    assert threshold > DURATIONS.stalled
    stalled, other = triggerer_job(), triggerer_job()
    ask = {"capacity": 1000, "health_check_threshold": threshold}
    Trigger.assign_unassigned(stalled.id, **ask)
    Trigger.assign_unassigned(other.id, **ask)
    assert deferred.trigger_id in Trigger.ids_for_triggerer(stalled.id)
    with create_session() as session:
        session.get(Job, stalled.id).latest_heartbeat = datetime.now(UTC) - timedelta(seconds=threshold + 1)
    Trigger.assign_unassigned(other.id, **ask)
    assert deferred.trigger_id in Trigger.ids_for_triggerer(other.id)
    assert deferred.trigger_id not in Trigger.ids_for_triggerer(stalled.id)


def test_a_triggerer_ends_what_it_runs_and_is_not_its_own_any_more() -> None:
    running = triggerer.TriggerRunnerSupervisor(
        id=uuid4(), pid=1, stdin=None, process=None, process_log=None, capacity=10
    )
    running.running_triggers = {1, 2}
    running.update_triggers({2})
    assert running.cancelling_triggers == {1}


def triggerer_job() -> Job:
    job = Job(job_type="TriggererJob", state="running", latest_heartbeat=datetime.now(UTC))
    with create_session() as session:
        session.add(job)
        session.flush()
        session.expunge(job)
    return job


# How a triggerer ends a wait


class Killed(Patient):
    """Tells when its ``on_kill`` is called, and when that is interrupted."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    async def on_kill(self) -> None:
        self.told.append("killed")
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            self.told.append("interrupted")
            raise


def in_runner(
    end: Callable[[triggerer.TriggerRunner, asyncio.Task[None]], Coroutine[Any, Any, None]],
    timeout_after: datetime | None = None,
) -> list[str]:
    """Run a trigger in a triggerer's loop, end it; what it was told."""
    trigger = Killed()

    async def main() -> None:
        runner = triggerer.TriggerRunner()
        wait = asyncio.create_task(runner.run_trigger(1, trigger, timeout_after=timeout_after))
        runner.triggers[1] = {"task": wait, "is_watcher": False, "name": "wait", "events": 0}
        await asyncio.sleep(0.05)
        await end(runner, wait)
        await asyncio.sleep(0.05)
        wait.cancel()
        await asyncio.wait({wait})

    asyncio.run(main())
    return trigger.told


async def take_away(runner: triggerer.TriggerRunner, wait: asyncio.Task[None]) -> None:
    runner.to_cancel.append(1)
    await runner.cancel_triggers()
    await asyncio.sleep(0.05)


def test_a_wait_that_is_taken_away_is_told_by_on_kill() -> None:
    assert in_runner(take_away)[0] == "killed"


def test_a_triggerer_that_is_shut_down_does_not_call_on_kill() -> None:
    async def shut_down(runner: triggerer.TriggerRunner, wait: asyncio.Task[None]) -> None:
        wait.cancel("EOF - shutting down")

    assert in_runner(shut_down) == []


def test_a_wait_whose_deferral_has_timed_out_is_not_told_by_on_kill() -> None:
    assert in_runner(take_away, timeout_after=datetime.now(UTC) - timedelta(seconds=1)) == []


def test_on_kill_is_interrupted_each_time_that_the_triggerer_looks() -> None:
    # Until the supervisor hears that the wait has ended, it lists it with each answer, about once a second.
    async def take_away_twice(runner: triggerer.TriggerRunner, wait: asyncio.Task[None]) -> None:
        await take_away(runner, wait)
        await take_away(runner, wait)

    assert in_runner(take_away_twice) == ["killed", "interrupted"]


def test_on_kill_has_thirty_seconds() -> None:
    assert triggerer._ON_CANCEL_TIMEOUT == 30 > DURATIONS.trigger_kill_limit


# What Airflow answers about a task


def told_of(task: RealTask, map_index: int = -1) -> str:
    """What our own code learns, in a triggerer."""

    async def ask() -> str:
        where = {"dag_id": task._dag_id, "run_id": task._where["run_id"], "task_id": task._where["task_id"]}
        return await asyncio.to_thread(task_state, **where, map_index=map_index)

    return str(task._in_triggerer(ask))


WAYS: dict[str, Callable[[RealTask], Any]] = {
    "queued": lambda task: None,
    "running": RealTask.begin,
    "deferred": lambda task: task.run(defer),
    "up_for_retry": lambda task: task.run(fail),
    "success": lambda task: task.run(succeed),
    "failed": lambda task: task.mark_by_hand(TaskInstanceState.FAILED),
    "restarting": lambda task: (task.begin(), task.clear()),
    NO_STATE: RealTask.clear,
    GONE: RealTask.delete_run,
}


@pytest.mark.parametrize("state", WAYS)
def test_the_state_of_a_task_is_told_as_a_word(state: str) -> None:
    task = RealTask().queue()
    WAYS[state](task)
    assert told_of(task) == state


def test_a_task_of_a_deleted_dag_is_told_to_be_gone(deferred: RealTask) -> None:
    with create_session() as session:
        session.query(DagRun).filter_by(dag_id=deferred._dag_id).delete()
        session.query(DagModel).filter_by(dag_id=deferred._dag_id).delete()
    assert told_of(deferred) == GONE


def test_each_instance_of_a_mapped_task_is_told_by_itself(deferred: RealTask) -> None:
    def become(map_index: int) -> Callable[[Any], None]:
        return lambda ti: setattr(ti, "map_index", map_index)

    deferred._change(become(1))
    assert [told_of(deferred, map_index) for map_index in (0, 1)] == [GONE, "deferred"]


def test_a_triggerer_can_read_states_and_xcoms_but_no_previous_task_instance() -> None:
    # By the last of these it could have told a try number.
    can_read = get_args(get_args(triggerer.ToTriggerRunner)[0])
    assert {TaskStatesResult, XComResult} <= set(can_read)
    assert PreviousTIResult not in can_read


def test_a_trigger_is_told_whose_it_is(deferred: RealTask) -> None:
    running = triggerer.TriggerRunnerSupervisor(
        id=uuid4(), pid=1, stdin=None, process=None, process_log=None, capacity=10
    )
    (workload,) = running.build_trigger_workloads({deferred.trigger_id})
    ti = workload.ti or SimpleNamespace()
    assert {name: getattr(ti, name, None) for name in deferred._where} == deferred._where
    assert ti.map_index == -1
