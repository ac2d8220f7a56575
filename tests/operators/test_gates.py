"""``approve=True``: people are asked in Airflow for each approval that the task's own execution comes to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from airflow.sdk.exceptions import AirflowFailException
from pytest_mock import MockerFixture

from airflow_provider.clients.code_stream.approvals import Approvals
from airflow_provider.core.durations import DURATIONS, MOST_CRASHES
from airflow_provider.exceptions import (
    BadRequestError,
    ExecutionCanceled,
    ExecutionRejected,
    ExecutionTimeout,
    PermissionDeniedError,
)
from airflow_provider.hooks.code_stream import CodeStreamHook
from airflow_provider.hooks.service_stage import ServiceStageHook
from airflow_provider.links import QUESTION_XCOM
from airflow_provider.operators.code_stream import CodeStreamRerunEventOperator, CodeStreamRunPipelineOperator
from airflow_provider.operators.service_stage import ServiceStageReleaseOperator
from airflow_provider.triggers.execution import ExecutionTrigger
from airflow_provider.triggers.gate import GateTrigger
from tests.support import code_stream_tasks, service_stage_tasks
from tests.support.airflow_runs import run_task
from tests.support.asked_task import AskedTask, result_of, xcom_of
from tests.support.attempts import WorkerKilled
from tests.support.code_stream_tasks import TWO_GATES
from tests.support.meanwhile import meanwhile
from tests.support.patching import patched
from tests.support.systems import Systems
from tests.support.until import until


class Gated(NamedTuple):
    """A start whose execution comes to a gate.

    :param build: the operator.
    :param waiting: the state of an execution that waits at a gate.
    :param decide: at the vendor.
    :param before: ids of executions that nobody here has started.
    """

    system: str
    build: Callable[..., Any]
    waiting: str
    answers: Callable[[], list[dict[str, Any]]]
    decide: Callable[[bool], Any]
    systems: Systems
    before: list[str]

    def executions(self) -> list[dict[str, Any]]:
        """Those of this test."""
        return [each for each in self.systems.executions(self.system) if each["id"] not in self.before]

    def cancels(self) -> list[int]:
        return [len(each["cancels"]) for each in self.executions()]


def in_code_stream(systems: Systems, pipeline: str = code_stream_tasks.APPROVED) -> Gated:
    given = {"pipeline": pipeline, "project": "retail", "inputs": {"tag": "1.4.2"}}

    def decide(approve: bool) -> None:
        with CodeStreamHook().get_conn() as client:
            (operation,) = client.approvals.list("status eq 'ACTIVE'")
            client.approvals.answer(operation["id"], approve)

    return Gated(
        "code_stream",
        lambda **more: CodeStreamRunPipelineOperator(task_id="ask", **given, approve=True, **more),
        "WAITING",
        lambda: [each["body"] for each in systems.requests("code_stream", "PATCH", "/user-operations/")],
        decide,
        systems,
        [each["id"] for each in systems.executions("code_stream")],
    )


def in_service_stage(systems: Systems, pipeline: str = "shop-release-approval") -> Gated:
    def decide(approve: bool) -> None:
        with ServiceStageHook().get_conn() as client:
            task = str(client.release_tasks.find(pipeline)["id"])
            word = "agree" if approve else "refuse"
            client.releases.act(task, "approval", task_name=service_stage_tasks.APPROVAL, approval_type=word)

    def answers() -> list[dict[str, Any]]:
        sent = systems.requests("service_stage", "POST", "/action")
        return [each["body"] for each in sent if "approval_type" in (each["body"] or {})]

    return Gated(
        "service_stage",
        lambda **more: ServiceStageReleaseOperator(task_id="ask", pipeline=pipeline, approve=True, **more),
        "5",
        answers,
        decide,
        systems,
        [each["id"] for each in systems.executions("service_stage")],
    )


GATED = {"code_stream": in_code_stream, "service_stage": in_service_stage}


@pytest.fixture(autouse=True)
def fast(systems: Systems, mocker: MockerFixture) -> None:
    systems.reset(speed=60)
    mocker.patch.object(DURATIONS, "early_answer", 0.1)
    mocker.patch.object(DURATIONS, "undecided_limit", 0.5)


@pytest.fixture(params=GATED)
def gated(request: pytest.FixtureRequest, systems: Systems) -> Gated:
    return GATED[request.param](systems)


class GatedTask(AskedTask):
    """Attribute ``last``: how the last process of the task has ended."""

    last: Any

    def attempt(self) -> Any:
        with not_in_dag_test():
            self.last = super().attempt()
        return self.last

    def resumed(self, event: Any) -> Any:
        with not_in_dag_test():
            self.last = super().resumed(event)
        return self.last

    def crash(self) -> None:
        """Its trigger crashes."""
        with not_in_dag_test(), patched("airflow_provider.operators.asking.in_dag_test", return_value=False):
            self.last = self.resume_without_event("Trigger failure")

    @property
    def left_trigger(self) -> Any:
        return self.trigger(self.last)

    def until_it_asks(self) -> GatedTask:
        """Let it wait in the triggerer until it asks."""
        while not isinstance(trigger := self.left_trigger, GateTrigger):
            self.resumed(self.fire(trigger))
            assert self.state == "deferred", self.last.error
        assert trigger.gate
        assert self.action() is not None
        return self

    def to_the_end(self) -> Any:
        """Let it wait in the triggerer until its execution is over."""
        while self.state == "deferred":
            self.resumed(self.fire(self.left_trigger))
        return self.last


def not_in_dag_test() -> Any:
    return patched("airflow_provider.operators.gated.in_dag_test", return_value=False)


def asking(gated: Gated, *, retries: int = 3, **given: Any) -> GatedTask:
    """A task that has started its execution and asks about the gate that this has come to."""
    task = GatedTask(lambda: gated.build(poll_interval=0.2, **given), retries=retries)
    task.attempt()
    return task.until_it_asks()


def create_pipeline(*stages: str, **gate: Any) -> None:
    with CodeStreamHook().get_conn() as client:
        code_stream_tasks.create_pipeline(client, *stages, **gate)


@pytest.fixture
def two_gates(systems: Systems) -> Gated:
    create_pipeline("Test", "Prod")
    return in_code_stream(systems, TWO_GATES)


# --- asked and answered


def test_one_task_asks_about_each_gate_and_waits_for_the_end(two_gates):
    task = asking(two_gates)
    task.answer("Approve", "ada", "tests are green")
    assert task.state == "deferred"
    task.until_it_asks()
    assert task.action().answer is None
    task.answer("Approve", "bob")
    ended = task.to_the_end()
    told = [(each["by"], each["comment"], each["about"][-14:]) for each in result_of(ended)["approvals"]]
    assert told == [("ada", "tests are green", "(Test.Approve)"), ("bob", "", "(Prod.Approve)")]
    assert [each["responseMessage"] for each in two_gates.answers()] == [
        "approved by Ada (ada): tests are green",
        "approved by Bob (bob)",
    ]
    assert two_gates.cancels() == [0]


def test_what_people_read_is_true_of_each_gate(gated):
    """Airflow keeps the text of a task's first question for all that follow."""
    task = asking(gated, approvers=["ada", "bob"], response_timeout=3600)
    action = task.action()
    pipeline = {"code_stream": code_stream_tasks.APPROVED, "service_stage": "shop-release-approval"}[gated.system]
    parts = (pipeline, "each approval that its execution reaches", "Only ada, bob", "within 1:00:00", "/tasks/ask)")
    for told in parts:
        assert told in action.body
    assert pipeline in action.subject
    assert gated.executions()[0]["id"] not in action.body
    assert action.approvers == ["ada", "bob"]


