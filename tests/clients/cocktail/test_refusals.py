"""What is refused, by Cocktail's codes or before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.clients.cocktail import CocktailClient, errors
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    Effect,
    NotFoundError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)
from airflow_provider.execution import ExecutionState
from tests.support.cocktail_client import SHOP, Stand, ended, ref, refusal, run_json, scripted_client
from tests.support.scripted import Scripted


def test_a_used_tag_is_a_conflict_that_names_the_tag_and_says_what_to_do(client: CocktailClient) -> None:
    ended(client, client.builds.run(SHOP, tag_name="1.4.2"))
    with pytest.raises(ConflictError, match=r"tag '1\.4\.2' was already used .*; choose another tag_name") as caught:
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
def test_refusals_are_recognized_by_their_code_whatever_the_http_status(
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
        (refusal("404"), NotFoundError, Effect.REFUSED),
        ({**refusal(""), "code": 405}, NotFoundError, Effect.REFUSED),
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
    with pytest.raises(NotFoundError, match="build run 99 does not exist"):
        client.observe(ref(99))


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
    ("run", "message"),
    [
        (run_json(buildSeq=3), "belongs to build 3"),
        (run_json(runType="CANCEL"), "type CANCEL"),
    ],
)
def test_a_run_of_another_build_or_kind_is_refused(scripted: Scripted, run: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        scripted_client(scripted, run).observe(ref())


def test_an_answer_about_another_run_is_not_believed(scripted: Scripted) -> None:
    with pytest.raises(UnexpectedResponseError, match="must be build run 7, got 8"):
        scripted_client(scripted, run_json(buildRunSeq=8)).observe(ref())


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
    result = scripted_client(scripted, run).observe(ref()).to_result()
    assert (result["duration"], result["outputs"]["size"], result["outputs"]["build_no"]) == (60.0, 5, 3)


def test_an_unknown_state_is_waited_for(scripted: Scripted) -> None:
    seen = scripted_client(scripted, run_json(runState="PAUSING")).observe(ref())
    assert (seen.state, seen.status) == (ExecutionState.UNKNOWN, "PAUSING")


def test_tls_material_is_not_handed_on(scripted: Scripted) -> None:
    client = scripted_client(scripted, run_json(buildServerClientKey="-----KEY-----"))
    assert "buildServerClientKey" not in client.runs.get(7)
