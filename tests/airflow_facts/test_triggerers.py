"""Which waits triggerers of Airflow 3.3.2 must end, and how they end them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from airflow.configuration import conf
from airflow.jobs import triggerer_job_runner as triggerer
from airflow.jobs.job import Job
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session

from airflow_provider.core.durations import DURATIONS
from tests.airflow_facts.real import Patient, RealTask
from tests.simulation.triggerers import HEALTH_THRESHOLD


def has_trigger(trigger_id: int) -> bool:
    """Whether triggerers continue with it, after the check that they make each second."""
    Trigger.clean_unused()
    with create_session() as session:
        return session.get(Trigger, trigger_id) is not None


# Which waits triggerers must end


def test_a_mark_takes_the_wait_away_at_once(deferred: RealTask) -> None:
    trigger_id = deferred.trigger_id
    assert has_trigger(trigger_id)
    deferred.mark_failed()
    assert not has_trigger(trigger_id)


def test_a_clear_takes_the_wait_away_only_when_the_task_is_scheduled_again(deferred: RealTask) -> None:
    trigger_id = deferred.trigger_id
    deferred.clear()
    # In a paused DAG it stays so until somebody lets the DAG continue.
    assert (deferred.state, has_trigger(trigger_id)) == (None, True)
    deferred.schedule()
    assert not has_trigger(trigger_id)


@pytest.mark.parametrize("end", [RealTask.time_deferral_out, RealTask.crash_trigger, RealTask.resume_by_event])
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
    """Reports when its ``on_kill`` is called, and when that is interrupted."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []
        self.is_waiting, self.has_noted = asyncio.Event(), asyncio.Event()

    def note(self, what: str) -> None:
        self.noted.append(what)
        self.has_noted.set()

    async def run(self) -> Any:
        self.is_waiting.set()
        async for event in super().run():
            yield event

    async def on_kill(self) -> None:
        self.note("killed")
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            self.note("interrupted")
            raise


class Runner(triggerer.TriggerRunner):
    """A triggerer that runs one wait."""

    def __init__(self, timeout_after: datetime | None = None) -> None:
        super().__init__()
        self.trigger = Killed()
        self.wait = asyncio.create_task(self.run_trigger(1, self.trigger, timeout_after=timeout_after))
        self.triggers[1] = {"task": self.wait, "is_watcher": False, "name": "wait", "events": 0}

    async def take_away(self) -> None:
        """What the triggerer does about once a second until its supervisor learns that the wait has ended."""
        self.to_cancel.append(1)
        self.trigger.has_noted.clear()
        await self.cancel_triggers()
        noted = asyncio.create_task(self.trigger.has_noted.wait())
        await asyncio.wait({noted, self.wait}, return_when=asyncio.FIRST_COMPLETED)


def told_to(end: Callable[[Runner], Coroutine[Any, Any, None]], timeout_after: datetime | None = None) -> list[str]:
    """End a wait that runs in a triggerer; returns what its trigger knew by then."""

    async def main() -> list[str]:
        runner = Runner(timeout_after)
        await asyncio.wait_for(runner.trigger.is_waiting.wait(), 20)
        await asyncio.wait_for(end(runner), 20)
        noted = list(runner.trigger.noted)
        runner.wait.cancel()
        await asyncio.wait({runner.wait})
        return noted

    return asyncio.run(main())


def test_a_wait_that_is_taken_away_learns_it_by_on_kill() -> None:
    assert told_to(Runner.take_away) == ["killed"]


def test_on_kill_is_interrupted_when_the_triggerer_checks_again() -> None:
    async def take_away_twice(runner: Runner) -> None:
        await runner.take_away()
        await runner.take_away()

    assert told_to(take_away_twice) == ["killed", "interrupted"]


def test_a_triggerer_that_is_shut_down_does_not_call_on_kill() -> None:
    async def shut_down(runner: Runner) -> None:
        runner.wait.cancel("EOF - shutting down")
        await asyncio.wait({runner.wait})

    assert told_to(shut_down) == []


def test_a_wait_whose_deferral_has_timed_out_does_not_learn_it_by_on_kill() -> None:
    assert told_to(Runner.take_away, timeout_after=datetime.now(UTC) - timedelta(seconds=1)) == []


def test_on_kill_has_thirty_seconds() -> None:
    assert triggerer._ON_CANCEL_TIMEOUT == 30 > DURATIONS.trigger_kill_limit


def test_a_trigger_knows_its_task_instance(deferred: RealTask) -> None:
    running = triggerer.TriggerRunnerSupervisor(
        id=uuid4(), pid=1, stdin=None, process=None, process_log=None, capacity=10
    )
    (workload,) = running.build_trigger_workloads({deferred.trigger_id})
    ti = workload.ti or SimpleNamespace()
    assert {name: getattr(ti, name, None) for name in deferred.where} == deferred.where
    assert ti.map_index == -1