def test_a_rejection_ends_the_execution_and_no_retry_asks_again(gated):
    task = asking(gated)
    task.answer("Reject", "ada", "not on a Friday")
    error = task.to_the_end().error
    assert isinstance(error, ExecutionRejected)
    assert isinstance(error, AirflowFailException)
    (sent,) = gated.answers()
    assert "rejected by Ada (ada): not on a Friday" in (sent.get("responseMessage") or sent.get("message"))
    assert gated.cancels() == [0]


@pytest.mark.parametrize("dies_in", ["end_record", "result_of"])
def test_what_people_rejected_is_not_started_again_by_a_retry_after_its_worker_died(gated, dies_in):
    task = asking(gated)
    with patched(f"airflow_provider.core.starting.{dies_in}", side_effect=WorkerKilled):
        task.answer("Reject", "ada", "not on a Friday")
        assert isinstance(task.to_the_end().error, WorkerKilled)
    task.lose_worker()
    error = task.attempt().error
    assert isinstance(error, ExecutionRejected)
    assert isinstance(error, AirflowFailException)
    assert len(gated.executions()) == 1


def test_two_different_people_must_approve_each_gate(gated):
    task = asking(gated, approvals=2)
    task.answer("Approve", "ada")
    task.until_it_asks()
    assert task.action().answer is None
    assert gated.answers() == []
    task.answer("Approve", "bob")
    assert [each["by"] for each in result_of(task.to_the_end())["approvals"]] == ["ada", "bob"]
    assert len(gated.answers()) == 1


