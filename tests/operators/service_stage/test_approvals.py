"""The operator that answers an approval."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.clients.service_stage import approvals
from airflow_provider.clients.service_stage.approvals import Approvals
from airflow_provider.clients.service_stage.releases import Releases
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ServerUnavailableError,
)
from airflow_provider.hooks.service_stage import ServiceStageHook
from airflow_provider.operators.service_stage import ServiceStageApprovalOperator
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.attempts import Task, WorkerKilled
from tests.support.meanwhile import meanwhile
from tests.support.patching import patched
from tests.support.service_stage_tasks import (
    APPROVAL,
    APPROVED,
    actions,
    start,
    start_until_it_asks,
    start_until_it_asks_twice,
    state_of,
)
from tests.support.until import until


def answer(decision: Any, **arguments: Any) -> TaskRun:
    arguments = {"pipeline": APPROVED, "task_name": APPROVAL, **arguments}
    return run_task(lambda: ServiceStageApprovalOperator(task_id="answer", decision=decision, **arguments))


@pytest.mark.parametrize(("decision", "state"), [("approve", "2"), ("reject", "3")])
def test_an_answer_is_passed_on_and_is_a_success_either_way(systems, decision, state):
    execution_id = start_until_it_asks(systems)
    ended = answer(decision, message="checked by hand")
    assert ended.error is None
    assert (ended.state, ended.result["id"], ended.xcoms["id"]) == ("success", execution_id, execution_id)
    assert ended.result["status"] != "5"
    assert until(lambda: state_of(systems, execution_id) == state)
    sent = systems.requests("service_stage", "POST", "/action")[-1]["body"]
    expected = {"task_name": APPROVAL, "approval_type": "agree" if decision == "approve" else "refuse"}
    assert sent == {**expected, "message": "checked by hand"}


def test_an_answer_without_a_question_is_refused_before_it_is_sent(systems):
    execution_id = start_until_it_asks(systems)
    assert answer("approve").state == "success"
    until(lambda: state_of(systems, execution_id) == "2")
    for decision in ("approve", "reject"):
        ended = answer(decision)
        assert isinstance(ended.error, ConflictError)
        assert "has no pending approval" in str(ended.error)
        assert repr(APPROVED) in str(ended.error)
    assert actions(systems) == ["start", "approval"]


def test_a_task_name_that_waits_for_nothing_is_refused_with_those_that_do(systems):
    execution_id = start_until_it_asks(systems)
    ended = answer("approve", task_name="ujgdh4")
    assert isinstance(ended.error, BadRequestError)
    assert "task_name 'ujgdh4'" in str(ended.error)
    assert APPROVAL in str(ended.error)
    assert state_of(systems, execution_id) == "5"


@pytest.mark.parametrize("decision", ["approve", None])
def test_where_a_release_shows_what_waits_nobody_is_asked_about_anything_else(systems, decision):
    tasks = [{"name": name, "type": "approval", "status": status} for name, status in (("later0", 1), ("now000", 5))]
    with ServiceStageHook().get_conn() as client:
        stages = [{"name": "899tih", "groups": [{"tasks": [task]} for task in tasks]}]
        client.release_tasks.create({"name": "open", "config_mode": "ui", "stages": stages})
    execution_id = start("open")
    until(lambda: state_of(systems, execution_id) == "5")
    ended = answer(decision, pipeline="open", task_name="later0")
    assert isinstance(ended.error, BadRequestError)
    assert "task_name must be one that the release is waiting for, now000, got 'later0'" in str(ended.error)
    assert actions(systems) == ["start"]


def test_an_answer_that_changes_nothing_fails(systems, mocker):
    mocker.patch.object(approvals, "ACCEPTED_WITHIN", 0.4)
    start_until_it_asks(systems)
    systems.switch("service_stage", shown_status={"2": 5, "4": 5})
    ended = answer("approve")
    assert isinstance(ended.error, PermissionDeniedError)
    assert "ignored" in str(ended.error)
    assert APPROVAL in str(ended.error)


def test_an_answer_may_take_a_while_to_show(systems):
    start_until_it_asks(systems)
    systems.switch("service_stage", shown_status={"2": 5, "4": 5})
    with meanwhile(lambda: "approval" in actions(systems) and systems.switch("service_stage", shown_status={}) is None):
        ended = answer("approve")
    assert ended.state == "success"
    assert ended.result["status"] in ("2", "4")


def test_a_release_that_waits_for_a_second_approval_is_no_failure_of_the_first(systems, mocker):
    mocker.patch.object(approvals, "ACCEPTED_WITHIN", 0.4)
    execution_id = start_until_it_asks_twice(systems)
    first, second = (answer("approve", pipeline="two-approvals", task_name=name) for name in ("first0", "second"))
    assert (first.error, first.result["state"]) == (None, "waiting")
    assert second.error is None
    until(lambda: state_of(systems, execution_id) == "2")


@pytest.mark.parametrize("fault", ["reset_after", "truncate"])
def test_an_answer_whose_reply_was_lost_counts_once_it_shows(systems, fault):
    execution_id = start_until_it_asks(systems)
    systems.fault("service_stage", fault, method="POST", path="/action$")
    ended = answer("approve")
    assert (ended.error, ended.result["id"]) == (None, execution_id)
    assert actions(systems) == ["start", "approval"]


def test_an_answer_that_never_arrived_fails_and_is_not_sent_twice(systems):
    start_until_it_asks(systems)
    systems.fault("service_stage", "reset_before", method="POST", path="/action$")
    ended = answer("approve")
    assert isinstance(ended.error, ServerUnavailableError)
    assert actions(systems) == ["start", "approval"]


def test_a_retry_after_the_answer_took_effect_reports_what_became_of_it(systems):
    execution_id = start_until_it_asks(systems)
    arguments = {"pipeline": APPROVED, "task_name": APPROVAL, "decision": "approve"}
    task = Task(lambda: ServiceStageApprovalOperator(task_id="answer", **arguments))

    def dying(*_: Any) -> None:
        raise WorkerKilled

    with patched(Approvals, "wait_until_accepted", dying):
        assert isinstance(task.attempt().error, WorkerKilled)
    until(lambda: state_of(systems, execution_id) == "2")
    assert task.attempt().error is None
    assert actions(systems) == ["start", "approval"]
    task.clear()
    assert isinstance(task.attempt().error, ConflictError)


def test_a_retry_with_another_decision_takes_no_earlier_answer_for_its_own(systems):
    execution_id = start_until_it_asks(systems)
    task = deciding("approve", APPROVED)
    die_once_the_answer_was_taken(task)
    until(lambda: state_of(systems, execution_id) == "2")
    task.deploy(lambda: ServiceStageApprovalOperator(task_id="answer", pipeline=APPROVED, decision="reject"))
    with pytest.raises(ConflictError, match="has sent approve") as raised:
        raise task.attempt().error
    assert "reject was not sent" in str(raised.value)
    assert actions(systems) == ["start", "approval"]


def test_a_retry_with_another_pipeline_answers_that_one(systems):
    start_until_it_asks(systems)
    with ServiceStageHook().get_conn() as client:
        stages = [{"name": "899tih", "groups": [{"tasks": [{"name": "other0", "type": "approval"}]}]}]
        client.release_tasks.create({"name": "other", "config_mode": "ui", "stages": stages})
    task = deciding("approve", APPROVED)
    die_once_the_answer_was_taken(task)
    other = start("other")
    until(lambda: state_of(systems, other) == "5")
    task.deploy(lambda: ServiceStageApprovalOperator(task_id="answer", pipeline="other", decision="approve"))
    assert task.attempt().error is None
    until(lambda: state_of(systems, other) == "2")


def deciding(decision: Any, pipeline: str) -> Task:
    return Task(lambda: ServiceStageApprovalOperator(task_id="answer", pipeline=pipeline, decision=decision))


def die_once_the_answer_was_taken(task: Task) -> None:
    with patched(Approvals, "wait_until_accepted", side_effect=WorkerKilled):
        assert isinstance(task.attempt().error, WorkerKilled)


def answering(name: str) -> Task:
    arguments = {"pipeline": "two-approvals", "task_name": name, "decision": "approve"}
    return Task(lambda: ServiceStageApprovalOperator(task_id="answer", **arguments))


def die_after_the_request(task: Task) -> None:
    whole = Releases.act

    def dying(*arguments: Any, **named: Any) -> None:
        whole(*arguments, **named)
        raise WorkerKilled

    with patched(Releases, "act", dying):
        assert isinstance(task.attempt().error, WorkerKilled)


@pytest.mark.parametrize("goes_wrong", ["the worker dies", "the answer is lost"])
def test_a_retry_whose_answer_was_taken_succeeds_although_a_second_approval_is_pending(systems, goes_wrong, mocker):
    mocker.patch.object(approvals, "ACCEPTED_WITHIN", 0.4)
    execution_id = start_until_it_asks_twice(systems)
    first, second = answering("first0"), answering("second")
    if goes_wrong == "the worker dies":
        die_after_the_request(first)
    else:
        systems.fault("service_stage", "reset_after", method="POST", path="/action$")
        assert first.attempt().error is not None
    assert first.attempt().error is None
    assert state_of(systems, execution_id) == "5"
    assert second.attempt().error is None
    until(lambda: state_of(systems, execution_id) == "2")
    assert actions(systems).count("approval") == 3


def test_a_retry_answers_no_release_that_was_started_since(systems):
    answered = start_until_it_asks(systems)
    arguments = {"pipeline": APPROVED, "task_name": APPROVAL, "decision": "approve"}
    task = Task(lambda: ServiceStageApprovalOperator(task_id="answer", **arguments))

    def dying(*_: Any, **__: Any) -> None:
        raise WorkerKilled

    with patched(Releases, "act", dying):
        assert isinstance(task.attempt().error, WorkerKilled)
    systems.force("service_stage", answered, "3")
    newer = start_until_it_asks(systems)
    assert isinstance(task.attempt().error, ConflictError)
    assert state_of(systems, newer) == "5"


@pytest.mark.parametrize(("ours", "theirs", "state"), [("approve", "refuse", "3"), ("reject", "agree", "2")])
def test_a_retry_takes_nobody_elses_answer_for_its_own(systems, ours, theirs, state):
    execution_id = start_until_it_asks(systems)
    arguments = {"pipeline": APPROVED, "task_name": APPROVAL, "decision": ours}
    task = Task(lambda: ServiceStageApprovalOperator(task_id="answer", **arguments))

    def dying(*_: Any, **__: Any) -> None:
        raise WorkerKilled

    with patched(Releases, "act", dying):
        assert isinstance(task.attempt().error, WorkerKilled)
    with ServiceStageHook().get_conn() as client:
        pipeline_id = str(client.release_tasks.find(APPROVED)["id"])
        client.releases.act(pipeline_id, "approval", task_name=APPROVAL, approval_type=theirs)
    until(lambda: state_of(systems, execution_id) == state)
    error = task.attempt().error
    assert isinstance(error, ConflictError)
    assert "somebody else may have answered" in str(error)
    assert actions(systems) == ["start", "approval"]


def test_an_answer_that_was_lost_is_not_taken_for_the_one_of_somebody_else(systems):
    execution_id = start_until_it_asks(systems)
    arguments = {"pipeline": APPROVED, "task_name": APPROVAL, "decision": "approve"}
    task = Task(lambda: ServiceStageApprovalOperator(task_id="answer", **arguments))
    whole = Releases.act

    def refused_meanwhile(releases: Releases, pipeline_id: str, action: str, **named: Any) -> None:
        whole(releases, pipeline_id, action, **{**named, "approval_type": "refuse"})
        until(lambda: state_of(systems, execution_id) == "3")
        raise ServerUnavailableError("connection reset", effect=Effect.UNKNOWN)

    with patched(Releases, "act", refused_meanwhile):
        assert isinstance(task.attempt().error, ServerUnavailableError)
    assert isinstance(task.attempt().error, ConflictError)
    assert actions(systems) == ["start", "approval"]


def test_a_retry_of_an_answer_of_which_nothing_could_be_seen_answers_no_younger_release(systems):
    answered = start_until_it_asks(systems)
    task = deciding("approve", APPROVED)

    def unseen(*_: Any) -> None:
        raise NotFoundError("a gateway publishes nothing for a while")

    systems.fault("service_stage", "reset_after", method="POST", path="/action$")
    with patched(Approvals, "is_waiting_for", unseen):
        assert isinstance(task.attempt().error, ServerUnavailableError)
    until(lambda: state_of(systems, answered) == "2")
    newer = start_until_it_asks(systems)
    assert task.attempt().error is None
    assert state_of(systems, newer) == "5"


def died_before_it_answered() -> Task:
    """A task whose worker has died just before it sent the answer, which nobody can know."""
    arguments = {"pipeline": APPROVED, "task_name": APPROVAL, "decision": "approve"}
    task = Task(lambda: ServiceStageApprovalOperator(task_id="answer", **arguments))
    with patched(Releases, "act", side_effect=WorkerKilled):
        assert isinstance(task.attempt().error, WorkerKilled)
    return task


def refuse_elsewhere(systems: Any, execution_id: str) -> None:
    with ServiceStageHook().get_conn() as client:
        pipeline_id = str(client.release_tasks.find(APPROVED)["id"])
        client.releases.act(pipeline_id, "approval", task_name=APPROVAL, approval_type="refuse")
    until(lambda: state_of(systems, execution_id) == "3")


def test_a_release_that_somebody_stops_has_accepted_no_answer_of_an_earlier_attempt(systems):
    """It counts as running until it has stopped."""
    execution_id = start_until_it_asks(systems)
    task = died_before_it_answered()
    systems.force("service_stage", execution_id, "13")
    error = task.attempt().error
    assert isinstance(error, ConflictError)
    assert "is running (status 13), which is inconsistent with the answer approve" in str(error)


def test_no_retry_answers_a_younger_release_after_somebody_else_may_have_answered(systems):
    execution_id = start_until_it_asks(systems)
    task = died_before_it_answered()
    refuse_elsewhere(systems, execution_id)
    with patched(Approvals, "is_waiting_for", return_value=None):
        assert "somebody else may have answered" in str(task.attempt().error)
    newer = start_until_it_asks(systems)
    assert "somebody else may have answered" in str(task.attempt().error)
    assert state_of(systems, newer) == "5"


def test_a_retry_whose_answer_is_refused_while_the_release_waits_for_it_fails_until_it_is_taken(systems):
    execution_id = start_until_it_asks(systems)
    task = died_before_it_answered()
    systems.fault("service_stage", "status", method="POST", path="/action$", status=400, times=1)
    error = task.attempt().error
    assert isinstance(error, BadRequestError)
    assert "was refused" in str(error)
    assert task.attempt().error is None
    assert until(lambda: state_of(systems, execution_id) == "2")


def test_an_answer_that_seemed_to_be_accepted_is_checked_again_once_the_release_goes_on(systems):
    execution_id = start_until_it_asks(systems)
    task = died_before_it_answered()
    systems.fault("service_stage", "status", method="POST", path="/action$", status=400, times=1)
    polls: list[Any] = []

    def refused_at_last(*about: Any) -> None:
        """Nothing shows which approval it waits for, as in the documented API; soon somebody refuses this one."""
        polls.append(about)
        if len(polls) == 3:
            refuse_elsewhere(systems, execution_id)

    with (
        patched(approvals, "ACCEPTED_WITHIN", 2.0),
        patched(Approvals, "is_waiting_for", refused_at_last),
    ):
        assert "somebody else may have answered" in str(task.attempt().error)


def test_a_retry_after_an_answer_that_was_refused_asks_again(systems):
    execution_id = start_until_it_asks(systems)
    arguments = {"pipeline": APPROVED, "task_name": APPROVAL, "decision": "approve"}
    task = Task(lambda: ServiceStageApprovalOperator(task_id="answer", **arguments))
    systems.fault("service_stage", "status", method="POST", path="/action$", status=403)
    assert isinstance(task.attempt().error, PermissionDeniedError)
    systems.force("service_stage", execution_id, "3")
    assert isinstance(task.attempt().error, ConflictError)
