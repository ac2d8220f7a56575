"""An unforeseen error is one failed poll, search or cancel: it ends no wait and loses no execution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.clients.waits import Waits
from airflow_provider.core.durations import DURATIONS
from airflow_provider.exceptions import ExecutionTimeout, UnexpectedResponseError
from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from tests.support.starters import STARTERS, run, started

BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["synchronous", "deferrable"])
UNFORESEEN = [RecursionError("too deep"), OverflowError("year is out of range")]
EVERY_ERROR = pytest.mark.parametrize("error", UNFORESEEN, ids=lambda error: type(error).__name__)


def tripping(whole: Callable[..., Any], error: Exception, times: int) -> Callable[..., Any]:
    """The method, except that its first calls fail."""
    left = [error] * times

    def call(*args: Any, **kwargs: Any) -> Any:
        if left:
            raise left.pop()
        return whole(*args, **kwargs)

    return call


@BOTH_MODES
@EVERY_ERROR
def test_a_wait_continues_after_polls_that_trip_the_client(systems, deferrable, error, mocker):
    starter = STARTERS["cocktail"]
    before = systems.executions(starter.system)
    for name in ("observe", "fetch", "fetch_shared"):
        mocker.patch.object(Waits, name, tripping(getattr(Waits, name), error, 2))
    ended = run(systems, starter, deferrable=deferrable)
    assert ended.error is None
    (execution,) = started(systems, starter, before)
    assert (execution["id"], execution["cancels"]) == (ended.result["id"], [])


@BOTH_MODES
def test_polls_that_always_trip_the_client_end_the_wait_after_the_error_budget(systems, deferrable, mocker):
    mocker.patch.object(DURATIONS, "error_budget", 0.5)
    for name in ("observe", "fetch", "fetch_shared"):
        mocker.patch.object(Waits, name, tripping(getattr(Waits, name), OverflowError("secret"), 10**6))
    ended = run(systems, STARTERS["cocktail"], deferrable=deferrable)
    assert isinstance(ended.error, UnexpectedResponseError)
    assert "OverflowError" in str(ended.error)
    assert "secret" not in str(ended.error)


@pytest.mark.parametrize("name", ["cocktail", "quay"])
def test_a_start_whose_answer_trips_the_client_is_found_again(systems, name, mocker):
    starter = STARTERS[name]
    before = systems.executions(starter.system)
    cls = type(starter.build(systems, task_id="some"))
    whole = cls.start

    def start_and_trip(*args: Any) -> Any:
        whole(*args)
        raise RecursionError("the answer is too deep")

    mocker.patch.object(cls, "start", start_and_trip)
    ended = run(systems, starter)
    assert ended.error is None
    (execution,) = started(systems, starter, before)
    assert execution["id"] == ended.result["id"]


def test_a_cancel_that_trips_the_client_is_sent_again(systems, mocker):
    systems.reset(speed=0.1)
    starter = STARTERS["cocktail"]
    before = systems.executions(starter.system)
    mocker.patch.object(CocktailClient, "cancel", tripping(CocktailClient.cancel, KeyError("status"), 2))
    ended = run(systems, starter, timeout=1.0)
    assert isinstance(ended.error, ExecutionTimeout)
    (execution,) = started(systems, starter, before)
    assert len(execution["cancels"]) == 1


def test_what_an_author_does_wrong_stays_a_traceback_of_his_own(systems, mocker):
    def trip(*_: Any) -> Any:
        raise ZeroDivisionError

    mocker.patch.object(CocktailRunBuildOperator, "verify", trip)
    assert isinstance(run(systems, STARTERS["cocktail"]).error, ZeroDivisionError)