def test_an_answer_that_came_before_the_deferral_is_found_by_the_trigger(gated):
    task = asking(gated)
    task.mark("running")
    assert task.answer("Approve") is None
    task.mark("deferred")
    assert result_of(task.to_the_end())["approvals"][0]["by"] == "ada"


@pytest.mark.parametrize(("then", "is_good"), [("approve", True), ("reject", False)])
def test_silence_means_what_its_author_says(gated, then, is_good):
    task = asking(gated, response_timeout=0.5, on_no_response=then)
    time.sleep(0.5)
    ended = task.to_the_end()
    assert (ended.error is None) is is_good
    assert "nobody" in task.action().comment
    assert len(gated.answers()) == 1


def test_silence_may_fail_the_task_alone(gated):
    task = asking(gated, response_timeout=0.5, on_no_response="fail")
    time.sleep(0.5)
    assert isinstance(task.to_the_end().error, ExecutionTimeout)
    assert gated.executions()[0]["state"] == gated.waiting
    assert gated.cancels() == [0]


def test_a_retry_after_a_silence_that_failed_the_task_gives_people_that_time_again(gated):
    task = asking(gated, response_timeout=1, on_no_response="fail")
    late = task.left_trigger.asks_until
    time.sleep(1)
    assert isinstance(task.to_the_end().error, ExecutionTimeout)
    task.lose_worker()
    task.attempt()
    task.until_it_asks()
    assert (task.state, task.action().answer) == ("deferred", None)
    assert task.left_trigger.asks_until > late
    task.answer("Approve", "ada")
    assert task.to_the_end().error is None
    assert len(gated.answers()) == len(gated.executions()) == 1


# --- at the vendor


def test_a_decision_at_the_vendor_closes_the_question_and_the_wait_continues(gated):
    task = asking(gated)
    gated.decide(True)
    ended = task.to_the_end()
    (given,) = result_of(ended)["approvals"]
    assert (given["decision"], given["by"], given["comment"]) == ("approve", "", "decided at the vendor")
    assert (task.action().answer, task.action().by) == ("Approve", None)
    assert len(gated.answers()) == 1


def test_a_rejection_at_the_vendor_is_no_approval_on_record(systems, mocker):
    """Code Stream may roll a failed execution back: until that is certain, it counts as running."""
    mocker.patch.object(DURATIONS, "failed_settling", 2.0)
    gated = in_code_stream(systems)
    task = asking(gated)
    gated.decide(False)
    until(lambda: gated.executions()[0]["state"] != gated.waiting)
    systems.fault("code_stream", "latency", method="GET", path="/user-operations", seconds=1.0, times=2)
    ended = task.to_the_end()
    assert isinstance(ended.error, ExecutionRejected)
    assert (task.action().answer, task.action().by) == ("Reject", None)
    (given,) = xcom_of(ended, "approvals")
    assert (given["decision"], given["comment"]) == ("reject", "decided at the vendor")


