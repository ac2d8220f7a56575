"""The operator that cancels a build."""

from __future__ import annotations

import pytest

from airflow_provider.exceptions import (
    BadRequestError,
    PermissionDeniedError,
)
from airflow_provider.hooks.cocktail import CocktailHook
from tests.support.cocktail_tasks import BOTH_MODES, SLOW, cancel, run_seen, start, start_endless


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
