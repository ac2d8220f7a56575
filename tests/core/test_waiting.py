"""The decisions of a wait: when it is over, how long it pauses, what it tells."""

from __future__ import annotations

import pytest
from pytest_mock import MockerFixture

from airflow_provider import exceptions
from airflow_provider.core import lines
from airflow_provider.core import waiting as core_waiting
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.lines import warning
from airflow_provider.core.waiting import (
    MOST_CHANGES,
    MOST_STEPS,
    MOST_UNKNOWN,
    Begun,
    Ending,
    Outcome,
    Pace,
    Wait,
    result_of,
)
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    Call,
    ConflictError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionState, Step

QUEUED, RUNNING, SUCCEEDED = ExecutionState.QUEUED, ExecutionState.RUNNING, ExecutionState.SUCCEEDED
REF = {"system": "cocktail", "kind": "build_run", "id": "7"}
START = 1_000_000.0


def seen(state: str, status: str = "", **details) -> Execution:
    return Execution(REF, ExecutionState(state), status or state.upper(), **details)


def wait(**details) -> Wait:
    return Wait(REF, 10.0, **details)


@pytest.mark.parametrize(
    ("state", "ending"),
    [
        ("queued", None),
        ("running", None),
        ("waiting", None),
        ("paused", None),
        ("unknown", None),
        ("succeeded", Ending.FINISHED),
        ("failed", Ending.FINISHED),
        ("canceled", Ending.FINISHED),
    ],
)
def test_only_a_terminal_state_ends_a_wait(state, ending):
    outcome = wait().update(seen(state), START)
    assert (outcome.ending if outcome else None) == ending


@pytest.mark.parametrize("state", ["waiting", "paused"])
def test_waiting_for_a_person_ends_a_wait_that_was_told_so(state):
    outcome = wait(fail_on_waiting=True).update(seen(state), START)
    assert outcome.ending is Ending.NEEDS_PERSON


@pytest.mark.parametrize(
    "error", [ServerUnavailableError, ThrottledError, UnexpectedResponseError, AuthenticationError]
)
def test_polls_may_fail_until_the_error_budget_is_spent(error):
    waiting = wait()
    assert waiting.update(seen("running"), START) is None
    assert waiting.update(error("down"), START + 10) is None
    assert waiting.update(error("down"), START + 9 + DURATIONS.error_budget) is None
    assert waiting.update(error("down"), START + 10 + DURATIONS.error_budget).ending is Ending.LOST


def test_one_poll_that_succeeds_renews_the_error_budget():
    waiting = wait()
    for moment in range(0, int(3 * DURATIONS.error_budget), 600):
        assert waiting.update(ServerUnavailableError("down"), START + moment) is None
        assert waiting.update(seen("running"), START + moment + 1) is None


def test_a_poll_error_is_never_reported_as_a_failed_execution():
    waiting = wait()
    waiting.update(ServerUnavailableError("down"), START)
    outcome = waiting.update(ServerUnavailableError("down"), START + DURATIONS.error_budget)
    with pytest.raises(ServerUnavailableError):
        result_of(outcome, "cocktail")


def test_an_execution_is_gone_when_no_poll_finds_it_for_ten_seconds():
    waiting = wait()
    waiting.update(seen("running"), START)
    assert waiting.update(NotFoundError("gone"), START + 10) is None
    assert waiting.update(seen("running"), START + 20) is None
    assert waiting.update(NotFoundError("gone"), START + 30) is None
    assert waiting.update(NotFoundError("gone"), START + 39) is None
    assert waiting.update(NotFoundError("gone"), START + 40).ending is Ending.LOST


def test_an_execution_is_not_gone_because_a_gateway_does_not_find_its_system():
    waiting = wait()
    for seconds in (0, 10, 600):
        assert waiting.update(NotFoundError("no route", effect=Effect.NONE), START + seconds) is None
    assert waiting.update(NotFoundError("no route", effect=Effect.NONE), START + 900).ending is Ending.LOST


def test_an_execution_that_was_never_there_is_not_waited_for():
    waiting = wait(proven=False)
    assert waiting.update(NotFoundError("gone"), START) is None
    assert waiting.update(NotFoundError("gone"), START + 1).ending is Ending.LOST


