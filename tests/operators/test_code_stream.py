"""Code Stream operators in real Airflow against the sandbox: pipelines, reruns, actions, approvals, Gerrit."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider.clients.code_stream.events import Events
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    ExecutionFailed,
    ExecutionRejected,
    ExecutionTimeout,
    ExecutionWaiting,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider.hooks.code_stream import CodeStreamHook
from airflow_provider.operators.code_stream import (
    CodeStreamApprovalOperator,
    CodeStreamExecutionActionOperator,
    CodeStreamRerunEventOperator,
    CodeStreamRunPipelineOperator,
    CodeStreamTriggerGerritOperator,
)
from tests.airflow_runs import TaskRun, run_task
from tests.attempts import Task, WorkerKilled
from tests.meanwhile import meanwhile, until
from tests.support.turns import in_turns
from tests.systems import define_connection

SHOP, APPROVED = "Deploy shop", "Deploy shop with approval"
SLOW = 0.05
BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["synchronous", "deferrable"])
EVENT_TYPES = pytest.mark.parametrize("event_type", ["docker", "git", "gerrit"])
ACTION_PATH = "/codestream/api/executions/"


@pytest.fixture(autouse=True)
def fast(systems) -> None:
    systems.reset(speed=60)


def start(pipeline: str = SHOP) -> str:
    """An execution that no task has started."""
    with CodeStreamHook().get_conn() as client:
        return client.pipelines.run(client.pipelines.find(pipeline, "retail")["id"], inputs={"tag": "1.4.2"}).id


def start_until_it_asks(systems) -> str:
    execution_id = start(APPROVED)
    until(lambda: state_of(systems, execution_id) == "WAITING")
    return execution_id


def state_of(systems, execution_id: str) -> str:
    return next(each["state"] for each in systems.executions("code_stream") if each["id"] == execution_id)


def executions_of(systems, pipeline: str) -> list[dict[str, Any]]:
    return [each for each in systems.executions("code_stream") if each["pipeline"] == pipeline]


def document(execution_id: str) -> dict[str, Any]:
    with CodeStreamHook().get_conn() as client:
        return client.executions.get(execution_id)


def pipeline(**arguments: Any) -> TaskRun:
    arguments = {"pipeline": SHOP, "project": "retail", "inputs": {"tag": "1.4.2"}, **arguments}
    return run_task(lambda: CodeStreamRunPipelineOperator(task_id="deploy", poll_interval=0.1, **arguments))


def rerun(event_id: str, event_type: str = "docker", **arguments: Any) -> TaskRun:
    arguments = {"event_type": event_type, "event_id": event_id, **arguments}
    return run_task(lambda: CodeStreamRerunEventOperator(task_id="rerun", poll_interval=0.1, **arguments))


def act(execution_id: str, action: str, **arguments: Any) -> TaskRun:
    arguments = {"execution_id": execution_id, "action": action, **arguments}
    return run_task(lambda: CodeStreamExecutionActionOperator(task_id="act", poll_interval=0.1, **arguments))


def answer(decision: str, **arguments: Any) -> TaskRun:
    return run_task(lambda: CodeStreamApprovalOperator(task_id="answer", decision=decision, **arguments))


def trigger(**arguments: Any) -> TaskRun:
    arguments = {"change_id": "I1a2b3c", "project": "retail", "trigger": "shop-changes", **arguments}
    return run_task(lambda: CodeStreamTriggerGerritOperator(task_id="trigger", **arguments))


def event(event_type: str = "docker", pipeline: str = SHOP, *, linked: bool = False) -> dict[str, Any]:
    """The oldest event of the seed that is like this."""
    with CodeStreamHook().get_conn() as client:
        found = [each for each in client.events.list(event_type) if each["pipeline"] == pipeline]
    return [each for each in found if bool(each["executionLink"]) is linked][-1]


def event_now(event_id: str, event_type: str = "docker") -> dict[str, Any]:
    with CodeStreamHook().get_conn() as client:
        return client.events.get(event_type, event_id)


# --- pipelines


def test_a_pipeline_gets_what_the_task_says_and_its_output_is_the_outputs(systems):
    ended = pipeline(comments="release 1.4.2", tags=["nightly"])
    assert ended.result["outputs"] == {"deployed": "1.4.2"}
    execution = document(ended.result["id"])
    assert execution["input"] == {"tag": "1.4.2"}
    assert execution["tags"] == ["nightly"]
    marker, comments = execution["comments"].split(" ", 1)
    assert marker.startswith("airflow-"), "first, because a server may cut the text"
    assert comments == "release 1.4.2"
    assert ended.result["url"] == f"{systems.url}/code_stream/automation/#/codestream/executions/{ended.result['id']}"


def test_an_input_that_is_left_out_takes_the_pipelines_default():
    assert pipeline(inputs=None, pipeline="Smoke test").state == "success"


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_pipeline_is_called_by_name_or_id(by):
    with CodeStreamHook().get_conn() as client:
        found = client.pipelines.find("Smoke test", "wholesale")
    ended = pipeline(pipeline=found[by], project="wholesale" if by == "name" else None, inputs=None)
    assert document(ended.result["id"])["project"] == "wholesale"


def test_a_failure_tells_the_stage_and_task_that_broke():
    ended = pipeline(pipeline="Always fails")
    assert isinstance(ended.error, ExecutionFailed)
    assert "Prod.Deploy: Script execution failed." in str(ended.error)


def refuse() -> bool:
    """An approver says no as soon as he is asked."""
    with CodeStreamHook().get_conn() as client:
        asked = client.approvals.list("status eq 'ACTIVE'")
        for operation in asked:
            client.approvals.answer(operation["id"], False)
    return bool(asked)


@BOTH_MODES
def test_an_execution_that_somebody_refused_is_rejected(systems, deferrable):
    with meanwhile(refuse):
        ended = pipeline(pipeline=APPROVED, deferrable=deferrable)
    assert isinstance(ended.error, ExecutionRejected)
    assert "rejected by release-bot" in str(ended.error)
    assert executions_of(systems, APPROVED)[0]["cancels"] == []


@BOTH_MODES
def test_an_execution_need_not_be_waited_for_while_it_waits_for_a_person(systems, deferrable):
    ended = pipeline(pipeline=APPROVED, deferrable=deferrable, on_waiting="fail")
    assert isinstance(ended.error, ExecutionWaiting)
    (execution,) = executions_of(systems, APPROVED)
    assert (execution["state"], execution["cancels"]) == ("WAITING", [])
    assert execution["id"] in str(ended.error)


# --- reruns of events


# How a server links what results is the client's part: tests/clients tries every type in every way.
@pytest.mark.parametrize(
    ("event_type", "mode", "deferrable"),
    in_turns(["docker", "git", "gerrit"], ["link_in_reply", "link_later", "new_event"]),
)
def test_a_rerun_follows_the_execution_that_results(systems, event_type, deferrable, mode):
    systems.switch("code_stream", rerun=mode)
    before = executions_of(systems, SHOP)
    failed = event(event_type)
    ended = rerun(failed["id"], event_type, deferrable=deferrable)
    assert ended.error is None
    (execution,) = [each for each in executions_of(systems, SHOP) if each not in before]
    assert (ended.result["id"], ended.result["ref"]["kind"]) == (execution["id"], "execution")
    assert ended.result["state"] == "succeeded"
    assert ended.xcoms["id"] == execution["id"]
    assert ended.xcoms["url"].endswith(execution["id"])
    posts = systems.requests("code_stream", "POST", f"-events/{failed['id']}")
    assert [each["query"].lower() for each in posts] == ["action=rerun&apiversion=2019-10-17"]


@BOTH_MODES
def test_a_rerun_of_an_event_that_led_to_an_execution_leads_to_another_one(systems, deferrable):
    systems.switch("code_stream", rerun="link_later")
    done = event(linked=True)
    ended = rerun(done["id"], deferrable=deferrable)
    assert ended.error is None
    assert ended.result["id"] not in done["executionLink"]
    assert ended.result["id"] in event_now(done["id"])["executionLink"]


@BOTH_MODES
def test_a_rerun_that_leads_to_nothing_fails_with_what_the_event_says(systems, deferrable):
    systems.switch("code_stream", rerun="message_only")
    before = executions_of(systems, SHOP)
    ended = rerun(event()["id"], deferrable=deferrable, timeout=1.2)
    assert isinstance(ended.error, ExecutionTimeout)
    assert "Invalid Oauth Refresh token" in str(ended.error)
    assert executions_of(systems, SHOP) == before


@BOTH_MODES
@pytest.mark.parametrize("start_timeout", [1.0, timedelta(seconds=1)])
def test_a_rerun_that_leads_to_nothing_ends_by_itself(systems, deferrable, start_timeout):
    systems.switch("code_stream", rerun="message_only")
    before = executions_of(systems, SHOP)
    broken = event()
    begun = time.monotonic()
    ended = rerun(broken["id"], deferrable=deferrable, start_timeout=start_timeout)
    assert isinstance(ended.error, ExecutionFailed)
    assert f"event {broken['id']} has led to no execution within 1 s: Invalid Oauth Refresh token" in str(ended.error)
    assert time.monotonic() - begun < 15, "there is nothing to cancel"
    assert executions_of(systems, SHOP) == before


def test_a_retry_reruns_an_event_that_has_led_to_nothing_before(systems):
    """Somebody mends the webhook between the two attempts."""
    systems.switch("code_stream", rerun="message_only")
    broken = event()
    arguments = {"event_type": "docker", "event_id": broken["id"], "poll_interval": 0.1, "deferrable": False}
    for on_retry in ("restart", "resume"):
        systems.switch("code_stream", rerun="message_only")
        before = len(executions_of(systems, SHOP))
        task = Task(
            lambda on_retry=on_retry: CodeStreamRerunEventOperator(
                task_id="rerun", start_timeout=0.5, on_retry=on_retry, **arguments
            )
        )
        assert isinstance(task.attempt().error, ExecutionFailed)
        systems.switch("code_stream", rerun="new_event")
        assert task.attempt().error is None
        assert len(executions_of(systems, SHOP)) == before + 1
    posts = systems.requests("code_stream", "POST", f"-events/{broken['id']}")
    assert ["rerun" in each["query"].lower() for each in posts] == [True] * 4


@pytest.mark.parametrize("start_timeout", [0, -1.0, timedelta(0)])
def test_a_limit_that_no_rerun_can_keep_is_refused(start_timeout):
    with pytest.raises(BadRequestError, match="start_timeout must be more than 0"):
        CodeStreamRerunEventOperator(task_id="x", event_type="git", event_id="e", start_timeout=start_timeout)


@BOTH_MODES
def test_an_event_whose_execution_still_runs_is_rerun_by_force(systems, deferrable):
    systems.reset(speed=1)
    delivered = systems.act("code_stream", "deliver", kind="docker", inputs={"tag": "1.4.2"})
    systems.force("code_stream", delivered["executionLink"].rpartition("/")[2], "PAUSED")
    ended = rerun(delivered["id"], force=True, deferrable=deferrable)
    assert ended.error is None
    assert ended.result["id"] not in delivered["executionLink"]
    first = state_of(systems, delivered["executionLink"].rpartition("/")[2])
    assert first == "PAUSED", "it is left alone"


def test_a_resume_cannot_be_forced():
    ended = rerun("some-event", action="{{ 'resume' }}", force=True)
    assert isinstance(ended.error, BadRequestError)
    assert "force must be False" in str(ended.error)


@pytest.mark.parametrize("action", ["rerun", "resume"])
def test_an_event_whose_execution_still_runs_is_left_alone(systems, action):
    systems.reset(speed=SLOW)
    delivered = systems.act("code_stream", "deliver", kind="docker", inputs={"tag": "1.4.2"})
    ended = rerun(delivered["id"], action=action)
    assert isinstance(ended.error, ConflictError)
    assert "still" in str(ended.error)
    assert systems.requests("code_stream", "POST", "-events/") == []


@BOTH_MODES
def test_a_resume_goes_on_with_the_execution_that_the_event_led_to(systems, deferrable):
    broken = event(pipeline="Always fails", linked=True)
    systems.act("code_stream", "script", pipeline="Always fails", task="Prod.Deploy")
    ended = rerun(broken["id"], action="resume", deferrable=deferrable)
    assert ended.error is None
    assert ended.result["id"] in broken["executionLink"]
    assert ended.result["state"] == "succeeded"


def test_a_resume_of_an_event_that_led_to_nothing_is_refused_by_the_vendor(systems):
    ended = rerun(event()["id"], action="resume")
    assert isinstance(ended.error, BadRequestError)
    assert "no execution to resume" in str(ended.error)


@EVENT_TYPES
def test_an_unknown_event_is_not_found_and_nothing_is_sent(systems, event_type):
    other = {"docker": "git", "git": "gerrit", "gerrit": "docker"}[event_type]
    for event_id in ("no-such-event", event(other)["id"]):
        ended = rerun(event_id, event_type)
        assert isinstance(ended.error, NotFoundError)
        assert event_id in str(ended.error)
    assert systems.requests("code_stream", "POST", "-events/") == []


# --- actions


@BOTH_MODES
def test_an_execution_is_canceled_paused_and_resumed(systems, deferrable):
    systems.act("code_stream", "script", pipeline=APPROVED, task="Prod.Deploy", seconds=600)
    execution_id = start_until_it_asks(systems)
    for action, states in {"pause": {"PAUSED"}, "resume": {"RESUMING", "WAITING"}, "cancel": {"CANCELED"}}.items():
        ended = act(execution_id, action, reason=f"because of {action}", deferrable=deferrable)
        assert ended.error is None
        assert ended.result["id"] == ended.xcoms["id"] == execution_id
        assert ended.result["status"] in states
        assert document(execution_id)["reason"] == f"because of {action}"
    (request,) = systems.requests("code_stream", "POST", f"{ACTION_PATH}{execution_id}")[-1:]
    assert request["query"].startswith("action=cancel")
    (execution,) = [each for each in systems.executions("code_stream") if each["id"] == execution_id]
    assert len(execution["cancels"]) == 1


@BOTH_MODES
def test_an_execution_that_ends_well_in_spite_of_its_cancel_is_no_error(systems, deferrable):
    systems.switch("code_stream", cancel_loses_race=True)
    ended = act(start_until_it_asks(systems), "cancel", deferrable=deferrable)
    assert ended.error is None
    assert ended.result["state"] == "succeeded"


@pytest.mark.parametrize(("action", "status"), [("cancel", "COMPLETED"), ("pause", "PAUSED"), ("resume", "RUNNING")])
@pytest.mark.parametrize("refusal", [400, 409, 500, 200])
def test_an_execution_that_is_so_already_is_no_error(systems, action, status, refusal):
    systems.reset(speed=SLOW)
    systems.switch("code_stream", wrong_state_status=refusal)
    execution_id = start()
    systems.force("code_stream", execution_id, status)
    ended = act(execution_id, action)
    assert ended.error is None
    assert ended.result["status"] == state_of(systems, execution_id) == status


@pytest.mark.parametrize("fault", ["reset_after", "truncate"])
def test_an_action_whose_answer_was_lost_counts_once_it_shows(systems, fault):
    execution_id = start_until_it_asks(systems)
    systems.fault("code_stream", fault, method="POST", path="/executions/")
    ended = act(execution_id, "cancel")
    assert ended.error is None
    assert ended.result["status"] == "CANCELED"
    assert len(systems.requests("code_stream", "POST", f"{ACTION_PATH}{execution_id}")) == 1


def test_an_action_may_return_as_soon_as_it_was_accepted(systems):
    systems.reset(speed=SLOW)
    ended = act(start(), "cancel", wait_for_completion=False)
    assert (ended.state, ended.result["status"]) == ("success", "CANCELING")


@pytest.mark.parametrize(
    ("action", "status"),
    [("pause", "COMPLETED"), ("resume", "COMPLETED"), ("resume", "PAUSING"), ("pause", "CANCELING")],
)
def test_an_action_that_the_status_does_not_allow_is_refused_in_the_vendors_words(systems, action, status):
    systems.reset(speed=SLOW)
    execution_id = start()
    systems.force("code_stream", execution_id, status)
    ended = act(execution_id, action)
    assert isinstance(ended.error, BadRequestError)
    assert f"in status {status}" in str(ended.error)


# --- approvals


@pytest.mark.parametrize("named_by", ["execution_id", "user_operation_id"])
@pytest.mark.parametrize(("decision", "status"), [("approve", "APPROVED"), ("reject", "REJECTED")])
def test_an_answer_is_passed_on_and_is_a_success_either_way(systems, named_by, decision, status):
    execution_id = start_until_it_asks(systems)
    with CodeStreamHook().get_conn() as client:
        operation_id = client.approvals.find_pending(execution_id)
    name = {"execution_id": execution_id, "user_operation_id": operation_id}[named_by]
    ended = answer(decision, **{named_by: name}, message="checked by hand")
    assert ended.error is None
    assert ended.result["id"] == ended.xcoms["id"] == operation_id
    assert (ended.result["status"], ended.result["outputs"]["responseMessage"]) == (status, "checked by hand")
    assert ended.result["url"].endswith(execution_id)
    assert until(lambda: state_of(systems, execution_id) == ("COMPLETED" if decision == "approve" else "FAILED"))


@pytest.mark.parametrize("status", [200, 403])
def test_an_answer_of_somebody_who_may_not_is_an_error_although_the_vendor_may_say_ok(systems, status):
    systems.switch("code_stream", unauthorised_answer=status)
    execution_id = start_until_it_asks(systems)
    viewer = {"login": "viewer", "password": "viewer-password"}
    define_connection("code_stream_viewer", conn_type="code_stream", host=f"{systems.url}/code_stream", **viewer)
    ended = answer("approve", execution_id=execution_id, code_stream_conn_id="code_stream_viewer")
    assert isinstance(ended.error, PermissionDeniedError)
    assert state_of(systems, execution_id) == "WAITING"
    if status == 200:
        assert "ignored" in str(ended.error)
        assert "release-bot" in str(ended.error)


@pytest.mark.parametrize("status", [200, 409])
def test_a_second_answer_is_taken_only_if_it_is_the_same(systems, status):
    systems.switch("code_stream", answered_twice_status=status)
    execution_id = start_until_it_asks(systems)
    with CodeStreamHook().get_conn() as client:
        operation_id = client.approvals.find_pending(execution_id)
    assert answer("reject", user_operation_id=operation_id).error is None
    assert answer("reject", user_operation_id=operation_id).error is None
    other = answer("approve", user_operation_id=operation_id)
    assert isinstance(other.error, ConflictError)
    assert "already REJECTED by release-bot" in str(other.error)
    assert state_of(systems, execution_id) == "FAILED"


@pytest.mark.parametrize("is_over", [False, True])
def test_an_answer_without_a_question_is_refused(systems, is_over):
    systems.reset(speed=60 if is_over else SLOW)
    execution_id = start()
    if is_over:
        until(lambda: state_of(systems, execution_id) == "COMPLETED")
    ended = answer("approve", execution_id=execution_id)
    assert isinstance(ended.error, ConflictError)
    assert execution_id in str(ended.error)
    assert "waits for no approval" in str(ended.error)


def test_an_unknown_approval_is_not_found():
    ended = answer("approve", user_operation_id="no-such-operation")
    assert isinstance(ended.error, NotFoundError)
    assert "no-such-operation" in str(ended.error)


def approvals_in_a_row(count: int) -> str:
    """An execution of a pipeline that asks so often; returns its id."""
    with CodeStreamHook().get_conn() as client:
        pattern = client.pipelines.get(client.pipelines.find(APPROVED, "retail")["id"])
        known = [task for stage in pattern["stages"].values() for task in stage["tasks"].values()]
        question = next(task for task in known if task["type"] == "UserOperation")
        tasks = {f"Ask{number}": question for number in range(count)}
        stage = {"taskOrder": list(tasks), "tasks": tasks}
        body = {**pattern, "name": "Many approvals", "stageOrder": ["Ask"], "stages": {"Ask": stage}}
        created = client.pipelines.create({k: v for k, v in body.items() if not k.startswith("_") and k != "id"})
        return client.pipelines.run(created["id"], inputs={"tag": "1.4.2"}).id


def test_a_retry_after_the_answer_took_effect_answers_no_other_approval(systems, monkeypatch):
    execution_id = approvals_in_a_row(2)
    until(lambda: state_of(systems, execution_id) == "WAITING")
    task = Task(lambda: CodeStreamApprovalOperator(task_id="answer", decision="approve", execution_id=execution_id))

    def dying(*_: Any) -> None:
        raise WorkerKilled

    with monkeypatch.context() as patch:
        patch.setattr(task.operator, "publish", dying)
        assert isinstance(task.attempt().error, WorkerKilled)
    until(lambda: asked(execution_id) == ["ACTIVE", "APPROVED"])
    retried = task.attempt()
    assert retried.error is None
    assert asked(execution_id) == ["ACTIVE", "APPROVED"]
    assert len(systems.requests("code_stream", "PATCH", "/user-operations/")) == 1
    task.clear()
    assert task.attempt().error is None
    until(lambda: state_of(systems, execution_id) == "COMPLETED")


def asked(execution_id: str) -> list[str]:
    with CodeStreamHook().get_conn() as client:
        return sorted(
            each["status"]
            for each in client.approvals.list()
            if execution_id in (each.get("executionLink") or each.get("executionId"))
        )


# --- Gerrit


def test_a_gerrit_change_triggers_the_pipelines_whose_names_are_told(systems):
    before = executions_of(systems, SHOP)
    ended = trigger()
    assert ended.result == {"message": "Manual Trigger Successful", "pipelinesTriggered": [SHOP]}
    assert len(executions_of(systems, SHOP)) == len(before) + 1
    (request,) = systems.requests("code_stream", "POST", "/gerrit-events")
    assert request["body"] == {"changeId": "I1a2b3c", "project": "retail", "trigger": "shop-changes"}


def test_an_unknown_gerrit_trigger_is_not_found():
    ended = trigger(trigger="shop-changed")
    assert isinstance(ended.error, NotFoundError)
    assert "shop-changed" in str(ended.error)


GERRIT_CHANGE = {"change_id": "I1a2b3c", "project": "retail", "trigger": "shop-changes"}


def triggers(systems) -> int:
    return len(systems.requests("code_stream", "POST", "/gerrit-events"))


@pytest.mark.parametrize("fault", ["reset_after", "truncate"])
def test_a_trigger_whose_answer_was_lost_is_told_by_its_event(systems, fault):
    assert trigger().error is None
    systems.fault("code_stream", fault, method="POST", path="/gerrit-events")
    ended = trigger()
    assert (ended.error, ended.result["pipelinesTriggered"]) == (None, [SHOP])
    assert triggers(systems) == 2


def test_a_worker_that_dies_after_a_trigger_does_not_make_it_happen_twice(systems, monkeypatch):
    task = Task(lambda: CodeStreamTriggerGerritOperator(task_id="trigger", **GERRIT_CHANGE))
    whole = Events.trigger_gerrit

    def dying(*arguments: Any) -> None:
        whole(*arguments)
        raise WorkerKilled

    with monkeypatch.context() as patch:
        patch.setattr(Events, "trigger_gerrit", dying)
        assert isinstance(task.attempt().error, WorkerKilled)
    assert task.attempt().error is None
    assert triggers(systems) == 1
    task.clear()
    assert task.attempt().error is None
    assert triggers(systems) == 2


def test_a_trigger_that_may_have_happened_is_repeated_only_after_a_clear(systems):
    task = Task(lambda: CodeStreamTriggerGerritOperator(task_id="trigger", **GERRIT_CHANGE))
    systems.fault("code_stream", "reset_before", method="POST", path="/gerrit-events")
    for _ in range(2):
        error = task.attempt().error
        assert isinstance(error, ConflictError)
        assert "may have been triggered" in str(error)
        assert "clearing this task" in str(error)
    assert triggers(systems) == 1
    task.clear()
    assert task.attempt().error is None
    assert triggers(systems) == 2


def test_a_trigger_that_was_refused_may_be_repeated(systems):
    task = Task(lambda: CodeStreamTriggerGerritOperator(task_id="trigger", **GERRIT_CHANGE))
    systems.fault("code_stream", "status", method="POST", path="/gerrit-events", status=403)
    assert isinstance(task.attempt().error, PermissionDeniedError)
    assert task.attempt().error is None
    assert triggers(systems) == 2
