"""A run from its start to its end, with its image, its log and its cancel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.exceptions import (
    Effect,
    ServerUnavailableError,
    UnexpectedResponseError,
)
from airflow_provider.execution import ExecutionState
from tests.support.cocktail_client import BROKEN, SHOP, Stand, ended, ref, run_json, scripted_client
from tests.support.scripted import Scripted


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
    assert client.waits.needs_cancel(run)
    for _ in range(2):
        with stand.client() as another:
            another.cancel(run.ref, "")
            assert not another.waits.needs_cancel(client.observe(run.ref))
    assert len(stand.requests("PUT")) == 1
    assert not client.waits.needs_cancel(ended(client, run))


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
    assert client.waits.needs_cancel(client.observe(ref())) is needed


def test_a_cancel_of_another_run_is_not_taken_for_ours(scripted: Scripted) -> None:
    begin = datetime.now(UTC).isoformat()
    cancel = run_json(buildRunSeq=9, runType="CANCEL", beginTime=begin)
    steps = [{"stepType": "CANCEL", "stepConfig": {"refBuildRunSeq": 8}}]
    client = scripted_client(scripted, run_json(), [cancel, run_json()], {**cancel, "buildStepRuns": steps})
    assert client.waits.needs_cancel(client.observe(ref()))


@pytest.mark.parametrize("answer", [(503, {}, None), (403, {}, None)])
def test_where_the_list_shows_no_cancel_a_running_build_needs_one(scripted: Scripted, answer: Any) -> None:
    client = scripted_client(scripted, run_json(), answer)
    assert client.waits.needs_cancel(client.observe(ref()))


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
    assert client.observe(run.ref).state is ExecutionState.SUCCEEDED
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
    "answer", [{"buildSeq": 99}, {"runType": "CANCEL"}, {"runType": "REMOVE"}, {"buildRunSeq": None}]
)
def test_a_start_that_is_answered_with_another_run_may_have_taken_effect(
    scripted: Scripted, answer: dict[str, Any]
) -> None:
    with pytest.raises(UnexpectedResponseError) as caught:
        scripted_client(scripted, run_json(**answer)).builds.run(12, tag_name="1.0")
    assert caught.value.effect is Effect.UNKNOWN


def test_the_log_comes_by_steps(client: CocktailClient) -> None:
    run = ended(client, client.builds.run(SHOP, tag_name="1"))
    texts = [step["log"] for step in client.runs.get_log(run.id)["buildRunLogs"]]
    assert any("COMMIT image" in text for text in texts)


def test_the_description_arrives_unharmed(stand: Stand, client: CocktailClient) -> None:
    text = "배포 & 50% + a=b?\nsecond #1"
    run = client.builds.run(SHOP, tag_name="1", description=text)
    assert client.runs.get(run.id)["runDesc"] == text


def test_a_wait_that_knows_no_argument_shows_no_callback_in_the_log_of_a_run(scripted: Scripted) -> None:
    url = "https://hooks.example.com/cocktail/known-word-of-a-callback"
    run = run_json(callbackUrl=f"{url}?user-id=3&user-role=DEVOPS&user-workspace=3")
    said = f"callback {url}?user-id=3 failed: 404 for /cocktail/known-word-of-a-callback"
    step = {"stepType": "CODE_DOWN", "stepState": "DONE", "stepOrder": 1, "log": said}
    client = scripted_client(scripted, run, {"buildRunSeq": 7, "buildRunLogs": [step]})
    client.observe(ref())
    lines, _ = client.waits.read_log(ref(), 0)
    assert lines == ["CODE_DOWN:", "callback ***?user-id=3 failed: 404 for ***"]


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z", "9999-12-31 23:59:59"])
def test_a_time_that_stands_for_none_or_never_hides_no_failure(scripted: Scripted, when: str) -> None:
    run = run_json(runState="ERROR", endTime=when)
    client = scripted_client(scripted, run, [run])
    seen = client.observe(ref())
    assert (seen.state, seen.finished_at) == (ExecutionState.FAILED, None)
