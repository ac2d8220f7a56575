"""What the Cocktail client promises, over real HTTP: the stand-in, and scripted answers for odd shapes."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from airflow_provider.clients.cocktail import CocktailClient, errors
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ConnectionConfigError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionState
from airflow_provider.sandbox import seed
from airflow_provider.sandbox.app import SandboxServer
from tests.clients.conftest import Scripted
from tests.support.control import SystemControl

SHOP, AUTOTAG, BROKEN, NO_DIGEST = 12, 13, 14, 15
TOKEN = "scripted-token"


class Stand(SystemControl):
    """The stand-in, fresh, and clients for it."""

    system = "cocktail"

    def client(self, **options: Any) -> CocktailClient:
        return CocktailClient(f"{self.url}/cocktail", **{"token": seed.COCKTAIL_TOKEN, "attempts": 1, **options})


@pytest.fixture
def stand(sandbox: SandboxServer) -> Stand:
    return Stand(sandbox.url)


@pytest.fixture
def client(stand: Stand) -> Iterator[CocktailClient]:
    with stand.client() as client:
        yield client


def ended(client: CocktailClient, execution: Execution) -> Execution:
    deadline = time.monotonic() + 5
    while not (seen := client.look(execution.ref)).state.is_terminal:
        assert time.monotonic() < deadline, seen
        time.sleep(0.01)
    return seen


def run_json(**fields: Any) -> dict[str, Any]:
    return {
        "buildRunSeq": 7,
        "buildSeq": 12,
        "runType": "BUILD",
        "runState": "RUNNING",
        "autotagUseYn": "N",
        "tagName": "1.0",
        "beginTime": "2026-01-02T03:04:05.000+00:00",
        **fields,
    }


def ref(run_seq: int = 7, build_seq: object = 12, tag: str = "", **more: str) -> dict[str, str]:
    return {
        **more,
        "system": "cocktail",
        "kind": "build_run",
        "id": str(run_seq),
        "build_seq": str(build_seq),
        "tag": tag,
    }


def refusal(code: str, message: str = "no", **fields: Any) -> dict[str, Any]:
    return {"status": "error", "code": code, "message": message, "httpStatusCode": 200, **fields}


def scripted_client(scripted: Scripted, *script: Any, **options: Any) -> CocktailClient:
    scripted.script = [step if isinstance(step, tuple) else (200, {}, step) for step in script]
    return CocktailClient(scripted.url, **{"token": TOKEN, "attempts": 1, **options})


# --- a whole run


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_run_ends_with_an_image_pinned_by_digest(stand: Stand, client: CocktailClient, wrapped: bool) -> None:
    stand.switch(wrapped=wrapped)
    started = client.builds.run(SHOP, tag_name="1.4.2", description="release")
    assert started.state in (ExecutionState.QUEUED, ExecutionState.RUNNING)
    assert started.ref == ref(1, SHOP, "1.4.2", place=f"{stand.url}/cocktail")
    assert started.outputs["tag"] == "1.4.2"
    assert started.outputs["digest"] is None
    done = ended(client, started)
    assert done.state is ExecutionState.SUCCEEDED
    assert done.ref == started.ref
    assert done.outputs["image"] == "registry.example.com/acme/shop"
    assert done.outputs["image_ref"] == f"registry.example.com/acme/shop@{done.outputs['digest']}"
    assert done.outputs["build_no"] == 1
    assert done.outputs["size"] > 0
    assert done.started_at
    assert done.finished_at
    assert done.started_at <= done.finished_at
    assert [step.status for step in done.steps] == ["DONE", "DONE", "DONE"]


def test_a_failed_run_says_which_step_failed(client: CocktailClient) -> None:
    failed = ended(client, client.builds.run(BROKEN, tag_name="1"))
    assert failed.state is ExecutionState.FAILED
    assert failed.message == "step CREATE_IMAGE ended in ERROR"


def test_a_run_whose_build_server_refuses_is_a_failure_at_once(stand: Stand, client: CocktailClient) -> None:
    stand.switch(refuse_build_server=True)
    assert client.builds.run(SHOP, tag_name="1").state is ExecutionState.FAILED


def test_a_canceled_run_is_canceled_and_not_failed(stand: Stand, client: CocktailClient) -> None:
    stand.post("reset", speed=5)
    run = client.builds.run(SHOP, tag_name="1")
    client.cancel(run.ref, "no longer wanted")
    seen = ended(client, run)
    assert seen.state is ExecutionState.CANCELED
    assert seen.status == "ERROR"
    assert seen.message == "canceled by build run 2"
    assert stand.requests("PUT") == ["PUT /cocktail/v1/build/run/cancel/1"]


def test_a_failure_after_an_earlier_canceled_run_is_still_a_failure(stand: Stand, client: CocktailClient) -> None:
    stand.post("reset", speed=20)
    first = client.builds.run(BROKEN, tag_name="1")
    client.cancel(first.ref, "")
    assert ended(client, first).state is ExecutionState.CANCELED
    assert ended(client, client.builds.run(BROKEN, tag_name="2")).state is ExecutionState.FAILED


def test_what_is_over_is_not_canceled(stand: Stand, client: CocktailClient) -> None:
    run = ended(client, client.builds.run(SHOP, tag_name="1"))
    client.cancel(run.ref, "")
    assert stand.requests("PUT") == []


@pytest.mark.parametrize("omitted", [[], ["runType"]], ids=["with types", "without types"])
def test_what_is_being_canceled_is_sent_no_second_cancel(
    stand: Stand, client: CocktailClient, omitted: list[str]
) -> None:
    stand.post("reset", speed=1)
    stand.switch(list_omits=omitted)
    run = client.builds.run(SHOP, tag_name="1")
    assert client.needs_cancel(run)
    for _ in range(2):
        with stand.client() as another:
            another.cancel(run.ref, "")
            assert not another.needs_cancel(client.look(run.ref))
    assert len(stand.requests("PUT")) == 1
    assert not client.needs_cancel(ended(client, run))


def test_a_cancel_that_failed_does_not_keep_from_another_one(scripted: Scripted) -> None:
    cancel = run_json(buildRunSeq=8, runType="CANCEL", runState="ERROR", beginTime=datetime.now(UTC).isoformat())
    client = scripted_client(scripted, run_json(), [cancel, run_json()], cancel)
    client.cancel(ref(), "")
    assert [request.method for request in scripted.requests] == ["GET", "GET", "PUT"]


@pytest.mark.parametrize(("minutes", "needed"), [(1, False), (11, True)])
def test_a_cancel_that_a_dying_server_left_behind_counts_for_some_minutes(
    scripted: Scripted, minutes: int, needed: bool
) -> None:
    begin = datetime.now(UTC) - timedelta(minutes=minutes)
    cancel = run_json(buildRunSeq=8, runType="CANCEL", runState="CREATED", beginTime=begin.isoformat())
    client = scripted_client(scripted, run_json(), [cancel, run_json()], run_json(buildRunSeq=8, runType="CANCEL"))
    assert client.needs_cancel(client.look(ref())) is needed


def test_a_cancel_of_another_run_is_not_taken_for_ours(scripted: Scripted) -> None:
    begin = datetime.now(UTC).isoformat()
    cancel = run_json(buildRunSeq=9, runType="CANCEL", beginTime=begin)
    steps = [{"stepType": "CANCEL", "stepConfig": {"refBuildRunSeq": 8}}]
    client = scripted_client(scripted, run_json(), [cancel, run_json()], {**cancel, "buildStepRuns": steps})
    assert client.needs_cancel(client.look(ref()))


@pytest.mark.parametrize("answer", [(503, {}, None), (403, {}, None)])
def test_where_the_list_tells_no_cancel_a_running_build_needs_one(scripted: Scripted, answer: Any) -> None:
    client = scripted_client(scripted, run_json(), answer)
    assert client.needs_cancel(client.look(ref()))


def test_a_cancel_waits_for_a_list_that_can_be_read(scripted: Scripted) -> None:
    client = scripted_client(scripted, run_json(), (503, {}, None))
    with pytest.raises(ServerUnavailableError):
        client.cancel(ref(), "")
    assert [request.method for request in scripted.requests] == ["GET", "GET"]


@pytest.mark.parametrize("korean", [False, True])
def test_a_cancel_that_comes_just_too_late_is_fine(stand: Stand, client: CocktailClient, korean: bool) -> None:
    stand.post("reset", speed=20)
    stand.switch(korean_messages=korean)
    stand.post("faults", system="cocktail", fault="latency", seconds=1.0, method="PUT")
    run = client.builds.run(SHOP, tag_name="1")
    client.cancel(run.ref, "")
    assert client.look(run.ref).state is ExecutionState.SUCCEEDED
    assert len(stand.requests("PUT")) == 1


def test_a_done_that_wins_against_the_cancel_is_a_success(stand: Stand, client: CocktailClient) -> None:
    stand.post("reset", speed=5)
    stand.switch(cancel_loses_race=True)
    run = client.builds.run(SHOP, tag_name="1")
    client.cancel(run.ref, "")
    assert ended(client, run).state is ExecutionState.SUCCEEDED


def test_an_answer_of_done_to_the_start_is_not_believed(scripted: Scripted) -> None:
    client = scripted_client(scripted, run_json(runState="DONE", endTime="2026-01-02T03:05:00.000+00:00"))
    run = client.builds.run(12, tag_name="1.0")
    assert (run.state, run.finished_at) == (ExecutionState.RUNNING, None)


@pytest.mark.parametrize(
    "told", [{"buildSeq": 99}, {"runType": "CANCEL"}, {"runType": "REMOVE"}, {"buildRunSeq": None}]
)
def test_a_start_that_is_answered_with_another_run_may_have_taken_effect(
    scripted: Scripted, told: dict[str, Any]
) -> None:
    with pytest.raises(UnexpectedResponseError) as caught:
        scripted_client(scripted, run_json(**told)).builds.run(12, tag_name="1.0")
    assert caught.value.effect is Effect.UNKNOWN


def test_the_log_comes_by_steps(client: CocktailClient) -> None:
    run = ended(client, client.builds.run(SHOP, tag_name="1"))
    texts = [step["log"] for step in client.runs.get_log(run.id)["buildRunLogs"]]
    assert any("COMMIT image" in text for text in texts)


def test_the_description_arrives_unharmed(stand: Stand, client: CocktailClient) -> None:
    text = "배포 & 50% + a=b?\nsecond #1"
    run = client.builds.run(SHOP, tag_name="1", description=text)
    assert client.runs.get(run.id)["runDesc"] == text


# --- the tag


def test_a_tag_chosen_by_autotag_is_a_note_and_not_an_error(client: CocktailClient) -> None:
    done = ended(client, client.builds.run(AUTOTAG, tag_name="mine"))
    assert done.state is ExecutionState.SUCCEEDED
    assert done.outputs["tag"] != "mine"
    assert "autotag is on" in str(done.message)


def test_another_tag_without_autotag_is_a_failure(scripted: Scripted) -> None:
    client = scripted_client(scripted, run_json(runState="DONE", tagName="other"))
    seen = client.look(ref(tag="1.0"))
    assert seen.state is ExecutionState.FAILED
    assert "'other'" in str(seen.message)


def test_no_tag_is_accepted_only_where_autotag_is_on(stand: Stand, client: CocktailClient) -> None:
    assert client.builds.run(AUTOTAG).outputs["tag"].startswith("test-")
    with pytest.raises(BadRequestError, match="tag_name is missing"):
        client.builds.run(SHOP)
    stand.switch(routes={"build": "404"})
    with pytest.raises(BadRequestError, match="cannot read whether autotag is on"):
        client.builds.run(AUTOTAG)
    assert len(stand.requests("POST")) == 1


def test_a_missing_digest_gives_no_pinned_reference(client: CocktailClient) -> None:
    done = ended(client, client.builds.run(NO_DIGEST, tag_name="1"))
    assert done.state is ExecutionState.SUCCEEDED
    assert done.outputs["digest"] is None
    assert done.outputs["image_ref"] is None


@pytest.mark.parametrize(
    ("image_url", "image"),
    [
        ("registry.example.com/ops/app:1.0", "registry.example.com/ops/app"),
        ("registry.example.com/ops/app", "registry.example.com/ops/app"),
        ("registry.example.com:5000/ops/app", "registry.example.com:5000/ops/app"),
        ("registry.example.com:5000/ops/app:1.0", "registry.example.com:5000/ops/app"),
        ("app:1.0", "app"),
    ],
)
def test_only_a_tag_is_cut_from_the_image_url(scripted: Scripted, image_url: str, image: str) -> None:
    client = scripted_client(scripted, run_json(runState="DONE", imageUrl=image_url, imageDigest="sha256:ab"))
    outputs = client.look(ref()).outputs
    assert (outputs["image"], outputs["image_ref"]) == (image, f"{image}@sha256:ab")


# --- refusals


def test_a_used_tag_is_a_conflict_that_names_the_tag(client: CocktailClient) -> None:
    ended(client, client.builds.run(SHOP, tag_name="1.4.2"))
    with pytest.raises(ConflictError, match=r"\[1\.4\.2\]") as caught:
        client.builds.run(SHOP, tag_name="1.4.2")
    assert caught.value.code == "CCBDW004000"
    assert caught.value.effect is Effect.REFUSED


def test_a_running_build_refuses_a_second_run_which_may_be_asked_for_again(stand: Stand) -> None:
    stand.post("reset", speed=1)
    client = stand.client()
    client.builds.run(SHOP, tag_name="1")
    with pytest.raises(ConflictError, match="Build is running!") as caught:
        client.builds.run(SHOP, tag_name="2")
    assert caught.value.effect is Effect.NONE


@pytest.mark.parametrize("real_codes", [False, True])
@pytest.mark.parametrize(
    ("switches", "cause", "effect"),
    [
        ({"account_parallel_limit": 0}, ThrottledError, Effect.NONE),
        ({"build_server_unreachable": True}, ServerUnavailableError, Effect.NONE),
    ],
)
def test_refusals_are_told_by_their_code_whatever_the_http_status(
    stand: Stand,
    client: CocktailClient,
    switches: dict[str, Any],
    cause: type[ReleasePipelineError],
    effect: Effect,
    real_codes: bool,
) -> None:
    stand.switch(real_http_codes=real_codes, korean_messages=True, **switches)
    with pytest.raises(cause) as caught:
        client.builds.run(SHOP, tag_name="1")
    assert caught.value.effect is effect
    assert any("가" <= letter <= "힣" for letter in str(caught.value.message))


@pytest.mark.parametrize(
    ("body", "cause", "effect"),
    [
        (refusal("CCBDE001000"), ServerUnavailableError, Effect.UNKNOWN),
        (refusal("CCBD012001"), ConflictError, Effect.REFUSED),
        (refusal("CCBDW007000"), BadRequestError, Effect.REFUSED),
        (refusal("CCCMW001000", "Build is running! [12]"), ConflictError, Effect.NONE),
        (refusal("K8sApiStatus400"), BadRequestError, Effect.REFUSED),
        (refusal("K8sApiStatus404"), NotFoundError, Effect.REFUSED),
        (refusal("CUUSW001000", httpStatusCode=401), AuthenticationError, Effect.NONE),
        (refusal("CDCME001000"), UnexpectedResponseError, Effect.REFUSED),
        (refusal("CDCME001000", httpStatusCode=500), ServerUnavailableError, Effect.UNKNOWN),
        ({"STATUS": "error", "status": "ERROR"}, UnexpectedResponseError, Effect.REFUSED),
        (None, UnexpectedResponseError, Effect.UNKNOWN),
        ({"status": 200, "result": {"buildSeq": 12}}, UnexpectedResponseError, Effect.UNKNOWN),
    ],
)
def test_an_error_under_http_200_is_an_error(
    scripted: Scripted, body: Any, cause: type[ReleasePipelineError], effect: Effect
) -> None:
    with pytest.raises(cause) as caught:
        scripted_client(scripted, body).builds.run(12, tag_name="1")
    assert caught.value.effect is effect
    assert len(scripted.requests) == 1


def test_a_build_that_is_not_there_is_not_found(client: CocktailClient) -> None:
    with pytest.raises(NotFoundError, match="build_seq 99"):
        client.builds.run(99, tag_name="1")
    with pytest.raises(NotFoundError, match="no build 99"):
        client.builds.get(99)
    with pytest.raises(NotFoundError, match="no build run 99"):
        client.look(ref(99))


@pytest.mark.parametrize(
    ("answer", "effect"),
    [
        (refusal("CCBDW013000"), Effect.NONE),
        (refusal("CCBDW005000"), Effect.NONE),
        ((429, {"Retry-After": "0"}, None), Effect.NONE),
        ((502, {}, "<html>"), Effect.LATE),
        ((504, {}, None), Effect.LATE),
        ((500, {}, None), Effect.UNKNOWN),
    ],
)
def test_a_start_is_sent_once_whatever_the_answer(scripted: Scripted, answer: Any, effect: Effect) -> None:
    client = scripted_client(scripted, answer, run_json(), attempts=2)
    with pytest.raises(ReleasePipelineError) as caught:
        client.builds.run(12, tag_name="1.0")
    assert caught.value.effect is effect
    assert len(scripted.requests) == 1


@pytest.mark.parametrize(
    ("answer", "is_busy"),
    [
        (refusal("CCBDW013000"), True),
        (refusal("CCBD005001", "빌드 서버에 연결되어 있지 않습니다."), True),
        (refusal("CCCMW001000", "Build is running! [12]"), True),
        ((429, {"Retry-After": "5"}, refusal("CCBDW013000")), True),
        ((503, {}, refusal("CCBDW005000")), True),
        (refusal("CCBDW001000"), False),
        (refusal("CCBDW004000"), False),
        (refusal("CCBDW012000"), False),
        (refusal("DCBDW013000x"), False),
        (refusal("CCCMW001000", "the Build is running!"), False),
        ((429, {"Retry-After": "5"}, None), False),
        ((503, {}, "<html>"), False),
    ],
)
def test_a_build_is_busy_only_where_the_server_says_so(scripted: Scripted, answer: Any, is_busy: bool) -> None:
    with pytest.raises(ReleasePipelineError) as caught:
        scripted_client(scripted, answer).builds.run(12, tag_name="1.0")
    assert errors.is_busy(caught.value) is is_busy
    assert caught.value.retry_after == (5.0 if isinstance(answer, tuple) and answer[1] else None)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"build_seq": ""}, "build_seq"),
        ({"build_seq": "0"}, "build_seq"),
        ({"build_seq": "1/2"}, "build_seq"),
        ({"build_seq": 12, "tag_name": "a b"}, "tag_name"),
        ({"build_seq": 12, "tag_name": "1", "callback_url": "hooks.example.com"}, "callback_url"),
        ({"build_seq": 12, "tag_name": "1", "callback_url": "http://["}, "callback_url"),
        ({"build_seq": 12, "tag_name": "1", "callback_url": 5}, "callback_url"),
        ({"build_seq": 12, "tag_name": ["1"]}, "tag_name"),
        ({"build_seq": 12, "tag_name": "1", "callback_url": "https://hooks.example.com/a?b=c"}, "callback_url"),
        ({"build_seq": 12, "tag_name": "1", "callback_url": "https://a.example.com|https://b.example.com"}, "callback"),
        ({"build_seq": 12, "tag_name": "1", "callback_url": "https://a.example.com/http%3a%2f%2fb"}, "callback_url"),
    ],
)
def test_a_wrong_argument_is_refused_before_anything_is_sent(
    scripted: Scripted, arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(BadRequestError, match=named):
        scripted_client(scripted).builds.run(**arguments)
    assert scripted.requests == []


def test_a_tag_against_cocktails_own_rule_is_warned_about(scripted: Scripted, caplog: pytest.LogCaptureFixture) -> None:
    scripted_client(scripted, run_json(tagName="RC_1")).builds.run(12, tag_name="RC_1")
    assert "'RC_1'" in caplog.text


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (run_json(buildSeq=3), "belongs to build 3"),
        (run_json(runType="CANCEL"), "type CANCEL"),
    ],
)
def test_a_run_of_another_build_or_kind_is_refused(scripted: Scripted, run: dict[str, Any], told: str) -> None:
    with pytest.raises(BadRequestError, match=told):
        scripted_client(scripted, run).look(ref())


def test_an_answer_about_another_run_is_not_believed(scripted: Scripted) -> None:
    with pytest.raises(UnexpectedResponseError, match="asked for build run 7, got 8"):
        scripted_client(scripted, run_json(buildRunSeq=8)).look(ref())


def test_numbers_as_text_and_both_date_forms_are_read(scripted: Scripted) -> None:
    run = run_json(
        buildRunSeq="7",
        buildSeq="12",
        runState="DONE",
        imageSize="5",
        buildNo="3",
        beginTime="2026-01-02 03:04:05",
        endTime="2026-01-02T03:05:05.000+00:00",
        unheardOf={"x": 1},
    )
    result = scripted_client(scripted, run).look(ref()).to_result()
    assert (result["duration"], result["outputs"]["size"], result["outputs"]["build_no"]) == (60.0, 5, 3)


def test_an_unknown_state_is_waited_for(scripted: Scripted) -> None:
    seen = scripted_client(scripted, run_json(runState="PAUSING")).look(ref())
    assert (seen.state, seen.status) == (ExecutionState.UNKNOWN, "PAUSING")


def test_tls_material_is_not_handed_on(scripted: Scripted) -> None:
    client = scripted_client(scripted, run_json(buildServerClientKey="-----KEY-----"))
    assert "buildServerClientKey" not in client.runs.get(7)


# --- credentials


def jwt(**claims: Any) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2lnbmF0dXJl"


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_has_ended_is_said_to_have_ended(scripted: Scripted, status: int) -> None:
    client = scripted_client(scripted, (status, {}, None), token=jwt(exp=1_700_000_000))
    with pytest.raises(AuthenticationError, match=r"the API token ended at 2023-11-14T22:13:20\+00:00"):
        client.look(ref())


@pytest.mark.parametrize("token", [jwt(exp=253_402_300_799), jwt(), "not.a.jwt", "opaque"])
def test_a_token_that_is_refused_for_another_reason_is_not_called_ended(scripted: Scripted, token: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        scripted_client(scripted, (401, {}, "<html>no</html>"), token=token).look(ref())
    assert "ended" not in str(caught.value)
    assert token not in str(caught.value)


def test_a_token_that_ends_in_the_middle_is_an_authentication_error(stand: Stand) -> None:
    token = stand.post("actions", system="cocktail", action="issue_token", expires_in=-10)["token"]
    with pytest.raises(AuthenticationError, match="the API token ended at"):
        stand.client(token=token).look(ref(1))


def test_the_token_travels_in_the_header_that_the_connection_names(scripted: Scripted) -> None:
    client = scripted_client(
        scripted, run_json(), auth_header="x-api-token", auth_scheme="", headers={"user-workspace": "3"}
    )
    client.look(ref())
    assert scripted.requests[0].headers["x-api-token"] == TOKEN
    assert scripted.requests[0].headers["user-workspace"] == "3"
    assert "Authorization" not in scripted.requests[0].headers


def test_the_secret_in_a_callback_url_is_in_no_error(scripted: Scripted) -> None:
    secrets: list[str] = []
    url = "https://hooks.example.com/release-pipelines/webhooks/builds/s3cr3t-0123"
    script = [refusal("CCBDW001000", f"cannot call {text}") for text in (url, quote(url, safe=""))]
    client = scripted_client(scripted, *script, on_secret=secrets.append)
    for call in (
        lambda: client.builds.run(12, tag_name="1", callback_url=url),
        lambda: client.runs.cancel(7, callback_url=url),
    ):
        with pytest.raises(ServerUnavailableError, match="cannot call") as caught:
            call()
        assert "s3cr3t" not in str(caught.value)
    assert url in secrets


# --- paths that may be missing


@pytest.mark.parametrize("mode", ["404", "403", "K8sApiStatus404"])
def test_a_missing_status_path_is_replaced_by_the_list(stand: Stand, mode: str) -> None:
    client = stand.client()
    run = ended(client, client.builds.run(SHOP, tag_name="1"))
    stand.switch(routes={"status": mode})
    client = stand.client()
    assert client.look(run.ref).outputs == run.outputs
    before = len(stand.requests("GET"))
    assert client.look(run.ref).state is ExecutionState.SUCCEEDED
    assert stand.requests("GET")[before:] == ["GET /cocktail/v1/build/run"]


@pytest.mark.parametrize(
    ("routes", "cause", "told"),
    [
        ({"status": "403", "list": "403"}, PermissionDeniedError, "GET /cocktail/v1/build/run/1: the token does not"),
        ({"status": "403", "list": "404"}, PermissionDeniedError, "GET /cocktail/v1/build/run: not published"),
        ({"status": "404", "list": "K8sApiStatus404"}, UnexpectedResponseError, "`api_prefix` and `paths`"),
    ],
)
def test_without_status_and_list_the_missing_permissions_are_named(
    stand: Stand, client: CocktailClient, routes: dict[str, str], cause: type[ReleasePipelineError], told: str
) -> None:
    run = client.builds.run(SHOP, tag_name="1")
    stand.switch(routes=routes)
    with pytest.raises(cause, match=told):
        client.look(run.ref)


def test_a_run_whose_build_is_not_known_cannot_be_looked_up_in_a_list(stand: Stand, client: CocktailClient) -> None:
    run = client.builds.run(SHOP, tag_name="1")
    assert client.look(ref(1, "")).ref == run.ref | {"tag": "", "place": client.place}
    stand.switch(routes={"status": "403"})
    with pytest.raises(PermissionDeniedError, match="build_seq"):
        client.look(ref(1, ""))


@pytest.mark.parametrize("mode", ["404", "403"])
def test_a_missing_cancel_path_is_an_error_and_leaves_the_run_alone(
    stand: Stand, client: CocktailClient, mode: str
) -> None:
    run = client.builds.run(SHOP, tag_name="1")
    stand.switch(routes={"cancel": mode})
    with pytest.raises((NotFoundError, PermissionDeniedError)):
        client.cancel(run.ref, "")
    assert ended(client, run).state is ExecutionState.SUCCEEDED


def test_a_build_that_cannot_be_read_is_none(stand: Stand, client: CocktailClient) -> None:
    assert (client.builds.get(AUTOTAG) or {})["autotagUseYn"] == "Y"
    stand.switch(routes={"build": "403"})
    assert client.builds.get(AUTOTAG) is None


def test_paths_of_the_connection_are_used_and_may_be_switched_off(scripted: Scripted) -> None:
    paths = {"status": "runs/{build_run_seq}", "list": "/builds/{build_seq}/runs", "cancel": None, "log": ""}
    client = scripted_client(scripted, run_json(), [run_json()], paths=paths, api_prefix="open/v2/")
    client.runs.get(7)
    client.runs.list(12)
    assert [each.target for each in scripted.requests] == ["/open/v2/runs/7", "/open/v2/builds/12/runs"]
    with pytest.raises(ConnectionConfigError, match="'cancel' is not published"):
        client.runs.cancel(7)
    with pytest.raises(ConnectionConfigError, match="'log' is not published"):
        client.runs.get_log(7)


def test_a_connection_that_publishes_no_reads_is_told_so(scripted: Scripted) -> None:
    client = scripted_client(scripted, paths={"status": "", "list": "", "build": ""})
    for read in (client.check, lambda: client.look(ref()), lambda: client.find_started(INTENT)):
        with pytest.raises(ConnectionConfigError, match="is not published"):
            read()
    assert scripted.requests == []


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"token": ""}, "token"),
        ({"paths": {"state": "/x"}}, "'state'"),
        ({"paths": {"status": "/runs/{build_seq}"}}, "'status'"),
        ({"paths": {"status": "/runs"}}, "'status'"),
        ({"paths": {"run": "/builds/{build_seq}/{tag}"}}, "'run'"),
    ],
)
def test_a_connection_that_cannot_work_names_its_field(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConnectionConfigError, match=named):
        CocktailClient("https://cocktail.example.com", **{"token": TOKEN, **options})


@pytest.mark.parametrize(
    ("routes", "used"), [({}, "GET /v1/build/run"), ({"list": "403"}, "GET /v1/build/run/{build_run_seq}")]
)
def test_the_check_needs_any_one_of_the_reads(
    stand: Stand, client: CocktailClient, routes: dict[str, str], used: str
) -> None:
    stand.switch(routes=routes)
    assert f"({used})" in client.check()


def test_the_check_says_that_nothing_is_published_under_a_wrong_prefix(stand: Stand) -> None:
    with pytest.raises(UnexpectedResponseError, match="correct the connection's host"):
        stand.client(api_prefix="/v9").check()


def test_the_check_tells_a_wrong_token_from_a_token_that_may_read_nothing(stand: Stand) -> None:
    with pytest.raises(AuthenticationError):
        stand.client(token="wrong").check()
    token = stand.post("actions", system="cocktail", action="issue_token", scopes=["run"])["token"]
    with pytest.raises(PermissionDeniedError, match="the token does not allow it"):
        stand.client(token=token).check()


# --- finding a start again


INTENT = {"kind": "build_run", "marker": "#af-9c1", "since": 0.0, "build_seq": str(SHOP), "tag": "1.4.2"}


def test_a_start_whose_answer_was_lost_is_found_by_its_marker(stand: Stand, client: CocktailClient) -> None:
    assert client.find_started(INTENT) == []
    stand.post("faults", system="cocktail", method="POST", path="/build/run/", fault="reset_after")
    with pytest.raises(ServerUnavailableError) as caught:
        client.builds.run(SHOP, tag_name="1.4.2", description="release 1.4.2 #af-9c1")
    assert caught.value.effect is Effect.UNKNOWN
    (found,) = client.find_started(INTENT)
    assert found.ref == ref(1, SHOP, "1.4.2", place=client.place)
    assert client.find_started({**INTENT, "marker": "#af-other"}) == []


@pytest.mark.parametrize("omitted", [[], ["runType"]], ids=["with types", "without types"])
@pytest.mark.parametrize("routes", [{}, {"status": "403"}], ids=["readable", "unreadable"])
def test_a_cancel_run_with_the_same_description_is_not_taken_for_the_start(
    stand: Stand, client: CocktailClient, omitted: list[str], routes: dict[str, str]
) -> None:
    stand.post("reset", speed=5)
    run = client.builds.run(SHOP, tag_name="1.4.2", description="#af-9c1")
    client.cancel(run.ref, "")
    stand.switch(list_omits=omitted, routes=routes)
    assert [found.id for found in client.find_started(INTENT)] == [run.id]


@pytest.mark.parametrize("omitted", [[], ["runType"]], ids=["with types", "without types"])
def test_all_runs_with_the_marker_are_told_oldest_first(
    stand: Stand, client: CocktailClient, omitted: list[str]
) -> None:
    for tag in ("1", "2"):
        ended(client, client.builds.run(SHOP, tag_name=tag, description="#af-9c1"))
    stand.switch(list_omits=omitted)
    assert [found.id for found in client.find_started(INTENT)] == ["1", "2"]


def test_an_intent_of_another_installation_finds_nothing_and_asks_nothing(stand: Stand, client: CocktailClient) -> None:
    with pytest.raises(ConflictError, match=r"https://cocktail\.example\.com"):
        client.find_started({**INTENT, "place": "https://cocktail.example.com"})
    assert stand.requests() == []


@pytest.mark.parametrize(("mode", "cause"), [("403", PermissionDeniedError), ("404", UnexpectedResponseError)])
def test_without_a_list_nobody_can_say_whether_the_build_was_started(
    stand: Stand, client: CocktailClient, mode: str, cause: type[ReleasePipelineError]
) -> None:
    stand.switch(routes={"list": mode})
    with pytest.raises(cause, match="cannot tell whether an earlier attempt started the build"):
        client.find_started(INTENT)


@pytest.mark.parametrize("body", [None, " \n"])
def test_an_empty_answer_says_neither_that_a_run_is_gone_nor_that_there_is_none(scripted: Scripted, body: Any) -> None:
    client = scripted_client(scripted)
    scripted.always = (200, {}, body)
    for read in (lambda: client.find_started(INTENT), lambda: client.look(ref()), lambda: client.builds.get(SHOP)):
        with pytest.raises(UnexpectedResponseError) as caught:
            read()
        assert caught.value.effect is Effect.UNKNOWN


# --- many at once


def test_many_runs_of_one_build_cost_one_request(stand: Stand, client: CocktailClient) -> None:
    runs = [ended(client, client.builds.run(SHOP, tag_name=tag)) for tag in ("1", "2", "3")]
    other = ended(client, client.builds.run(NO_DIGEST, tag_name="1"))
    before = len(stand.requests())
    seen = client.fetch([runs[2].ref, runs[0].ref, other.ref, runs[1].ref])
    assert [each.id for each in seen if isinstance(each, Execution)] == ["3", "1", other.id, "2"]
    assert next(each.outputs for each in seen if isinstance(each, Execution)) == runs[2].outputs
    assert stand.requests()[before:] == ["GET /cocktail/v1/build/run", f"GET /cocktail/v1/build/run/{other.id}"]


def test_a_failure_seen_in_a_list_says_as_much_as_one_looked_up_alone(client: CocktailClient) -> None:
    runs = [ended(client, client.builds.run(BROKEN, tag_name=tag)) for tag in ("1", "2")]
    seen = client.fetch([run.ref for run in runs])
    assert [each.message for each in seen if isinstance(each, Execution)] == [run.message for run in runs]


def test_a_run_that_is_gone_is_its_own_error_among_many(client: CocktailClient) -> None:
    run = ended(client, client.builds.run(SHOP, tag_name="1"))
    seen = client.fetch([run.ref, ref(99, SHOP)])
    assert isinstance(seen[0], Execution)
    assert isinstance(seen[1], NotFoundError)


def test_many_runs_are_looked_up_one_by_one_where_there_is_no_list(stand: Stand, client: CocktailClient) -> None:
    runs = [ended(client, client.builds.run(SHOP, tag_name=tag)) for tag in ("1", "2")]
    stand.switch(routes={"list": "403"})
    assert [each.state for each in client.fetch([run.ref for run in runs]) if isinstance(each, Execution)] == [
        ExecutionState.SUCCEEDED
    ] * 2


def test_throttling_concerns_all_of_them(stand: Stand, client: CocktailClient) -> None:
    run = client.builds.run(SHOP, tag_name="1")
    stand.post("faults", system="cocktail", method="GET", fault="status", status=429, headers={"Retry-After": "7"})
    with pytest.raises(ThrottledError) as caught:
        client.fetch([run.ref, run.ref])
    assert caught.value.retry_after == 7
