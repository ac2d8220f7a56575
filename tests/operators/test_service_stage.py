"""ServiceStage operators in real Airflow against the sandbox: releases, stops, approvals."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.clients.service_stage.releases import Releases
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    ExecutionFailed,
    ExecutionRejected,
    ExecutionWaiting,
    NotFoundError,
    PermissionDeniedError,
    ServerUnavailableError,
)
from airflow_provider.hooks.service_stage import ServiceStageHook
from airflow_provider.operators import release_answer
from airflow_provider.operators.service_stage import (
    ServiceStageApprovalOperator,
    ServiceStageReleaseOperator,
    ServiceStageStopReleaseOperator,
)
from tests.airflow_runs import TaskRun, run_task
from tests.attempts import Task, WorkerKilled
from tests.meanwhile import meanwhile, until

SHOP, APPROVED = "shop-release", "shop-release-approval"
APPROVAL = "apr0v1"
SLOW = 0.05
BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["synchronous", "deferrable"])


@pytest.fixture(autouse=True)
def fast(systems) -> None:
    systems.reset(speed=60)


def start(pipeline: str = SHOP) -> str:
    """A release that no task has started."""
    with ServiceStageHook().get_conn() as client:
        return client.releases.act(str(client.release_tasks.find(pipeline)["id"]), "start").id


def start_until_it_asks(systems) -> str:
    execution_id = start(APPROVED)
    until(lambda: state_of(systems, execution_id) == "5")
    return execution_id


def state_of(systems, execution_id: str) -> str:
    return next(each["state"] for each in systems.executions("service_stage") if each["id"] == execution_id)


def cancels(systems) -> int:
    return sum(len(each["cancels"]) for each in systems.executions("service_stage"))


def actions(systems) -> list[str]:
    return [each["query"].partition("action_id=")[2] for each in systems.requests("service_stage", "POST", "/action")]


def release(**arguments: Any) -> TaskRun:
    return run_task(lambda: ServiceStageReleaseOperator(task_id="release", poll_interval=0.1, **arguments))


def stop(**arguments: Any) -> TaskRun:
    return run_task(lambda: ServiceStageStopReleaseOperator(task_id="stop", poll_interval=0.1, **arguments))


def answer(decision: str, **arguments: Any) -> TaskRun:
    arguments = {"pipeline": APPROVED, "task_name": APPROVAL, **arguments}
    return run_task(lambda: ServiceStageApprovalOperator(task_id="answer", decision=decision, **arguments))


def test_the_outputs_of_a_release_are_its_record():
    ended = release(pipeline=SHOP)
    outputs = ended.result["outputs"]
    assert str(outputs["id"]) == ended.result["id"]
    assert outputs["pipeline_id"] == ended.result["ref"]["pipeline_id"]
    assert (outputs["trigger"], outputs["status"]) == ("release-bot", 2)


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_release_task_is_called_by_name_or_id(systems, by):
    with ServiceStageHook().get_conn() as client:
        pipeline = client.release_tasks.find(SHOP)
    ended = release(pipeline=pipeline[by])
    assert ended.result["ref"]["pipeline_id"] == pipeline["id"]


def test_only_the_selected_tasks_are_released(systems):
    ended = release(pipeline=SHOP, selected_tasks={"899tih": ["ujgdh4"]})
    assert ended.state == "success"
    (request,) = systems.requests("service_stage", "POST", "/action")
    assert request["body"] == {"selected_tasks": [{"stage_name": "899tih", "tasks": ["ujgdh4"]}]}


# what is done, in which state of the last release, how the release ends then
GOING_ON = {
    "retry": ("retry", "3", "2"),
    "continue": ("continue", "7", "2"),
    "roll back a release": ("rollback", "2", "11"),
    "roll back a failure": ("rollback", "3", "11"),
}


@BOTH_MODES
@pytest.mark.parametrize(("action", "before", "after"), GOING_ON.values(), ids=GOING_ON)
def test_an_action_goes_on_with_the_last_release(systems, action, before, after, deferrable):
    execution_id = start()
    systems.force("service_stage", execution_id, before)
    ended = release(pipeline=SHOP, action=action, deferrable=deferrable)
    assert ended.error is None
    assert (ended.result["id"], ended.result["state"], ended.result["status"]) == (execution_id, "succeeded", after)
    assert actions(systems) == ["start", action]


def test_a_rollback_that_fails_fails_the_task(systems):
    systems.switch("service_stage", rollback_fails=True)
    systems.force("service_stage", start(), "2")
    ended = release(pipeline=SHOP, action="rollback")
    assert isinstance(ended.error, ExecutionFailed)
    assert "rollback failed" in str(ended.error)


@pytest.mark.parametrize(("action", "status"), [("retry", "2"), ("continue", "4"), ("rollback", "7"), ("start", "4")])
def test_an_action_that_the_status_does_not_allow_is_refused_in_the_vendors_words(systems, action, status):
    systems.reset(speed=SLOW)
    systems.force("service_stage", start(), status)
    ended = release(pipeline=SHOP, action=action)
    assert isinstance(ended.error, BadRequestError)
    assert f"{action} is not allowed in status {status}" in str(ended.error)
    assert len(systems.executions("service_stage")) == 1


@BOTH_MODES
def test_a_running_release_is_stopped(systems, deferrable):
    systems.reset(speed=2)
    execution_id = start()
    ended = stop(pipeline=SHOP, deferrable=deferrable)
    assert ended.error is None
    assert (ended.result["id"], ended.result["status"]) == (execution_id, "7")
    assert ended.xcoms["id"] == execution_id
    assert (state_of(systems, execution_id), cancels(systems)) == ("7", 1)


def test_a_release_that_is_stopping_is_not_stopped_again(systems):
    systems.reset(speed=SLOW)
    systems.force("service_stage", start(), "13")
    ended = stop(pipeline=SHOP, wait_for_completion=False)
    assert (ended.error, ended.result["state"], ended.result["status"]) == (None, "running", "13")
    assert actions(systems) == ["start"]


def test_a_retry_of_a_stop_leaves_the_version_alone_that_was_started_since(systems, monkeypatch):
    systems.switch("service_stage", task_seconds=1e6)
    stopped = start()
    task = Task(lambda: ServiceStageStopReleaseOperator(task_id="stop", pipeline=SHOP, poll_interval=0.1))

    def dying(client: Any, target: Any) -> None:
        client.releases.stop(target.ref)
        raise WorkerKilled

    with monkeypatch.context() as patch:
        patch.setattr(task.operator, "act", dying)
        assert isinstance(task.attempt().error, WorkerKilled)
    until(lambda: state_of(systems, stopped) == "7")
    fixed = start()
    again = task.attempt()
    assert again.error is None
    assert (state_of(systems, stopped), state_of(systems, fixed)) == ("7", "4")
    assert actions(systems) == ["start", "stop", "start"]


def test_a_retry_of_a_stop_of_what_had_stopped_leaves_the_version_alone_that_was_started_since(systems, monkeypatch):
    systems.switch("service_stage", task_seconds=1e6)
    systems.force("service_stage", start(), "7")
    task = Task(lambda: ServiceStageStopReleaseOperator(task_id="stop", pipeline=SHOP, poll_interval=0.1))

    def die(*_: Any) -> None:
        raise WorkerKilled

    with monkeypatch.context() as patch:
        patch.setattr(task.operator, "publish", die)
        assert isinstance(task.attempt().error, WorkerKilled)
    fixed = start()
    assert task.attempt().error is None
    assert state_of(systems, fixed) == "4"
    assert actions(systems) == ["start", "start"]


@pytest.mark.parametrize("fault", ["reset_after", "truncate"])
def test_a_stop_whose_answer_was_lost_counts_once_it_shows(systems, fault):
    systems.reset(speed=2)
    start()
    systems.fault("service_stage", fault, method="POST", path="/action$")
    ended = stop(pipeline=SHOP)
    assert (ended.error, ended.result["status"]) == (None, "7")
    assert actions(systems) == ["start", "stop"]


def test_a_stop_may_return_as_soon_as_it_was_accepted(systems):
    systems.reset(speed=SLOW)
    execution_id = start()
    ended = stop(pipeline=SHOP, wait_for_completion=False)
    assert (ended.state, ended.result["status"]) == ("success", "13")
    assert state_of(systems, execution_id) == "13"


@BOTH_MODES
@pytest.mark.parametrize("status", ["2", "3", "7", "11"])
def test_a_release_that_is_over_counts_as_stopped_and_is_left_alone(systems, deferrable, status):
    systems.force("service_stage", start(), status)
    ended = stop(pipeline=SHOP, deferrable=deferrable)
    assert (ended.state, ended.result["status"]) == ("success", status)
    assert actions(systems) == ["start"]


def test_a_release_task_that_was_never_executed_cannot_be_stopped(systems):
    ended = stop(pipeline=SHOP)
    assert isinstance(ended.error, ConflictError)
    assert "never executed" in str(ended.error)


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
        assert "waits for no approval" in str(ended.error)
        assert repr(APPROVED) in str(ended.error)
    assert actions(systems) == ["start", "approval"]


def test_a_task_name_that_waits_for_nothing_is_refused_with_those_that_do(systems):
    execution_id = start_until_it_asks(systems)
    ended = answer("approve", task_name="ujgdh4")
    assert isinstance(ended.error, BadRequestError)
    assert "task_name 'ujgdh4'" in str(ended.error)
    assert APPROVAL in str(ended.error)
    assert state_of(systems, execution_id) == "5"


def test_an_answer_that_changes_nothing_fails(systems, monkeypatch):
    monkeypatch.setattr(release_answer, "TAKEN_WITHIN", 0.4)
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


def start_until_it_asks_twice(systems) -> str:
    """ServiceStage tells that it waits, and not for which of the two."""
    groups = [{"tasks": [{"name": name, "type": "approval"}]} for name in ("first0", "second")]
    with ServiceStageHook().get_conn() as client:
        stages = [{"name": "899tih", "groups": groups}]
        client.release_tasks.create({"name": "two-approvals", "config_mode": "ui", "stages": stages})
    execution_id = start("two-approvals")
    until(lambda: state_of(systems, execution_id) == "5")
    return execution_id


def test_a_release_that_waits_for_a_second_approval_is_no_failure_of_the_first(systems, monkeypatch):
    monkeypatch.setattr(release_answer, "TAKEN_WITHIN", 0.4)
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


def test_a_retry_after_the_answer_took_effect_tells_what_became_of_it(systems, monkeypatch):
    execution_id = start_until_it_asks(systems)
    arguments = {"pipeline": APPROVED, "task_name": APPROVAL, "decision": "approve"}
    task = Task(lambda: ServiceStageApprovalOperator(task_id="answer", **arguments))

    def dying(*_: Any) -> None:
        raise WorkerKilled

    with monkeypatch.context() as patch:
        patch.setattr(task.operator, "_wait_until_taken", dying)
        assert isinstance(task.attempt().error, WorkerKilled)
    until(lambda: state_of(systems, execution_id) == "2")
    assert task.attempt().error is None
    assert actions(systems) == ["start", "approval"]
    task.clear()
    assert isinstance(task.attempt().error, ConflictError)


def answering(name: str) -> Task:
    arguments = {"pipeline": "two-approvals", "task_name": name, "decision": "approve"}
    return Task(lambda: ServiceStageApprovalOperator(task_id="answer", **arguments))


def die_after_the_request(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Releases.act

    def dying(*arguments: Any, **named: Any) -> None:
        whole(*arguments, **named)
        raise WorkerKilled

    with monkeypatch.context() as patch:
        patch.setattr(Releases, "act", dying)
        assert isinstance(task.attempt().error, WorkerKilled)


@pytest.mark.parametrize("goes_wrong", ["the worker dies", "the answer is lost"])
def test_a_retry_whose_answer_was_taken_succeeds_although_a_second_approval_is_pending(
    systems, goes_wrong, monkeypatch
):
    monkeypatch.setattr(release_answer, "TAKEN_WITHIN", 0.4)
    execution_id = start_until_it_asks_twice(systems)
    first, second = answering("first0"), answering("second")
    if goes_wrong == "the worker dies":
        die_after_the_request(first, monkeypatch)
    else:
        systems.fault("service_stage", "reset_after", method="POST", path="/action$")
        assert first.attempt().error is not None
    assert first.attempt().error is None
    assert state_of(systems, execution_id) == "5"
    assert second.attempt().error is None
    until(lambda: state_of(systems, execution_id) == "2")
    assert actions(systems).count("approval") == 3


def test_a_retry_answers_no_release_that_was_started_since(systems, monkeypatch):
    answered = start_until_it_asks(systems)
    arguments = {"pipeline": APPROVED, "task_name": APPROVAL, "decision": "approve"}
    task = Task(lambda: ServiceStageApprovalOperator(task_id="answer", **arguments))

    def dying(*_: Any, **__: Any) -> None:
        raise WorkerKilled

    with monkeypatch.context() as patch:
        patch.setattr(Releases, "act", dying)
        assert isinstance(task.attempt().error, WorkerKilled)
    systems.force("service_stage", answered, "3")
    newer = start_until_it_asks(systems)
    assert task.attempt().error is None
    assert state_of(systems, newer) == "5"


def test_a_retry_of_an_answer_of_which_nothing_could_be_seen_answers_no_younger_release(systems, monkeypatch):
    answered = start_until_it_asks(systems)
    arguments = {"pipeline": APPROVED, "task_name": APPROVAL, "decision": "approve"}
    task = Task(lambda: ServiceStageApprovalOperator(task_id="answer", **arguments))

    def unseen(*_: Any) -> None:
        raise NotFoundError("a gateway publishes nothing for a while")

    systems.fault("service_stage", "reset_after", method="POST", path="/action$")
    with monkeypatch.context() as patch:
        patch.setattr(Releases, "is_waiting_for", unseen)
        assert isinstance(task.attempt().error, ServerUnavailableError)
    until(lambda: state_of(systems, answered) == "2")
    newer = start_until_it_asks(systems)
    assert task.attempt().error is None
    assert state_of(systems, newer) == "5"


def test_a_retry_after_an_answer_that_was_refused_asks_anew(systems):
    execution_id = start_until_it_asks(systems)
    arguments = {"pipeline": APPROVED, "task_name": APPROVAL, "decision": "approve"}
    task = Task(lambda: ServiceStageApprovalOperator(task_id="answer", **arguments))
    systems.fault("service_stage", "status", method="POST", path="/action$", status=403)
    assert isinstance(task.attempt().error, PermissionDeniedError)
    systems.force("service_stage", execution_id, "3")
    assert isinstance(task.attempt().error, ConflictError)


def refuse(systems) -> bool:
    """Another approver says no, after whoever waits, in worker or triggerer, has seen that the release asks."""
    asking = [each["states"][-1]["at"] for each in systems.executions("service_stage") if each["state"] == "5"]
    looks = [each["time"] for each in systems.requests("service_stage", "GET") if asking and each["time"] > asking[0]]
    if not looks or looks[-1] < looks[0] + 0.9:
        return False
    with ServiceStageHook().get_conn() as client:
        pipeline_id = str(client.release_tasks.find(APPROVED)["id"])
        client.releases.act(pipeline_id, "approval", task_name=APPROVAL, approval_type="refuse")
    return True


@BOTH_MODES
def test_a_release_that_somebody_refused_is_rejected(systems, deferrable):
    with meanwhile(lambda: refuse(systems)):
        ended = release(pipeline=APPROVED, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionRejected)
    assert cancels(systems) == 0


@BOTH_MODES
def test_a_release_need_not_be_waited_for_while_it_waits_for_a_person(systems, deferrable):
    ended = release(pipeline=APPROVED, deferrable=deferrable, on_waiting="fail")
    assert isinstance(ended.error, ExecutionWaiting)
    assert APPROVAL in str(ended.error)
    (execution,) = systems.executions("service_stage")
    assert (execution["state"], execution["cancels"]) == ("5", [])
