"""Cocktail operators in real Airflow against the sandbox: builds and their cancels."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    Effect,
    ExecutionCanceled,
    ExecutionFailed,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    ThrottledError,
)
from airflow_provider.hooks.cocktail import CocktailHook
from airflow_provider.operators.cocktail import CocktailCancelBuildOperator, CocktailRunBuildOperator
from tests.airflow_runs import TaskRun, run_task
from tests.meanwhile import meanwhile

SHOP, AUTOTAG, BROKEN, NO_DIGEST = 12, 13, 14, 15
SLOW = 0.05
BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["synchronous", "deferrable"])


@pytest.fixture(autouse=True)
def fast(systems) -> None:
    systems.reset(speed=100)


def start() -> str:
    """A run that no task has started."""
    with CocktailHook().get_conn() as client:
        return client.builds.run(SHOP, tag_name="1.4.2").id


def start_endless(systems) -> str:
    """A run that goes on until somebody cancels it, which is quick."""
    systems.switch("cocktail", step_seconds={"CREATE_IMAGE": 1e6})
    return start()


def run_seen(systems, run_seq: str) -> dict[str, Any]:
    return next(each for each in systems.executions("cocktail") if each["id"] == run_seq)


def posts(systems) -> list[dict[str, Any]]:
    return systems.requests("cocktail", "POST")


def build(**arguments: Any) -> TaskRun:
    arguments = {"build_seq": SHOP, "tag_name": "1.4.2", **arguments}
    return run_task(lambda: CocktailRunBuildOperator(task_id="build", poll_interval=0.1, **arguments))


def cancel(run_seq: str, **arguments: Any) -> TaskRun:
    arguments = {"build_run_seq": run_seq, **arguments}
    return run_task(lambda: CocktailCancelBuildOperator(task_id="cancel", poll_interval=0.1, **arguments))


@BOTH_MODES
def test_the_outputs_of_a_build_are_its_image_pinned_by_digest(deferrable):
    outputs = build(deferrable=deferrable).result["outputs"]
    assert set(outputs) == {"image", "tag", "digest", "image_ref", "size", "build_no"}
    assert (outputs["image"], outputs["tag"]) == ("registry.example.com/acme/shop", "1.4.2")
    assert outputs["digest"].startswith("sha256:")
    assert outputs["image_ref"] == f"registry.example.com/acme/shop@{outputs['digest']}"
    assert outputs["size"] > 0
    assert outputs["build_no"] == 1


def test_a_build_gets_what_the_task_says(systems):
    url = f"{systems.url}/_sandbox/nowhere"
    ended = build(description="release of the shop", callback_url=url)
    with CocktailHook().get_conn() as client:
        run = client.runs.get(ended.result["id"])
    assert run["tagName"] == "1.4.2"
    assert run["runDesc"].endswith(" release of the shop")
    assert run["callbackUrl"].startswith(url)


def test_a_tag_and_a_description_that_templates_made_numbers_are_taken_as_texts(systems):
    ended = build(tag_name=20260101, description=7)
    assert ended.error is None
    assert ended.result["outputs"]["tag"] == ended.result["ref"]["tag"] == "20260101"
    with CocktailHook().get_conn() as client:
        assert client.runs.get(ended.result["id"])["runDesc"].endswith(" 7")


def test_an_autotagged_build_needs_no_tag_and_tells_the_one_that_was_used(systems):
    ended = build(build_seq=AUTOTAG, tag_name=None)
    assert ended.error is None
    assert ended.result["outputs"]["tag"] == run_seen(systems, ended.result["id"])["tag"]
    assert ended.result["outputs"]["tag"].startswith("test-")


def test_an_autotagged_build_that_was_given_a_tag_says_that_it_took_another(capsys):
    ended = build(build_seq=AUTOTAG)
    assert ended.result["outputs"]["tag"] != "1.4.2"
    assert "instead of '1.4.2'" in ended.result["message"]
    assert "autotag on" in capsys.readouterr().out


def test_a_build_without_a_digest_has_no_image_ref_and_fails_only_where_one_is_required(systems):
    for number, deferrable in enumerate((False, True)):
        fine = build(build_seq=NO_DIGEST, tag_name=f"fine-{number}", deferrable=deferrable)
        assert (fine.state, fine.result["outputs"]["digest"]) == ("success", None)
        assert fine.result["outputs"]["image_ref"] is None
        required = build(build_seq=NO_DIGEST, tag_name=f"strict-{number}", require_digest=True, deferrable=deferrable)
        assert isinstance(required.error, ExecutionFailed)
        assert "digest" in str(required.error)


def test_a_failure_tells_the_step_that_broke():
    ended = build(build_seq=BROKEN)
    assert isinstance(ended.error, ExecutionFailed)
    assert "CREATE_IMAGE" in str(ended.error)


def test_a_tag_that_the_build_has_used_is_refused(systems):
    assert build().state == "success"
    ended = build()
    assert isinstance(ended.error, ConflictError)
    assert len(systems.executions("cocktail")) == 1
    assert not CocktailRunBuildOperator(task_id="build", build_seq=SHOP).is_busy(ended.error)


def test_a_build_that_runs_already_fails_a_task_that_is_not_to_wait_for_that(systems):
    systems.reset(speed=SLOW)
    start()
    ended = build(tag_name="1.4.3", on_busy="fail")
    assert isinstance(ended.error, ConflictError)
    assert len(systems.executions("cocktail")) == 1


BUSY = {
    "the build runs already": lambda systems: start_endless(systems),
    "the account has its limit": lambda systems: systems.switch("cocktail", account_parallel_limit=0),
    "the build server is away": lambda systems: systems.switch("cocktail", build_server_unreachable=True),
}


@pytest.mark.parametrize("real_codes", [False, True], ids=["HTTP 200", "HTTP errors"])
@pytest.mark.parametrize("make_busy", BUSY.values(), ids=BUSY)
def test_a_refusal_that_passes_by_itself_is_waited_for_if_the_task_says_so(systems, make_busy, real_codes):
    make_busy(systems)
    systems.switch("cocktail", real_http_codes=real_codes, korean_messages=True)
    with CocktailHook().get_conn() as client, pytest.raises(ReleasePipelineError) as refused:
        client.builds.run(SHOP, tag_name="1.4.3")
    waits, fails = (
        CocktailRunBuildOperator(task_id="build", build_seq=SHOP, on_busy=on_busy) for on_busy in ("wait", "fail")
    )
    assert waits.is_busy(refused.value)
    assert not fails.is_busy(refused.value)
    assert (refused.value.effect, refused.value.retry_after) == (Effect.NONE, None)


@BOTH_MODES
@pytest.mark.parametrize("make_busy", BUSY.values(), ids=BUSY)
def test_a_build_is_started_once_as_soon_as_it_can_be(systems, monkeypatch, make_busy, deferrable):
    monkeypatch.setattr(DURATIONS, "busy_pause", 0.1)
    make_busy(systems)

    def free() -> bool:
        if len(posts(systems)) < 4:
            return False
        systems.switch("cocktail", account_parallel_limit=10, build_server_unreachable=False, step_seconds={})
        for each in systems.executions("cocktail"):
            systems.force("cocktail", each["id"], "DONE")
        return True

    with meanwhile(free):
        ended = build(tag_name="1.4.3", deferrable=deferrable)
    assert (ended.error, ended.result["outputs"]["tag"]) == (None, "1.4.3")
    assert [each["tag"] for each in systems.executions("cocktail")].count("1.4.3") == 1


def test_a_busy_build_is_waited_for_until_the_deadline_only(systems, monkeypatch):
    monkeypatch.setattr(DURATIONS, "busy_pause", 0.1)
    systems.switch("cocktail", account_parallel_limit=0)
    ended = build(timeout=1.0)
    assert isinstance(ended.error, ThrottledError)
    assert len(posts(systems)) > 2


def test_what_a_task_does_about_a_busy_build_is_one_of_two_words():
    with pytest.raises(BadRequestError, match="on_busy must be wait or fail"):
        CocktailRunBuildOperator(task_id="build", build_seq=SHOP, on_busy="retry")


def test_a_description_that_cocktail_cuts_still_tells_whose_build_it_is(systems):
    systems.switch("cocktail", description_limit=32)
    ended = build(description="release of the shop " * 20)
    with CocktailHook().get_conn() as client:
        description = client.runs.get(ended.result["id"])["runDesc"]
    assert len(description) == 32
    assert description.startswith("airflow-")


@BOTH_MODES
def test_a_build_that_somebody_cancels_is_canceled_and_not_failed(systems, deferrable):
    systems.reset(speed=5)

    def cancel_it() -> bool:
        running = [each for each in systems.executions("cocktail") if each["state"] == "RUNNING"]
        with CocktailHook().get_conn() as client:
            return bool(running) and bool(client.runs.cancel(running[0]["id"]))

    with meanwhile(cancel_it):
        ended = build(deferrable=deferrable)
    assert isinstance(ended.error, ExecutionCanceled)


@BOTH_MODES
def test_a_running_build_is_canceled_once(systems, deferrable):
    systems.reset(speed=5)
    run_seq = start()
    ended = cancel(run_seq, deferrable=deferrable)
    assert ended.error is None
    assert ended.result["id"] == ended.xcoms["id"] == run_seq
    assert (ended.result["state"], ended.result["status"]) == ("canceled", "ERROR")
    assert len(run_seen(systems, run_seq)["cancels"]) == 1


def test_a_retry_of_a_cancel_sends_nothing_while_the_build_is_being_canceled(systems):
    systems.reset(speed=SLOW)
    run_seq = start()
    for _ in range(2):
        ended = cancel(run_seq, wait_for_completion=False)
        assert (ended.error, ended.result["id"]) == (None, run_seq)
    assert len(run_seen(systems, run_seq)["cancels"]) == 1


@BOTH_MODES
def test_a_build_that_is_done_in_spite_of_its_cancel_is_no_error(systems, deferrable):
    systems.reset(speed=5)
    systems.switch("cocktail", cancel_loses_race=True)
    run_seq = start()
    ended = cancel(run_seq, deferrable=deferrable)
    assert ended.error is None
    assert ended.result["state"] == "succeeded"
    assert ended.result["outputs"]["digest"]
    assert len(run_seen(systems, run_seq)["cancels"]) == 1


@pytest.mark.parametrize(("state", "result"), [("DONE", "succeeded"), ("ERROR", "failed")])
def test_a_build_that_is_over_is_left_alone(systems, state, result):
    systems.reset(speed=SLOW)
    run_seq = start()
    systems.force("cocktail", run_seq, state)
    ended = cancel(run_seq)
    assert (ended.state, ended.result["state"]) == ("success", result)
    assert systems.requests("cocktail", "PUT") == []


def test_a_cancel_may_return_as_soon_as_it_was_accepted(systems):
    systems.reset(speed=SLOW)
    run_seq = start()
    ended = cancel(run_seq, wait_for_completion=False)
    assert (ended.state, ended.result["status"]) == ("success", "RUNNING")
    assert len(run_seen(systems, run_seq)["cancels"]) == 1


@BOTH_MODES
@pytest.mark.parametrize("fault", ["reset_after", "reset_before", "truncate"])
def test_a_cancel_whose_answer_is_lost_is_no_failure(systems, deferrable, fault):
    run_seq = start_endless(systems)
    systems.fault("cocktail", fault, method="PUT", path="/cancel/")
    ended = cancel(run_seq, deferrable=deferrable)
    assert (ended.error, ended.result["state"]) == (None, "canceled")


@pytest.mark.parametrize("mode", ["403", "404"])
def test_a_run_that_cannot_be_read_by_its_number_is_canceled_and_then_found_in_the_list(systems, mode):
    run_seq = start_endless(systems)
    systems.switch("cocktail", routes={"status": mode})
    ended = cancel(run_seq)
    assert (ended.error, ended.result["state"]) == (None, "canceled")
    assert len(run_seen(systems, run_seq)["cancels"]) == 1


def test_a_run_that_cannot_be_read_at_all_is_canceled_but_not_waited_for(systems):
    run_seq = start_endless(systems)
    systems.switch("cocktail", routes={"status": "403", "list": "403"})
    ended = cancel(run_seq, wait_for_completion=False)
    assert (ended.error, ended.result["state"]) == (None, "unknown")
    assert len(run_seen(systems, run_seq)["cancels"]) == 1


def test_a_build_whose_cancel_is_not_published_fails_the_task(systems):
    systems.reset(speed=SLOW)
    run_seq = start()
    systems.switch("cocktail", routes={"cancel": "403"})
    assert isinstance(cancel(run_seq).error, PermissionDeniedError)


def test_the_cancel_run_of_a_build_is_no_build_to_cancel(systems):
    systems.reset(speed=SLOW)
    with CocktailHook().get_conn() as client:
        cancel_run = str(client.runs.cancel(start())["buildRunSeq"])
    ended = cancel(cancel_run)
    assert isinstance(ended.error, BadRequestError)
    assert "CANCEL" in str(ended.error)


def test_an_unknown_build_or_run_is_not_found(systems):
    assert isinstance(build(build_seq=99).error, NotFoundError)
    assert isinstance(cancel("99").error, NotFoundError)
    assert posts(systems) == systems.requests("cocktail", "PUT") == []
