"""How a task's process ends in Airflow 3.3.2: asked to, killed, missed, refused; and which states people leave."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.configuration import conf
from airflow.executors.local_executor import _run_worker
from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError, AirflowTaskTimeout, ErrorType
from airflow.sdk.execution_time import supervisor, task_runner
from airflow.sdk.execution_time.comms import ErrorResponse
from pytest_mock import MockerFixture

from airflow_provider.core.durations import DURATIONS
from airflow_provider.task_instances import task_state
from tests.airflow_facts.processes import Notes
from tests.airflow_facts.real import RealTask, Scripted, defer
from tests.simulation import airflow as simulated
from tests.simulation.workers import SIGKILL_AFTER
from tests.support.until import until


@pytest.fixture
def fast_heartbeats(mocker: MockerFixture) -> None:
    mocker.patch.object(supervisor, "MIN_HEARTBEAT_INTERVAL", 0.1)


def where(task: RealTask) -> dict[str, Any]:
    ti = task.identity()
    return {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}


def note_state_and_end(task: RealTask, notes: Notes) -> Callable[[], None]:
    """An ``on_kill`` that reports what Airflow answers about the task."""
    identity = where(task)

    def killed() -> None:
        notes.write(task_state(**identity))
        raise SystemExit(1)

    return killed


def work_on(notes: Notes) -> Callable[[Any, Any], None]:
    def script(operator: Any, context: Any) -> None:
        notes.write("working")
        time.sleep(60)

    return script


# What ends an attempt, and what is left


def test_a_failure_is_retried_while_try_number_is_at_most_max_tries() -> None:
    task = RealTask(retries=1).queue()
    assert task.begin().should_retry
    task.process_ended(is_clean=False)
    assert not task.queue().begin().should_retry


def test_without_max_tries_a_failure_is_not_retried() -> None:
    assert not RealTask(retries=0).queue().begin().should_retry


def test_airflow_fail_exception_ends_a_task_although_it_has_tries_left() -> None:
    def give_up(operator: Any, context: Any) -> None:
        raise AirflowFailException("no")

    task = RealTask(retries=3).queue()
    task.run(give_up)
    assert (task.state, task.numbers) == ("failed", (1, 3))


def test_an_error_of_airflows_own_is_retried_as_any_other() -> None:
    def be_refused(operator: Any, context: Any) -> None:
        raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))

    task = RealTask(retries=3).queue()
    task.run(be_refused)
    assert task.state == "up_for_retry"


@pytest.mark.parametrize(("retries", "state", "keeps_id"), [(1, "up_for_retry", False), (0, "failed", True)])
def test_a_missed_heartbeat_leaves_up_for_retry_and_on_the_last_try_failed(
    retries: int, state: str, keeps_id: bool
) -> None:
    task = RealTask(retries=retries).queue()
    task.begin()
    before = task.id
    task.miss_heartbeats()
    assert (task.state, task.id == before, task.numbers) == (state, keeps_id, (1, retries))


@pytest.mark.parametrize(("retries", "state", "keeps_id"), [(1, "up_for_retry", False), (0, "failed", True)])
def test_a_killed_process_leaves_up_for_retry_and_on_the_last_try_failed(
    retries: int, state: str, keeps_id: bool, notes: Notes
) -> None:
    task = RealTask(retries=retries).queue()
    before = task.id
    worker = task.supervise(work_on(notes))
    until(notes.read)
    os.kill(worker.pid, signal.SIGKILL)
    is_clean = task.wait(worker)
    task.process_ended(is_clean=is_clean)
    assert (task.state, task.id == before) == (state, keeps_id)


def test_a_process_killed_with_tries_left_is_reported_by_the_executor_only(notes: Notes) -> None:
    task = RealTask(retries=1).queue()
    worker = task.supervise(work_on(notes))
    until(notes.read)
    os.kill(worker.pid, signal.SIGKILL)
    assert task.wait(worker)
    assert task.state == "running"


@pytest.mark.parametrize(("retries", "state", "max_tries"), [(1, None, 2), (0, "up_for_retry", 0)])
def test_a_cleared_process_that_is_killed_before_it_knows_sets_max_tries_unless_it_was_the_last_try(
    retries: int, state: str | None, max_tries: int, notes: Notes
) -> None:
    task = RealTask(retries=retries).queue()
    worker = task.supervise(work_on(notes))

    def clear_and_kill() -> None:
        task.clear()
        os.kill(worker.pid, signal.SIGKILL)

    until(notes.read)
    task.process_ended(is_clean=task.wait(worker, clear_and_kill))
    assert (task.state, task.max_tries) == (state, max_tries)


def test_a_mapped_task_has_no_on_kill_before_its_templates_are_rendered() -> None:
    with DAG("mapped", schedule=None):
        mapped = Scripted.partial(task_id="mapped").expand(doc=["a", "b"])
    # What a process that is asked to end calls; rendering puts the unmapped operator there.
    assert "ti.task.on_kill()" in inspect.getsource(task_runner._run_task_and_map_outcome)
    assert not hasattr(mapped, "on_kill")
    assert callable(mapped.unmap({"doc": "a"}).on_kill)


def test_a_worker_can_put_a_required_action_but_only_a_triggerer_can_close_it() -> None:
    """So one that a person ends while it is about to ask leaves its question without an answer."""
    asked, closed = "isinstance(msg, CreateHITLDetailPayload)", "isinstance(msg, UpdateHITLDetail)"
    by_worker = inspect.getsource(supervisor.ActivitySubprocess._handle_request)
    by_triggerer = inspect.getsource(TriggerRunnerSupervisor._handle_request)
    assert (asked in by_worker, closed in by_worker) == (True, False)
    assert (asked in by_triggerer, closed in by_triggerer) == (False, True)


def test_a_failure_of_a_queued_task_keeps_its_id_and_makes_a_resumed_one_begin_again() -> None:
    task = RealTask().queue()
    task.run(defer)
    task.resume_by_event()
    before = task.id
    task.process_ended(is_clean=False)
    assert (task.state, task.id, task.next_method) == ("up_for_retry", before, None)


def test_an_executor_reports_a_success_unless_the_supervisor_raises(mocker: MockerFixture) -> None:
    class Workload:
        key, running_state, success_state, failure_state, display_name = "key", None, "success", "failed", "task"

    reported: list[Any] = []

    def run_two(*results: Callable[[], int]) -> list[Any]:
        workloads, answers = iter([*[Workload] * len(results), None]), iter(results)
        queue = type("Queue", (), {"get": lambda self: next(workloads), "put": lambda _, it: reported.append(it[1])})()
        unread = type("Unread", (), {"value": 9, "__enter__": lambda self: 0, "__exit__": lambda *_: None})()
        team = type("Conf", (), {"team_name": None, "get": lambda *_, **__: "http://127.0.0.1"})()
        mocker.patch("airflow.executors.base_executor.BaseExecutor.run_workload", lambda *_, **__: next(answers)())
        before = signal.getsignal(signal.SIGINT)
        try:
            _run_worker("test", queue, queue, unread, team)
        finally:
            signal.signal(signal.SIGINT, before)
        return reported

    def refused() -> int:
        raise ValueError

    assert run_two(lambda: 0, lambda: -9, refused) == ["success", "success", "failed"]


# How a process is asked to end


@pytest.mark.usefixtures("fast_heartbeats")
@pytest.mark.parametrize(
    ("act", "seen", "left"),
    [
        (RealTask.clear, "restarting", None),
        (RealTask.mark_success, "success", "success"),
        (RealTask.mark_failed, "failed", "failed"),
        (RealTask.fail_run, "failed", "failed"),
    ],
    ids=["clear", "mark success", "mark failed", "fail the run"],
)
def test_a_worker_learns_of_a_persons_act_at_its_heartbeat_and_its_end_counts_as_a_success(
    act: Callable[[RealTask], None], seen: str, left: str | None, notes: Notes
) -> None:
    task = RealTask().queue()
    task.operator.killed = note_state_and_end(task, notes)  # type: ignore[method-assign]
    worker = task.supervise(work_on(notes))
    until(notes.read)
    act(task)
    assert task.wait(worker)
    assert notes.read() == ["working", seen]
    task.process_ended(is_clean=True)
    assert task.state == left


@pytest.mark.usefixtures("fast_heartbeats")
def test_after_on_kill_the_interrupted_code_continues_until_sigkill(notes: Notes) -> None:
    def go_on(operator: Any, context: Any) -> None:
        for _ in range(600):
            notes.write("working")
            time.sleep(0.1)

    task = RealTask().queue()
    task.operator.killed = lambda: notes.write("killed")  # type: ignore[method-assign]
    worker = task.supervise(go_on)
    until(notes.read)
    task.clear()
    begun = time.monotonic()
    assert task.wait(worker)
    assert SIGKILL_AFTER - 0.5 < time.monotonic() - begun < SIGKILL_AFTER + 20
    said = notes.read()
    assert "working" in said[said.index("killed") :]
    task.process_ended(is_clean=True)
    assert task.state is None


@pytest.mark.usefixtures("fast_heartbeats")
def test_a_supervisor_passes_sigterm_on_while_the_task_is_still_running(notes: Notes) -> None:
    task = RealTask().queue()
    task.operator.killed = note_state_and_end(task, notes)  # type: ignore[method-assign]
    worker = task.supervise(work_on(notes))

    def drain() -> None:
        until(notes.read)
        os.kill(os.getpid(), signal.SIGTERM)

    task.wait(worker, drain)
    assert notes.read() == ["working", "running"]


@pytest.mark.usefixtures("fast_heartbeats")
def test_three_failed_heartbeats_end_a_worker(notes: Notes, mocker: MockerFixture) -> None:
    def killed() -> None:
        notes.write("killed")
        raise SystemExit(1)

    beats: list[int] = []

    def unreachable(*_: Any, **__: Any) -> None:
        beats.append(1)
        raise OSError("connection refused")

    task = RealTask().queue()
    task.operator.killed = killed  # type: ignore[method-assign]
    worker = task.supervise(work_on(notes))
    until(notes.read)
    mocker.patch("airflow.sdk.api.client.TaskInstanceOperations.heartbeat", unreachable)
    task.wait(worker)
    assert notes.read() == ["working", "killed"]
    assert len(beats) == 3


def test_execution_timeout_calls_on_kill_while_its_exception_is_handled_and_leads_to_a_retry() -> None:
    seen: list[BaseException | None] = []
    task = RealTask(execution_timeout=timedelta(seconds=0.3)).queue()
    task.operator.killed = lambda: seen.append(sys.exception())  # type: ignore[method-assign]
    task.run(lambda operator, context: time.sleep(30))
    assert [type(each) for each in seen] == [AirflowTaskTimeout]
    assert task.state == "up_for_retry"


def test_sigterm_calls_on_kill_outside_any_exception() -> None:
    seen: list[BaseException | None] = []
    task = RealTask().queue()
    task.operator.killed = lambda: seen.append(sys.exception())  # type: ignore[method-assign]
    task.run(lambda operator, context: os.kill(os.getpid(), signal.SIGTERM))
    assert seen == [None]
    assert task.state == "success"


# Durations


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (simulated.HEARTBEAT, conf.getfloat("workers", "min_heartbeat_interval")),
        (simulated.HEARTBEAT_TIMEOUT, conf.getfloat("scheduler", "task_instance_heartbeat_timeout")),
        (
            simulated.DETECTION,
            conf.getfloat("scheduler", "task_instance_heartbeat_timeout_detection_interval"),
        ),
        (
            SIGKILL_AFTER,
            inspect.signature(supervisor.WatchedSubprocess.kill).parameters["escalation_delay"].default,
        ),
        (3, conf.getint("workers", "max_failed_heartbeats")),
    ],
    ids=["heartbeat", "heartbeat time-out", "detection", "SIGKILL", "failed heartbeats"],
)
def test_the_simulated_durations_are_airflows_defaults(ours: float, theirs: float) -> None:
    assert ours == theirs


def test_our_limits_fit_into_airflows() -> None:
    assert DURATIONS.worker_kill_limit < SIGKILL_AFTER
    assert DURATIONS.answer_limit < SIGKILL_AFTER
    assert DURATIONS.frozen < simulated.HEARTBEAT_TIMEOUT