@pytest.mark.parametrize(
    ("error", "proven", "ends"),
    [
        (BadRequestError, True, False),
        (BadRequestError, False, True),
        (PermissionDeniedError, True, False),
        (PermissionDeniedError, False, True),
        (AuthenticationError, False, True),
        (ServerUnavailableError, False, False),
    ],
)
def test_refusals_end_a_wait_at_once_only_where_nothing_has_ever_worked(error, proven, ends):
    outcome = wait(proven=proven).update(error("no"), START)
    assert (outcome is not None and outcome.ending is Ending.LOST) == ends


@pytest.mark.parametrize("last_look", [seen("running"), ServerUnavailableError("down"), None])
def test_the_deadline_ends_a_wait_whatever_the_last_poll_says(last_look):
    waiting = wait(deadline=START + 30)
    waiting.update(seen("running"), START)
    late = START + 30
    outcome = waiting.update_unchanged(late) if last_look is None else waiting.update(last_look, late)
    assert outcome.ending is Ending.DEADLINE
    assert outcome.execution["id"] == "7"


def test_an_execution_that_ends_at_the_deadline_has_ended():
    outcome = wait(deadline=START).update(seen("succeeded"), START + 5)
    assert outcome.is_success


@pytest.mark.parametrize(
    ("states", "rejected_by_the_system", "error"),
    [
        (["waiting", "failed"], None, exceptions.ExecutionRejected),
        (["waiting", "running", "failed"], None, exceptions.ExecutionFailed),
        (["waiting", "failed"], False, exceptions.ExecutionFailed),
        (["running", "failed"], True, exceptions.ExecutionRejected),
        (["running", "canceled"], None, exceptions.ExecutionCanceled),
    ],
)
def test_how_an_execution_ended_badly_shows_in_the_error_class(states, rejected_by_the_system, error):
    waiting = wait()
    outcome = [waiting.update(seen(state, rejected=rejected_by_the_system), START) for state in states][-1]
    with pytest.raises(error, match="7"):
        result_of(Outcome.from_event(outcome.to_event()), "cocktail")


@pytest.mark.parametrize("event", ["success", None, {}, {"ending": "finished"}, {"ending": "nonsense"}])
def test_a_foreign_event_is_refused_loudly(event):
    with pytest.raises(ValueError, match="not an event"):
        Outcome.from_event(event)


def test_each_change_is_reported_once():
    waiting = wait()
    logged = []
    for steps in ([("INIT", "RUNNING")], [("INIT", "RUNNING")], [("INIT", "DONE"), ("BUILD", "RUNNING")]):
        waiting.update(seen("running", steps=tuple(Step(*step) for step in steps)), START)
        logged.append([line.text.strip() for line in waiting.new_lines()])
    assert logged == [
        ["INIT: RUNNING", "Build run 7 is running"],
        [],
        ["INIT: DONE", "BUILD: RUNNING"],
    ]


def test_an_unknown_status_and_a_series_of_failing_polls_are_warned_of_once():
    waiting = wait()
    for now in [seen("unknown", "HIBERNATING")] * 3 + [ServerUnavailableError("down")] * 3 + [seen("running")]:
        waiting.update(now, START)
    assert [line.level for line in waiting.new_lines()] == ["warning", "warning", "info", "info"]


def test_unknown_statuses_that_take_turns_are_warned_of_once_each_and_very_many_not_at_all():
    waiting = wait()
    for number in range(1000):
        waiting.update(seen("unknown", f"WORD-{number % 2}"), START)
    assert [line.level for line in waiting.new_lines()] == ["warning"] * 2
    for number in range(1000):
        waiting.update(seen("unknown", f"WORD-{number}"), START)
    assert len(waiting.new_lines()) == MOST_UNKNOWN - 2


def test_an_execution_that_goes_back_and_forth_fills_no_log_and_its_end_is_logged():
    waiting = wait()
    for number in range(3 * MOST_CHANGES):
        waiting.update(seen(("running", "paused")[number % 2]), START)
    *changes, last = waiting.new_lines()
    assert len(changes) == MOST_CHANGES - 1
    assert "changes very often: from now on, only its end is logged" in last.text
    assert waiting.update(seen("failed"), START)
    assert [line.level for line in waiting.new_lines()] == ["error"]