def test_a_release_that_somebody_stops_while_it_asks_was_not_approved(systems):
    """It counts as running until it has stopped."""
    gated = in_service_stage(systems)
    task = asking(gated)
    systems.force("service_stage", gated.executions()[0]["id"], "13")
    task.resumed(task.fire(task.left_trigger))
    assert task.state == "deferred"
    assert (task.action().answer, task.action().by) == ("Reject", None)
    assert task.stored("release_gates")[0]["before"] == []


def test_an_answer_that_comes_too_late_changes_nothing(two_gates):
    task = asking(two_gates)
    two_gates.decide(True)
    until(lambda: two_gates.executions()[0]["state"] == two_gates.waiting)
    task.answer("Reject", "ada")
    assert task.state == "deferred"
    task.until_it_asks()
    task.answer("Approve", "bob")
    told = [(each["by"], bool(each["refused"])) for each in result_of(task.to_the_end())["approvals"]]
    assert told == [("ada", True), ("bob", False)]


def test_an_answer_that_contradicts_the_one_at_the_vendor_does_not_count(gated):
    task = asking(gated)
    gated.decide(True)
    until(lambda: gated.executions()[0]["state"] != gated.waiting)
    task.answer("Reject", "ada")
    ended = task.to_the_end()
    assert ended.state == "success"
    assert [(each["by"], bool(each["refused"])) for each in result_of(ended)["approvals"]] == [("ada", True)]
    assert len(gated.answers()) == 1


def test_an_execution_that_is_canceled_at_the_vendor_ends_the_question(systems):
    gated = in_code_stream(systems)
    task = asking(gated)
    assert code_stream_tasks.act(gated.executions()[0]["id"], "cancel").error is None
    assert isinstance(task.to_the_end().error, ExecutionCanceled)
    assert task.action().answer == "Reject"


def test_a_system_that_ignores_the_answer_is_an_error_that_names_its_approvers(systems):
    create_pipeline("Prod", approvers=["somebody"])
    task = asking(in_code_stream(systems, TWO_GATES))
    error = task.answer("Approve").error
    assert isinstance(error, PermissionDeniedError)
    assert "somebody" in str(error)


@pytest.mark.parametrize("fault", [{"fault": "status", "status": 503}, {"fault": "html"}], ids=["503", "a page"])
def test_a_system_that_is_down_gets_the_decision_later_and_once(systems, fault):
    gated = in_code_stream(systems)
    task = asking(gated)
    systems.fault("code_stream", **fault, method="PATCH", path="/user-operations/", times=2)
    assert task.answer("Approve").error is None
    assert result_of(task.to_the_end())["approvals"][0]["by"] == "ada"
    sent = systems.requests("code_stream", "PATCH")
    assert [each["fault"] for each in sent] == [fault["fault"]] * 2 + [None]


@pytest.fixture
def two_approvals(systems: Systems, mocker: MockerFixture) -> Gated:
    """A release that does not say which of its two approvals it waits for."""
    mocker.patch("airflow_provider.clients.service_stage.approvals.ACCEPTED_WITHIN", 0.4)
    gated = in_service_stage(systems, "two-approvals")
    groups = [{"tasks": [{"name": name, "type": "approval"}]} for name in ("first0", "second")]
    with ServiceStageHook().get_conn() as client:
        stages = [{"name": "899tih", "groups": groups}]
        client.release_tasks.create({"name": "two-approvals", "config_mode": "ui", "stages": stages})
    return gated


@pytest.mark.parametrize("option", ["Approve", "Reject"])
def test_an_answer_to_an_approval_of_a_release_that_has_passed_is_not_one_to_the_next(two_approvals, option):
    task = asking(two_approvals)
    with ServiceStageHook().get_conn() as client:
        number = str(client.release_tasks.find("two-approvals")["id"])
        client.releases.act(number, "approval", task_name="first0", approval_type="agree")
    until(lambda: waits_again(two_approvals))
    task.answer(option, "ada")
    task.until_it_asks()
    # The one of a colleague, and the one that came too late.
    assert [each["task_name"] for each in two_approvals.answers()] == ["first0", "first0"]
    task.answer("Approve", "bob")
    told = [(each["by"], each["about"], bool(each["refused"])) for each in result_of(task.to_the_end())["approvals"]]
    assert told == [("ada", "first0", True), ("bob", "second", False)]


