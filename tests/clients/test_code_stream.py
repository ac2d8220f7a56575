"""The Code Stream client over HTTP: against the sandbox, and against a script where the sandbox has no switch."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider.clients import retries
from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.clients.code_stream.execution_document import STATES, execution_of
from airflow_provider.clients.code_stream.fields import id_from_link, parse_time, secrets_in, without_secrets
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    ConnectionConfigError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState, Step
from airflow_provider.sandbox import seed
from tests.canceling import cancel_surely
from tests.clients.code_stream_api import LOGIN, Api, listing, of, run, until
from tests.clients.conftest import Received, Reply, Scripted
from tests.support.control import Control

S = ExecutionState


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_PAUSE", 0.01)


@pytest.fixture
def client(control: Control) -> CodeStreamClient:
    return CodeStreamClient(f"{control.url}/code_stream", refresh_token=seed.CODE_STREAM_REFRESH_TOKEN)


@pytest.fixture
def viewer(control: Control) -> CodeStreamClient:
    return CodeStreamClient(f"{control.url}/code_stream", username="viewer", password="viewer-password")


@pytest.fixture
def api(scripted: Scripted) -> Api:
    return Api(scripted)


# --- starting and following an execution ---


def test_an_execution_is_started_followed_and_its_output_handed_on(client: CodeStreamClient, control: Control) -> None:
    started = run(client, inputs={"tag": "1.4.2"}, comments="marker-1", tags=["a"])
    assert started.state is S.QUEUED
    assert started.ref == of(started.id)
    assert started.url == f"{control.url}/code_stream/automation/#/codestream/executions/{started.id}"
    ended = until(lambda: client.look(started.ref), *[state for state in S if state.is_terminal])
    assert (ended.state, ended.status, ended.url) == (S.SUCCEEDED, "COMPLETED", started.url)
    assert ended.ref == started.ref | {"place": f"{control.url}/code_stream"}
    assert ended.outputs == {"deployed": "1.4.2"}
    assert [step.name for step in ended.steps] == ["Build.Unit", "Build.Lint", "Prod.Deploy"]
    assert ended.rejected is False
    assert ended.started_at is not None
    assert ended.finished_at is not None
    assert ended.started_at.tzinfo is not None
    assert timedelta(0) < ended.finished_at - ended.started_at < timedelta(seconds=5)
    json.dumps(ended.to_result())


@pytest.mark.parametrize("links", ["normal", "singular", "pipeline", "host"])
@pytest.mark.parametrize(("legacy", "status"), [(False, 202), (False, 200), (True, 200)])
def test_a_start_is_followed_whatever_form_its_answer_has(
    client: CodeStreamClient, control: Control, links: str, legacy: bool, status: int
) -> None:
    control.post(
        "switches", system="code_stream", execution_links=links, legacy_start_reply=legacy, start_status=status
    )
    started = run(client, comments="marker-1")
    assert client.executions.get(started.id)["comments"] == "marker-1"


def test_a_failed_execution_says_which_task_broke_and_why(client: CodeStreamClient) -> None:
    started = run(client, "Always fails")
    ended = until(lambda: client.look(started.ref), S.FAILED)
    assert ended.message == "Prod.Deploy: Script execution failed."
    assert ended.rejected is False
    assert Step("Prod.Deploy", "FAILED", "Script execution failed.", S.FAILED) in ended.steps


def test_an_index_of_zero_is_an_index(client: CodeStreamClient, control: Control) -> None:
    control.post("switches", system="code_stream", first_index=0)
    started = run(client, "Smoke test")
    key = ("retail", "Smoke test")
    assert client.pipelines.get_execution(key, 0)["id"] == started.id
    assert [each["id"] for each in client.pipelines.list_executions(key)] == [started.id]


def test_a_start_whose_answer_is_lost_happens_once_and_is_found_by_its_marker(
    client: CodeStreamClient, control: Control
) -> None:
    pipeline = client.pipelines.find("Deploy shop", "retail")["id"]
    intent = {"kind": "execution", "marker": "dag=r task=t", "since": time.time(), "pipeline_id": pipeline}
    assert client.find_started(intent) == []
    fault = {"system": "code_stream", "method": "POST", "path": "/executions", "fault": "reset_after"}
    control.post("faults", **fault, times=1)
    with pytest.raises(ServerUnavailableError) as caught:
        client.pipelines.run(pipeline, comments="dag=r task=t release 7")
    assert caught.value.effect is Effect.UNKNOWN
    for _ in range(3):
        client.pipelines.run(pipeline, comments="somebody else")
    (found,) = client.find_started(intent)
    assert client.executions.get(found.id)["comments"] == "dag=r task=t release 7"
    assert [each["started_by"] for each in control.get("executions", system="code_stream")].count(
        "dag=r task=t release 7"
    ) == 1


def test_all_executions_of_a_marker_are_found_the_oldest_first(client: CodeStreamClient, control: Control) -> None:
    pipeline = client.pipelines.find("Deploy shop", "retail")["id"]
    intent = {"kind": "execution", "marker": "marker-1", "since": time.time(), "pipeline_id": pipeline}
    # Wherever the marker stands: an earlier version of this provider put it last.
    started = [client.pipelines.run(pipeline, comments=text).id for text in ("marker-1", "marker-1 x", "x marker-1")]
    client.pipelines.run(pipeline, comments="marker-2")
    found = client.find_started(intent)
    assert [each.id for each in found] == started
    assert {each.ref["place"] for each in found} == {f"{control.url}/code_stream"}


def test_the_oldest_of_a_marker_is_first_although_the_server_keeps_no_order(api: Api) -> None:
    now = time.time()
    rows = [
        {"id": f"e{n}", "comments": "marker-1", "status": "RUNNING", "_requestTimeInMicros": int((now + n) * 1e6)}
        for n in (2, 0, 1)
    ]
    api.routes["GET", "/pipelines/p1/executions"] = listing(rows)
    intent = {"kind": "execution", "marker": "marker-1", "since": now, "pipeline_id": "p1"}
    assert [each.id for each in api.client.find_started(intent)] == ["e0", "e1", "e2"]


def test_a_marker_that_comes_first_outlives_a_server_that_cuts_comments(api: Api) -> None:
    row = {"id": "e1", "comments": "marker-1 the rest of this te", "_requestTimeInMicros": int(time.time() * 1e6)}
    api.routes["GET", "/pipelines/p1/executions"] = listing([row])
    intent = {"kind": "execution", "marker": "marker-1", "since": time.time(), "pipeline_id": "p1"}
    assert [each.id for each in api.client.find_started(intent)] == ["e1"]


@pytest.mark.parametrize("refusal", [(429, {"Retry-After": "0"}, None), (401, {}, None)], ids=["429", "401"])
def test_a_start_is_sent_once_and_pauses_are_left_to_who_started_it(api: Api, refusal: Reply) -> None:
    api.routes["POST", "/pipelines/p1/executions"] = refusal
    api.routes["POST", "/git-events/ev"] = refusal
    for send in (lambda: api.client.pipelines.run("p1"), lambda: api.client.events.rerun("git", "ev")):
        with pytest.raises(ReleasePipelineError) as caught:
            send()
        assert caught.value.effect is Effect.NONE
    # A bearer that is refused is renewed, once.
    times = 2 if refusal[0] == 401 else 1
    assert (len(api.called("POST", "/executions")), len(api.called("POST", "/ev"))) == (times, times)


@pytest.mark.parametrize("own", [{"_nested": True}, {"_rollback": True}, {"comments": "other"}, {"comments": None}])
def test_nested_and_rollback_runs_and_other_comments_are_not_taken_for_an_own_start(api: Api, own: Any) -> None:
    now = time.time()
    row = {"id": "e1", "comments": "marker-1", "status": "RUNNING", "_requestTimeInMicros": int(now * 1e6)} | own
    api.routes["GET", "/pipelines/p1/executions"] = listing([row])
    intent = {"kind": "execution", "marker": "marker-1", "since": now, "pipeline_id": "p1"}
    assert api.client.find_started(intent) == []


def test_a_list_that_cannot_be_read_is_not_taken_for_nothing_was_started(api: Api) -> None:
    api.routes["GET", "/pipelines/p1/executions"] = (500, {}, None)
    intent = {"kind": "execution", "marker": "marker-1", "since": time.time(), "pipeline_id": "p1"}
    with pytest.raises(ServerUnavailableError):
        api.client.find_started(intent)


def test_looking_for_a_start_does_not_read_years_of_history(api: Api) -> None:
    def old(request: Received) -> Any:
        skip = int(request.query["$skip"])
        rows = [
            {"id": f"e{n}", "comments": "x", "_requestTimeInMicros": int((time.time() - 86400 * n) * 1e6)}
            for n in range(skip, skip + 100)
        ]
        return listing(rows, total=10_000)

    api.routes["GET", "/pipelines/p1/executions"] = old
    intent = {"kind": "execution", "marker": "marker-1", "since": time.time(), "pipeline_id": "p1"}
    assert api.client.find_started(intent) == []
    assert len(api.called("GET")) <= 2
    assert api.called("GET")[0].query["$orderby"] == "_requestTimeInMicros desc"


@pytest.mark.parametrize(
    "reply", [(200, {}, None), (202, {}, {}), (200, {}, []), (200, {}, "<html>"), (202, {}, {"executionId": None})]
)
def test_a_start_answered_with_nothing_usable_may_have_happened(api: Api, reply: Reply) -> None:
    api.routes["POST", "/pipelines/p1/executions"] = reply
    with pytest.raises(UnexpectedResponseError) as caught:
        api.client.pipelines.run("p1", inputs={"a": 1})
    assert caught.value.effect is Effect.UNKNOWN
    assert len(api.called("POST", "/executions")) == 1


def test_only_what_was_given_is_sent_with_a_start(api: Api) -> None:
    api.routes["POST", "/pipelines/p%2F1/executions"] = {"executionId": "e1"}
    api.client.pipelines.run("p/1", inputs={"tag": "1", "deep": {"a": [1]}})
    api.client.pipelines.run("p/1")
    assert [each.json for each in api.called("POST", "/executions")] == [
        {"input": {"tag": "1", "deep": {"a": [1]}}},
        {},
    ]


# --- what a document means ---


@pytest.mark.parametrize(
    ("status", "state"),
    [
        *((status, state) for status, state in STATES.items()),
        ("completed", S.SUCCEEDED),
        ("REINDEXING", S.UNKNOWN),
        (None, S.UNKNOWN),
        ("", S.UNKNOWN),
    ],
)
def test_every_status_has_its_state_and_an_unknown_word_is_never_the_end(status: Any, state: ExecutionState) -> None:
    seen = execution_of({"id": "e1", "status": status}, None)
    assert seen.state is state
    assert (seen.state is S.SUCCEEDED) == (str(status).upper() == "COMPLETED")
    assert seen.status == (status or "")


def test_all_eighteen_words_of_the_vendor_are_known() -> None:
    assert len(STATES) == 18


FAILED = {
    "id": "b80254a7",
    "status": "FAILED",
    "statusMessage": "Prod.Approve: refused",
    "stageOrder": ["Build", "Prod"],
    "stages": {
        "Prod": {
            "status": "FAILED",
            "taskOrder": ["Approve"],
            "tasks": {"Approve": {"type": "UserOperation", "status": "FAILED", "failureMessage": "rejected by ann"}},
        },
        "Build": {
            "status": "COMPLETED",
            "taskOrder": ["Unit,Lint", "Pack, ship"],
            "tasks": {
                "Pack, ship": {"type": "CI", "status": "COMPLETED"},
                "Lint": {"type": "CI", "status": "FAILED_CONTINUE", "failureMessage": "exit 1"},
                "Unit": {"type": "CI", "status": "COMPLETED"},
            },
        },
    },
    "_requestTimeInMicros": 1767323045000000,
    "_durationInMicros": 60483000,
    "updatedAt": "2026-01-02 08:35:05.483",
}


def test_a_refused_approval_is_told_from_other_failures_and_steps_keep_their_order() -> None:
    seen = execution_of(FAILED, "http://x")
    assert seen.rejected is True
    assert seen.message == "Prod.Approve: refused rejected by ann"
    assert [step.name for step in seen.steps] == ["Build.Unit", "Build.Lint", "Build.Pack, ship", "Prod.Approve"]
    assert seen.started_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert seen.to_result()["duration"] == 60.483


@pytest.mark.parametrize(
    "changes",
    [{"stages": None, "stageOrder": None}, {"stages": {"Prod": {"tasks": None}}, "stageOrder": ["Prod", "Gone"]}],
)
def test_a_document_without_stage_detail_is_read_too(changes: dict[str, Any]) -> None:
    seen = execution_of(FAILED | changes | {"output": None, "statusMessage": None, "id": None, "_link": "/x/e9"}, None)
    assert (seen.state, seen.message, seen.outputs, seen.rejected, seen.id) == (S.FAILED, None, {}, None, "e9")


@pytest.mark.parametrize(
    ("task", "rejected"),
    [
        ({"type": "CI", "status": "FAILED"}, False),
        ({"type": "USEROPERATION", "status": "FAILED"}, True),
        ({"status": "FAILED"}, None),
        ({"type": "UserOperation", "status": "COMPLETED"}, None),
    ],
)
def test_whether_an_approval_was_refused_is_said_only_where_the_task_that_broke_is_told(
    task: dict[str, Any], rejected: bool | None
) -> None:
    stages = {"Prod": {"status": "FAILED" if task["status"] == "FAILED" else "COMPLETED", "tasks": {"Approve": task}}}
    document = {"id": "e1", "status": "FAILED", "stages": stages}
    assert execution_of(document, None).rejected is rejected
    assert execution_of({**document, "status": "COMPLETED"}, None).rejected is False


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (1767323045000000, "2026-01-02T03:04:05+00:00"),
        ("1767323045000000", "2026-01-02T03:04:05+00:00"),
        (1767323045000, "2026-01-02T03:04:05+00:00"),
        (1767323045, "2026-01-02T03:04:05+00:00"),
        ("1767323045.5", "2026-01-02T03:04:05.500000+00:00"),
        ("2019-09-16 09:25:38.065065+00", "2019-09-16T09:25:38.065065+00:00"),
        ("2019-09-18T07:38:25.907+0200", "2019-09-18T05:38:25.907000+00:00"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00"),
        ("2019-09-23 13:48:54.483", None),
        ("", None),
        ("yesterday", None),
        (None, None),
        (0, None),
        (True, None),
        (1e300, None),
        ({}, None),
    ],
)
def test_times_are_read_in_every_form_and_a_text_without_zone_is_not_guessed(value: Any, moment: str | None) -> None:
    read = parse_time(value)
    assert (read.isoformat() if read else None) == moment


@pytest.mark.parametrize(
    ("link", "found"),
    [
        ("/codestream/api/executions/e1", "e1"),
        ("codestream/api/execution/e1", "e1"),
        ("/pipeline/api/executions/e1/", "e1"),
        ("https://vra.example.com//codestream/api/executions/e1?x=1", "e1"),
        ("e1", "e1"),
        ("", ""),
        (None, ""),
        (7, ""),
    ],
)
def test_the_id_is_the_last_part_of_a_link_of_any_form(link: Any, found: str) -> None:
    assert id_from_link(link) == found


# --- many waits at once ---


def test_many_executions_are_looked_up_with_one_list(client: CodeStreamClient, control: Control) -> None:
    pipeline = client.pipelines.find("Deploy shop", "retail")["id"]
    ids = [client.pipelines.run(pipeline, comments=f"n{n}").id for n in range(60)]
    for execution_id in ids:
        control.post(f"executions/code_stream/{execution_id}", state="PAUSED")
    before = len(control.get("requests", system="code_stream"))
    refs = [of(each) for each in ids]
    seen = client.fetch([*refs, of("gone"), refs[0]])
    assert [each.id for each in seen[:60]] == ids  # type: ignore[union-attr]
    assert {each.state for each in [*seen[:60], seen[61]]} == {S.PAUSED}  # type: ignore[union-attr]
    assert isinstance(seen[60], NotFoundError)
    assert len(control.get("requests", system="code_stream")) - before <= 3


def test_one_that_ended_is_read_again_with_what_a_list_leaves_out(client: CodeStreamClient) -> None:
    refs = [run(client, "Always fails").ref, run(client, inputs={"tag": "7"}).ref]
    for ref in refs:
        until(lambda ref=ref: client.look(ref), S.FAILED, S.SUCCEEDED)
    failed, succeeded = client.fetch(refs)
    assert failed == client.look(refs[0])
    assert succeeded == client.look(refs[1])
    assert isinstance(succeeded, Execution)
    assert succeeded.outputs == {"deployed": "7"}


def test_what_a_list_does_not_reach_is_asked_one_by_one(api: Api) -> None:
    newest = [{"id": f"x{n}", "status": "RUNNING"} for n in range(100)]
    api.routes["GET", "/executions"] = listing(newest, total=1000)
    for name in ("a", "b"):
        api.routes["GET", f"/executions/{name}"] = {"id": name, "status": "RUNNING"}
    for _ in range(2):
        before = len(api.called("GET", "/executions"))
        assert [each.id for each in api.client.fetch([of("a"), of("b")])] == ["a", "b"]  # type: ignore[union-attr]
    learned = "that the server neither lists last changes nor filters is learned once"
    assert len(api.called("GET", "/executions")) - before == 1, f"{learned}; a page without any ends the reading"


def test_a_single_wait_needs_no_list(api: Api) -> None:
    api.routes["GET", "/executions/a"] = {"id": "a", "status": "RUNNING"}
    api.client.fetch([of("a")])
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
        assert [each.id for each in api.client.fetch([of("a"), of("b")])] == ["a", "b"]  # type: ignore[union-attr]
    else:
        with pytest.raises(ReleasePipelineError) as caught:
            api.client.fetch([of("a"), of("b")])
        assert caught.value.retry_after == (60 if status == 429 else None)


def test_all_kinds_of_waits_share_a_fetch(client: CodeStreamClient, control: Control) -> None:
    waiting = run(client, "Deploy shop with approval")
    until(lambda: client.look(waiting.ref), S.WAITING)
    broken = client.events.list("docker", "message eq 'Invalid Oauth Refresh token. Verify webhook configuration.'")
    reruns = [client.reruns.reference(client.reruns.prepare("docker", each["id"])) for each in broken]
    events = [{"system": "code_stream", "kind": "event", "id": "", "event_type": "docker", "since": ""} for _ in "ab"]
    events[0]["filters"] = '{"tag": "1.4.3"}'
    events[1]["filters"] = '{"tag": "9.9.9"}'
    approvals = [approval(execution_id=waiting.id), approval(pipeline="Deploy shop with approval"), approval("x")]
    before = len(control.get("requests", system="code_stream"))
    seen = client.fetch([waiting.ref, *reruns, *events, *approvals])
    states = [each.state if isinstance(each, Execution) else type(each) for each in seen]
    assert states == [S.WAITING, S.QUEUED, S.QUEUED, S.SUCCEEDED, S.RUNNING, S.SUCCEEDED, S.SUCCEEDED, NotFoundError]
    assert len(control.get("requests", system="code_stream")) - before == 5
    assert client.fetch([]) == []


# --- actions on an execution ---


def test_pause_resume_tag_and_delete(client: CodeStreamClient, control: Control) -> None:
    control.post(
        "actions", system="code_stream", action="script", pipeline="Deploy shop", task="Prod.Deploy", seconds=60
    )
    started = run(client)
    until(lambda: client.look(started.ref), S.RUNNING)
    assert client.executions.act(started.id, "pause", "lunch").status == "PAUSING"
    control.post(f"executions/code_stream/{started.id}", state="PAUSED")
    assert client.look(started.ref).state is S.PAUSED
    assert client.executions.act(started.id, "resume").status == "RESUMING"
    client.executions.tag(started.id, ["blue"])
    assert client.executions.get(started.id)["tags"] == ["blue"]
    client.executions.delete(started.id)
    with pytest.raises(NotFoundError):
        client.look(started.ref)


def test_cancel_is_one_request_with_its_reason(client: CodeStreamClient, control: Control) -> None:
    started = run(client)
    client.cancel(started.ref, "task was cleared")
    client.cancel(started.ref, "a second time")
    assert client.executions.get(started.id)["reason"] == "task was cleared"
    until(lambda: client.look(started.ref), S.CANCELED)
    journal = next(each for each in control.get("executions", system="code_stream") if each["id"] == started.id)
    assert len(journal["cancels"]) == 1


@pytest.mark.parametrize("status", sorted(STATES))
def test_whatever_could_go_on_needs_a_cancel(api: Api, status: str) -> None:
    api.routes["GET", "/executions/e1"] = {"id": "e1", "status": status}
    over = ("COMPLETED", "FAILED", "CANCELED", "ROLLBACK_COMPLETED", "ROLLBACK_FAILED", "SKIPPED", "FAILED_CONTINUE")
    assert api.client.needs_cancel(api.client.look(of("e1"))) is (status not in ("CANCELING", *over))


def test_a_paused_execution_is_canceled(client: CodeStreamClient, control: Control) -> None:
    started = run(client)
    control.post(f"executions/code_stream/{started.id}", state="PAUSED")
    assert client.needs_cancel(client.look(started.ref)), "anybody could resume it"
    client.cancel(started.ref, "task was cleared")
    canceled = until(lambda: client.look(started.ref), S.CANCELED)
    assert not client.needs_cancel(canceled)
    (journal,) = [each for each in control.get("executions", system="code_stream") if each["id"] == started.id]
    assert [each["state"] for each in journal["states"]][-3:] == ["PAUSED", "CANCELING", "CANCELED"]


@pytest.mark.parametrize("status", ["CANCELING", "CANCELED", "COMPLETED"])
def test_what_is_ending_already_is_sent_no_cancel(api: Api, status: str) -> None:
    api.routes["GET", "/executions/e1"] = {"id": "e1", "status": status}
    api.client.cancel(of("e1"), "late")
    assert api.called("POST", "/e1") == []


def test_no_cancel_is_sent_while_nobody_can_tell_whether_it_ends_already(api: Api) -> None:
    api.routes["GET", "/executions/e1"] = (503, {}, None)
    with pytest.raises(ServerUnavailableError):
        api.client.cancel(of("e1"), "no")
    assert (len(api.called("GET", "/e1")), len(api.called("POST", "/e1"))) == (1, 0)


def test_a_cancel_whose_answer_is_lost_is_not_sent_again_while_looks_fail(api: Api) -> None:
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
    assert client.look(started.ref).status == over


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


# --- pipelines by name ---


def test_a_pipeline_is_found_by_name_or_id_and_what_is_wrong_is_named(client: CodeStreamClient) -> None:
    shop = client.pipelines.find("Deploy shop")
    assert client.pipelines.find(shop["id"])["name"] == "Deploy shop"
    assert client.pipelines.find("Smoke test", "wholesale")["project"] == "wholesale"
    with pytest.raises(ConflictError, match="'retail', 'wholesale'"):
        client.pipelines.find("Smoke test")
    with pytest.raises(ConflictError, match=r"'Disabled pipeline' of project 'retail' is disabled"):
        client.pipelines.find("Disabled pipeline")
    with pytest.raises(NotFoundError, match="similar: 'Deploy shop'"):
        client.pipelines.find("deploy shopp")
    with pytest.raises(NotFoundError, match=r"in project 'wholesale'"):
        client.pipelines.find("Deploy shop", "wholesale")
    with pytest.raises(NotFoundError):
        client.pipelines.find(shop["id"], "wholesale")
    with pytest.raises(BadRequestError, match="pipeline"):
        client.pipelines.find(" ")


def test_an_id_that_is_no_uuid_is_an_id(api: Api) -> None:
    own = {"id": "pl-17", "name": "Deploy", "project": "retail"}
    api.routes["GET", "/pipelines"] = lambda request: listing([] if "$filter" in request.query else [own])
    api.routes["GET", "/pipelines/pl-17"] = own
    assert api.client.pipelines.find("pl-17") == own
    assert api.client.pipelines.find("pl-17", "retail") == own
    with pytest.raises(NotFoundError, match="no pipeline 'pl-17' in project 'wholesale'"):
        api.client.pipelines.find("pl-17", "wholesale")
    with pytest.raises(NotFoundError, match="no pipeline 'Deplyo'; similar: 'Deploy'"):
        api.client.pipelines.find("Deplyo")
    api.routes["GET", "/pipelines/Deplyo"] = (400, {}, {"message": "no id"})
    with pytest.raises(NotFoundError, match="similar: 'Deploy'"):
        api.client.pipelines.find("Deplyo")
    api.routes["GET", "/pipelines"] = listing([own])
    calls = len(api.called("GET", "/pipelines/Deploy"))
    assert api.client.pipelines.find("Deploy") == own
    assert len(api.called("GET", "/pipelines/Deploy")) == calls


@pytest.mark.parametrize("name", ["it's done", "a / b", "Prüfung 100%", "a' or name eq 'Deploy shop"])
def test_names_with_quotes_slashes_and_other_letters_are_found_exactly(client: CodeStreamClient, name: str) -> None:
    client.pipelines.create({"name": name, "project": "retail", "enabled": True})
    assert client.pipelines.find(name, "retail")["name"] == name
    assert client.pipelines.get(("retail", name))["name"] == name


# --- lists ---


def test_a_list_of_251_rows_that_shift_while_it_is_read_is_complete_and_without_doubles(
    client: CodeStreamClient, control: Control
) -> None:
    control.post("actions", system="code_stream", action="insert_executions", pipeline="Smoke test", count=249)
    before = {each["id"] for each in control.get("executions", system="code_stream")}
    assert len(before) == 251
    control.post("switches", system="code_stream", insert_per_page=3)
    rows = client.executions.list()
    ids = [each["id"] for each in rows]
    assert before <= set(ids)
    assert len(ids) == len(set(ids))
    times = [each["_requestTimeInMicros"] for each in rows]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize("maximum", [7, 25])
def test_a_server_that_gives_fewer_rows_than_asked_for_is_read_on(
    client: CodeStreamClient, control: Control, maximum: int
) -> None:
    control.post("actions", system="code_stream", action="insert_executions", pipeline="Smoke test", count=50)
    control.post("switches", system="code_stream", top_maximum=maximum)
    assert len(client.executions.list()) == 52
    assert len(client.executions.list(limit=10)) == 10
    assert len(client.executions.list("status eq 'FAILED' and _nested eq 'false'")) == 1


@pytest.mark.parametrize("total", [None, 150])
def test_links_give_the_order_and_a_document_that_a_list_leaves_out_is_fetched(api: Api, total: int | None) -> None:
    def page(request: Received) -> Any:
        skip = int(request.query["$skip"])
        rows = [{"id": f"p{n:03}"} for n in range(max(0, skip - 1), min(150, skip + 100))][: 100 + (skip > 0)]
        reply = listing(rows) | {"totalCount": total}
        for gone in ("p004", "p005"):
            reply["documents"].pop(f"/codestream/api/x/{gone}", None)
        return reply

    api.routes["GET", "/variables"] = page
    api.routes["GET", "/variables/p004"] = {"id": "p004"}
    assert [each["id"] for each in api.client.variables.list()] == [f"p{n:03}" for n in range(150) if n != 5]
    assert len(api.called("GET", "/variables")) == 2


@pytest.mark.parametrize("reply", [{"documents": []}, {"links": {}}, [], "x", {"documents": {"a": 1}}, None])
def test_a_list_of_another_form_is_an_error_and_no_empty_list(api: Api, reply: Any) -> None:
    api.routes["GET", "/executions"] = (200, {}, json.dumps(reply) if reply is not None else None)
    with pytest.raises(UnexpectedResponseError):
        api.client.executions.list()


# --- trigger events ---


@pytest.mark.parametrize(("seconds", "state"), [(0, S.SUCCEEDED), (-0.9, S.SUCCEEDED), (-2, S.RUNNING)])
def test_an_event_counts_although_its_time_lost_the_fraction_of_the_second(
    api: Api, seconds: float, state: ExecutionState
) -> None:
    since = datetime(2026, 1, 2, 3, 4, 5, 900_000, tzinfo=UTC)
    stamp = int((since + timedelta(seconds=seconds)).timestamp() * 1e6)
    api.routes["GET", "/git-events"] = listing([{"id": "ev", "_createTimeInMicros": stamp}])
    ref = {"system": "code_stream", "kind": "event", "id": "", "event_type": "git", "since": since.isoformat()}
    assert api.client.look(ref).state is state


def test_an_event_that_arrives_later_is_found_and_an_older_one_is_not(
    client: CodeStreamClient, control: Control
) -> None:
    since = datetime.now(UTC).isoformat()
    ref = {"system": "code_stream", "kind": "event", "id": "", "event_type": "docker", "since": since}
    ref["filters"] = json.dumps({"repo": "shop", "tag": "1.4.3"})
    assert client.look(ref).state is S.RUNNING
    assert client.look(ref | {"since": ""}).state is S.SUCCEEDED, "without a since the one of the seed counts"
    sent = control.post("actions", system="code_stream", action="deliver", kind="docker", fields={"tag": "1.4.3"})
    found = client.look(ref)
    assert (found.state, found.id) == (S.SUCCEEDED, sent["id"])
    assert found.ref == ref | {"id": sent["id"], "place": client.place}
    assert found.outputs["tag"] == "1.4.3"
    assert found.url is not None
    assert found.url.endswith(id_from_link(sent["executionLink"]))


@pytest.mark.parametrize("event_time", ["text", "int"])
@pytest.mark.parametrize(
    ("event_type", "filters", "found"),
    [
        ("gerrit", {"changeNumber": "18824"}, True),
        ("gerrit", {"changeNumber": 18824}, True),
        ("gerrit", {"changeNumber": "18825"}, False),
        ("git", {"commitId": "4be2f10", "repo": "shop"}, True),
        ("git", {"commitId": "4be2f10", "repo": "SHOP"}, False),
        ("git", {"noSuchField": ""}, False),
        ("git", {"executionLink": ""}, True),
        ("docker", {}, True),
        ("git", {"_flag": "True"}, False),
    ],
)
def test_events_match_when_all_fields_are_the_same_as_text(
    client: CodeStreamClient, control: Control, event_time: str, event_type: str, filters: dict[str, Any], found: bool
) -> None:
    control.post("switches", system="code_stream", event_time=event_time, unzoned_updated_at=True, server_url="object")
    day = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    ref = {"system": "code_stream", "kind": "event", "id": "", "event_type": event_type, "since": day}
    seen = client.look(ref | {"filters": json.dumps(filters)})
    assert seen.state is (S.SUCCEEDED if found else S.RUNNING)


@pytest.mark.parametrize("wanted", [True, "True", "true"])
def test_a_flag_of_an_event_matches_however_it_is_written(api: Api, wanted: Any) -> None:
    api.routes["GET", "/git-events"] = listing([{"id": "e1", "flag": False}, {"id": "e2", "flag": True}])
    ref = {"system": "code_stream", "kind": "event", "id": "", "event_type": "git", "since": ""}
    assert api.client.look(ref | {"filters": json.dumps({"flag": wanted})}).id == "e2"


def test_events_older_than_wanted_are_not_all_read(api: Api) -> None:
    def page(request: Received) -> Any:
        skip = int(request.query["$skip"])
        rows = [{"id": f"e{n}", "timeStampInMicros": int((time.time() - n) * 1e6)} for n in range(skip, skip + 100)]
        return listing(rows, total=100_000)

    api.routes["GET", "/git-events"] = page
    events = api.client.events.list("git", since=datetime.now(UTC) - timedelta(seconds=150))
    assert 150 <= len(events) <= 152
    assert len(api.called("GET")) <= 3
    assert api.called("GET")[0].query["$orderby"] == "_createTimeInMicros desc"


def test_a_gerrit_change_is_triggered_by_hand(client: CodeStreamClient) -> None:
    reply = client.events.trigger_gerrit("I1234", "retail", "shop-changes")
    assert reply["pipelinesTriggered"] == ["Deploy shop"]
    event = client.events.list("gerrit", limit=1)[0]
    assert event["properties"]["GERRIT_CHANGE_ID"] == "I1234"
    assert client.events.delete("gerrit", event["id"])["id"] == event["id"]
    with pytest.raises(NotFoundError):
        client.events.get("gerrit", event["id"])


@pytest.mark.parametrize(
    ("change_id", "fields", "counts"),
    [
        ("I1234", {}, True),
        ("shop~master~I1234", {}, True),
        ("18823", {}, True),
        ("I12", {}, False),
        ("I1234", {"triggerType": "AUTOMATIC"}, False),
        ("I1234", {"trigger": "other"}, False),
        ("I1234", {"project": "wholesale"}, False),
        ("I1234", {"properties": None}, False),
    ],
)
def test_what_counts_as_an_event_of_a_manual_trigger(
    api: Api, change_id: str, fields: dict[str, Any], counts: bool
) -> None:
    event = {
        "id": "g1",
        "project": "retail",
        "trigger": "shop-changes",
        "triggerType": "MANUAL",
        "changeNumber": 18823,
        "properties": {"GERRIT_CHANGE_ID": "I1234"},
        **fields,
    }
    api.routes["GET", "/gerrit-events"] = listing([event])
    found = api.client.events.list_triggered_by_hand(change_id, "retail", "shop-changes")
    assert found == ([event] if counts else [])


# --- approvals ---


def approval(user_operation_id: str = "", **where: str) -> ExecutionRef:
    return {
        "system": "code_stream",
        "kind": "approval",
        "id": user_operation_id,
        "execution_id": "",
        "pipeline": "",
    } | where


@pytest.fixture
def waiting(client: CodeStreamClient) -> Execution:
    started = run(client, "Deploy shop with approval", inputs={"tag": "5"})
    return until(lambda: client.look(started.ref), S.WAITING)


@pytest.mark.parametrize("links", ["normal", "singular"])
def test_a_pending_approval_is_found_by_execution_or_pipeline(
    client: CodeStreamClient, control: Control, waiting: Execution, links: str
) -> None:
    control.post("switches", system="code_stream", execution_links=links)
    by_execution = client.look(approval(execution_id=waiting.id))
    by_pipeline = client.look(approval(pipeline="Deploy shop with approval"))
    assert by_execution.state is S.SUCCEEDED
    assert by_execution.outputs["summary"] == "Deploy the shop to production?"
    assert by_execution.id == by_pipeline.id == by_execution.outputs["id"]
    assert by_execution.url == waiting.url
    assert client.look(by_execution.ref).status == "ACTIVE", "its own reference finds it again"
    assert client.look(approval(pipeline="Deploy shop")).state is S.RUNNING
    assert client.approvals.find_pending(waiting.id) == by_execution.id
    with pytest.raises(BadRequestError, match="cannot be canceled"):
        client.cancel(by_execution.ref, "no")


def test_waiting_for_an_approval_of_an_execution_that_is_over_fails(client: CodeStreamClient) -> None:
    started = run(client)
    assert client.look(approval(execution_id=started.id)).state is S.RUNNING
    until(lambda: client.look(started.ref), S.SUCCEEDED)
    with pytest.raises(ConflictError, match=f"{started.id} ended"):
        client.approvals.find_pending(started.id)
    seen = client.look(approval(execution_id=started.id))
    assert seen.state is S.FAILED
    assert "COMPLETED" in (seen.message or "")


def test_an_approval_lets_the_execution_go_on_and_counts_once(client: CodeStreamClient, waiting: Execution) -> None:
    operation = client.approvals.list("status eq 'ACTIVE'")[0]
    answered = client.approvals.answer(operation["id"], approve=True, message="go")
    assert (answered["status"], answered["respondedBy"], answered["responseMessage"]) == (
        "APPROVED",
        "release-bot",
        "go",
    )
    assert until(lambda: client.look(waiting.ref), S.SUCCEEDED).outputs == {"deployed": "5"}
    assert client.approvals.answer(operation["id"], approve=True) == client.approvals.get(operation["id"])
    with pytest.raises(ConflictError, match="already APPROVED by release-bot"):
        client.approvals.answer(operation["id"], approve=False)


def test_a_rejection_fails_the_execution_as_rejected(client: CodeStreamClient, waiting: Execution) -> None:
    operation = client.approvals.list("status eq 'ACTIVE'")[0]
    assert client.approvals.answer(operation["id"], approve=False)["status"] == "REJECTED"
    ended = until(lambda: client.look(waiting.ref), S.FAILED)
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
        until(lambda ref=asking.ref: spoken.look(ref), S.WAITING)  # type: ignore[misc]
        operation_id = spoken.approvals.find_pending(asking.id)
        with pytest.raises(BadRequestError, match="Yes or No"):
            client.approvals.answer(operation_id, approve)
        for _ in range(2):
            assert spoken.approvals.answer(operation_id, approve)["status"] == stored
        with pytest.raises(ConflictError, match=f"already {stored}"):
            spoken.approvals.answer(operation_id, not approve)
        until(lambda ref=asking.ref: spoken.look(ref), state)  # type: ignore[misc]
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
    assert client.look(waiting.ref).state is S.WAITING


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
def test_many_are_answered_at_once_and_those_not_taken_are_told_in_one_form(
    client: CodeStreamClient, control: Control, waiting: Execution, errors: str
) -> None:
    control.post("switches", system="code_stream", batch_errors=errors)
    operation = client.approvals.list("status eq 'ACTIVE'")[0]
    reply = client.approvals.answer_many([operation["id"], "gone"], approve=True, message="ok")
    assert (reply["success"], reply["failure"], len(reply["errors"])) == (1, 1, 1)
    assert "gone" in reply["errors"][0]["error"]
    assert client.approvals.delete(operation["id"])["status"] == "APPROVED"


# --- stored objects ---

SPECS: dict[str, dict[str, Any]] = {
    "pipelines": {"name": "New one", "project": "retail", "enabled": False, "stageOrder": [], "stages": {}},
    "variables": {"name": "colour", "description": "d", "type": "REGULAR", "value": "blue", "project": "retail"},
    "git_webhooks": {"name": "push", "project": "retail", "endpoint": "git", "secretToken": "hook-secret-1"},
    "registry_webhooks": {"name": "push", "project": "retail", "refreshToken": "hook-secret-2"},
    "gerrit_listeners": {
        "name": "l",
        "description": "",
        "endpoint": "g",
        "apiToken": "hook-secret-3",
        "project": "retail",
    },
    "gerrit_triggers": {"name": "t", "branch": "b", "gerritProject": "p", "listener": "l", "project": "retail"},
    "endpoints": {
        "name": "ci",
        "description": "",
        "project": "retail",
        "type": "jenkins",
        "properties": {"url": "https://jenkins.example.com", "username": "bot", "password": "endpoint-secret-4"},
    },
}
INTEGRATION = {"name": "Timer", "description": "waits", "project": "retail", "yaml": "runtime: python3"}


@pytest.mark.parametrize("kind", SPECS)
def test_stored_objects_are_created_read_changed_and_deleted_alike(client: CodeStreamClient, kind: str) -> None:
    resource, spec = getattr(client, kind), SPECS[kind]
    made = resource.create(spec)
    assert resource.get(made["id"])["name"] == spec["name"]
    assert resource.get(("retail", spec["name"]))["id"] == made["id"]
    assert made["id"] in [each["id"] for each in resource.list("project eq 'retail'")]
    assert resource.update(made["id"], spec | {"description": "changed"})["description"] == "changed"
    if hasattr(resource, "patch"):
        field = "connected" if kind == "gerrit_listeners" else "enabled"
        assert resource.patch(("retail", spec["name"]), **{field: False})[field] is False
    if hasattr(resource, "clone"):
        assert resource.clone(made["id"], "a copy / of it")["id"] == resource.get(("retail", "a copy / of it"))["id"]
    assert resource.delete(made["id"])["id"] == made["id"]
    with pytest.raises(NotFoundError):
        resource.get(made["id"])


def test_endpoints_are_tried_and_say_which_types_there_are(client: CodeStreamClient) -> None:
    spec = SPECS["endpoints"]
    assert client.endpoints.validate(spec)["status"] == "COMPLETED"
    assert client.endpoints.validate({**spec, "type": "abacus"})["status"] == "FAILED"
    types = [each["tileId"] for each in client.endpoints.list_types()["tiles"]]
    assert "password" in client.endpoints.get_type("jenkins")
    assert "jenkins" in types
    with pytest.raises(NotFoundError):
        client.endpoints.get_type("abacus")
    (certificate,) = client.endpoints.get_certificate(url="https://server.example.com")["certificates"]
    assert certificate["issuedTo"]["commonName"] == "server.example.com"


def test_secrets_of_an_endpoint_are_masked_by_their_names_and_its_other_properties_are_not(api: Api) -> None:
    properties = {"url": "https://jenkins.example.com", "privateToken": "endpoint-secret-5", "password": "*****"}
    api.routes["GET", "/endpoints/e"] = {"id": "e", "properties": properties}
    api.client.endpoints.get("e")
    told = api.client.transport.redact("https://jenkins.example.com endpoint-secret-5 *****")
    assert told == "https://jenkins.example.com *** *****"


def test_a_custom_integration_is_a_draft_and_its_versions(client: CodeStreamClient) -> None:
    integrations = client.custom_integrations
    draft = integrations.create(INTEGRATION)["id"]
    assert integrations.get(draft)["yaml"] == INTEGRATION["yaml"]
    assert draft in [each["id"] for each in integrations.list("project eq 'retail'")]
    first = integrations.create_version(draft, "1.0 a/b", change_log="the first one")
    assert (first["version"], first["status"], first["changeLog"]) == ("1.0 a/b", "NONE", "the first one")
    integrations.update(draft, {**INTEGRATION, "yaml": "runtime: nodejs"})
    integrations.create_version(draft, "2", description="faster")
    assert integrations.get_version(draft, "1.0 a/b")["yaml"] == "runtime: python3"
    assert {each["version"] for each in integrations.list_versions(draft)} == {"1.0 a/b", "2"}
    assert integrations.release_version(draft, "2")["status"] == "RELEASED"
    assert integrations.patch_version(draft, "2", latest=True)["sourceVersion"] == "2"
    assert integrations.deprecate_version(draft, "2")["status"] == "DEPRECATED"
    assert integrations.withdraw_version(draft, "2")["status"] == "NONE"
    assert integrations.restore_version(draft, "1.0 a/b")["yaml"] == "runtime: python3"
    assert integrations.delete_version(draft, "2")["version"] == "2"
    with pytest.raises(NotFoundError):
        integrations.get_version(draft, "2")
    assert integrations.delete(draft)["id"] == draft
    with pytest.raises(NotFoundError):
        integrations.get(draft)


def test_listeners_are_tried_and_list_their_projects(client: CodeStreamClient) -> None:
    assert client.gerrit_listeners.validate(SPECS["gerrit_listeners"])["_reason"] == ""
    assert client.gerrit_listeners.list_projects(("retail", "gerrit")) == ["shop"]


def test_a_text_that_no_bytes_can_hold_is_not_imported(client: CodeStreamClient) -> None:
    with pytest.raises(BadRequestError, match="written in UTF-8"):
        client.pipelines.import_yaml("\ud800")


def test_an_approval_is_told_to_be_ignored_whatever_its_approvers_are(scripted: Scripted) -> None:
    scripted.script = [(200, {}, {"token": "bearer-1"})]
    scripted.always = (200, {}, {"id": "o-1", "status": "ACTIVE", "approvers": [1, None, "a" * 9999]})
    stream = CodeStreamClient(scripted.url, refresh_token="refresh-token-1", attempts=1)
    with pytest.raises(PermissionDeniedError, match="1, None, aaa") as caught:
        stream.approvals.answer("o-1", approve=True)
    assert len(str(caught.value)) < 1000


def test_errors_of_many_answers_are_a_list_whatever_the_server_tells(scripted: Scripted) -> None:
    scripted.script = [(200, {}, {"token": "bearer-1"})]
    scripted.always = (200, {}, {"errors": 5})
    stream = CodeStreamClient(scripted.url, refresh_token="refresh-token-1", attempts=1)
    assert stream.approvals.answer_many(["o-1"], approve=True)["errors"] == []


def test_pipelines_travel_as_yaml(api: Api) -> None:
    text = "---\nname: Deploy shop\nkind: PIPELINE\n"
    api.routes["GET", "/export"] = (200, {"Content-Type": "application/x-yaml"}, text)
    api.routes["POST", "/import"] = (200, {}, "---\nname: Deploy shop\nstatus: UPDATED\n")
    assert api.client.pipelines.export_yaml(pipelines="Deploy shop", project="retail") == text
    assert "UPDATED" in api.client.pipelines.import_yaml(text, "apply")
    sent = api.called("POST", "/import")[0]
    assert (sent.body.decode(), sent.headers["Content-Type"]) == (text, "application/x-yaml")
    assert sent.query["action"] == "apply"


def test_a_pipeline_whose_text_cannot_be_sent_is_refused_before_anything_is_sent(api: Api) -> None:
    with pytest.raises(BadRequestError, match="text must be Unicode text"):
        api.client.pipelines.import_yaml("name: \ud800")
    assert api.called("POST", "/import") == []


def test_sharing_and_tiles_reach_their_paths(api: Api) -> None:
    api.routes["PATCH", "/pipelines/retail/a%2Fb/global"] = {"global": True}
    api.routes["GET", "/pipeline-tiles"] = {"tiles": []}
    assert api.client.pipelines.share(("retail", "a/b"), **{"global": True}) == {"global": True}
    assert api.client.pipelines.list_tiles() == {"tiles": []}


def test_secrets_of_stored_objects_are_masked_in_errors_and_left_out_of_outputs(api: Api) -> None:
    told: list[str] = []
    client = CodeStreamClient(api.scripted.url, refresh_token="refresh-token-1", on_secret=told.append)
    webhook = {"id": "w1", "refreshToken": "stored-secret-1", "list": [{"secretToken": "stored-secret-2"}], "name": "w"}
    api.routes["GET", "/git-webhooks/w1"] = webhook
    api.routes["PUT", "/git-webhooks/w1"] = (
        400,
        {},
        {"message": "cannot use stored-secret-1, stored-secret-2 or new-secret-3"},
    )
    assert client.git_webhooks.get("w1") == webhook
    with pytest.raises(BadRequestError) as caught:
        client.git_webhooks.update("w1", {"secretToken": "new-secret-3"})
    assert "secret-" not in str(caught.value)
    assert {"stored-secret-1", "stored-secret-2", "new-secret-3"} <= set(told)
    assert without_secrets(webhook) == {"id": "w1", "list": [{}], "name": "w"}


@pytest.mark.parametrize(
    ("variable", "found"),
    [
        ({"type": "SECRET", "value": "s3cret"}, ["s3cret"]),
        ({"type": "SECRET", "value": "*****"}, []),
        ({"type": "REGULAR", "value": "blue"}, []),
        ({"token": {"deep": 1}}, []),
    ],
)
def test_only_secret_values_are_masked(variable: dict[str, Any], found: list[str]) -> None:
    assert list(secrets_in(variable)) == found


# --- bad input ---


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda client: client.pipelines.run(""), "pipeline_id"),
        (lambda client: client.pipelines.run("p", inputs=["a"]), "inputs"),
        (lambda client: client.pipelines.run("p", tags="blue"), "tags"),
        (lambda client: client.executions.get(".."), "execution_id"),
        (lambda client: client.executions.act("e", "restart"), "action"),
        (lambda client: client.events.list("svn"), "event_type"),
        (lambda client: client.events.rerun("git", "e", "retry"), "action"),
        (lambda client: client.events.rerun("git", " "), "event_id"),
        (lambda client: client.reruns.prepare("git", "e", "retry"), "action"),
        (lambda client: client.events.trigger_gerrit("c", "", "t"), "project"),
        (lambda client: client.approvals.answer("", True), "user_operation_id"),
        (lambda client: client.approvals.answer_many([], True), "user_operation_ids"),
        (lambda client: client.approvals.answer_many("u1", True), "user_operation_ids"),
        (lambda client: client.look({"system": "code_stream", "kind": "build", "id": "1"}), "kind"),
        (
            lambda client: client.look(
                {
                    "system": "code_stream",
                    "kind": "event",
                    "id": "",
                    "event_type": "git",
                    "since": "2026-01-02T03:04:05",
                }
            ),
            "since",
        ),
        (
            lambda client: client.find_started({"kind": "execution", "marker": "", "since": 0.0, "pipeline_id": "p"}),
            "marker",
        ),
    ],
)
def test_bad_arguments_are_named_before_anything_is_sent(api: Api, call: Any, named: str) -> None:
    with pytest.raises(BadRequestError, match=named):
        call(api.client)
    assert api.scripted.requests == []


@pytest.mark.parametrize("filters", ["[1]", "{", '"a"'])
def test_filters_that_are_no_object_are_refused(client: CodeStreamClient, filters: str) -> None:
    with pytest.raises(BadRequestError, match="filters"):
        client.look(
            {"system": "code_stream", "kind": "event", "id": "", "event_type": "git", "since": "", "filters": filters}
        )


def test_the_link_of_an_execution_follows_the_template_of_the_connection() -> None:
    client = CodeStreamClient("https://vra.example.com/", refresh_token="r", ui_url="{base}/ui?run={id}&x={y}")
    assert client.executions.url("e1") == "https://vra.example.com/ui?run=e1&x={y}"


@pytest.mark.parametrize("prefix", ["/", "", "pipeline/api", "/pipeline/api/"])
def test_a_path_has_one_slash_after_any_prefix(scripted: Scripted, prefix: str) -> None:
    scripted.always = lambda request: LOGIN if request.path.endswith("/login") else (200, {}, listing([]))
    with CodeStreamClient(scripted.url, refresh_token="r", api_prefix=prefix) as client:
        assert client.pipelines.list() == []
    below = prefix.strip("/")
    assert scripted.requests[-1].path == (f"/{below}/pipelines" if below else "/pipelines")
