"""Pause, resume, cancel: sent once, and only while they can have an effect."""

from __future__ import annotations

import pytest

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.code_stream.execution_document import STATES
from airflow_provider.exceptions import (
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ServerUnavailableError,
)
from tests.support.canceling import cancel_surely
from tests.support.code_stream_api import Api, of, run, until_it_is
from tests.support.code_stream_client import S
from tests.support.control import Control


def test_pause_resume_tag_and_delete(client: CodeStreamClient, control: Control) -> None:
    control.post(
        "actions", system="code_stream", action="script", pipeline="Deploy shop", task="Prod.Deploy", seconds=60
    )
    started = run(client)
    until_it_is(lambda: client.observe(started.ref), S.RUNNING)
    assert client.executions.act(started.id, "pause", "lunch").status == "PAUSING"
    control.post(f"executions/code_stream/{started.id}", state="PAUSED")
    assert client.observe(started.ref).state is S.PAUSED
    assert client.executions.act(started.id, "resume").status == "RESUMING"
    client.executions.tag(started.id, ["blue"])
    assert client.executions.get(started.id)["tags"] == ["blue"]
    client.executions.delete(started.id)
    with pytest.raises(NotFoundError):
        client.observe(started.ref)


def test_cancel_is_one_request_with_its_reason(client: CodeStreamClient, control: Control) -> None:
    started = run(client)
    client.cancel(started.ref, "task was cleared")
    client.cancel(started.ref, "a second time")
    assert client.executions.get(started.id)["reason"] == "task was cleared"
    until_it_is(lambda: client.observe(started.ref), S.CANCELED)
    journal = next(each for each in control.get("executions", system="code_stream") if each["id"] == started.id)
    assert len(journal["cancels"]) == 1


@pytest.mark.parametrize("status", sorted(STATES))
def test_whatever_could_continue_needs_a_cancel(api: Api, status: str) -> None:
    api.routes["GET", "/executions/e1"] = {"id": "e1", "status": status}
    over = ("COMPLETED", "FAILED", "CANCELED", "ROLLBACK_COMPLETED", "ROLLBACK_FAILED", "SKIPPED", "FAILED_CONTINUE")
    assert api.client.waits.needs_cancel(api.client.observe(of("e1"))) is (status not in ("CANCELING", *over))


def test_a_paused_execution_is_canceled(client: CodeStreamClient, control: Control) -> None:
    started = run(client)
    control.post(f"executions/code_stream/{started.id}", state="PAUSED")
    assert client.waits.needs_cancel(client.observe(started.ref)), "anybody could resume it"
    client.cancel(started.ref, "task was cleared")
    canceled = until_it_is(lambda: client.observe(started.ref), S.CANCELED)
    assert not client.waits.needs_cancel(canceled)
    (journal,) = [each for each in control.get("executions", system="code_stream") if each["id"] == started.id]
    assert [each["state"] for each in journal["states"]][-3:] == ["PAUSED", "CANCELING", "CANCELED"]


@pytest.mark.parametrize("status", ["CANCELING", "CANCELED", "COMPLETED"])
def test_what_is_ending_already_is_sent_no_cancel(api: Api, status: str) -> None:
    api.routes["GET", "/executions/e1"] = {"id": "e1", "status": status}
    api.client.cancel(of("e1"), "late")
    assert api.called("POST", "/e1") == []


def test_no_cancel_is_sent_while_it_is_unknown_whether_it_is_already_ending(api: Api) -> None:
    api.routes["GET", "/executions/e1"] = (503, {}, None)
    with pytest.raises(ServerUnavailableError):
        api.client.cancel(of("e1"), "no")
    assert (len(api.called("GET", "/e1")), len(api.called("POST", "/e1"))) == (1, 0)


def test_a_cancel_whose_answer_is_lost_is_not_sent_again_while_polls_fail(api: Api) -> None:
    seen = iter([{"id": "e1", "status": "RUNNING"}, *[(504, {}, None)] * 3])
    api.routes["GET", "/executions/e1"] = lambda _: next(seen, {"id": "e1", "status": "CANCELING"})
    api.routes["POST", "/executions/e1"] = (504, {}, None)
    cancel_surely(api.client, of("e1"), "no", 20)
    assert len(api.called("POST", "/e1")) == 1


@pytest.mark.parametrize("status", [200, 400, 409, 500])
@pytest.mark.parametrize("over", ["COMPLETED", "CANCELING", "CANCELED"])
def test_canceling_what_is_over_already_is_fine(
    client: CodeStreamClient, control: Control, status: int, over: str
) -> None:
    control.post("switches", system="code_stream", wrong_state_status=status)
    started = run(client)
    control.post(f"executions/code_stream/{started.id}", state=over)
    client.cancel(started.ref, "late")
    assert client.observe(started.ref).status == over


@pytest.mark.parametrize("status", [400, 409, 500])
def test_a_cancel_that_the_end_overtook_is_fine(api: Api, status: int) -> None:
    seen = iter(["RUNNING", "COMPLETED"])
    api.routes["GET", "/executions/e1"] = lambda _: {"id": "e1", "status": next(seen)}
    api.routes["POST", "/executions/e1"] = (status, {}, {"message": "it is over"})
    api.client.cancel(of("e1"), "late")
    assert len(api.called("POST", "/e1")) == 1


def test_a_cancel_that_is_really_refused_is_an_error(
    client: CodeStreamClient, viewer: CodeStreamClient, api: Api
) -> None:
    started = run(client)
    with pytest.raises(PermissionDeniedError):
        viewer.cancel(started.ref, "no")
    with pytest.raises(NotFoundError):
        client.cancel(of("gone"), "no")
    api.routes["POST", "/executions/e1"] = (409, {}, {"message": "locked"})
    api.routes["GET", "/executions/e1"] = {"id": "e1", "status": "RUNNING"}
    with pytest.raises(ConflictError, match="locked"):
        api.client.cancel(of("e1"), "no")
