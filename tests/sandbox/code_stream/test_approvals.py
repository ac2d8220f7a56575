"""What the Code Stream stand-in promises, over real HTTP and against the contract, never through our client."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.code_stream_calls import CodeStream


def waiting(api: CodeStream) -> tuple[str, dict[str, Any]]:
    execution_id = api.start("Deploy shop with approval")
    api.reaches(execution_id, "WAITING")
    return execution_id, api.operation(execution_id)


@pytest.mark.parametrize("method", ["PATCH", "POST"])
def test_an_approval_lets_the_execution_continue(api: CodeStream, method: str) -> None:
    execution_id, operation = waiting(api)
    assert (operation["status"], operation["approvers"], len(operation["index"])) == ("ACTIVE", ["release-bot"], 6)
    body = {"status": "Approved", "responseMessage": "go"}
    resource = api.call(method, f"/user-operations/{operation['id']}", body).json()
    assert (resource["status"], resource["respondedBy"], resource["pipeline"]) == (
        "APPROVED",
        "release-bot",
        "Deploy shop with approval",
    )
    assert not {"project", "_link", "executionLink", "pipelineName"} & set(resource)
    assert api.ended(execution_id)["status"] == "COMPLETED"
    assert "RESUMING" in api.states(execution_id)


def test_a_rejection_fails_the_execution_for_good(api: CodeStream) -> None:
    execution_id, operation = waiting(api)
    api.call("PATCH", f"/user-operations/{operation['id']}", {"status": "REJECTED"})
    assert api.ended(execution_id)["statusMessage"].startswith("Prod.Approve: User Operation request has been rejected")
    again = api.call("PATCH", f"/user-operations/{operation['id']}", {"status": "Approved"})
    assert (again.status_code, again.json()["status"]) == (200, "REJECTED")


def test_an_approval_expires_and_fails_the_execution(api: CodeStream) -> None:
    execution_id, operation = waiting(api)
    api.control.post("clock", advance=3 * 86_400 + 1)
    api.headers = {"Authorization": f"Bearer {api.bearer('release-bot')}"}
    assert api.execution(execution_id)["status"] == "FAILED"
    assert api.get(f"/user-operations/{operation['id']}")["status"] == "EXPIRED"


@pytest.mark.parametrize("status", [200, 403])
def test_who_is_no_approver_changes_nothing(api: CodeStream, viewer: CodeStream, status: int) -> None:
    _, operation = waiting(api)
    api.switch(unauthorised_answer=status)
    reply = viewer.call("PATCH", f"/user-operations/{operation['id']}", {"status": "Approved"})
    assert reply.status_code == status
    assert api.get(f"/user-operations/{operation['id']}")["status"] == "ACTIVE"


@pytest.mark.parametrize("form", ["objects", "strings"])
def test_a_batch_reports_its_failures(api: CodeStream, form: str) -> None:
    _, operation = waiting(api)
    api.switch(batch_errors=form)
    body = {"ids": [operation["id"], "nobody"], "status": "Approved"}
    reply = api.call("POST", "/batch-user-operations", body).json()
    assert (reply["success"], reply["failure"]) == (1, 1)
    assert isinstance(reply["errors"][0], dict if form == "objects" else str)


@pytest.mark.parametrize("body", [{"status": "Maybe"}, {}, None])
def test_a_wrong_answer_is_refused(api: CodeStream, body: Any) -> None:
    _, operation = waiting(api)
    assert api.call("PATCH", f"/user-operations/{operation['id']}", body).status_code == 400


def test_an_approval_can_cancel_earlier_ones_of_the_same_task(api: CodeStream) -> None:
    first, earlier = waiting(api)
    second, later = waiting(api)
    body = {"status": "Approved", "cancelPreviousPendingUserOp": True}
    api.call("PATCH", f"/user-operations/{later['id']}", body)
    assert api.get(f"/user-operations/{earlier['id']}")["status"] == "CANCELED"
    assert api.execution(first)["status"] == "FAILED"
    assert api.ended(second)["status"] == "COMPLETED"


@pytest.mark.parametrize("how", ["cancelled", "forced"])
def test_an_execution_that_ends_otherwise_withdraws_its_approval(api: CodeStream, how: str) -> None:
    execution_id, operation = waiting(api)
    if how == "forced":
        api.force(execution_id, "FAILED")
    else:
        api.act(execution_id, "cancel")
    api.ended(execution_id)
    assert api.get(f"/user-operations/{operation['id']}")["status"] == "CANCELED"