def test_the_pause_is_spread_around_the_interval():
    pauses = {Pace().pause(10.0) for _ in range(200)}
    assert len(pauses) > 100
    assert 9.0 <= min(pauses) < 9.5
    assert 10.5 < max(pauses) <= 11.0


def test_the_pause_grows_while_polls_fail_and_recovers_at_once():
    pace = Pace()
    pauses = []
    for error in [ServerUnavailableError("down")] * 5 + [None]:
        pace.note(error)
        pauses.append(pace.pause(5.0))
    assert pauses[0] >= 10
    assert pauses == sorted(pauses[:-1]) + pauses[-1:]
    assert max(pauses) <= 66
    assert pauses[-1] <= 5.5


def test_a_pause_can_be_computed_however_long_polls_have_failed():
    pace = Pace()
    for _ in range(5000):
        pace.note(ServerUnavailableError("down"))
    assert pace.pause(0.1) == DURATIONS.slowest_after_errors


@pytest.mark.parametrize(("until_deadline", "pause"), [(None, 120.0), (500.0, 120.0), (1.0, 1.0)])
def test_nothing_is_asked_before_the_moment_that_the_vendor_named_except_for_a_deadline(until_deadline, pause):
    pace = Pace()
    pace.note(ThrottledError("slow down", retry_after=120.0))
    assert pace.pause(5.0, until_deadline) == pause


def test_the_pause_ends_at_the_deadline():
    assert Pace().pause(10.0, 3.0) == 3.0


def test_an_interval_grows_only_where_the_author_allows_it_and_only_while_nothing_changes():
    steady, growing = wait(), wait(slowest=60.0)
    for waiting in (steady, growing):
        waiting.update(seen("running"), START)
        for _ in range(10):
            waiting.update_unchanged(START)
    assert steady.interval_now == 10.0
    assert growing.interval_now == 60.0
    growing.update(seen("paused"), START)
    assert growing.interval_now == 10.0


ERRORS = [ReleasePipelineError, *ReleasePipelineError.__subclasses__()]


def test_where_a_push_reports_the_end_polls_are_rare_once_it_can_and_unless_they_fail():
    pushed = wait(net=600.0, net_from=START + 7)
    pushed.update(seen("running"), START)
    assert pushed.interval_now == 10.0
    pushed.update_unchanged(START + 8)
    assert pushed.interval_now == 600.0
    pushed.update(seen("running", "STEP 2"), START + 608)
    assert pushed.interval_now == 600.0
    pushed.update(ServerUnavailableError("down"), START + 1208)
    assert pushed.interval_now == pushed.interval_in_trouble == 10.0
    pushed.update_unchanged(START + 1218)
    assert (pushed.interval_now, pushed.interval_in_trouble) == (600.0, 10.0)


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_survives_the_way_from_the_triggerer(error):
    outcome = Outcome(Ending.LOST, cause=error.__name__, error="why")
    with pytest.raises(error, match="why"):
        result_of(outcome, "quay")


def logged_over(waiting: Wait, moments: list[float], now: Execution | ReleasePipelineError | None) -> list[str]:
    """Each logged line with its minute after the start; ``None``: a poll that found no change."""
    logged = []
    for moment in moments:
        if now is None:
            waiting.update_unchanged(START + moment)
        else:
            waiting.update(now, START + moment)
        logged += [f"{moment / 60:g}: {line.text}" for line in waiting.new_lines()]
    return logged


@pytest.mark.parametrize("hears_of_no_change", [False, True])
def test_a_wait_in_which_nothing_happens_says_so_at_growing_intervals(hears_of_no_change):
    waiting = wait()
    now = seen("running", steps=(Step("Build", "DONE", None, SUCCEEDED), Step("Deploy", "RUNNING", None, RUNNING)))
    logged_over(waiting, [0], now)
    logged = logged_over(waiting, [60.0 * minute for minute in range(1, 300)], None if hears_of_no_change else now)
    assert logged == [
        "5: Still running (5 min, stage Deploy)",
        "10: Still running (10 min, stage Deploy)",
        "20: Still running (20 min, stage Deploy)",
        "40: Still running (40 min, stage Deploy)",
        "80: Still running (80 min, stage Deploy)",
        "140: Still running (2 h 20 min, stage Deploy)",
        "200: Still running (3 h 20 min, stage Deploy)",
        "260: Still running (4 h 20 min, stage Deploy)",
    ]


