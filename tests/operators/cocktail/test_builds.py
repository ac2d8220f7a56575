"""The operator that runs a build."""

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
    ReleasePipelineError,
    ThrottledError,
)
from airflow_provider.hooks.cocktail import CocktailHook
from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.cocktail_tasks import (
    AUTOTAG,
    BOTH_MODES,
    BROKEN,
    NO_DIGEST,
    SHOP,
    SLOW,
    cancel,
    run_seen,
    start,
    start_endless,
)
from tests.support.meanwhile import meanwhile


def posts(systems) -> list[dict[str, Any]]:
    return systems.requests("cocktail", "POST")


def build(**arguments: Any) -> TaskRun:
    arguments = {"build_seq": SHOP, "tag_name": "1.4.2", **arguments}
    return run_task(lambda: CocktailRunBuildOperator(task_id="build", poll_interval=0.1, **arguments))


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


def test_an_autotagged_build_needs_no_tag_and_names_the_one_that_was_used(systems):
    ended = build(build_seq=AUTOTAG, tag_name=None)
    assert ended.error is None
    assert ended.result["outputs"]["tag"] == run_seen(systems, ended.result["id"])["tag"]
    assert ended.result["outputs"]["tag"].startswith("test-")


def test_an_autotagged_build_that_was_given_a_tag_says_that_it_took_another(caplog):
    ended = build(build_seq=AUTOTAG)
    assert ended.result["outputs"]["tag"] != "1.4.2"
    assert "instead of '1.4.2'" in ended.result["message"]
    assert "autotag on" in caplog.text


def test_a_build_without_a_digest_has_no_image_ref_and_fails_only_where_one_is_required(systems):
    for number, deferrable in enumerate((False, True)):
        fine = build(build_seq=NO_DIGEST, tag_name=f"fine-{number}", deferrable=deferrable)
        assert (fine.state, fine.result["outputs"]["digest"]) == ("success", None)
        assert fine.result["outputs"]["image_ref"] is None
        required = build(build_seq=NO_DIGEST, tag_name=f"strict-{number}", require_digest=True, deferrable=deferrable)
        assert isinstance(required.error, ExecutionFailed)
        assert "digest" in str(required.error)


def test_a_failure_names_the_step_that_broke():
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
def test_a_build_is_started_once_as_soon_as_it_can_be(systems, mocker, make_busy, deferrable):
    mocker.patch.object(DURATIONS, "busy_pause", 0.1)
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


def test_a_busy_build_is_waited_for_until_the_deadline_only(systems, mocker):
    mocker.patch.object(DURATIONS, "busy_pause", 0.1)
    systems.switch("cocktail", account_parallel_limit=0)
    ended = build(timeout=4)
    assert isinstance(ended.error, ThrottledError)
    assert len(posts(systems)) > 1


def test_what_a_task_does_about_a_busy_build_is_one_of_two_words():
    with pytest.raises(BadRequestError, match="on_busy must be wait or fail"):
        CocktailRunBuildOperator(task_id="build", build_seq=SHOP, on_busy="retry")


def test_a_description_that_cocktail_cuts_still_shows_whose_build_it_is(systems):
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


def test_an_unknown_build_or_run_is_not_found(systems):
    assert isinstance(build(build_seq=99).error, NotFoundError)
    assert isinstance(cancel("99").error, NotFoundError)
    assert posts(systems) == systems.requests("cocktail", "PUT") == []