def test_a_retry_of_an_answer_that_was_taken_is_no_answer_to_the_next_approval(two_approvals):
    task = asking(two_approvals)
    with patched(
        "airflow_provider.clients.service_stage.approvals.Approvals.wait_until_accepted", side_effect=WorkerKilled
    ):
        assert isinstance(task.answer("Approve", "ada").error, WorkerKilled)
    until(lambda: waits_again(two_approvals))
    task.attempt()
    task.until_it_asks()
    assert [each["task_name"] for each in two_approvals.answers()] == ["first0", "first0"]
    task.answer("Approve", "bob")
    told = [(each["by"], each["about"], bool(each["refused"])) for each in result_of(task.to_the_end())["approvals"]]
    assert told == [("ada", "first0", False), ("bob", "second", False)]


def waits_again(gated: Gated) -> bool:
    states = [each["state"] for each in gated.executions()[0]["states"]]
    return states.count(gated.waiting) == 2


def test_a_release_that_does_not_say_which_of_its_approvals_waits_is_asked_about_in_order(two_approvals):
    gated = two_approvals
    task = asking(gated)
    task.answer("Approve", "ada")
    task.until_it_asks()
    task.answer("Approve", "bob")
    told = [(each["by"], each["about"]) for each in result_of(task.to_the_end())["approvals"]]
    assert told == [("ada", "first0"), ("bob", "second")]
    assert [each["task_name"] for each in gated.answers()] == ["first0", "second"]


# --- ended by a person, or answered


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_person_who_ends_the_task_while_it_asks_cancels_the_execution_and_closes_the_question(gated, state):
    task = asking(gated)
    task.mark(state)
    task.kill(task.left_trigger)
    assert gated.cancels() == [1]
    assert (task.action().answer, task.action().by) == ("Reject", None)
    assert gated.answers() == []


def test_a_trigger_that_only_moved_cancels_and_closes_nothing(gated):
    task = asking(gated)
    task.kill(task.left_trigger)
    assert gated.cancels() == [0]
    assert task.action().answer is None


def answered_and_resumed(task: GatedTask) -> Any:
    trigger = task.left_trigger
    task.answer("Approve")
    return trigger


def answered_and_done(task: GatedTask) -> Any:
    trigger = answered_and_resumed(task)
    task.to_the_end()
    assert task.state == "success"
    return trigger


def answered_and_scheduled(task: GatedTask) -> Any:
    trigger = task.left_trigger
    task.mark("scheduled")
    assert task.answer("Approve") is None
    return trigger


def answered_and_failed_by_airflow(task: GatedTask) -> Any:
    """Which had not heard of the end of the process that has asked; a retry is left."""
    trigger = answered_and_scheduled(task)
    task.lose_worker()
    return trigger


def answered_and_tried_again(task: GatedTask) -> Any:
    trigger = answered_and_failed_by_airflow(task)
    task.begin_another_attempt()
    task.forget_xcoms()
    return trigger


@pytest.mark.parametrize(
    "answered",
    [
        answered_and_resumed,
        answered_and_done,
        answered_and_scheduled,
        answered_and_failed_by_airflow,
        answered_and_tried_again,
    ],
)
def test_an_answer_cancels_nothing_however_late_the_triggerer_hears_of_it(gated, answered):
    task = asking(gated)
    task.kill(answered(task))
    assert gated.cancels() == [0]


def test_a_person_who_ends_the_task_after_an_answer_and_before_its_worker_cancels(gated):
    task = asking(gated)
    trigger = answered_and_scheduled(task)
    task.mark("failed")
    task.kill(trigger)
    assert gated.cancels() == [1]


def test_what_airflow_may_have_failed_by_itself_after_an_answer_is_not_canceled(gated):
    task = asking(gated, retries=0)
    trigger = answered_and_scheduled(task)
    task.mark("failed")
    task.kill(trigger)
    assert gated.cancels() == [0]


