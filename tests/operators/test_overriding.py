"""A release window that is closed: named people may release now, with a reason; in real Airflow in this process."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout
from airflow.triggers.base import TriggerEvent
from pytest_mock import MockerFixture

from airflow_provider.core.durations import DURATIONS, MOST_CRASHES
from airflow_provider.core.release_window import DAYS
from airflow_provider.exceptions import BadRequestError
from airflow_provider.operators.overriding import OverrideAttempt
from airflow_provider.sensors.release_window import ReleaseWindowSensor
from tests.support.airflow_runs import run_task
from tests.support.asked_task import AskedTask, keep_airflow_away, result_of
from tests.support.attempts import WorkerKilled
from tests.support.log_lines import log_lines
from tests.support.patching import patched

ALWAYS = [{"days": list(DAYS), "from": "00:00", "to": "24:00"}]
RELEASE = "Release now"


@pytest.fixture(autouse=True)
def fast(mocker: MockerFixture) -> None:
    mocker.patch.object(DURATIONS, "early_answer", 0.1)
    mocker.patch("airflow_provider.triggers.release_window.READ_AGAIN", 0.1)


def frozen_for(**span: float) -> list[dict[str, str]]:
    now = pendulum.now("UTC").replace(microsecond=0)
    return [{"from": str(now.subtract(hours=1)), "to": str(now + timedelta(**span)), "reason": "the fair"}]


class Closed:
    """Release windows in a file, none of which is open, until somebody opens one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.source = f"file:{file}"
        self.close()

    def close(self) -> None:
        self._keep(freezes=frozen_for(days=3))

    def open(self) -> None:
        self._keep()

    def _keep(self, **document: Any) -> None:
        self._file.write_text(json.dumps({"windows": ALWAYS, **document}))


@pytest.fixture
def closed(tmp_path: Path) -> Closed:
    return Closed(tmp_path / "windows.yaml")


class Waiting(AskedTask):
    """A sensor that has asked, unless its window was open. Attribute ``last``: how its last process has ended."""

    field = "reason"

    def __init__(self, closed: Closed, **given: Any) -> None:
        given = {"approvers": ["ada", "bob"], **given}
        super().__init__(lambda: ReleaseWindowSensor(task_id="wait", windows=closed.source, **given))
        self.begin()

    def begin(self) -> Any:
        self.last = self.attempt()
        return self.last

    def resumed(self, event: Any) -> Any:
        self.last = super().resumed(event)
        return self.last

    def give(self, reason: Any, by: str = "ada") -> Any:
        """A person answers; as over the API, whatever is in the form."""
        return self.answer(RELEASE, by, reason)

    @property
    def left_trigger(self) -> Any:
        return self.trigger(self.last)

    def to_the_end(self) -> Any:
        while self.state == "deferred":
            self.resumed(self.fire(self.left_trigger))
        return self.last


def test_named_people_are_asked_while_the_window_is_closed(closed):
    task = Waiting(closed, environment="production")
    action = task.action()
    assert task.state == "deferred"
    assert (action.options, action.approvers, action.answer) == ([RELEASE], ["ada", "bob"], None)
    assert "Release now, outside of the release window" in action.subject
    for text in ("production", "the fair", "Only ada, bob may answer", "must give a reason", "/tasks/wait)"):
        assert text in action.body


def test_a_user_whose_id_is_a_number_may_be_named_by_it(closed):
    """As with the FAB auth manager."""
    task = Waiting(closed, approvers=[3])
    assert task.action().approvers == ["3"]
    assert result_of(task.give("the fair is over", by="3"))["override"]["by"] == "3"


def test_a_person_with_a_reason_releases_and_it_is_on_record(closed):
    task = Waiting(closed, environment="production")
    with log_lines() as lines:
        ended = task.give("an outage at ACME")
    result = result_of(ended)
    assert task.state == "success"
    assert result["override"].pop("at") == result["id"]
    assert result["override"] == {"by": "ada", "name": "Ada", "reason": "an outage at ACME"}
    assert result["outputs"] == {"opens": None, "closes": None, "environment": "production"}
    (line,) = [each for each in lines if "overridden" in each]
    assert "Ada (ada)" in line
    assert "an outage at ACME" in line


@pytest.mark.parametrize("reason", [None, "", "   "])
def test_an_answer_without_a_reason_is_asked_for_again(closed, reason):
    task = Waiting(closed)
    with log_lines() as lines:
        task.give(reason)
    assert task.state == "deferred"
    assert task.action().answer is None
    assert any("needs a reason" in each for each in lines)
    assert result_of(task.give("an outage", "bob"))["override"]["by"] == "bob"


