"""Start once, stop once, in this process: what each of generation, intent, adoption and the kill guard is there for.

Each promise runs as it is and with its guard taken out, where it must break. Real processes are killed in tests/e2e.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.quay import QuayClient
from airflow_provider.clients.service_stage import ServiceStageClient
from airflow_provider.exceptions import ExecutionCanceled, ServerUnavailableError
from airflow_provider.killing import task_state
from airflow_provider.operators import base
from airflow_provider.operators.base import StartOperator
from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.operators.start_record import KEY, StartRecord
from airflow_provider.triggers import execution
from airflow_provider.triggers.execution import ExecutionTrigger
from tests.attempts import Task, WorkerKilled
from tests.chaos.vendors import ENDED
from tests.operators import test_starting
from tests.operators.test_starting import ARGUMENTS, Starter, started
from tests.systems import Systems


def build_with_a_tag_of_its_own(systems: Systems, **arguments: Any) -> CocktailRunBuildOperator:
    return CocktailRunBuildOperator(build_seq=12, tag_name="{{ ti.max_tries }}", **arguments)


# A tag can be built once only: a task that is cleared needs another one.
COCKTAIL = test_starting.STARTERS["cocktail"]._replace(build=build_with_a_tag_of_its_own)
STARTERS = {**test_starting.STARTERS, "cocktail": COCKTAIL}
EVERY_STARTER = pytest.mark.parametrize("starter", STARTERS.values(), ids=STARTERS)
CLIENTS = (CodeStreamClient, ServiceStageClient, CocktailClient, QuayClient)


class Story:
    """One task of one starter, and what its system has seen since."""

    def __init__(
        self, systems: Systems, starter: Starter, monkeypatch: pytest.MonkeyPatch, *, deferrable: bool, **arguments: Any
    ) -> None:
        self._systems = systems
        self._starter = starter
        self._monkeypatch = monkeypatch
        self._before = systems.executions(starter.system)
        self.task = Task(lambda: starter.build(systems, **ARGUMENTS, deferrable=deferrable, **arguments))

    def executions(self) -> list[dict[str, Any]]:
        return started(self._systems, self._starter, self._before)

    def seen(self) -> dict[str, int]:
        executions = self.executions()
        return {"starts": len(executions), "cancels": sum(len(each["cancels"]) for each in executions)}

    def attempt(self) -> Any:
        return self.task.attempt()

    def attempt_and_die(self, *, remembered: bool) -> None:
        """Attempt in a worker that dies after the start, before or after it has written down what it started."""
        whole = StartOperator._remember

        def dying(*args: Any) -> None:
            if remembered:
                whole(*args)
            raise WorkerKilled

        with self._monkeypatch.context() as patch:
            patch.setattr(StartOperator, "_remember", dying)
            assert isinstance(self.attempt().error, WorkerKilled)

    def attempt_while(self, act: Callable[[], None]) -> None:
        """Attempt in this worker; ``act`` when the task waits for what it started."""
        begun = threading.Event()
        running: list[StartOperator] = []
        whole = StartOperator._remember

        def remember(operator: StartOperator, *args: Any) -> None:
            whole(operator, *args)
            running.append(operator)
            begun.set()

        def watch() -> None:
            if begun.wait(10):
                time.sleep(0.1)
                act()

        def stop() -> None:
            StartOperator.on_kill(running[0])
            # A supervisor waits for five seconds, then it sends SIGKILL.
            raise WorkerKilled

        watcher = threading.Thread(target=watch)
        watcher.start()
        with self._monkeypatch.context() as patch:
            patch.setattr(StartOperator, "_remember", remember)
            patch.setattr(self.task.operator, "on_kill", stop)
            self.attempt()
        watcher.join()


def killed_after_the_start(story: Story) -> None:
    story.attempt_and_die(remembered=True)
    story.attempt()


def killed_before_it_remembered(story: Story) -> None:
    story.attempt_and_die(remembered=False)
    story.attempt()


def cleared_after_success(story: Story) -> None:
    assert story.attempt().state == "success"
    story.task.clear()
    assert story.attempt().state == "success"


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def worker_drained(story: Story) -> None:
    story.attempt_while(terminate)


def scheduler_died(story: Story) -> None:
    def act() -> None:
        # The next scheduler takes away the state of what the dead one ran.
        story.task.mark(None)
        terminate()

    story.attempt_while(act)


def wait_moved_to_another_triggerer(story: Story) -> None:
    trigger = story.task.trigger(story.attempt())
    story.task.kill(trigger)


def ended_while_its_triggerer_stalled(story: Story) -> None:
    trigger = story.task.trigger(story.attempt())
    deadline = time.monotonic() + 10
    while story.executions()[0]["state"] not in ENDED:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    story.task.mark("success")
    story.task.kill(trigger)


def marked(state: str) -> Callable[[Story], None]:
    def while_running(story: Story) -> None:
        def act() -> None:
            story.task.mark(state)
            terminate()

        story.attempt_while(act)

    return while_running


def marked_while_deferred(state: str) -> Callable[[Story], None]:
    def while_deferred(story: Story) -> None:
        trigger = story.task.trigger(story.attempt())
        story.task.mark(state)
        story.task.kill(trigger)

    return while_deferred


def cleared_while_running(story: Story) -> None:
    def act() -> None:
        story.task.clear()
        terminate()

    story.attempt_while(act)


def cleared_while_deferred(story: Story) -> None:
    trigger = story.task.trigger(story.attempt())
    story.task.clear()
    story.task.kill(trigger)


SPEED, SLOW = 20.0, 0.1
ONE_START = {"starts": 1, "cancels": 0}
TWO_STARTS = {"starts": 2, "cancels": 0}
ONE_CANCEL = {"starts": 1, "cancels": 1}
SYNCHRONOUS, DEFERRABLE = False, True


class Promise(NamedTuple):
    """What the system sees when something happens to the task."""

    happens: Callable[[Story], None]
    deferrable: bool
    seen: dict[str, int]


PROMISES = {
    "killed after the start": Promise(killed_after_the_start, SYNCHRONOUS, ONE_START),
    "killed after the start, deferrable": Promise(killed_after_the_start, DEFERRABLE, ONE_START),
    "killed before it remembered": Promise(killed_before_it_remembered, SYNCHRONOUS, ONE_START),
    "killed before it remembered, deferrable": Promise(killed_before_it_remembered, DEFERRABLE, ONE_START),
    "cleared after success": Promise(cleared_after_success, SYNCHRONOUS, TWO_STARTS),
    "worker drained": Promise(worker_drained, SYNCHRONOUS, ONE_START),
    "scheduler died": Promise(scheduler_died, SYNCHRONOUS, ONE_START),
    "wait moved to another triggerer": Promise(wait_moved_to_another_triggerer, DEFERRABLE, ONE_START),
    "ended while its triggerer stalled": Promise(ended_while_its_triggerer_stalled, DEFERRABLE, ONE_START),
    "marked failed while running": Promise(marked("failed"), SYNCHRONOUS, ONE_CANCEL),
    "marked success while running": Promise(marked("success"), SYNCHRONOUS, ONE_CANCEL),
    "cleared while running": Promise(cleared_while_running, SYNCHRONOUS, ONE_CANCEL),
    "marked failed while deferred": Promise(marked_while_deferred("failed"), DEFERRABLE, ONE_CANCEL),
    "marked success while deferred": Promise(marked_while_deferred("success"), DEFERRABLE, ONE_CANCEL),
    "cleared while deferred": Promise(cleared_while_deferred, DEFERRABLE, ONE_CANCEL),
}


@EVERY_STARTER
@pytest.mark.parametrize("promise", PROMISES.values(), ids=PROMISES)
def test_a_promise_about_starts_and_cancels_holds(systems, starter, promise, monkeypatch):
    systems.reset(SLOW if promise.seen == ONE_CANCEL else SPEED)
    story = Story(systems, starter, monkeypatch, deferrable=promise.deferrable)
    promise.happens(story)
    assert story.seen() == promise.seen


def without_generation(patch: pytest.MonkeyPatch) -> None:
    def load(context: Any) -> StartRecord | None:
        stored = context["task_state_store"].get(KEY)
        return StartRecord(**stored) if stored else None

    patch.setattr(StartRecord, "load", load)


def without_intent(patch: pytest.MonkeyPatch) -> None:
    def begin(context: Any, intent: Any) -> StartRecord:
        return StartRecord(generation=context["ti"].max_tries, intent=intent, started=time.time())

    patch.setattr(StartRecord, "begin", begin)


def without_adoption(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(StartOperator, "_find_again", lambda *_: None)


def without_finding(patch: pytest.MonkeyPatch) -> None:
    for client in CLIENTS:
        patch.setattr(client, "find_started", lambda *_: None)


def without_guard_in_the_worker(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(base, "a_person_ended", lambda **_: True)


def without_guard_in_the_triggerer(patch: pytest.MonkeyPatch) -> None:
    async def always(*_: Any) -> bool:
        return True

    patch.setattr(ExecutionTrigger, "_a_person_acted", always)


GUARDS = {
    "generation": (without_generation, "cleared after success"),
    "intent": (without_intent, "killed before it remembered"),
    "intent, deferrable": (without_intent, "killed before it remembered, deferrable"),
    "finding by intent": (without_finding, "killed before it remembered"),
    "adoption": (without_adoption, "killed after the start"),
    "adoption, deferrable": (without_adoption, "killed after the start, deferrable"),
    "kill guard in the worker": (without_guard_in_the_worker, "worker drained"),
    "kill guard in the triggerer": (without_guard_in_the_triggerer, "wait moved to another triggerer"),
}


@pytest.mark.parametrize(("take_out", "promise"), GUARDS.values(), ids=GUARDS)
def test_without_its_guard_the_promise_breaks(systems, take_out, promise, monkeypatch):
    # Only what goes on can be canceled wrongly.
    systems.reset(SLOW if promise in ("worker drained", "wait moved to another triggerer") else SPEED)
    story = Story(systems, STARTERS["code_stream pipeline"], monkeypatch, deferrable=PROMISES[promise].deferrable)
    take_out(monkeypatch)
    PROMISES[promise].happens(story)
    assert story.seen() != PROMISES[promise].seen


@EVERY_STARTER
@pytest.mark.parametrize("deferrable", [SYNCHRONOUS, DEFERRABLE], ids=["running", "deferred"])
def test_a_cancel_that_gets_no_answer_at_first_is_sent_again(systems, starter, deferrable, monkeypatch):
    systems.reset(speed=SLOW)
    story = Story(systems, starter, monkeypatch, deferrable=deferrable)

    def mark_failed_while_the_system_stumbles() -> None:
        for method in ("POST", "PUT", "DELETE"):
            systems.fault(starter.system, "status", method=method, status=502)
        story.task.mark("failed")

    if deferrable:
        trigger = story.task.trigger(story.attempt())
        mark_failed_while_the_system_stumbles()
        story.task.kill(trigger)
    else:
        story.attempt_while(lambda: (mark_failed_while_the_system_stumbles(), terminate()))
    assert story.seen() == ONE_CANCEL


def test_a_person_who_ends_a_deferred_task_while_the_api_server_restarts_is_heard_afterwards(systems, monkeypatch):
    systems.reset(speed=SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], monkeypatch, deferrable=True)
    asked = []

    def away_at_first(**where: Any) -> Any:
        asked.append(where)
        if len(asked) < 3:
            raise ConnectionError("the API server is away")
        return task_state(**where)

    monkeypatch.setattr(execution, "task_state", away_at_first)
    marked_while_deferred("failed")(story)
    assert story.seen() == ONE_CANCEL


@EVERY_STARTER
def test_a_late_kill_of_a_cleared_wait_cancels_what_it_waited_for_and_nothing_newer(systems, starter, monkeypatch):
    systems.reset(speed=SLOW)
    story = Story(systems, starter, monkeypatch, deferrable=True)
    trigger = story.task.trigger(story.attempt())
    story.task.clear()
    with monkeypatch.context() as patch:
        patch.setattr(base, "CLEARED_LIMIT", 0.0)
        story.attempt()
    story.task.kill(trigger)
    first, *newer = sorted(story.executions(), key=lambda each: each["states"][0]["at"])
    assert len(first["cancels"]) == 1
    assert [each["cancels"] for each in newer] == [[]] * len(newer)


@EVERY_STARTER
def test_one_not_found_after_a_start_leads_to_no_second_one(systems, starter, monkeypatch):
    systems.reset(speed=SLOW)
    story = Story(systems, starter, monkeypatch, deferrable=True)
    story.attempt_and_die(remembered=True)
    systems.fault(starter.system, "status", method="GET", path=starter.look, status=404)
    assert story.attempt().state == "deferred"
    assert story.seen() == ONE_START


@EVERY_STARTER
def test_a_task_that_was_told_to_end_starts_nothing_more(systems, starter, monkeypatch):
    story = Story(systems, starter, monkeypatch, deferrable=False)
    systems.fault(starter.system, "status", method="POST", path=starter.start, status=503)
    find = StartOperator._find_started

    def find_and_be_told_to_end(operator: StartOperator, *args: Any, **kwargs: Any) -> Any:
        operator.on_kill()
        return find(operator, *args, **kwargs)

    monkeypatch.setattr(StartOperator, "_find_started", find_and_be_told_to_end)
    assert isinstance(story.attempt().error, ExecutionCanceled)
    assert story.executions() == []


@EVERY_STARTER
@pytest.mark.parametrize("remembered", [True, False])
def test_a_cleared_task_cancels_what_nobody_else_canceled_before_it_starts_anew(
    systems, starter, remembered, monkeypatch
):
    systems.reset(speed=1.0)
    story = Story(systems, starter, monkeypatch, deferrable=True)
    story.attempt_and_die(remembered=remembered)
    story.task.clear()
    assert story.attempt().state == "deferred"
    first, second = sorted(story.executions(), key=lambda each: each["states"][0]["at"])
    assert (len(first["cancels"]), len(second["cancels"])) == (1, 0)
    assert first["states"][-1]["at"] < second["states"][0]["at"]


@pytest.mark.parametrize("name", ["code_stream pipeline", "cocktail"])
def test_what_bears_a_marker_is_found_and_canceled_however_late_its_task_is_cleared(systems, name, monkeypatch):
    begin = StartRecord.begin

    def begun_long_ago(context: Any, intent: Any) -> StartRecord:
        record = begin(context, intent)
        record.started -= 3600
        record.save(context)
        return record

    monkeypatch.setattr(StartRecord, "begin", begun_long_ago)
    systems.reset(speed=1.0)
    story = Story(systems, STARTERS[name], monkeypatch, deferrable=True)
    story.attempt_and_die(remembered=False)
    story.task.clear()
    assert story.attempt().state == "deferred"
    first, second = sorted(story.executions(), key=lambda each: each["states"][0]["at"])
    assert (len(first["cancels"]), len(second["cancels"])) == (1, 0)


@pytest.mark.parametrize(
    ("name", "list_path", "answer"),
    [
        ("code_stream pipeline", "/executions", {"status": 503}),
        ("cocktail", "/build/run", {"status": 503}),
        (
            "cocktail",
            "/build/run",
            {"status": 200, "body": {"status": "error", "code": "CCBDW006000", "message": "no history"}},
        ),
    ],
)
def test_a_cleared_task_starts_nothing_while_what_it_had_started_cannot_be_looked_for(
    systems, name, list_path, answer, monkeypatch
):
    systems.reset(speed=SLOW)
    story = Story(systems, STARTERS[name], monkeypatch, deferrable=True)
    story.attempt_and_die(remembered=False)
    story.task.clear()
    systems.fault(STARTERS[name].system, "status", method="GET", path=list_path, times=100, **answer)
    assert isinstance(story.attempt().error, ServerUnavailableError)
    assert len(story.executions()) == 1


@EVERY_STARTER
def test_what_a_task_started_without_waiting_goes_on_when_the_task_is_cleared(systems, starter, monkeypatch):
    monkeypatch.setattr(base, "CLEARED_GRACE", 0.0)
    monkeypatch.setattr(base, "CLEARED_LIMIT", 2.0)
    systems.reset(speed=SLOW)
    story = Story(systems, starter, monkeypatch, deferrable=False, wait_for_completion=False)
    assert story.attempt().state == "success"
    story.task.clear()
    story.attempt()  # a system that runs one at a time refuses a second one
    assert story.seen()["cancels"] == 0


@EVERY_STARTER
def test_a_person_who_ends_a_task_that_is_about_to_adopt_cancels_what_it_adopts(systems, starter, monkeypatch):
    systems.reset(speed=SLOW)
    story = Story(systems, starter, monkeypatch, deferrable=False)
    story.attempt_and_die(remembered=True)

    def killed_while_looking(operator: StartOperator, *args: Any) -> None:
        story.task.mark("failed")
        operator.on_kill()
        raise WorkerKilled

    monkeypatch.setattr(StartOperator, "_look_again", killed_while_looking)
    story.attempt()
    assert story.seen() == ONE_CANCEL


def test_a_task_that_failed_after_its_wait_had_moved_is_no_persons_doing(systems, monkeypatch):
    monkeypatch.setattr(execution, "UNDECIDED_LIMIT", 0.5)
    systems.reset(speed=SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], monkeypatch, deferrable=True)
    marked_while_deferred("up_for_retry")(story)
    assert story.seen() == ONE_START
