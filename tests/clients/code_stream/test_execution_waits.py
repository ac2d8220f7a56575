"""Many waits at once cost one list."""

from __future__ import annotations

import pytest

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.exceptions import (
    NotFoundError,
    ReleasePipelineError,
)
from airflow_provider.execution import Execution
from tests.support.code_stream_api import Api, listing, of, run, until_it_is
from tests.support.code_stream_client import S, approval
from tests.support.control import Control


def test_many_executions_are_looked_up_with_one_list(client: CodeStreamClient, control: Control) -> None:
    pipeline = client.pipelines.find("Deploy shop", "retail")["id"]
    ids = [client.pipelines.run(pipeline, comments=f"n{n}").id for n in range(60)]
    for execution_id in ids:
        control.post(f"executions/code_stream/{execution_id}", state="PAUSED")
    before = len(control.get("requests", system="code_stream"))
    refs = [of(each) for each in ids]
    seen = client.waits.fetch([*refs, of("gone"), refs[0]])
    assert [each.id for each in seen[:60]] == ids  # type: ignore[union-attr]
    assert {each.state for each in [*seen[:60], seen[61]]} == {S.PAUSED}  # type: ignore[union-attr]
    assert isinstance(seen[60], NotFoundError)
    assert len(control.get("requests", system="code_stream")) - before <= 3


def test_one_that_ended_is_read_again_with_what_a_list_leaves_out(client: CodeStreamClient) -> None:
    refs = [run(client, "Always fails").ref, run(client, inputs={"tag": "7"}).ref]
    for ref in refs:
        until_it_is(lambda ref=ref: client.observe(ref), S.FAILED, S.SUCCEEDED)
    failed, succeeded = client.waits.fetch(refs)
    assert failed == client.observe(refs[0])
    assert succeeded == client.observe(refs[1])
    assert isinstance(succeeded, Execution)
    assert succeeded.outputs == {"deployed": "7"}


def test_what_a_list_does_not_reach_is_asked_one_by_one(api: Api) -> None:
    newest = [{"id": f"x{n}", "status": "RUNNING"} for n in range(100)]
    api.routes["GET", "/executions"] = listing(newest, total=1000)
    for name in ("a", "b"):
        api.routes["GET", f"/executions/{name}"] = {"id": name, "status": "RUNNING"}
    for _ in range(2):
        before = len(api.called("GET", "/executions"))
        assert [each.id for each in api.client.waits.fetch([of("a"), of("b")])] == ["a", "b"]  # type: ignore[union-attr]
    learned = "that the server neither lists last changes nor filters is learned once"
    assert len(api.called("GET", "/executions")) - before == 1, f"{learned}; a page without any ends the reading"


def test_a_single_wait_needs_no_list(api: Api) -> None:
    api.routes["GET", "/executions/a"] = {"id": "a", "status": "RUNNING"}
    api.client.waits.fetch([of("a")])
    assert [each.path for each in api.called("GET")] == ["/codestream/api/executions/a"]
    assert api.called("GET")[0].query == {"expand": "PIPELINE_STAGE_TASK", "apiVersion": "2019-10-17"}


@pytest.mark.parametrize(("status", "alone"), [(403, True), (400, True), (404, True), (503, False), (429, False)])
def test_a_list_that_is_refused_costs_requests_and_one_that_breaks_concerns_all(
    api: Api, status: int, alone: bool
) -> None:
    api.routes["GET", "/executions"] = (status, {"Retry-After": "60"} if status == 429 else {}, None)
    for name in ("a", "b"):
        api.routes["GET", f"/executions/{name}"] = {"id": name, "status": "RUNNING"}
    if alone:
        assert [each.id for each in api.client.waits.fetch([of("a"), of("b")])] == ["a", "b"]  # type: ignore[union-attr]
    else:
        with pytest.raises(ReleasePipelineError) as caught:
            api.client.waits.fetch([of("a"), of("b")])
        assert caught.value.retry_after == (60 if status == 429 else None)


def test_all_kinds_of_waits_share_a_fetch(client: CodeStreamClient, control: Control) -> None:
    waiting = run(client, "Deploy shop with approval")
    until_it_is(lambda: client.observe(waiting.ref), S.WAITING)
    broken = client.events.list("docker", "message eq 'Invalid Oauth Refresh token. Verify webhook configuration.'")
    reruns = [client.reruns.reference(client.reruns.intent("docker", each["id"])) for each in broken]
    events = [{"system": "code_stream", "kind": "event", "id": "", "event_type": "docker", "since": ""} for _ in "ab"]
    events[0]["filters"] = '{"tag": "1.4.3"}'
    events[1]["filters"] = '{"tag": "9.9.9"}'
    approvals = [approval(execution_id=waiting.id), approval(pipeline="Deploy shop with approval"), approval("x")]
    before = len(control.get("requests", system="code_stream"))
    seen = client.waits.fetch([waiting.ref, *reruns, *events, *approvals])
    states = [each.state if isinstance(each, Execution) else type(each) for each in seen]
    assert states == [S.WAITING, S.QUEUED, S.QUEUED, S.SUCCEEDED, S.RUNNING, S.SUCCEEDED, S.SUCCEEDED, NotFoundError]
    assert len(control.get("requests", system="code_stream")) - before == 5
    assert client.waits.fetch([]) == []
