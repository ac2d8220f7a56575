"""Start once, stop once, through real operators in this process. Real processes are killed in tests/e2e.

That each guard of the core is needed shows in tests/simulation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.core.commands import Command, Log, Observe, Publish, Save
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.record import StartRecord
from airflow_provider.exceptions import ConflictError, ExecutionCanceled, ServerUnavailableError
from airflow_provider.operators import start_attempt
from airflow_provider.operators.starting import StartOperator
from airflow_provider.task_instances import task_state
from airflow_provider.triggers import execution
from tests.chaos.vendors import ENDED
from tests.conftest import SPEED
from tests.support.airflow_runs import run_task
from tests.support.attempts import WorkerKilled
from tests.support.meanwhile import meanwhile
from tests.support.patching import patched
from tests.support.story import EVERY_STARTER, SLOW, STARTERS, Story, terminate
from tests.support.until import until


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
    until(lambda: story.executions()[0]["state"], lambda state: state in ENDED)
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
    story.task.clear_while_deferred(story.task.trigger(story.attempt()))


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


ONCE = {
    "killed after the start, deferrable",
    "killed before it remembered, deferrable",
    "worker drained",
    "scheduler died",
    "wait moved to another triggerer",
    "ended while its triggerer stalled",
    "marked success while running",
    "cleared while running",
    "marked success while deferred",
    "cleared while deferred",
}
"""Ask nothing of a system, or what another promise asks: they differ in what the core makes of a state or a mode."""


@pytest.mark.parametrize(
    ("name", "promised"), [(name, each) for each in PROMISES for name in STARTERS if each not in ONCE or name == "quay"]
)
def test_a_promise_about_starts_and_cancels_holds(systems, name, promised):
    starter, promise = STARTERS[name], PROMISES[promised]
    systems.reset(SLOW if promise.seen == ONE_CANCEL else SPEED)
    story = Story(systems, starter, deferrable=promise.deferrable)
    promise.happens(story)
    assert story.seen() == promise.seen


@EVERY_STARTER
@pytest.mark.parametrize("deferrable", [SYNCHRONOUS, DEFERRABLE], ids=["running", "deferred"])
def test_a_cancel_that_gets_no_answer_at_first_is_sent_again(systems, starter, deferrable):
    systems.reset(speed=SLOW)
    story = Story(systems, starter, deferrable=deferrable)

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


def test_a_cancel_of_a_trigger_that_trips_the_client_is_sent_again(systems, mocker):
    systems.reset(speed=SLOW)
    story = Story(systems, STARTERS["cocktail"], deferrable=True)
    trigger = story.task.trigger(story.attempt())
    whole, tried = CocktailClient.cancel, []

    def trip_at_first(*args: Any) -> Any:
        tried.append(args)
        if len(tried) < 3:
            raise OverflowError("the year is out of range")
        return whole(*args)

    mocker.patch.object(CocktailClient, "cancel", trip_at_first)
    story.task.mark("failed")
    story.task.kill(trigger)
    assert (len(tried), story.seen()) == (3, ONE_CANCEL)


def test_why_a_trigger_could_not_cancel_is_never_lost(systems, mocker, capsys):
    systems.reset(speed=SLOW)
    story = Story(systems, STARTERS["cocktail"], deferrable=True)
    trigger = story.task.trigger(story.attempt())

    def trip(*_: Any, **__: Any) -> Any:
        raise LookupError("no judge")

    mocker.patch.object(execution, "judge_trigger_kill", trip)
    story.task.mark("failed")
    story.task.kill(trigger)
    log = capsys.readouterr().out
    assert f"Could not cancel build run {story.executions()[0]['id']}" in log
    assert "LookupError" in log


def test_a_person_who_ends_a_deferred_task_while_the_api_server_restarts_is_respected_afterwards(systems, mocker):
    systems.reset(speed=SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=True)
    asked = []

    def away_at_first(**where: Any) -> Any:
        asked.append(where)
        if len(asked) < 3:
            raise ConnectionError("the API server is away")
        return task_state(**where)

    mocker.patch.object(execution, "task_state", away_at_first)
    marked_while_deferred("failed")(story)
    assert story.seen() == ONE_CANCEL


@EVERY_STARTER
def test_a_late_kill_of_a_cleared_wait_cancels_what_it_waited_for_and_nothing_newer(systems, starter):
    systems.reset(speed=SLOW)
    story = Story(systems, starter, deferrable=True)
    trigger = story.task.trigger(story.attempt())
    story.task.clear()
    with patched(DURATIONS, "cleared_limit", 0.0):
        story.attempt()
    story.task.kill(trigger)
    first, *newer = sorted(story.executions(), key=lambda each: each["states"][0]["at"])
    assert len(first["cancels"]) == 1
    assert [each["cancels"] for each in newer] == [[]] * len(newer)


@EVERY_STARTER
def test_one_not_found_after_a_start_leads_to_no_second_one(systems, starter):
    systems.reset(speed=SLOW)
    story = Story(systems, starter, deferrable=True)
    story.attempt_and_die(remembered=True)
    systems.fault(starter.system, "status", method="GET", path=starter.poll, status=404)
    assert story.attempt().state == "deferred"
    assert story.seen() == ONE_START


@EVERY_STARTER
def test_a_gateway_that_finds_nothing_for_a_while_leads_to_no_second_start(systems, starter, mocker):
    mocker.patch.object(DURATIONS, "gone_after", 0.2)
    mocker.patch.object(DURATIONS, "not_found_pause", 0.1)
    systems.reset(speed=SLOW)
    story = Story(systems, starter, deferrable=True)
    story.attempt_and_die(remembered=True)
    page = {"status": 404, "body": "404 page not found", "times": 8}
    systems.fault(starter.system, "status", method="GET", path=starter.poll, **page)
    assert story.attempt().state == "deferred"
    assert story.seen() == ONE_START


@pytest.mark.parametrize("body", [None, {"message": "no Route matched with those values"}])
@pytest.mark.parametrize("starter", ["code_stream pipeline", "cocktail"])
def test_what_a_gateway_may_have_said_is_gone_only_if_no_list_shows_its_marker(systems, starter, body, mocker):
    mocker.patch.object(DURATIONS, "gone_after", 0.2)
    mocker.patch.object(DURATIONS, "not_found_pause", 0.1)
    systems.reset(speed=SLOW)
    story = Story(systems, STARTERS[starter], deferrable=True)
    story.attempt_and_die(remembered=True)
    path = STARTERS[starter].poll
    systems.fault(STARTERS[starter].system, "status", method="GET", path=path, status=404, body=body, times=8)
    assert story.attempt().state == "deferred"
    assert story.seen() == ONE_START


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_gateway_that_finds_nothing_for_a_while_ends_no_wait(systems, deferrable, mocker):
    mocker.patch.object(DURATIONS, "gone_after", 0.2)
    mocker.patch.object(DURATIONS, "not_found_pause", 0.1)
    systems.reset(speed=SLOW)
    starter = STARTERS["code_stream pipeline"]
    before = systems.executions(starter.system)
    systems.fault(starter.system, "status", method="GET", path=starter.poll, status=404, times=20)

    def finish() -> bool:
        (execution,) = [each for each in systems.executions(starter.system) if each not in before] or [None]
        is_over = len(systems.requests(starter.system, "GET", starter.poll)) > 20
        if execution and is_over:
            systems.force(starter.system, execution["id"], "COMPLETED")
        return bool(execution and is_over)

    with meanwhile(finish):
        ended = run_task(lambda: starter.build(systems, task_id="release", poll_interval=0.1, deferrable=deferrable))
    assert (ended.error, ended.state) == (None, "success")


@pytest.mark.parametrize("body", [None, {"message": "no Route matched with those values"}])
def test_what_a_gateway_does_not_find_is_canceled_before_a_cleared_task_starts_anew(systems, body, mocker):
    mocker.patch.object(DURATIONS, "gone_after", 0.2)
    mocker.patch.object(DURATIONS, "not_found_pause", 0.1)
    systems.reset(speed=SLOW)
    starter = STARTERS["code_stream pipeline"]
    story = Story(systems, starter, deferrable=True)
    story.attempt_and_die(remembered=True)
    story.task.clear()
    systems.fault(starter.system, "status", method="GET", path=starter.poll, status=404, body=body, times=8)
    assert story.attempt().state == "deferred"
    assert story.seen() == {"starts": 2, "cancels": 1}


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_person_who_ends_a_task_while_it_asks_airflow_something_is_respected(systems, deferrable, mocker):
    systems.reset(SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=deferrable)
    is_remembering = threading.Event()
    channel, whole = threading.Lock(), InProcessSupervisorComms.send

    def send(comms: InProcessSupervisorComms, msg: Any) -> Any:
        # As a worker's channel to its supervisor does.
        with channel:
            if is_remembering.is_set():
                is_remembering.clear()
                story.task.mark("failed")
                terminate()
            return whole(comms, msg)

    def has_started(command: Command) -> bool:
        return isinstance(command, Save) and command.record.ref is not None and not story.seen()["cancels"]

    mocker.patch.object(InProcessSupervisorComms, "send", send)
    with story.when(has_started, lambda operator: is_remembering.set()):
        story.attempt()
    assert story.seen() == {"starts": 1, "cancels": 1}


@EVERY_STARTER
def test_a_task_that_got_sigterm_starts_nothing_more(systems, starter):
    story = Story(systems, starter, deferrable=False)
    systems.fault(starter.system, "status", method="POST", path=starter.start, status=503)

    def is_about_to_search(command: Command) -> bool:
        return isinstance(command, Log) and "was lost" in command.lines[0].text

    with story.when(is_about_to_search, lambda operator: operator.on_kill()):
        assert isinstance(story.attempt().error, ExecutionCanceled)
    assert story.executions() == []


def test_a_task_that_gets_sigterm_while_it_asks_airflow_whether_it_is_current_starts_nothing(systems, mocker):
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=False)
    whole = start_attempt.require_standing

    def ask_and_be_drained(context: Any) -> None:
        whole(context)
        context["task"].on_kill()

    mocker.patch.object(start_attempt, "require_standing", ask_and_be_drained)
    assert isinstance(story.attempt().error, ExecutionCanceled)
    assert story.executions() == []


@EVERY_STARTER
def test_a_task_that_was_ended_does_nothing_more_and_remembers_its_cancel(systems, starter):
    systems.reset(speed=SLOW)
    story = Story(systems, starter, deferrable=False)

    def end_it(operator: StartOperator) -> None:
        story.task.mark("failed")
        operator.on_kill()

    with story.when(lambda command: isinstance(command, Publish), end_it):
        assert isinstance(story.attempt().error, ExecutionCanceled)
    until(lambda: story.record["phase"] == "ending", seconds=60)
    assert story.seen() == ONE_CANCEL


def test_who_ends_a_task_whose_start_is_on_its_way_reads_what_may_begin(systems, capsys):
    story = Story(systems, STARTERS["cocktail"], deferrable=False)

    def end_it(operator: StartOperator) -> None:
        story.task.mark("failed")
        operator.on_kill()

    with story.when(lambda command: isinstance(command, Save), end_it):
        assert isinstance(story.attempt().error, ExecutionCanceled)
    logged = capsys.readouterr().out
    assert "The task was ended, and a start of cocktail that got no answer" in logged
    assert "may still take effect" in logged
    assert story.executions() == []


def two(story: Story) -> tuple[dict[str, Any], dict[str, Any]]:
    first, second = sorted(story.executions(), key=lambda each: each["states"][0]["at"])
    return first, second


MARKED = ("code_stream pipeline", "cocktail")


@EVERY_STARTER
def test_a_cleared_task_cancels_what_nobody_else_canceled_before_it_starts_again(systems, starter):
    systems.reset(speed=1.0)
    story = Story(systems, starter, deferrable=True)
    story.attempt_and_die(remembered=True)
    story.task.clear()
    assert story.attempt().state == "deferred"
    first, second = two(story)
    assert (len(first["cancels"]), len(second["cancels"])) == (1, 0)
    assert first["states"][-1]["at"] < second["states"][0]["at"]


@pytest.mark.parametrize("hours", [0, 1])
@pytest.mark.parametrize("name", MARKED)
def test_what_bears_a_marker_is_found_and_canceled_however_late_its_task_is_cleared(systems, name, hours):
    systems.reset(speed=1.0)
    story = Story(systems, STARTERS[name], deferrable=True)
    to_json = StartRecord.to_json

    def written_long_ago(record: StartRecord) -> dict[str, Any]:
        return {**to_json(record), "started": record.started - hours * 3600}

    with patched(StartRecord, "to_json", written_long_ago):
        story.attempt_and_die(remembered=False)
    story.task.clear()
    assert story.attempt().state == "deferred"
    first, second = two(story)
    assert (len(first["cancels"]), len(second["cancels"])) == (1, 0)


@pytest.mark.parametrize("starter", [each for name, each in STARTERS.items() if name not in MARKED])
def test_what_bears_no_marker_is_left_to_a_person_after_a_clear(systems, starter):
    systems.reset(speed=SLOW)
    story = Story(systems, starter, deferrable=True)
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
def test_a_cleared_task_starts_nothing_while_no_search_can_find_what_it_had_started(systems, name, list_path, answer):
    systems.reset(speed=SLOW)
    # For as long as a request may take, the start of the attempt before may still appear.
    systems.connect(request_timeout=3.0)
    story = Story(systems, STARTERS[name], deferrable=True)
    story.attempt_and_die(remembered=False)
    story.task.clear()
    systems.fault(STARTERS[name].system, "status", method="GET", path=list_path, times=100, **answer)
    assert isinstance(story.attempt().error, ServerUnavailableError)
    assert len(story.executions()) == 1


@EVERY_STARTER
def test_what_a_task_started_without_waiting_continues_when_the_task_is_cleared(systems, mocker, starter):
    mocker.patch.object(DURATIONS, "busy_limit", 1.0)
    systems.reset(speed=SLOW)
    story = Story(systems, starter, deferrable=False, wait_for_completion=False)
    assert story.attempt().state == "success"
    story.task.clear()
    story.attempt()  # a system that runs one at a time refuses a second one
    assert story.seen()["cancels"] == 0


@EVERY_STARTER
def test_a_person_who_ends_a_task_that_is_about_to_adopt_cancels_what_it_adopts(systems, starter):
    systems.reset(speed=SLOW)
    story = Story(systems, starter, deferrable=False)
    story.attempt_and_die(remembered=True)

    def kill_it(operator: StartOperator) -> None:
        story.task.mark("failed")
        operator.on_kill()
        raise WorkerKilled

    with story.when(lambda command: isinstance(command, Observe), kill_it):
        story.attempt()
    assert story.seen() == ONE_CANCEL


def test_a_task_that_failed_after_its_wait_had_moved_is_no_persons_doing(systems):
    systems.reset(speed=SLOW)
    story = Story(systems, STARTERS["code_stream pipeline"], deferrable=True)
    marked_while_deferred("up_for_retry")(story)
    assert story.seen() == ONE_START