# --- retried and cleared


def test_a_task_that_is_cleared_while_it_asks_starts_and_asks_again(gated):
    task = asking(gated)
    task.clear_while_deferred(task.left_trigger)
    task.mark("queued")
    task.attempt()
    task.until_it_asks()
    assert gated.cancels() == [1, 0]
    assert task.action().answer is None
    task.answer("Approve", "bob")
    assert [each["by"] for each in result_of(task.to_the_end())["approvals"]] == ["bob"]


def test_a_retry_continues_with_an_answer_that_no_worker_has_seen(gated):
    task = asking(gated)
    task.mark("running")
    assert task.answer("Approve", "ada") is None
    task.lose_worker()
    task.attempt()
    assert result_of(task.to_the_end())["approvals"][0]["by"] == "ada"
    assert len(gated.executions()) == len(gated.answers()) == 1


def test_a_retry_sends_the_decision_that_an_earlier_attempt_got(systems):
    gated = in_code_stream(systems)
    task = asking(gated)

    def dying(*_: Any) -> None:
        raise WorkerKilled

    with patched(Approvals, "answer", dying):
        assert isinstance(task.answer("Approve", "ada").error, WorkerKilled)
    task.attempt()
    assert result_of(task.to_the_end())["approvals"][0]["by"] == "ada"
    assert len(gated.executions()) == len(gated.answers()) == 1


def test_an_answer_to_one_gate_is_not_taken_for_one_to_the_next(two_gates):
    """The row of the first answer stands there until the second question is put."""
    task = asking(two_gates)
    with patched("airflow_provider.operators.asking.Asking.put", side_effect=WorkerKilled):
        task.answer("Approve", "ada")
        while task.state == "deferred":
            task.resumed(task.fire(task.left_trigger))
    assert isinstance(task.last.error, WorkerKilled)
    task.attempt()
    task.until_it_asks()
    assert task.action().answer is None
    assert len(two_gates.answers()) == 1


def test_a_decision_that_the_trigger_of_an_earlier_gate_reports_late_is_not_one_about_the_next(two_gates):
    """SQLite gives the trigger of the next gate the same id, so the event of the earlier one resumes the task."""
    task = asking(two_gates)
    earlier = task.left_trigger
    task.answer("Approve", "ada")
    task.until_it_asks()
    task.resumed(task.fire(earlier))
    assert task.state == "deferred"
    task.answer("Approve", "bob")
    told = [(each["by"], each["about"][-14:]) for each in result_of(task.to_the_end())["approvals"]]
    assert told == [("ada", "(Test.Approve)"), ("bob", "(Prod.Approve)")]
    assert len(two_gates.answers()) == 2


def test_a_trigger_of_an_earlier_question_leaves_the_next_one_open(two_gates):
    """Airflow ends it some seconds after an answer, or, if ids of triggers are reused, later."""
    task = asking(two_gates)
    earlier = task.left_trigger
    task.answer("Approve", "ada")
    task.until_it_asks()
    task.fire(earlier)
    assert task.action().answer is None


def test_a_trigger_that_begins_late_to_wait_without_asking_leaves_the_next_question_open(gated):
    """A triggerer may take over a wait that ends at that moment."""
    task = GatedTask(lambda: gated.build(poll_interval=0.2))
    task.attempt()
    earlier = task.left_trigger
    assert type(earlier) is ExecutionTrigger
    task.until_it_asks()
    task.fire(earlier)
    assert task.action().answer is None


def test_a_question_that_stood_there_while_the_task_waited_without_asking_is_closed_at_a_decision(gated):
    """No trigger ran then, which would have closed it."""
    task = asking(gated)
    task.push_xcom(QUESTION_XCOM, "")
    task.crash()
    gated.decide(True)
    task.fire(task.left_trigger)
    assert (task.action().answer, task.action().by) == ("Approve", None)