def test_a_wait_that_continues_elsewhere_says_nothing_again():
    now = seen("running", "PAUSING", steps=(Step("Build", "DONE", None, SUCCEEDED),))
    first = wait()
    assert len(logged_over(first, [0, 660], now)) == 3
    second = wait(begun=Begun.from_json(first.begun.to_json()))
    assert logged_over(second, [661, 1199, 1200], now) == ["20: Still running (20 min, PAUSING)"]


def test_a_person_who_is_needed_is_reminded():
    waiting = wait()
    logged_over(waiting, [0], now := seen("waiting", message="may it go out?", url="https://ci/7"))
    waiting.update(now, START + 300)
    (line,) = waiting.new_lines()
    assert line == warning("Still waiting for a person (5 min): may it go out?: https://ci/7")


def test_an_outage_is_reported_again_at_growing_intervals_and_so_is_its_end():
    waiting = wait()
    logged_over(waiting, [0], seen("running"))
    assert logged_over(waiting, [60, 120, 180, 301, 320], ServerUnavailableError("down")) == [
        "1: Poll failed, will retry: down",
        "5.01667: Polls have been failing for 4 min, will retry: down",
    ]
    assert logged_over(waiting, [360], seen("running")) == ["6: Cocktail responds again after 5 min"]


def test_what_has_not_begun_says_nothing_and_what_failed_is_an_error():
    waiting = wait()
    steps = (Step("Build", "FAILED", "no disk", ExecutionState.FAILED), Step("Deploy", "WAIT", None, QUEUED))
    waiting.update(seen("failed", steps=steps), START)
    assert waiting.new_lines() == [lines.error("  Build: FAILED - no disk"), lines.error("Build run 7 failed")]


def test_a_reference_that_becomes_more_exact_is_reported_with_its_link():
    waiting = Wait({**REF, "kind": "event", "id": "e1"}, 10.0)
    waiting.update(seen("running", url="https://ci/7"), START)
    assert waiting.new_lines()[0].text == "It resulted in build run 7: https://ci/7"


@pytest.mark.parametrize("body", [None, {}, {"since": "yesterday"}, [], "begun"])
def test_what_another_version_has_saved_of_a_wait_ends_none(body):
    assert Begun.from_json(body) == Begun()


def test_a_vendor_that_names_other_steps_in_each_poll_fills_no_log() -> None:
    wait, logged = Wait({"system": "quay", "kind": "build", "id": "1"}, 1.0), 0
    for number in range(3 * MOST_STEPS // 1000):
        steps = tuple(Step(f"{number}-{step}", "RUNNING") for step in range(1000))
        wait.update(Execution(wait.ref, ExecutionState.RUNNING, "building", steps=steps), 0.0)
        logged += len(wait.new_lines())
    assert logged == MOST_CHANGES


def test_a_vendor_that_names_other_steps_in_each_poll_fills_no_memory(mocker: MockerFixture) -> None:
    mocker.patch.object(core_waiting, "MOST_CHANGES", 10**6)
    wait = Wait({"system": "quay", "kind": "build", "id": "1"}, 1.0)

    def told_of(names: range) -> int:
        steps = tuple(Step(str(name), "RUNNING") for name in names)
        wait.update(Execution(wait.ref, ExecutionState.RUNNING, "building", steps=steps), 0.0)
        return len(wait.new_lines())

    most = 3 * MOST_STEPS
    for first in range(0, most, 1000):
        assert told_of(range(first, first + 1000)) == 1000 + (first == 0)
    assert told_of(range(most - MOST_STEPS, most)) == 0
    assert told_of(range(most - MOST_STEPS - 1000, most - MOST_STEPS)) == 1000


def test_a_conflict_that_the_vendor_reports_ends_no_wait_and_one_that_the_client_finds_does() -> None:
    ref = {"system": "quay", "kind": "build", "id": "1"}
    assert Wait(ref, 1.0).update(ConflictError("busy", call=Call(system="quay", status=409)), 0.0) is None
    found = Wait(ref, 1.0).update(ConflictError("belongs elsewhere", call=Call(system="quay")), 0.0)
    assert found is not None
    assert found.ending is Ending.LOST
