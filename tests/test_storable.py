"""Whatever a vendor says: what leaves for Airflow's database, its messages and logs is what those can keep."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider import exceptions
from airflow_provider.core.generation import Attempt
from airflow_provider.core.lines import Level, LogLine
from airflow_provider.core.record import ActRecord, RequestRecord, StartRecord, read_record
from airflow_provider.core.waiting import Ending, Outcome, Wait, result_of
from airflow_provider.exceptions import Call, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionState, Step
from airflow_provider.links import xcoms_of
from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.operators.quay import QuayTestNotificationOperator
from airflow_provider.storable import (
    LONGEST_NAME,
    MOST_CHARACTERS,
    MOST_PARTS,
    TOO_LARGE,
    bounded,
    storable,
)
from airflow_provider.triggers import poller
from airflow_provider.triggers.execution import ExecutionTrigger
from tests.support.starters import STARTERS, run

EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

TEXTS = st.text(st.characters(codec=None) | st.sampled_from("\0\ud800\udfff\ufffe\x1b\u2028"), max_size=12)
NUMBERS = st.integers() | st.integers(-(10**30), 10**30) | st.floats() | st.sampled_from([10**100, 2**64, -(2**63) - 1])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(TEXTS, inside, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(TEXTS, VALUES, max_size=4)
REFERENCES = st.builds(
    lambda more, id_: {**more, "system": "cocktail", "kind": "build_run", "id": id_},
    st.dictionaries(TEXTS, TEXTS, max_size=3),
    TEXTS,
)
ERRORS = st.builds(
    lambda cls, summary, details: cls(summary, call=Call(*details)),
    st.sampled_from([ReleasePipelineError, *ReleasePipelineError.__subclasses__()]),
    TEXTS,
    st.tuples(TEXTS, TEXTS, TEXTS, st.integers(), TEXTS, TEXTS, TEXTS),
)
EXECUTIONS = st.builds(
    Execution,
    REFERENCES,
    st.sampled_from(ExecutionState),
    TEXTS,
    url=st.none() | TEXTS,
    message=st.none() | TEXTS,
    outputs=DOCUMENTS,
    started_at=st.none() | st.just(datetime(1, 1, 1, tzinfo=UTC)),
    finished_at=st.none() | st.just(datetime(9999, 12, 31, tzinfo=UTC)),
    steps=st.lists(st.builds(Step, TEXTS, TEXTS, st.none() | TEXTS), max_size=2).map(tuple),
)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            assert isinstance(name, str)
            yield name
            yield from strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each)
    else:
        assert value is None or isinstance(value, (bool, int)) or math.isfinite(value)


def assert_kept(value: Any) -> None:
    """PostgreSQL's JSONB, msgpack between Airflow's processes and its log files take it."""
    json.dumps(value, allow_nan=False)
    msgspec.msgpack.encode(value)
    for text in strings(value):
        text.encode()
        assert "\0" not in text


@EXAMPLES
@given(VALUES)
def test_any_value_can_be_kept_and_what_could_be_kept_before_is_unchanged(value):
    kept = storable(value)
    assert_kept(kept)
    assert storable(kept) == kept
    try:
        assert_kept(value)
    except (AssertionError, ValueError, OverflowError, TypeError):
        return
    assert kept == value


def test_a_value_that_is_nested_without_end_is_cut():
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    assert_kept(storable({"deep": deep, "long": 10**5000}))


@EXAMPLES
@given(EXECUTIONS)
def test_results_and_xcoms_can_be_kept(execution):
    result = execution.to_result()
    assert_kept(result)
    assert_kept(xcoms_of(result))


@EXAMPLES
@given(st.lists(EXECUTIONS | ERRORS, min_size=1, max_size=4), st.sampled_from([None, 0.0]))
def test_events_of_a_wait_and_what_is_raised_for_them_can_be_kept(seen, deadline):
    wait = Wait({"system": "cocktail", "kind": "build_run", "id": "1"}, 1.0, deadline, fail_on_waiting=True)
    for each in seen:
        if outcome := wait.update(each, 1e9):
            event = outcome.to_event()
            assert_kept(event)
            try:
                assert_kept(result_of(Outcome.from_event(event), "cocktail"))
            except ReleasePipelineError as error:
                assert_kept([str(error), repr(error), *map(str, error.args), *error.call])


@EXAMPLES
@given(ERRORS)
def test_errors_can_be_kept(error):
    assert_kept([str(error), repr(error), *map(str, error.args), *error.call])
    assert_kept(Outcome(Ending.LOST, cause=type(error).__name__, error=str(error)).to_event())


@EXAMPLES
@given(REFERENCES, DOCUMENTS, TEXTS)
def test_what_the_state_store_and_a_trigger_hold_can_be_kept(ref, document, place):
    attempt = Attempt(1, 3, 0, 3)
    start = StartRecord(
        system="cocktail", place=place, attempt=attempt, intent=document, started=1.0, ref=ref, unanswered=[document]
    )
    assert_kept(start.to_json())
    assert read_record(start.to_json(), "cocktail").attempt == attempt
    assert_kept(ActRecord(place=place, attempt=attempt, ref=ref).to_json())
    _, arguments = ExecutionTrigger(system="cocktail", conn_id="c", ref=ref, poll_interval=1.0).serialize()
    assert_kept(arguments)
    assert_kept(RequestRecord(attempt=attempt, place=place, notes={"known": [document, ref]}).to_json())


@EXAMPLES
@given(DOCUMENTS, TEXTS)
def test_what_a_notification_returns_can_be_kept(config, title):
    operator = QuayTestNotificationOperator(task_id="task", repository="acme/shop", uuid="1")
    notification = {"method": "email", "config": {"email": config}, "title": title, "number_of_failures": 0}
    assert_kept(operator.result(notification))


async def logged(news: list[LogLine]) -> None:
    waiter = poller.Waiter()
    for line in news:
        waiter.log(line)


@EXAMPLES
@given(st.lists(EXECUTIONS | ERRORS, min_size=1, max_size=3), TEXTS)
def test_lines_of_logs_can_be_kept_in_worker_and_triggerer(mocker, seen, line):
    wait = Wait({"system": "cocktail", "kind": "build_run", "id": "1"}, 1.0)
    for each in seen:
        wait.update(each, 1e9)
    news = [*wait.new_lines(), *(LogLine(line, level) for level in Level)]
    lines: list[str] = []
    log = SimpleNamespace(**{level: lambda *words: lines.append(words[0] % words[1:]) for level in Level})
    operator = CocktailRunBuildOperator(task_id="task", build_seq=1)
    mocker.patch.object(type(operator), "log", log)
    operator.log_lines(news)
    mocker.patch.object(poller, "log", SimpleNamespace(**dict.fromkeys(Level, lines.append)))
    asyncio.run(logged(news))
    assert len(lines) == 2 * len(news)
    assert_kept(lines)


def test_every_error_of_ours_comes_back_from_an_event_as_itself():
    for name, cls in vars(exceptions).items():
        if isinstance(cls, type) and issubclass(cls, ReleasePipelineError):
            with pytest.raises(cls):
                result_of(Outcome(Ending.LOST, cause=name, error="why\0"), "quay")


@pytest.mark.parametrize("deferrable", [False, True], ids=["synchronous", "deferrable"])
def test_in_airflow_a_vendor_that_says_nul_fails_its_own_task_only(systems, deferrable, mocker):
    """The answer to each poll is an error with a text that PostgreSQL would refuse."""
    from airflow_provider.core.durations import DURATIONS

    systems.reset(speed=0.1)
    mocker.patch.object(DURATIONS, "error_budget", 0.3)
    body = {"status": "error", "code": "X\0", "message": "no \0 more"}
    systems.fault("cocktail", "status", method="GET", path="/build/run/", status=500, body=body, after=2, times=1000)
    ended = run(systems, STARTERS["cocktail"], deferrable=deferrable)
    assert ended.state == "failed"
    assert isinstance(ended.error, ReleasePipelineError)
    assert_kept(str(ended.error))
    assert_kept(ended.xcoms)


@pytest.mark.parametrize(
    "large",
    [
        "x" * (MOST_CHARACTERS + 1),
        ["x"] * (MOST_PARTS + 1),
        {str(number): None for number in range(MOST_PARTS)},
        [[]] * MOST_PARTS,
        {"a": {"b": ["x" * MOST_CHARACTERS, "y"]}},
    ],
    ids=["text", "list", "object", "lists", "deep"],
)
def test_what_is_too_large_to_hand_on_is_left_out_and_the_rest_stays(large: Any) -> None:
    assert bounded({"a": 1, "large": large, "z": ["x"]}) == {"a": 1, "large": TOO_LARGE, "z": ["x"]}


def test_many_values_together_are_bounded_too() -> None:
    names = bounded({f"name-{number}": "x" * 1000 for number in range(100_000)})
    assert len(json.dumps(names)) < 2 * MOST_CHARACTERS
    assert names["name-0"] == "x" * 1000
    assert bounded({"n" * 10_000_000: 1}) == {"n" * LONGEST_NAME: TOO_LARGE}