def test_nobody_else_overrides_even_if_airflow_takes_the_answer(closed):
    task = Waiting(closed)
    task.give("I want to", "eve")
    assert task.state == "deferred"
    assert task.action().answer is None
    assert result_of(task.give("an outage"))["override"]["by"] == "ada"


def test_an_open_window_asks_nobody(closed):
    closed.open()
    task = Waiting(closed)
    assert task.state == "success"
    assert task.action() is None
    assert result_of(task.last)["override"] is None


def test_a_sensor_without_approvers_asks_nobody(closed):
    task = Waiting(closed, approvers=None)
    assert task.state == "deferred"
    assert task.action() is None
    closed.open()
    assert "override" not in result_of(task.to_the_end())


def test_a_window_that_opens_closes_the_question_which_says_so(closed):
    task = Waiting(closed)
    closed.open()
    result = result_of(task.to_the_end())
    assert result["override"] is None
    assert result["outputs"]["opens"]
    action = task.action()
    assert (action.answer, action.by) == ("Waited", None)
    assert "a release window has opened" in task.action().comment


def test_a_time_out_closes_the_question_and_fails(closed):
    task = Waiting(closed, timeout=0.5)
    time.sleep(0.5)
    assert isinstance(task.to_the_end().error, AirflowSensorTimeout)
    assert (task.action().answer, task.action().by) == ("Waited", None)
    assert "in time" in task.action().comment


def test_an_answer_that_came_before_the_deferral_is_found_by_the_trigger(closed):
    task = Waiting(closed)
    task.mark("running")
    assert task.give("an outage") is None
    task.mark("deferred")
    assert result_of(task.to_the_end())["override"]["by"] == "ada"


def test_an_answer_counts_although_airflow_cannot_be_asked_just_when_time_is_up(closed, mocker):
    task = Waiting(closed, timeout=0.5)
    task.mark("running")
    assert task.give("an outage") is None
    task.mark("deferred")
    time.sleep(0.5)
    keep_airflow_away(mocker, reads=3)
    assert result_of(task.to_the_end())["override"]["by"] == "ada"


@pytest.mark.parametrize("answers", [True, False])
def test_a_wait_that_no_triggerer_has_ended_reads_the_answer_and_closes_the_question(closed, answers):
    """Triggerers were down until Airflow timed the deferral out."""
    task = Waiting(closed, timeout=0.5)
    if answers:
        task.mark("running")
        task.give("an outage")
        task.mark("deferred")
    time.sleep(0.5)
    task.last = task.resume_without_event("Trigger timeout")
    assert (task.last.error, task.state) == (None, "deferred")
    ended = task.to_the_end()
    if answers:
        assert result_of(ended)["override"]["by"] == "ada"
    else:
        assert isinstance(ended.error, AirflowSensorTimeout)
        assert (task.action().answer, task.action().by) == ("Waited", None)


def test_a_wait_without_a_triggerer_comes_to_an_end(closed):
    task = Waiting(closed, timeout=0.5)
    time.sleep(0.5)
    for _ in range(MOST_CRASHES):
        assert task.resume_without_event("Trigger timeout").error is None
        assert task.state == "deferred"
    assert isinstance(task.resume_without_event("Trigger timeout").error, AirflowSensorTimeout)


@pytest.mark.parametrize("error", ["Trigger timeout", "Trigger failure"])
def test_a_window_that_has_opened_while_no_triggerer_ran_is_open(closed, error):
    task = Waiting(closed, approvers=None)
    closed.open()
    assert result_of(task.resume_without_event(error))["outputs"]["opens"]


@pytest.mark.parametrize(
    ("error", "given", "state"),
    [
        ("Trigger failure", {}, "up_for_retry"),
        ("Trigger failure", {"soft_fail": True}, "up_for_retry"),
        ("Trigger failure", {"never_fail": True}, "skipped"),
        ("Trigger timeout", {}, "failed"),
        ("Trigger timeout", {"soft_fail": True}, "skipped"),
        ("Trigger timeout", {"never_fail": True}, "skipped"),
    ],
)
def test_of_waits_without_an_end_only_those_in_vain_are_skipped(closed, error, given, state):
    task = Waiting(closed, approvers=None, **given)
    task.resume_without_event(error)
    assert task.state == state


def test_an_answer_that_comes_while_the_wait_ends_counts(closed):
    """Between the two reads for an early one, of which Airflow informs nobody."""
    task = Waiting(closed)
    trigger = task.left_trigger
    opened = type(trigger).until_open_or_over

    async def answered_then(trigger: Any) -> None:
        task.mark("running")
        task.give("an outage")
        task.mark("deferred")
        await opened(trigger)

    closed.open()
    with patched(type(trigger), "until_open_or_over", answered_then):
        assert result_of(task.to_the_end())["override"]["by"] == "ada"


