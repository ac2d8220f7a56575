"""Is it the same start? A retry goes on with it, a clear is another one, and a start that comes late is no second one.

Which numbers Airflow 3.3.2 counts is held to the real one in tests/airflow_facts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk.api.client import ServerResponseError

from airflow_provider.core.commands import Command, Pause
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.lines import name_of
from airflow_provider.exceptions import ConflictError, ExecutionFailed, ExecutionTimeout, ServerUnavailableError
from airflow_provider.hooks.base import hook_class
from airflow_provider.operators.attempt import AttemptOver
from airflow_provider.operators.code_stream import CodeStreamRunPipelineOperator
from airflow_provider.operators.starting import KEY, StartOperator
from tests.support.endings import FINISHED
from tests.support.story import EVERY_STARTER, SLOW, STARTERS, Story, let_nothing_end_by_itself
from tests.support.systems import Systems
from tests.support.turns import in_turns

PIPELINE = STARTERS["code_stream pipeline"]
ONE_START = {"starts": 1, "cancels": 0}
TWO_STARTS = {"starts": 2, "cancels": 0}
PATIENT = 3.0
"""Seconds that a request may take; how long a start is looked for grows with that."""


# --- which attempts are of one start


@EVERY_STARTER
def test_a_success_that_is_cleared_starts_again_although_retries_were_lowered_by_one(systems, starter):
    """Airflow then counts as many tries as before."""
    story = Story(systems, starter, deferrable=False)
    assert story.attempt().state == "success"
    story.deploy(retries=2)
    story.task.clear()
    assert story.attempt().state == "success"
    assert story.seen() == TWO_STARTS


def cleared_before_airflow_noticed_that_its_worker_had_died(story: Story) -> None:
    story.task.mark("running")
    story.task.clear()


def another_task_was_cleared(story: Story) -> None:
    story.task.clear_beside()


# What happened is for the core to judge; what a system is asked for is the same.
@pytest.mark.parametrize(("name", "is_cleared"), in_turns(STARTERS))
def test_where_airflow_does_not_tell_a_clear_from_a_retry_a_person_is_asked_and_a_clear_is_the_answer(
    systems, name, is_cleared
):
    starter = STARTERS[name]
    happens = cleared_before_airflow_noticed_that_its_worker_had_died if is_cleared else another_task_was_cleared
    let_nothing_end_by_itself(systems)
    story = Story(systems, starter, deferrable=True)
    story.attempt_and_die(remembered=True)
    happens(story)
    for _ in "the next attempt", "its retry":
        error = story.attempt().error
        assert isinstance(error, ConflictError)
        started = name_of({**story.record["ref"], "id": story.executions()[0]["id"]})
        assert f"ambiguous: an earlier attempt started {started}" in str(error)
    assert story.seen() == ONE_START
    story.task.clear()
    assert story.attempt().state == "deferred"
    assert story.cancels() == [1, 0]


def with_another_tag(systems: Systems, **arguments: Any) -> CodeStreamRunPipelineOperator:
    return CodeStreamRunPipelineOperator(pipeline="Deploy shop", project="retail", inputs={"tag": "1.4.3"}, **arguments)


@pytest.mark.parametrize("is_changed", [False, True])
def test_a_retry_with_other_arguments_goes_on_with_what_was_started_and_says_so(systems, is_changed, capsys):
    """Somebody deploys a fix meanwhile, or a template renders to something else."""
    let_nothing_end_by_itself(systems)
    story = Story(systems, PIPELINE, deferrable=True)
    story.attempt_and_die(remembered=True)
    if is_changed:
        story.deploy(starter=PIPELINE._replace(build=with_another_tag))
    assert story.attempt().state == "deferred"
    log = capsys.readouterr().out
    assert ("The arguments of this task have changed since it started execution" in log) is is_changed
    assert story.seen() == ONE_START


# --- a start that takes effect after its time-out


def give_up_on(story: Story) -> None:
    """The start gets no answer in time: a gateway has lost its patience, the request waits behind it."""
    story.systems.connect(request_timeout=PATIENT)
    story.systems.fault(story.starter.system, "status", method="POST", path=story.starter.start, status=504)
    error = story.attempt().error
    assert isinstance(error, ServerUnavailableError)
    assert "may exist or still begin" in str(error)


def take_effect(story: Story, intent: dict[str, Any]) -> str:
    """The request of a start arrives at last; returns the id of what it starts."""
    with hook_class(story.starter.system)(story.task.operator.conn_id).get_conn() as client:
        return str(story.task.operator.start(client, intent).id)


@EVERY_STARTER
def test_a_start_that_timed_out_is_sent_once_by_an_attempt_and_adopted_by_the_next_when_it_comes_late(systems, starter):
    systems.reset(SLOW)
    story = Story(systems, starter, deferrable=True)
    give_up_on(story)
    assert story.starts_sent() == 1
    late = take_effect(story, story.record["intent"])
    sent = story.starts_sent()
    assert story.attempt().state == "deferred"
    assert story.record["ref"]["id"] == late
    assert (story.starts_sent(), story.seen()) == (sent, ONE_START)


def waits(command: Command) -> bool:
    return isinstance(command, Pause)


def once(act: Callable[[], Any]) -> Callable[[StartOperator], None]:
    """Do it the first time that a worker comes to where it happens."""
    left = [act]

    def first(operator: StartOperator) -> None:
        if left:
            left.pop()()

    return first


@EVERY_STARTER
def test_the_next_attempt_searches_as_long_as_a_request_may_take_before_it_sends_another(systems, starter, mocker):
    systems.reset(SLOW)
    mocker.patch.object(DURATIONS, "settling", 0.0)
    story = Story(systems, starter, deferrable=True)
    give_up_on(story)
    late: list[str] = []
    with story.when(waits, once(lambda: late.append(take_effect(story, story.record["intent"])))):
        assert story.attempt().state == "deferred"
    assert (late, story.seen()) == ([story.record["ref"]["id"]], ONE_START)


def finish(story: Story, deferred: Any) -> Any:
    """What the task waits for ends well, and the triggerer tells."""
    trigger = story.task.trigger(deferred)
    story.systems.force(story.starter.system, story.record["ref"]["id"], FINISHED[story.starter.system])
    return story.task.resume(story.task.fire(trigger))


def retried(story: Story) -> None:
    """The next attempt is an automatic retry."""


def cleared(story: Story) -> None:
    story.task.clear()


RETRIED_OR_CLEARED = pytest.mark.parametrize("becomes", [retried, cleared])


@RETRIED_OR_CLEARED
def test_a_start_that_comes_beside_the_one_sent_after_it_is_ended_and_named(systems, becomes, capsys):
    let_nothing_end_by_itself(systems)
    story = Story(systems, PIPELINE, deferrable=True)
    give_up_on(story)
    given_up = story.record["intent"]
    becomes(story)
    deferred = story.attempt()
    ours, late = story.record["ref"]["id"], take_effect(story, given_up)
    assert finish(story, deferred).state == "success"
    assert [(each["id"], len(each["cancels"])) for each in story.executions()] == [(ours, 0), (late, 1)]
    assert f"{late} came late from a start of this task: canceling it, and keeping {ours}" in capsys.readouterr().out


@RETRIED_OR_CLEARED
def test_a_start_that_comes_beside_the_one_sent_after_it_is_ended_at_the_deadline_too(systems, becomes):
    let_nothing_end_by_itself(systems)
    story = Story(systems, PIPELINE, deferrable=True, timeout=5.0)
    give_up_on(story)
    given_up = story.record["intent"]
    becomes(story)
    trigger = story.task.trigger(story.attempt())
    take_effect(story, given_up)
    assert isinstance(story.task.resume(story.task.fire(trigger)).error, ExecutionTimeout)
    assert story.cancels() == [1, 1]


def test_of_two_that_one_marker_shows_the_next_attempt_follows_one_and_ends_the_other(systems, capsys):
    let_nothing_end_by_itself(systems)
    story = Story(systems, PIPELINE, deferrable=True)
    give_up_on(story)
    story.attempt_and_die(remembered=False)
    take_effect(story, story.record["intent"])
    assert story.attempt().state == "deferred"
    followed = story.record["ref"]["id"]
    (other,) = [each["id"] for each in story.executions() if each["id"] != followed]
    assert {each["id"]: len(each["cancels"]) for each in story.executions()} == {followed: 0, other: 1}
    assert (
        f"{other} came late from a start of this task: canceling it, and keeping {followed}" in capsys.readouterr().out
    )


def test_a_start_that_came_late_ends_before_a_cleared_task_starts_again(systems):
    let_nothing_end_by_itself(systems)
    story = Story(systems, PIPELINE, deferrable=True)
    give_up_on(story)
    take_effect(story, story.record["intent"])
    story.task.clear()
    assert story.attempt().state == "deferred"
    assert story.cancels() == [1, 0]
    first, second = story.executions()
    assert first["states"][-1]["at"] < second["states"][0]["at"]


@RETRIED_OR_CLEARED
def test_nothing_is_started_beside_a_late_start_that_cannot_be_canceled(systems, becomes):
    let_nothing_end_by_itself(systems)
    story = Story(systems, PIPELINE, deferrable=True)
    give_up_on(story)
    given_up = story.record["intent"]
    becomes(story)
    trigger = story.task.trigger(story.attempt())
    late = take_effect(story, given_up)
    systems.force("code_stream", story.record["ref"]["id"], "FAILED")
    systems.fault("code_stream", "status", method="POST", path=late, status=403, times=1000)
    assert isinstance(story.task.resume(story.task.fire(trigger)).error, ExecutionFailed)
    # What was sent without an answer is the failed start's own; that of a cleared one is remembered over it.
    for _ in "the next attempt", "its retry":
        error = story.attempt().error
        assert isinstance(error, ConflictError)
        assert late in str(error)
        assert "could not be canceled. Nothing else was started" in str(error)
    assert len(story.executions()) == 2
    systems.clear_faults()
    assert story.attempt().state == "deferred"
    assert story.cancels() == [0, 1, 0]


def test_a_person_who_is_asked_about_a_late_start_answers_with_a_clear(systems):
    let_nothing_end_by_itself(systems)
    story = Story(systems, PIPELINE, deferrable=True)
    give_up_on(story)
    given_up = story.record["intent"]
    story.task.clear()
    trigger = story.task.trigger(story.attempt())
    late = take_effect(story, given_up)
    systems.force("code_stream", story.record["ref"]["id"], "FAILED")
    systems.fault("code_stream", "status", method="POST", path=late, status=403, times=1000)
    assert isinstance(story.task.resume(story.task.fire(trigger)).error, ExecutionFailed)
    assert isinstance(story.attempt().error, ConflictError)
    story.task.clear()
    assert story.attempt().state == "deferred"
    assert len(story.executions()) == 3


def test_nothing_is_started_while_late_starts_cannot_be_searched_for(systems):
    let_nothing_end_by_itself(systems)
    story = Story(systems, PIPELINE, deferrable=True)
    give_up_on(story)
    story.task.clear()
    trigger = story.task.trigger(story.attempt())
    systems.force("code_stream", story.record["ref"]["id"], "FAILED")
    assert isinstance(story.task.resume(story.task.fire(trigger)).error, ExecutionFailed)
    systems.fault("code_stream", "status", method="GET", path="/executions", status=503, times=1000)
    assert isinstance(story.attempt().error, ServerUnavailableError)
    assert len(story.executions()) == 1
    systems.clear_faults()
    assert story.attempt().state == "deferred"


@pytest.mark.parametrize(("name", "becomes"), [("service_stage", retried), ("quay", cleared)])
def test_where_no_marker_could_tell_a_late_start_the_log_asks_a_person_to_look_for_it(systems, name, becomes, capsys):
    systems.reset(SLOW)
    story = Story(systems, STARTERS[name], deferrable=True)
    give_up_on(story)
    becomes(story)
    capsys.readouterr()
    assert story.attempt().state == "deferred"
    assert "If the first one begins after all, cancel it manually" in capsys.readouterr().out


# --- an attempt that Airflow has given up


def marked_failed(story: Story) -> None:
    story.task.mark("failed")


def cleared_and_begun_anew(story: Story) -> None:
    story.task.clear()
    story.task.begin_another_attempt()


OVER: list[tuple[str, Callable[[Story], None]]] = [
    *((name, marked_failed) for name in STARTERS),
    ("quay", cleared),
    ("cocktail", cleared_and_begun_anew),
]


@pytest.mark.parametrize(("name", "ends"), OVER)
def test_a_start_that_is_held_back_is_not_sent_once_its_attempt_is_over(systems, name, ends: Callable[[Story], None]):
    starter = STARTERS[name]
    systems.reset(SLOW)
    story = Story(systems, starter, deferrable=True)
    busy = {"status": 429, "headers": {"Retry-After": "1"}}
    systems.fault(starter.system, "status", method="POST", path=starter.start, **busy)
    with story.when(waits, once(lambda: ends(story))):
        error = story.attempt().error
    # What a supervisor answers to an attempt that was cleared is an exception of its own where it shares the process.
    assert isinstance(error, (AttemptOver, ServerResponseError))
    assert (story.starts_sent(), story.executions()) == (1, [])


# --- what other versions have written, and what Airflow forgets


def as_the_first_version(record: dict[str, Any]) -> dict[str, Any]:
    kept = {name: record[name] for name in ("intent", "started", "ref", "crashes")}
    return {**kept, "generation": record["attempt"][1]}


def with_a_field_more(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, "version": 3, "colour": "green"}


@pytest.mark.parametrize(("name", "is_newer"), in_turns(STARTERS))
def test_a_start_of_another_version_of_the_provider_is_adopted(systems, name, is_newer):
    starter, written = STARTERS[name], with_a_field_more if is_newer else as_the_first_version
    systems.reset(SLOW)
    story = Story(systems, starter, deferrable=True)
    story.attempt_and_die(remembered=True)
    story.task.store(KEY, written(story.record))
    assert story.attempt().state == "deferred"
    assert story.seen() == ONE_START


@RETRIED_OR_CLEARED
def test_what_a_newer_version_has_written_otherwise_is_left_alone_and_starts_nothing(systems, becomes):
    systems.reset(SLOW)
    story = Story(systems, PIPELINE, deferrable=True)
    story.attempt_and_die(remembered=True)
    story.task.store(KEY, {**story.record, "version": 3, "phase": "resting"})
    becomes(story)
    error = story.attempt().error
    assert isinstance(error, ConflictError)
    assert "a newer version of this provider may have written it" in str(error)
    assert story.seen() == ONE_START


@EVERY_STARTER
def test_a_start_is_remembered_for_as_long_as_it_takes(systems, starter):
    """Airflow may forget what has another retention after 30 days."""
    systems.reset(SLOW)
    story = Story(systems, starter, deferrable=True)
    deferred = story.attempt()
    assert story.task.stored(KEY)[1] is None
    assert finish(story, deferred).state == "success"
    assert story.task.stored(KEY)[1] is not None
