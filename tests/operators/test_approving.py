"""Approvals that people are asked for: real Airflow's required actions, and what the systems then get to know."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, NamedTuple

import pytest
from airflow.sdk import BaseNotifier
from airflow.triggers.base import TriggerEvent
from pytest_mock import MockerFixture

from airflow_provider.core.approving import LONGEST_COMMENT
from airflow_provider.core.durations import DURATIONS, MOST_CRASHES
from airflow_provider.exceptions import BadRequestError, ConflictError, ExecutionTimeout, PermissionDeniedError
from airflow_provider.hooks.code_stream import CodeStreamHook
from airflow_provider.notifications import ApprovalNotifier
from airflow_provider.operators import asking as asking_people
from airflow_provider.operators.code_stream import CodeStreamApprovalOperator
from airflow_provider.operators.service_stage import ServiceStageApprovalOperator
from airflow_provider.triggers import required_actions
from tests.support import code_stream_tasks, service_stage_tasks
from tests.support.airflow_runs import run_task
from tests.support.asked_task import AskedTask, keep_airflow_away, result_of, xcom_of
from tests.support.attempts import WorkerKilled
from tests.support.meanwhile import meanwhile
from tests.support.patching import patched
from tests.support.systems import Systems, define_connection
from tests.support.until import until


class Asking(NamedTuple):
    """An approval that waits in one of the systems.

    :param build: the operator that asks about it.
    :param is_decided: whether the execution that asked has gone on (``True``), has failed (``False``) or still waits.
    """

    system: str
    build: Callable[..., Any]
    is_decided: Callable[[], bool | None]
    answers: Callable[[], list[dict[str, Any]]]


def in_code_stream(systems: Systems) -> Asking:
    execution_id = code_stream_tasks.start_until_it_asks(systems)

    def is_decided() -> bool | None:
        state = code_stream_tasks.state_of(systems, execution_id)
        return None if state == "WAITING" else state != "FAILED"

    return Asking(
        "code_stream",
        lambda **given: CodeStreamApprovalOperator(task_id="ask", execution_id=execution_id, **given),
        is_decided,
        lambda: [each["body"] for each in systems.requests("code_stream", "PATCH", "/user-operations/")],
    )


def in_service_stage(systems: Systems) -> Asking:
    execution_id = service_stage_tasks.start_until_it_asks(systems)

    def is_decided() -> bool | None:
        state = service_stage_tasks.state_of(systems, execution_id)
        return None if state == "5" else state != "3"

    def answers() -> list[dict[str, Any]]:
        sent = systems.requests("service_stage", "POST", "/action")
        return [each["body"] for each in sent if "approval_type" in (each["body"] or {})]

    return Asking(
        "service_stage",
        lambda **given: ServiceStageApprovalOperator(task_id="ask", pipeline="shop-release-approval", **given),
        is_decided,
        answers,
    )


OF_OTHER_TRIGGERS: list[Any] = [{"ending": "lost", "waited_for": "build 7"}, {"status": "success"}, True, None]
"""Payloads of events."""

ASKING = {"code_stream": in_code_stream, "service_stage": in_service_stage}


@pytest.fixture(autouse=True)
def fast(systems: Systems, mocker: MockerFixture) -> None:
    systems.reset(speed=60)
    mocker.patch.object(DURATIONS, "early_answer", 0.1)


@pytest.fixture(params=ASKING)
def asking(request: pytest.FixtureRequest, systems: Systems) -> Asking:
    return ASKING[request.param](systems)


def asked(asking: Asking, **given: Any) -> AskedTask:
    """A task that has asked and is deferred."""
    task = AskedTask(lambda: asking.build(poll_interval=0.2, **given))
    task.first = task.attempt()  # type: ignore[attr-defined]
    assert task.first.error is None  # type: ignore[attr-defined]
    assert task.state == "deferred"
    return task


def trigger_of(task: Any) -> Any:
    return task.trigger(task.first)


# --- asked and answered


def test_people_are_shown_what_they_need_to_decide(asking):
    task = asked(asking, approvers=["ada", "bob"], response_timeout=3600)
    action = task.action()
    assert action.options == ["Approve", "Reject"]
    assert action.approvers == ["ada", "bob"]
    assert action.answer is None
    shown = {
        "code_stream": ("Deploy shop with approval", "execution", "1.4.2", "release-bot", "Stage", "Expires in"),
        "service_stage": ("shop-release-approval", "apr0v1", "uipfzw", "http"),
    }[asking.system]
    for text in (*shown, "Only ada, bob", "If nobody has decided by", "the answer is to reject", "/tasks/ask)"):
        assert text in action.body
    named = {
        "code_stream": ("Pipeline", "Inputs", "Requested by", "Expires in Code Stream", "Link"),
        "service_stage": ("Release task", "Started"),
    }[asking.system]
    for name in (*named, "System", "Execution", "Approval", "Stage", "Run", "Triggered by"):
        assert f"- **{name}**: " in action.body
    assert "Approve or reject" in action.subject
    assert asking.is_decided() is None


def test_the_links_keep_the_path_under_which_airflow_is_reached(systems, mocker):
    mocker.patch.dict(os.environ, {"AIRFLOW__API__BASE_URL": "https://airflow.example.com/base"})
    asking = in_code_stream(systems)
    assert "](https://airflow.example.com/base/dags/" in asked(asking).action().body


@pytest.mark.parametrize(("option", "goes_on"), [("Approve", True), ("Reject", False)])
def test_an_answer_goes_to_the_system_with_who_gave_it_and_what_they_said(asking, option, goes_on):
    task = asked(asking, message="release 1.4.2")
    ended = task.answer(option, "ada", "tests are green")
    assert (ended.error, task.state) == (None, "success")
    until(lambda: asking.is_decided() is goes_on)
    (sent,) = asking.answers()
    word = "approved" if goes_on else "rejected"
    assert (
        sent.get("responseMessage") or sent.get("message")
    ) == f"release 1.4.2; {word} by Ada (ada): tests are green"
    (given,) = result_of(ended)["approvals"]
    assert (given["decision"], given["by"], given["comment"]) == (option.lower(), "ada", "tests are green")
    assert given["at"]


@pytest.mark.parametrize(
    ("written", "comment"),
    [
        ("gr\u00fcn \U0001f433 \u202egnp.exe\nline 2", "gr\u00fcn \U0001f433 \u202egnp.exe\nline 2"),
        ("a NUL \0 in it", "a NUL \ufffd in it"),
        ("x" * 100_000, "x" * LONGEST_COMMENT),
        ({"ok": ["yes"]}, "{'ok': ['yes']}"),
        (" ", ""),
    ],
    ids=["unicode", "nul", "huge", "no text", "blank"],
)
def test_whatever_people_write_reaches_the_system_as_text(asking, written, comment):
    task = asked(asking)
    (given,) = result_of(task.answer("Approve", "ada", written))["approvals"]
    assert given["comment"] == comment
    (sent,) = asking.answers()
    said = f": {comment}" if comment else ""
    assert (sent.get("responseMessage") or sent.get("message")) == f"approved by Ada (ada){said}"
    until(lambda: asking.is_decided() is True)


def test_an_answer_that_came_before_the_deferral_is_found_by_the_trigger(asking):
    task = asked(asking)
    task.mark("running")
    assert task.answer("Approve") is None
    task.mark("deferred")
    event = task.fire(trigger_of(task))
    assert asking.answers() == []
    ended = task.resumed(event)
    assert result_of(ended)["approvals"][0]["by"] == "ada"
    until(lambda: asking.is_decided() is True)


def test_an_answer_of_another_tasks_question_is_not_taken_for_this_ones(asking):
    """Where SQLite uses the number of a trigger again, the late event of the old one comes to the new task."""
    task, other = asked(asking), asked(asking)
    other.mark("running")
    assert other.answer("Approve") is None
    other.mark("deferred")
    resumed = task.resumed(other.fire(trigger_of(other)))
    assert (resumed.error, task.state) == (None, "deferred")
    assert task.action().answer is None
    assert asking.answers() == []
    assert task.answer("Reject").error is None
    until(lambda: asking.is_decided() is False)


@pytest.mark.parametrize("payload", OF_OTHER_TRIGGERS)
def test_the_event_of_a_trigger_of_anybody_answers_nothing(asking, payload):
    """All triggers share one table: the id may have been that of any other one."""
    task = asked(asking)
    resumed = task.resumed(TriggerEvent(payload))
    assert (resumed.error, task.state) == (None, "deferred")
    assert task.action().answer is None
    assert asking.answers() == []


# --- decided at the vendor


@pytest.mark.parametrize(("decision", "option"), [("approve", "Approve"), ("reject", "Reject")])
def test_a_decision_at_the_vendor_closes_the_question_and_is_the_result(asking, decision, option):
    task = asked(asking)
    assert run_task(lambda: asking.build(decision=decision)).error is None
    until(lambda: asking.is_decided() is not None)
    event = task.fire(trigger_of(task))
    action = task.action()
    assert (action.answer, action.by) == (option, None)
    assert "decided at the vendor" in action.comment
    ended = task.resumed(event)
    (given,) = result_of(ended)["approvals"]
    assert (given["decision"], given["by"]) == (decision, "")
    assert "at the vendor" in given["comment"]
    assert timedelta() <= datetime.now(UTC) - datetime.fromisoformat(given["at"]) < timedelta(minutes=5)
    assert len(asking.answers()) == 1


def approved_at_the_vendor(systems: Any) -> tuple[AskedTask, str, Any]:
    """A task that asks, its release, which somebody else has approved, and the event of the trigger that saw it."""
    asking = in_service_stage(systems)
    task = asked(asking)
    release = systems.executions("service_stage")[-1]["id"]
    assert run_task(lambda: asking.build(decision="approve")).error is None
    until(lambda: asking.is_decided() is True)
    return task, release, task.fire(trigger_of(task))


@pytest.mark.parametrize("by_now", ["3", "5"], ids=["has failed", "waits for its next approval"])
def test_a_decision_at_the_vendor_stays_what_it_was_whatever_the_release_does_next(systems, by_now):
    """A worker resumes some seconds after the trigger has seen it."""
    task, release, event = approved_at_the_vendor(systems)
    assert task.action().answer == "Approve"
    systems.force("service_stage", release, by_now)
    (given,) = result_of(task.resumed(event))["approvals"]
    assert (given["decision"], given["comment"]) == ("approve", "decided at the vendor")


def test_a_retry_keeps_the_decision_at_the_vendor_that_an_earlier_attempt_was_told(systems):
    """The worker dies before it could say so, and by then the release has failed."""
    task, release, event = approved_at_the_vendor(systems)
    with patched(type(task.operator), "result_now", side_effect=WorkerKilled):
        assert isinstance(task.resumed(event).error, WorkerKilled)
    systems.force("service_stage", release, "3")
    (given,) = result_of(task.attempt())["approvals"]
    assert (given["decision"], given["comment"]) == ("approve", "decided at the vendor")


def test_an_approval_that_nobody_can_decide_any_more_fails(systems):
    execution_id = code_stream_tasks.start_until_it_asks(systems)
    asking = Asking(
        "code_stream",
        lambda **given: CodeStreamApprovalOperator(task_id="ask", execution_id=execution_id, retries=0, **given),
        lambda: None,
        list,
    )
    task = asked(asking)
    assert code_stream_tasks.act(execution_id, "cancel").error is None
    event = task.fire(trigger_of(task))
    assert task.action().answer == "Reject"
    error = task.resumed(event).error
    assert isinstance(error, ConflictError)
    assert "CANCELED" in str(error)


def test_a_release_that_somebody_stops_was_not_approved(systems):
    """It counts as running until it has stopped."""
    asking = in_service_stage(systems)
    task = asked(asking)
    systems.force("service_stage", systems.executions("service_stage")[-1]["id"], "13")
    event = task.fire(trigger_of(task))
    assert (task.action().answer, task.action().by) == ("Reject", None)
    assert "an answer is no longer needed" in task.action().comment
    error = task.resumed(event).error
    assert isinstance(error, ConflictError)
    assert "can no longer be decided" in str(error)


def test_an_answer_that_comes_after_a_decision_at_the_vendor_fails_and_says_so(asking):
    task = asked(asking)
    assert run_task(lambda: asking.build(decision="reject")).error is None
    until(lambda: asking.is_decided() is False)
    error = task.answer("Approve").error
    assert isinstance(error, ConflictError)
    assert len(asking.answers()) == 1


def test_an_answer_reaches_no_later_execution(systems):
    asking = in_service_stage(systems)
    task = asked(asking)
    assert run_task(lambda: asking.build(decision="reject")).error is None
    until(lambda: asking.is_decided() is False)
    service_stage_tasks.start_until_it_asks(systems)
    assert isinstance(task.answer("Approve").error, ConflictError)
    assert len(asking.answers()) == 1


def test_a_system_that_ignores_the_answer_is_an_error_that_names_its_approvers(systems):
    asking = in_code_stream(systems)
    viewer = {"login": "viewer", "password": "viewer-password"}
    define_connection("code_stream_viewer", conn_type="code_stream", host=f"{systems.url}/code_stream", **viewer)
    task = asked(asking, code_stream_conn_id="code_stream_viewer")
    error = task.answer("Approve").error
    assert isinstance(error, PermissionDeniedError)
    assert "ignored" in str(error)
    assert "release-bot" in str(error)
    assert asking.is_decided() is None


@pytest.mark.parametrize(("option", "goes_on"), [("Approve", True), ("Reject", False)])
@pytest.mark.parametrize("fault", [{"fault": "status", "status": 503}, {"fault": "html"}], ids=["503", "a page"])
def test_a_system_that_is_down_gets_the_decision_later_and_once(asking, systems, fault, option, goes_on):
    task = asked(asking)
    method, path = {"code_stream": ("PATCH", "/user-operations/"), "service_stage": ("POST", "/action")}[asking.system]
    systems.fault(asking.system, **fault, method=method, path=path, times=2)
    ended = task.answer(option, "ada")
    assert result_of(ended)["approvals"][0]["by"] == "ada"
    until(lambda: asking.is_decided() is goes_on)
    sent = systems.requests(asking.system, method, path)
    assert [each["fault"] for each in sent if each["fault"]] == [fault["fault"]] * 2
    assert len([each for each in sent if not each["fault"] and each["body"] in asking.answers()]) == 1


def test_an_answer_that_does_not_decide_is_followed_by_a_question_although_the_system_is_down(asking, systems):
    task = asked(asking, approvals=2)
    systems.fault(asking.system, "status", method="GET", path=".*", status=503, times=6)
    assert task.answer("Approve", "ada").error is None
    assert task.state == "deferred"
    assert result_of(task.answer("Approve", "bob"))["state"]
    until(lambda: asking.is_decided() is True)


# --- who may answer, and how many must


def test_two_different_people_are_asked_one_after_another(asking):
    task = asked(asking, approvals=2)
    task.answer("Approve", "ada")
    assert task.state == "deferred"
    assert task.action().answer is None
    task.answer("Approve", "ada")
    assert task.state == "deferred"
    assert asking.answers() == []
    ended = task.answer("Approve", "bob", "fine")
    assert [(each["by"], bool(each["refused"])) for each in result_of(ended)["approvals"]] == [
        ("ada", False),
        ("ada", True),
        ("bob", False),
    ]
    (sent,) = asking.answers()
    assert (sent.get("responseMessage") or sent.get("message")) == "approved by Ada (ada); approved by Bob (bob): fine"


def test_whoever_triggered_the_run_is_not_taken_for_an_approver(asking):
    task = asked(asking, not_requester=True)
    assert "test triggered the run and may not answer" in task.action().body
    task.answer("Approve", "test")
    assert task.state == "deferred"
    assert asking.answers() == []
    assert task.action().answer is None
    assert task.answer("Approve", "ada").error is None
    until(lambda: asking.is_decided() is True)


@pytest.mark.parametrize("given", [{"approvers": ["Test"]}, {"approvers": ["ada", "test"], "approvals": 2}])
def test_rules_by_which_nobody_could_approve_are_refused_before_anybody_is_asked(asking, given):
    task = AskedTask(lambda: asking.build(poll_interval=0.2, not_requester=True, **given))
    ended = task.attempt()
    assert isinstance(ended.error, BadRequestError)
    assert "approvers must name at least" in str(ended.error)
    assert task.action() is None


def test_whoever_approved_first_may_reject_before_a_second_one_has_approved(asking):
    task = asked(asking, approvals=2)
    task.answer("Approve", "ada")
    task.answer("Reject", "ada", "I was wrong")
    until(lambda: asking.is_decided() is False)
    (sent,) = asking.answers()
    said = sent.get("responseMessage") or sent.get("message")
    assert said == "approved by Ada (ada); rejected by Ada (ada): I was wrong"


def test_an_answer_of_nobody_who_may_is_not_taken_even_if_airflow_takes_it(asking):
    task = asked(asking, approvers=["ada"])
    task.answer("Reject", "eve")
    assert task.state == "deferred"
    assert asking.answers() == []
    assert task.answer("Approve", "ada").error is None


# --- nobody answers


@pytest.mark.parametrize(("then", "goes_on"), [("approve", True), ("reject", False)])
def test_silence_means_what_its_author_says(asking, then, goes_on):
    task = asked(asking, response_timeout=0.5, on_no_response=then)
    time.sleep(0.5)
    ended = task.resumed(task.fire(trigger_of(task)))
    (given,) = result_of(ended)["approvals"]
    assert (given["decision"], given["by"]) == (then, "")
    action = task.action()
    assert (action.answer, action.by) == (then.title(), None)
    assert "nobody" in action.comment
    until(lambda: asking.is_decided() is goes_on)


def test_silence_may_fail_the_task_alone(asking):
    task = asked(asking, response_timeout=0.5, on_no_response="fail")
    time.sleep(0.5)
    error = task.resumed(task.fire(trigger_of(task))).error
    assert isinstance(error, ExecutionTimeout)
    assert asking.is_decided() is None
    assert asking.answers() == []


def test_a_retry_after_a_silence_that_failed_the_task_gives_people_that_time_again(asking):
    Told.heard.clear()
    task = asked(asking, response_timeout=1, on_no_response="fail", approvals=2, notifiers=[Told()])
    task.first = task.answer("Approve", "ada")
    late = trigger_of(task).deadline
    time.sleep(1)
    assert isinstance(task.resumed(task.fire(trigger_of(task))).error, ExecutionTimeout)
    notified = len(Told.heard)
    task.lose_worker()
    task.first = task.attempt()
    assert (task.first.error, task.state, task.action().answer) == (None, "deferred", None)
    assert trigger_of(task).deadline > late
    assert len(Told.heard) == notified + 1
    given = result_of(task.answer("Approve", "bob"))["approvals"]
    assert [each["by"] for each in given] == ["ada", "bob"]
    assert len(asking.answers()) == 1


def test_an_answer_that_no_triggerer_has_read_counts_and_not_the_silence_after_it(asking):
    """It came before the deferral, and triggerers were down until Airflow timed the deferral out."""
    task = asked(asking, response_timeout=0.5, on_no_response="approve")
    task.mark("running")
    assert task.answer("Reject", "ada") is None
    task.mark("deferred")
    time.sleep(0.5)
    task.first = task.resume_without_event("Trigger timeout")
    assert (task.first.error, task.state, asking.answers()) == (None, "deferred", [])
    ended = task.resumed(task.fire(trigger_of(task)))
    assert [(each["decision"], each["by"]) for each in result_of(ended)["approvals"]] == [("reject", "ada")]
    until(lambda: asking.is_decided() is False)


def test_an_answer_counts_although_airflow_cannot_be_asked_just_when_time_is_up(asking, mocker):
    """It came before the deferral, and Airflow is away from then until after the deadline."""
    task = asked(asking, response_timeout=0.5, on_no_response="approve")
    task.mark("running")
    assert task.answer("Reject", "ada") is None
    task.mark("deferred")
    time.sleep(0.5)
    keep_airflow_away(mocker, reads=3)
    ended = task.resumed(task.fire(trigger_of(task)))
    assert [(each["decision"], each["by"]) for each in result_of(ended)["approvals"]] == [("reject", "ada")]
    until(lambda: asking.is_decided() is False)


def test_silence_counts_once_airflow_could_not_be_asked_for_long(asking, mocker):
    mocker.patch.object(DURATIONS, "error_budget", 0.3)
    task = asked(asking, response_timeout=0.5)
    time.sleep(0.5)
    mocker.patch.object(required_actions, "get_hitl_detail_content_detail", side_effect=ConnectionError)
    (given,) = result_of(task.resumed(task.fire(trigger_of(task))))["approvals"]
    assert (given["decision"], given["by"]) == ("reject", "")


@pytest.mark.parametrize(("then", "goes_on"), [("approve", True), ("reject", False)])
def test_silence_while_no_triggerer_runs_means_what_its_author_says(asking, then, goes_on):
    task = asked(asking, response_timeout=0.5, on_no_response=then)
    time.sleep(0.5)
    for _ in range(MOST_CRASHES):
        assert task.resume_without_event("Trigger timeout").error is None
        assert (task.state, asking.answers()) == ("deferred", [])
    (given,) = result_of(task.resume_without_event("Trigger timeout"))["approvals"]
    assert (given["decision"], given["by"]) == (then, "")
    until(lambda: asking.is_decided() is goes_on)


# --- ended, retried and cleared


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_person_who_ends_the_task_closes_the_question_and_cancels_nothing(asking, state):
    task = asked(asking)
    trigger = trigger_of(task)
    task.mark(state)
    task.kill(trigger)
    action = task.action()
    assert (action.answer, action.by) == ("Reject", None)
    assert f"the task is {state}" in action.comment
    assert asking.is_decided() is None
    assert asking.answers() == []


def test_a_trigger_that_only_moved_closes_nothing(asking):
    task = asked(asking)
    task.kill(trigger_of(task))
    assert task.action().answer is None


def test_a_kill_after_an_answer_changes_nothing(asking):
    task = asked(asking)
    trigger = trigger_of(task)
    task.answer("Approve", "ada")
    task.kill(trigger)
    assert (task.action().answer, task.action().by) == ("Approve", "ada")


def test_a_retry_continues_with_an_answer_that_no_worker_has_seen(asking):
    task = asked(asking)
    task.mark("running")
    assert task.answer("Approve", "ada") is None
    task.lose_worker()
    task.first = task.attempt()
    assert task.state == "deferred"
    assert task.action().by == "ada"
    ended = task.resumed(task.fire(trigger_of(task)))
    assert result_of(ended)["approvals"][0]["by"] == "ada"
    assert len(asking.answers()) == 1


def test_a_retry_sends_the_decision_that_an_earlier_attempt_got(asking):
    task = asked(asking)

    def dying(*_: Any) -> None:
        raise WorkerKilled

    with patched(type(task.operator), "answer", dying):
        assert isinstance(task.answer("Reject", "ada").error, WorkerKilled)
    retried = task.attempt()
    assert result_of(retried)["approvals"][0]["by"] == "ada"
    until(lambda: asking.is_decided() is False)
    assert len(asking.answers()) == 1


def named_otherwise(asking: Asking, systems: Systems) -> Callable[..., Any]:
    """An operator that names another approval, which waits as well."""
    if asking.system == "code_stream":
        other = code_stream_tasks.start_until_it_asks(systems)
        return lambda **given: CodeStreamApprovalOperator(task_id="ask", execution_id=other, **given)
    service_stage_tasks.start_until_it_asks_twice(systems)
    return lambda **given: ServiceStageApprovalOperator(
        task_id="ask", pipeline="two-approvals", task_name="first0", **given
    )


@pytest.mark.parametrize("is_changed", [False, True])
def test_a_question_stays_what_it_is_although_the_arguments_change_and_the_log_says_so(
    asking, systems, is_changed, capsys
):
    """Somebody deploys a fix while it asks, or a template renders to something else in the retry."""
    task = asked(asking, approvals=2)
    build = named_otherwise(asking, systems) if is_changed else asking.build
    task.deploy(lambda: build(poll_interval=0.2, approvals=2))
    capsys.readouterr()
    assert task.answer("Approve", "ada").error is None
    task.lose_worker()
    task.first = task.attempt()
    assert task.state == "deferred"
    log = capsys.readouterr().out
    warning = "The arguments of this task have changed since it asked: people decide about"
    assert log.count(warning) == 2 * is_changed
    if asking.system == "service_stage":
        assert "release task shop-release-approval, execution" in log
        assert "release task two-approvals, execution" not in log
    assert result_of(task.answer("Approve", "bob"))["approvals"][1]["by"] == "bob"
    until(lambda: asking.is_decided() is True)
    assert len(asking.answers()) == 1


def test_who_decided_stays_on_record_if_no_attempt_can_send_it(systems):
    """Airflow deletes the XComs of the attempt before."""
    task = asked(in_code_stream(systems))
    systems.fault("code_stream", "status", method="PATCH", path="/user-operations/", status=403, times=2)
    assert isinstance(task.answer("Approve", "ada").error, PermissionDeniedError)
    retried = task.attempt()
    assert isinstance(retried.error, PermissionDeniedError)
    assert [each["by"] for each in xcom_of(retried, "approvals")] == ["ada"]


def test_a_task_that_was_cleared_asks_again(asking):
    task = asked(asking)
    task.mark("running")
    task.answer("Approve", "ada")
    task.mark("failed")
    task.clear()
    task.first = task.attempt()
    assert task.state == "deferred"
    assert task.action().answer is None
    assert asking.answers() == []


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        (["ada"], ["bob"], "only ada can answer, but now only the answers of bob count, so that nobody can decide"),
        (["ada"], ["ada", "bob"], "only ada can answer, but now only the answers of ada, bob count. Start"),
        (["ada"], None, "only ada can answer, but now the answers of all would count. Start"),
        (["ada", "bob"], ["bob"], ""),
        (None, ["bob"], ""),
    ],
)
def test_approvers_whom_airflow_does_not_let_answer_are_named_in_the_log(systems, capsys, first, then, said):
    """Somebody has deployed other approvers, or a template names others by now."""
    asking = in_code_stream(systems)
    task = asked(asking, approvers=first)
    task.mark("failed")
    task.clear()
    task.deploy(lambda: asking.build(poll_interval=0.2, approvers=then))
    capsys.readouterr()
    task.first = task.attempt()
    assert (task.state, task.action().approvers) == ("deferred", first or [])
    log = capsys.readouterr().out
    assert ("enforces the approvers of this task's first question" in log) is bool(said)
    assert said in log


def test_a_wait_that_crashed_continues_and_keeps_the_question(asking):
    task = asked(asking)
    again = task.resume_without_event("Trigger failure")
    assert (again.error, task.state) == (None, "deferred")
    assert task.answer("Approve").error is None


def test_in_dag_test_nobody_is_asked_but_the_vendors_decision_counts(systems):
    asking = in_code_stream(systems)
    with CodeStreamHook().get_conn() as client:
        (operation_id,) = (each["id"] for each in client.approvals.list("status eq 'ACTIVE'"))

        def decide() -> bool:
            """As soon as the task has seen that it waits."""
            has_asked = systems.requests("code_stream", "GET", f"/user-operations/{operation_id}")
            return bool(has_asked and client.approvals.answer(operation_id, True))

        with meanwhile(decide):
            ended = run_task(lambda: asking.build(poll_interval=0.2))
    assert ended.error is None
    assert ended.result["approvals"][0]["comment"] == "decided at the vendor"


# --- arguments


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"approvals": 0}, "approvals"),
        ({"approvals": True}, "approvals"),
        ({"approvals": 1.5}, "approvals"),
        ({"response_timeout": 0}, "response_timeout"),
        ({"response_timeout": float("inf")}, "response_timeout"),
        ({"on_no_response": "ignore"}, "on_no_response"),
        ({"poll_interval": -1}, "poll_interval"),
        ({"approvers": "ada"}, "approvers"),
        ({"approvers": []}, "approvers"),
        ({"approvers": [" "]}, "approvers"),
        ({"approvers": ["ada", "ada"], "approvals": 2}, "approvals"),
        ({"approvers": ["ada", "Ada "], "approvals": 2}, "approvals"),
    ],
)
@pytest.mark.parametrize("cls", [CodeStreamApprovalOperator, ServiceStageApprovalOperator])
def test_a_bad_rule_is_named_when_the_dag_is_parsed(cls, given, named):
    needed = {"execution_id": "1"} if cls is CodeStreamApprovalOperator else {"pipeline": "shop"}
    with pytest.raises(BadRequestError, match=named):
        cls(task_id="ask", **needed, **given)


def test_a_task_name_is_found_where_only_one_can_wait_and_asked_for_where_several_can(systems):
    service_stage_tasks.start_until_it_asks(systems)
    one = run_task(
        lambda: ServiceStageApprovalOperator(task_id="ask", pipeline="shop-release-approval", decision="approve")
    )
    assert one.error is None
    service_stage_tasks.start_until_it_asks_twice(systems)
    two = run_task(lambda: ServiceStageApprovalOperator(task_id="ask", pipeline="two-approvals", decision="approve"))
    assert isinstance(two.error, BadRequestError)
    assert "first0, second" in str(two.error)


# --- notifications


class Told(BaseNotifier):
    """Keeps its notifications."""

    template_fields = ("text",)
    heard: ClassVar[list[str]] = []

    def __init__(self, text: str = "", subject: str = "") -> None:
        super().__init__()
        self.text, self.subject = text, subject

    def notify(self, context: Any) -> None:
        self.heard.append(f"{self.subject}|{self.text}")


class Broken(Told):
    def __init__(self) -> None:
        super().__init__("{{ no_such_thing.at_all }}")


class Slow(Told):
    def notify(self, context: Any) -> None:
        time.sleep(60)


@pytest.fixture
def heard(mocker: MockerFixture) -> list[str]:
    mocker.patch.object(Told, "heard", [])
    return Told.heard


def test_notifiers_are_called_each_time_somebody_must_decide(asking, heard):
    notifiers = [
        ApprovalNotifier(Told),
        ApprovalNotifier(f"{Told.__module__}.Told", text="Look: {{ approval.link }}"),
    ]
    task = asked(asking, approvals=2, notifiers=notifiers)
    assert len(heard) == 2
    for each in heard:
        assert each.startswith("Approve or reject: ")
        assert each.endswith("/tasks/ask/required_actions")
    assert any("|Look: http" in each for each in heard)
    task.answer("Approve", "ada")
    assert len(heard) == 4


def test_a_notification_that_fails_or_hangs_delays_nothing(asking, heard, mocker):
    mocker.patch.object(asking_people, "NOTIFIED_WITHIN", 0.5)
    missing = ApprovalNotifier("airflow_provider.notifications.NoSuchNotifier")
    task = asked(asking, notifiers=[Broken(), missing, ApprovalNotifier(Told, nonsense=1), Slow(), Told("heard")])
    assert heard == ["|heard"]
    assert task.answer("Approve", "ada").error is None