def test_an_answer_of_another_tasks_question_releases_nothing(closed):
    """Where SQLite uses the number of a trigger again, the late event of the old one comes to the new task."""
    task, other = Waiting(closed), Waiting(closed)
    other.mark("running")
    other.give("an outage")
    other.mark("deferred")
    resumed = task.resumed(other.fire(other.left_trigger))
    assert (resumed.error, task.state) == (None, "deferred")
    assert task.action().answer is None


@pytest.mark.parametrize("payload", [{"ending": "lost", "waited_for": "build 7"}, {"status": "success"}, True, None])
def test_the_event_of_a_trigger_of_anybody_releases_nothing_and_leaves_the_question(closed, payload):
    """All triggers share one table: the id may have been that of any other one."""
    task = Waiting(closed)
    resumed = task.resumed(TriggerEvent(payload))
    assert (resumed.error, task.state) == (None, "deferred")
    closed.open()
    task.to_the_end()
    assert task.action().answer == "Waited"


# --- ended, retried and cleared


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_person_who_ends_the_task_closes_the_question(closed, state):
    task = Waiting(closed)
    trigger = task.left_trigger
    task.mark(state)
    task.kill(trigger)
    assert (task.action().answer, task.action().by) == ("Waited", None)
    assert f"the task is {state}" in task.action().comment


def test_a_trigger_that_only_moved_closes_nothing(closed):
    task = Waiting(closed)
    task.kill(task.left_trigger)
    assert task.action().answer is None


def test_a_retry_continues_with_an_answer_that_no_worker_has_seen(closed):
    task = Waiting(closed)
    task.mark("running")
    assert task.give("an outage") is None
    task.lose_worker()
    task.begin()
    assert task.state == "deferred"
    assert result_of(task.to_the_end())["override"]["by"] == "ada"


def test_a_retry_continues_with_an_answer_that_a_worker_took_before_it_died(closed):
    task = Waiting(closed)
    with patched(ReleaseWindowSensor, "overridden", side_effect=WorkerKilled):
        assert isinstance(task.give("an outage").error, WorkerKilled)
    assert result_of(task.begin())["override"]["reason"] == "an outage"


def test_a_retry_asks_once_more_what_a_worker_died_over_before_it_was_noted(closed):
    task = Waiting(closed)
    with patched(OverrideAttempt, "ask", side_effect=WorkerKilled):
        task.give("")
    assert task.last.error
    task.begin()
    assert task.action().answer is None
    assert task.state == "deferred"


def test_a_cleared_task_asks_anew_and_no_earlier_override_counts(closed):
    task = Waiting(closed)
    task.give("an outage")
    assert task.state == "success"
    task.clear()
    task.begin()
    assert task.state == "deferred"
    assert task.action().answer is None


def test_a_question_that_a_cleared_attempt_left_open_is_closed_although_the_window_is_open_now(closed):
    task = Waiting(closed)
    task.clear_while_deferred(task.left_trigger)
    assert task.action().answer is None
    closed.open()
    task.mark("queued")
    task.begin()
    assert result_of(task.to_the_end())["override"] is None
    assert (task.action().answer, task.action().by) == ("Waited", None)


def test_a_question_that_a_machine_has_closed_is_put_again(closed):
    task = Waiting(closed)
    closed.open()
    task.fire(task.left_trigger)
    task.lose_worker()
    closed.close()
    task.begin()
    task.resumed(task.fire(task.left_trigger))
    assert task.state == "deferred"
    assert task.action().answer is None


# --- elsewhere


def test_in_dag_test_nobody_is_asked_and_the_window_opens_as_ever():
    with log_lines() as lines:
        ended = run_task(
            lambda: ReleaseWindowSensor(
                task_id="wait", windows=ALWAYS, freezes=frozen_for(seconds=2), approvers=["ada"], timeout=30
            )
        )
    assert (ended.state, ended.result["override"]) == ("success", None)
    assert any("Nobody can be asked" in each for each in lines)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"approvers": []}, "approvers must name users"),
        ({"approvers": ["ada", " "]}, "approvers must name users"),
        ({"approvers": "ada"}, "approvers must be a list"),
        ({"approvers": ["ada"], "deferrable": False}, "approvers needs deferrable=True"),
    ],
)
def test_approvers_that_cannot_answer_are_refused_when_the_dag_is_parsed(given, problem):
    with pytest.raises(BadRequestError, match=problem):
        ReleaseWindowSensor(task_id="wait", windows=ALWAYS, **given)
