"""Approvals: found, answered once, and never reported as taken when they were not."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    ConnectionConfigError,
    PermissionDeniedError,
    ServerUnavailableError,
)
from airflow_provider.execution import Execution
from airflow_provider.sandbox import seed
from tests.support.code_stream_api import LOGIN, run, until_it_is
from tests.support.code_stream_client import S, approval
from tests.support.control import Control
from tests.support.scripted import Scripted


@pytest.mark.parametrize("links", ["normal", "singular"])
def test_a_pending_approval_is_found_by_execution_or_pipeline(
    client: CodeStreamClient, control: Control, waiting: Execution, links: str
) -> None:
    control.post("switches", system="code_stream", execution_links=links)
    by_execution = client.observe(approval(execution_id=waiting.id))
    by_pipeline = client.observe(approval(pipeline="Deploy shop with approval"))
    assert by_execution.state is S.SUCCEEDED
    assert by_execution.outputs["summary"] == "Deploy the shop to production?"
    assert by_execution.id == by_pipeline.id == by_execution.outputs["id"]
    assert by_execution.url == waiting.url
    assert client.observe(by_execution.ref).status == "ACTIVE", "its own reference finds it again"
    assert client.observe(approval(pipeline="Deploy shop")).state is S.RUNNING
    assert client.approvals.find_pending(waiting.id) == by_execution.id
    with pytest.raises(BadRequestError, match="cannot be canceled"):
        client.cancel(by_execution.ref, "no")


def test_waiting_for_an_approval_of_an_execution_that_is_over_fails(client: CodeStreamClient) -> None:
    started = run(client)
    assert client.observe(approval(execution_id=started.id)).state is S.RUNNING
    until_it_is(lambda: client.observe(started.ref), S.SUCCEEDED)
    with pytest.raises(ConflictError, match=f"{started.id} ended"):
        client.approvals.find_pending(started.id)
    seen = client.observe(approval(execution_id=started.id))
    assert seen.state is S.FAILED
    assert "COMPLETED" in (seen.message or "")


def test_an_approval_lets_the_execution_continue_and_counts_once(client: CodeStreamClient, waiting: Execution) -> None:
    operation = client.approvals.list("status eq 'ACTIVE'")[0]
    answered = client.approvals.answer(operation["id"], approve=True, message="go")
    assert (answered["status"], answered["respondedBy"], answered["responseMessage"]) == (
        "APPROVED",
        "release-bot",
        "go",
    )
    assert until_it_is(lambda: client.observe(waiting.ref), S.SUCCEEDED).outputs == {"deployed": "5"}
    assert client.approvals.answer(operation["id"], approve=True) == client.approvals.get(operation["id"])
    with pytest.raises(ConflictError, match="already APPROVED by release-bot"):
        client.approvals.answer(operation["id"], approve=False)


def test_a_rejection_fails_the_execution_as_rejected(client: CodeStreamClient, waiting: Execution) -> None:
    operation = client.approvals.list("status eq 'ACTIVE'")[0]
    assert client.approvals.answer(operation["id"], approve=False)["status"] == "REJECTED"
    ended = until_it_is(lambda: client.observe(waiting.ref), S.FAILED)
    assert ended.rejected is True
    assert "rejected" in (ended.message or "")


WORDS = {"rerun": "RERUN_EVENT", "resume": "Continue", "approve": "Yes", "reject": "No"}


@pytest.fixture
def spoken(control: Control) -> CodeStreamClient:
    """A client of a server that has words of its own."""
    control.post("switches", system="code_stream", words=WORDS)
    return CodeStreamClient(f"{control.url}/code_stream", refresh_token=seed.CODE_STREAM_REFRESH_TOKEN, words=WORDS)


def test_a_server_is_spoken_to_in_its_own_words(client: CodeStreamClient, spoken: CodeStreamClient) -> None:
    for approve, stored, state in ((True, "APPROVED", S.SUCCEEDED), (False, "REJECTED", S.FAILED)):
        asking = run(spoken, "Deploy shop with approval")
        until_it_is(lambda ref=asking.ref: spoken.observe(ref), S.WAITING)  # type: ignore[misc]
        operation_id = spoken.approvals.find_pending(asking.id)
        with pytest.raises(BadRequestError, match="Yes or No"):
            client.approvals.answer(operation_id, approve)
        for _ in range(2):
            assert spoken.approvals.answer(operation_id, approve)["status"] == stored
        with pytest.raises(ConflictError, match=f"already {stored}"):
            spoken.approvals.answer(operation_id, not approve)
        until_it_is(lambda ref=asking.ref: spoken.observe(ref), state)  # type: ignore[misc]
    event = next(each for each in spoken.events.list("docker") if each["executionStatus"] == "FAILED")
    for action in ("rerun", "resume"):
        with pytest.raises(BadRequestError, match="Continue or RERUN_EVENT"):
            client.events.rerun("docker", event["id"], action)  # type: ignore[arg-type]
    spoken.events.rerun("docker", event["id"], "resume")
    spoken.events.rerun("docker", event["id"])


@pytest.mark.parametrize("stored", ["Yes", "YES", "yes", "APPROVED", "Approved"])
def test_an_answer_counts_in_whatever_case_and_word_the_server_stores_it(scripted: Scripted, stored: str) -> None:
    seen = iter(["ACTIVE", "ACTIVE", stored])
    scripted.always = lambda request: (
        LOGIN if request.path.endswith("/login") else (200, {}, {"id": "op", "status": next(seen)})
    )
    client = CodeStreamClient(scripted.url, refresh_token="refresh-token-1", words={"approve": "yes"})
    assert client.approvals.answer("op", True)["status"] == stored
    assert [each.json["status"] for each in scripted.requests if each.method == "PATCH"] == ["yes"]


@pytest.mark.parametrize("words", [{"cancel": "x"}, {"rerun": ""}, {"rerun": " "}, {"rerun": "a/b"}, {"rerun": 1}])
def test_words_that_no_server_can_have_are_refused(words: Any) -> None:
    with pytest.raises(ConnectionConfigError, match="extra `words`"):
        CodeStreamClient("http://127.0.0.1", refresh_token="refresh-token-1", words=words)


@pytest.mark.parametrize("status", [200, 403])
def test_an_answer_of_somebody_who_may_not_is_never_reported_as_taken(
    client: CodeStreamClient, viewer: CodeStreamClient, control: Control, waiting: Execution, status: int
) -> None:
    control.post("switches", system="code_stream", unauthorised_answer=status)
    operation = client.approvals.list("status eq 'ACTIVE'")[0]
    with pytest.raises(PermissionDeniedError, match="release-bot" if status == 200 else "403"):
        viewer.approvals.answer(operation["id"], approve=True)
    assert client.observe(waiting.ref).state is S.WAITING


@pytest.mark.parametrize(("fault", "taken"), [("reset_after", True), ("reset_before", False)])
def test_an_answer_whose_reply_is_lost_is_read_back(
    client: CodeStreamClient, control: Control, waiting: Execution, fault: str, taken: bool
) -> None:
    operation = client.approvals.list("status eq 'ACTIVE'")[0]
    control.post("faults", system="code_stream", method="PATCH", fault=fault, times=1)
    if taken:
        assert client.approvals.answer(operation["id"], approve=True)["status"] == "APPROVED"
    else:
        with pytest.raises(ServerUnavailableError):
            client.approvals.answer(operation["id"], approve=True)
    patches = [each for each in control.get("requests", system="code_stream") if each["method"] == "PATCH"]
    assert len(patches) == 1


@pytest.mark.parametrize("errors", ["objects", "strings"])
def test_many_are_answered_at_once_and_those_not_taken_are_reported_in_one_form(
    client: CodeStreamClient, control: Control, waiting: Execution, errors: str
) -> None:
    control.post("switches", system="code_stream", batch_errors=errors)
    operation = client.approvals.list("status eq 'ACTIVE'")[0]
    reply = client.approvals.answer_many([operation["id"], "gone"], approve=True, message="ok")
    assert (reply["success"], reply["failure"], len(reply["errors"])) == (1, 1, 1)
    assert "gone" in reply["errors"][0]["error"]
    assert client.approvals.delete(operation["id"])["status"] == "APPROVED"
