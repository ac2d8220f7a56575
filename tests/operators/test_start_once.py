"""Start once, stop once, through real operators in this process. Real processes are killed in tests/e2e.

That each guard of the core is needed shows in tests/simulation.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from airflow_provider.core.commands import Command, Observe, Pause, Publish, Save, Tell
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.record import StartRecord
from airflow_provider.exceptions import ConflictError, ExecutionCanceled, ServerUnavailableError
from airflow_provider.operators.carrying_out import Carrier
from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.operators.starting import StartOperator
from airflow_provider.task_instances import task_state
from airflow_provider.triggers import execution
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

        def dies(command: Command) -> bool:
            is_start_saved = isinstance(command, Save) and command.record.ref is not None
            return isinstance(command, Publish) if remembered else is_start_saved

        def die(*_: Any) -> None:
            raise WorkerKilled

        with self.when(dies, die):
            assert isinstance(self.attempt().error, WorkerKilled)

    def attempt_while(self, act: Callable[[], None]) -> None:
        """Attempt in this worker; ``act`` when the task waits for what it started."""
        begun = threading.Event()
        running: list[StartOperator] = []

        def begin(operator: StartOperator) -> None:
            running.append(operator)
            begun.set()

        def watch() -> None:
            if begun.wait(60):
                time.sleep(0.1)
                act()

        def stop() -> None:
            StartOperator.on_kill(running[0])
            # A supervisor waits for five seconds, then it sends SIGKILL.
            raise WorkerKilled

        watcher = threading.Thread(target=watch)
        watcher.start()
        with self.when(lambda command: isinstance(command, Pause), begin), self._monkeypatch.context() as patch:
            patch.setattr(self.task.operator, "on_kill", stop)
            self.attempt()
        watcher.join()

    @contextmanager
    def when(self, is_it: Callable[[Command], bool], act: Callable[[StartOperator], None]) -> Iterator[None]:
        """Do something just before a worker carries out such a command of the core."""
        whole = Carrier.perform

        def perform(carrier: Carrier, command: Any) -> Any:
            if is_it(command):
                act(carrier.operator)
            return whole(carrier, command)

        with self._monkeypatch.context() as patch:
            patch.setattr(Carrier, "perform", perform)
            yield


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
        patch.setattr(DURATIONS, "cleared_limit", 0.0)
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

    def is_about_to_search(command: Command) -> bool:
        return isinstance(command, Tell) and "not known" in command.news[0].text

    with story.when(is_about_to_search, lambda operator: operator.on_kill()):
        assert isinstance(story.attempt().error, ExecutionCanceled)
    assert story.executions() == []


def two(story: Story) -> tuple[dict[str, Any], dict[str, Any]]:
    first, second = sorted(story.executions(), key=lambda each: each["states"][0]["at"])
    return first, second


MARKED = ("code_stream pipeline", "cocktail")


@EVERY_STARTER
def test_a_cleared_task_cancels_what_nobody_else_canceled_before_it_starts_anew(systems, starter, monkeypatch):
    systems.reset(speed=1.0)
    story = Story(systems, starter, monkeypatch, deferrable=True)
    story.attempt_and_die(remembered=True)
    story.task.clear()
    assert story.attempt().state == "deferred"
    first, second = two(story)
    assert (len(first["cancels"]), len(second["cancels"])) == (1, 0)
    assert first["states"][-1]["at"] < second["states"][0]["at"]


@pytest.mark.parametrize("hours", [0, 1])
@pytest.mark.parametrize("name", MARKED)
def test_what_bears_a_marker_is_found_and_canceled_however_late_its_task_is_cleared(systems, name, hours, monkeypatch):
    systems.reset(speed=1.0)
    story = Story(systems, STARTERS[name], monkeypatch, deferrable=True)
    to_json = StartRecord.to_json

    def written_long_ago(record: StartRecord) -> dict[str, Any]:
        return {**to_json(record), "started": record.started - hours * 3600}

    with monkeypatch.context() as patch:
        patch.setattr(StartRecord, "to_json", written_long_ago)
        story.attempt_and_die(remembered=False)
    story.task.clear()
    assert story.attempt().state == "deferred"
    first, second = two(story)
    assert (len(first["cancels"]), len(second["cancels"])) == (1, 0)


@pytest.mark.parametrize("starter", [each for name, each in STARTERS.items() if name not in MARKED])
def test_what_bears_no_marker_is_left_to_a_person_after_a_clear(systems, starter, monkeypatch):
    systems.reset(speed=SLOW)
    story = Story(systems, starter, monkeypatch, deferrable=True)
    story.attempt_and_die(remembered=False)
    story.task.clear()
    ended = story.attempt()
    assert isinstance(ended.error, ConflictError)
    (execution,) = story.executions()
    assert execution["id"] in str(ended.error)
    assert execution["cancels"] == []


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

    def kill_it(operator: StartOperator) -> None:
        story.task.mark("failed")
        operator.on_kill()
        raise WorkerKilled

    with story.when(lambda command: isinstance(command, Observe), kill_it):
        story.attempt()
    assert story.seen() == ONE_CANCEL


def test_a_task_that_failed_after_its_wait_had_moved_is_no_persons_doing(systems, monkeypatch):
    systems.reset(speed=SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], monkeypatch, deferrable=True)
    marked_while_deferred("up_for_retry")(story)
    assert story.seen() == ONE_START
