"""The operator that answers an approval."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.exceptions import (
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider.hooks.code_stream import CodeStreamHook
from airflow_provider.operators.code_stream import CodeStreamApprovalOperator
from tests.support.attempts import Task, WorkerKilled
from tests.support.code_stream_tasks import (
    SLOW,
    answer,
    approvals_in_a_row,
    asked,
    start,
    start_until_it_asks,
    state_of,
)
from tests.support.patching import patched
from tests.support.systems import define_connection
from tests.support.until import until


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
    assert "has no pending approval" in str(ended.error)


def test_an_unknown_approval_is_not_found():
    ended = answer("approve", user_operation_id="no-such-operation")
    assert isinstance(ended.error, NotFoundError)
    assert "no-such-operation" in str(ended.error)


def test_a_retry_after_the_answer_took_effect_answers_no_other_approval(systems):
    execution_id = approvals_in_a_row(2)
    until(lambda: state_of(systems, execution_id) == "WAITING")
    task = Task(lambda: CodeStreamApprovalOperator(task_id="answer", decision="approve", execution_id=execution_id))

    def dying(*_: Any) -> None:
        raise WorkerKilled

    with patched(task.operator, "publish", dying):
        assert isinstance(task.attempt().error, WorkerKilled)
    until(lambda: asked(execution_id) == ["ACTIVE", "APPROVED"])
    retried = task.attempt()
    assert retried.error is None
    assert asked(execution_id) == ["ACTIVE", "APPROVED"]
    assert len(systems.requests("code_stream", "PATCH", "/user-operations/")) == 1
    task.clear()
    assert task.attempt().error is None
    until(lambda: state_of(systems, execution_id) == "COMPLETED")