def test_a_question_that_an_earlier_attempt_left_open_is_closed(systems, gated):
    task = asking(gated)
    task.mark("running")
    task.lose_worker()
    (execution,) = gated.executions()
    going_on, ended = {"code_stream": ("RUNNING", "COMPLETED"), "service_stage": ("4", "2")}[gated.system]
    systems.force(gated.system, execution["id"], going_on)
    task.attempt()
    assert task.state == "deferred"
    systems.force(gated.system, execution["id"], ended)
    task.to_the_end()
    action = task.action()
    assert action.answer
    assert action.by is None


def test_a_wait_that_crashed_continues_and_keeps_the_question(gated):
    task = asking(gated)
    task.crash()
    assert (task.last.error, task.state) == (None, "deferred")
    task.answer("Approve")
    assert result_of(task.to_the_end())["approvals"][0]["by"] == "ada"


@pytest.mark.parametrize(("then", "is_good"), [("approve", True), ("reject", False)])
def test_silence_means_what_its_author_says_although_the_wait_crashes_again_and_again(gated, then, is_good):
    """No trigger is left that could report it: the task waits in its worker."""
    task = asking(gated, response_timeout=1, on_no_response=then, timeout=8)
    for _ in range(MOST_CRASHES):
        task.crash()
        assert task.state == "deferred"
    task.crash()
    assert not isinstance(task.last.error, ExecutionTimeout)
    assert (task.last.error is None) is is_good
    assert len(gated.answers()) == 1
    assert gated.cancels() == [0]


def test_a_deadline_that_passes_while_it_asks_cancels_and_closes_the_question(gated):
    task = asking(gated, timeout=3)
    error = task.to_the_end().error
    assert isinstance(error, ExecutionTimeout)
    assert gated.cancels() == [1]
    assert task.action().answer == "Reject"


# --- elsewhere


def test_in_dag_test_nobody_is_asked_but_the_vendors_decision_counts(gated):
    def decide() -> bool:
        waits = any(each["state"] == gated.waiting for each in gated.executions())
        if waits:
            gated.decide(True)
        return waits

    with meanwhile(decide):
        ended = run_task(lambda: gated.build(poll_interval=0.2))
    assert ended.error is None
    assert ended.result["approvals"] == []


def test_an_execution_without_gates_asks_nobody(systems):
    gated = in_code_stream(systems, code_stream_tasks.SHOP)
    task = GatedTask(lambda: gated.build(poll_interval=0.2))
    task.attempt()
    assert result_of(task.to_the_end())["approvals"] == []
    assert task.action() is None


@pytest.mark.parametrize("given", [{"approvers": ["Test"]}, {"approvers": ["ada", "test"], "approvals": 2}])
def test_rules_by_which_nobody_could_approve_are_refused_before_anything_is_started(gated, given):
    task = GatedTask(lambda: gated.build(poll_interval=0.2, not_requester=True, **given))
    ended = task.attempt()
    assert isinstance(ended.error, BadRequestError)
    assert "approvers must name at least" in str(ended.error)
    assert gated.executions() == []


OPERATORS: list[tuple[type, dict[str, Any]]] = [
    (CodeStreamRunPipelineOperator, {"pipeline": "shop"}),
    (CodeStreamRerunEventOperator, {"event_type": "docker", "event_id": "1"}),
    (ServiceStageReleaseOperator, {"pipeline": "shop"}),
]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"approve": True, "approvals": 0}, "approvals"),
        ({"approve": True, "notifiers": ["ada"]}, "notifiers"),
        ({"approve": True, "wait_for_completion": False}, "approve"),
        ({"approve": True, "on_waiting": "fail"}, "approve"),
        ({"approve": "yes"}, "approve"),
        ({"approvers": ["ada"]}, "approvers"),
        ({"not_requester": True}, "not_requester"),
        ({"approvals": 2}, "approvals"),
        ({"response_timeout": 60}, "response_timeout"),
    ],
)
@pytest.mark.parametrize(("cls", "needed"), OPERATORS)
def test_a_rule_that_makes_no_sense_is_named_when_the_dag_is_parsed(cls, needed, given, named):
    with pytest.raises(BadRequestError, match=named):
        cls(task_id="ask", **needed, **given)
