"""The operator that acts on an execution."""

from __future__ import annotations

import pytest

from airflow_provider.exceptions import BadRequestError
from airflow_provider.operators.code_stream import CodeStreamExecutionActionOperator
from tests.support.attempts import Task, WorkerKilled
from tests.support.code_stream_tasks import (
    APPROVED,
    BOTH_MODES,
    SLOW,
    act,
    document,
    start,
    start_until_it_asks,
    state_of,
)
from tests.support.patching import patched

ACTION_PATH = "/codestream/api/executions/"


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


def test_a_retry_that_asks_for_another_action_sends_it(systems):
    systems.act("code_stream", "script", pipeline=APPROVED, task="Prod.Deploy", seconds=600)
    given = {"task_id": "act", "execution_id": start_until_it_asks(systems), "poll_interval": 0.1, "timeout": 20}
    task = Task(lambda: CodeStreamExecutionActionOperator(action="pause", **given))
    with patched(CodeStreamExecutionActionOperator, "publish", side_effect=WorkerKilled):
        assert isinstance(task.attempt().error, WorkerKilled)
    task.deploy(lambda: CodeStreamExecutionActionOperator(action="cancel", **given))
    assert task.attempt().error is None
    assert state_of(systems, given["execution_id"]) == "CANCELED"


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
