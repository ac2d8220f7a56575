"""Many polls and logs of one connection at once: nobody waits for another's, and the vendor is spared.

Nothing here is measured in seconds: a stand-in holds answers back until what must not wait for them has happened.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.core.lines import LogLine
from airflow_provider.core.waiting import Ending, Outcome
from airflow_provider.triggers import build_logs, poller
from airflow_provider.triggers.execution import ExecutionTrigger
from tests.support.airflow_runs import define_connection
from tests.support.cocktail_server import LONGEST, CocktailServer, running_cocktail
from tests.support.until import until_in_loop

CONN_ID = "cocktail_many"
PATIENCE = 30.0


@pytest.fixture
def vendor(mocker: MockerFixture) -> Iterator[CocktailServer]:
    mocker.patch.object(poller, "MIN_INTERVAL", 0.1)
    mocker.patch.object(poller, "GATHER", 0.02)
    mocker.patch.object(poller, "LINGER", 0.1)
    mocker.patch.dict(os.environ, {"AIRFLOW__RELEASE_PIPELINES__REQUESTS_PER_SECOND": "1000"})
    with running_cocktail() as cocktail:
        define_connection(CONN_ID, conn_type="cocktail", host=cocktail.url, password="token")
        yield cocktail


class Lines:
    """What was logged: level, text, and the task in whose context."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str, str]] = []

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda text, *values: self.all.append((level, text % values if values else text, TASK.get()))

    def of(self, task: str) -> list[str]:
        return [text.strip() for _, text, each in self.all if each == task]


TASK: ContextVar[str] = ContextVar("task", default="")


@pytest.fixture
def lines(mocker: MockerFixture) -> Lines:
    lines = Lines()
    mocker.patch.object(poller, "log", lines)
    return lines


async def outcome_of(ref: dict[str, str], **arguments: Any) -> Outcome:
    TASK.set(ref["id"])
    trigger = ExecutionTrigger(
        **{"system": "cocktail", "conn_id": CONN_ID, "ref": ref, "poll_interval": 0.2, **arguments}
    )
    async for event in trigger.run():
        return Outcome.from_event(event.payload)
    raise AssertionError("the trigger ended without an event")


class Waits:
    """Waits in the running loop, by the number of the run."""

    def __init__(self, refs: list[dict[str, str]], **arguments: Any) -> None:
        self.tasks = {int(ref["id"]): asyncio.create_task(outcome_of(ref, **arguments)) for ref in refs}

    def ended(self) -> set[int]:
        return {number for number, task in self.tasks.items() if task.done()}

    async def until_ended(self, *numbers: int) -> None:
        await until_in_loop(lambda: self.ended() >= set(numbers))

    async def leave(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


# --- polls


def test_a_poll_that_takes_long_holds_up_no_other(vendor: CocktailServer) -> None:
    may_go_on = threading.Event()
    vendor.hold = lambda kind, number: number == 3 and may_go_on.wait(LONGEST)
    refs = vendor.start(40)

    async def scenario() -> None:
        waits = Waits(refs)
        others = [number for number in vendor.states if number != 3]
        await until_in_loop(lambda: vendor.count("single", 3))
        for number in others:
            vendor.states[number] = "DONE"
        await waits.until_ended(*others)
        assert 3 not in waits.ended()
        vendor.states[3] = "DONE"
        may_go_on.set()
        await waits.until_ended(3)

    asyncio.run(scenario())


def test_executions_that_end_at_once_are_polled_side_by_side_and_reported_as_they_come(vendor: CocktailServer) -> None:
    # All of one build: a list shows that they failed; why is requested for each.
    refs = vendor.start(60, builds=1)
    side_by_side = threading.Barrier(4)
    last_may_come = threading.Event()

    def hold(kind: str, number: int) -> None:
        if kind == "single" and vendor.states[number] == "ERROR":
            if number == 60:
                last_may_come.wait(LONGEST)
            elif number <= 4:
                side_by_side.wait(LONGEST)

    async def scenario() -> None:
        waits = Waits(refs)
        await until_in_loop(lambda: vendor.count("list") >= 2)
        vendor.hold = hold
        for number in vendor.states:
            vendor.states[number] = "ERROR"
        await waits.until_ended(*range(1, 60))
        assert 60 not in waits.ended()
        last_may_come.set()
        await waits.until_ended(60)
        assert all(vendor.count("single", number) <= 2 for number in vendor.states), "asked for again and again"

    asyncio.run(scenario())
    assert vendor.most_at_once <= 8


def test_no_more_requests_than_the_budget_are_sent_and_every_wait_gets_its_turn(
    vendor: CocktailServer, mocker: MockerFixture, lines: Lines
) -> None:
    # So few that a busy machine, too, sends many times more in that time where nothing holds it back.
    rate = 6
    mocker.patch.dict(os.environ, {"AIRFLOW__RELEASE_PIPELINES__REQUESTS_PER_SECOND": str(rate)})
    vendor.answer = lambda kind, number: (404, {}) if kind == "log" else None
    refs = vendor.start(20)

    async def scenario() -> float:
        begun = time.monotonic()
        waits = Waits(refs)
        await until_in_loop(lambda: all(vendor.count("single", number) >= 3 for number in vendor.states))
        took = time.monotonic() - begun
        await waits.leave()
        return took

    took = asyncio.run(scenario())
    assert len(vendor.asked) <= rate * (took + 5) + 1
    counts = [vendor.count("single", number) for number in vendor.states]
    assert max(counts) - min(counts) <= 3
    (said,) = [line for line in lines.all if "run later than their poll_interval" in line[1]]
    assert (said[0], said[2]) == ("warning", "")


def test_a_wait_ends_at_its_deadline_although_the_vendor_does_not_answer(
    vendor: CocktailServer, mocker: MockerFixture
) -> None:
    mocker.patch.object(poller, "LAST_POLL", 0.2)
    may_go_on = threading.Event()
    vendor.hold = lambda kind, number: may_go_on.wait(LONGEST)
    refs = vendor.start(20)

    async def scenario() -> list[Outcome]:
        try:
            return await asyncio.gather(*(outcome_of(ref, deadline=time.time() + 0.5) for ref in refs))
        finally:
            may_go_on.set()

    outcomes = asyncio.run(asyncio.wait_for(scenario(), PATIENCE))
    assert {outcome.ending for outcome in outcomes} == {Ending.DEADLINE}
    assert all("no poll was answered" in str(outcome.error) for outcome in outcomes)


def test_a_wait_ends_at_its_deadline_although_the_vendor_asked_for_a_longer_pause(
    vendor: CocktailServer, mocker: MockerFixture
) -> None:
    mocker.patch.object(poller, "LAST_POLL", 0.2)
    vendor.answer = lambda kind, number: (429, {"Retry-After": "3600"})
    refs = vendor.start(1)
    outcome = asyncio.run(asyncio.wait_for(outcome_of(refs[0], deadline=time.time() + 0.5), PATIENCE))
    assert outcome.ending is Ending.DEADLINE
    # The first poll, and the last one at the deadline.
    assert vendor.count("single") <= 2


# --- logs


def test_logs_that_take_long_hold_up_no_poll_and_no_end_for_long(vendor: CocktailServer, mocker: MockerFixture) -> None:
    mocker.patch.object(build_logs, "TAIL_LIMIT", 0.2)
    may_go_on = threading.Event()
    vendor.hold = lambda kind, number: kind == "log" and may_go_on.wait(LONGEST)
    refs = vendor.start(20, builds=2)

    async def scenario() -> None:
        waits = Waits(refs)
        await until_in_loop(lambda: vendor.count("log") >= 2)
        polls = vendor.count("list")
        for number in range(1, 11):
            vendor.states[number] = "DONE"
        await waits.until_ended(*range(1, 11))
        await until_in_loop(lambda: vendor.count("list") >= polls + 6)
        assert vendor.count("log") <= build_logs.TAIL_READERS, "few at a time"
        may_go_on.set()
        await waits.leave()

    asyncio.run(scenario())


def test_an_end_is_reported_first_and_the_last_lines_of_its_log_before_the_task_log_is_closed(
    vendor: CocktailServer, lines: Lines
) -> None:
    (ref,) = vendor.start(1)
    vendor.states[1], vendor.logs[1] = "DONE", ["one", "two"]
    outcome = asyncio.run(asyncio.wait_for(outcome_of(ref), PATIENCE))
    assert outcome.is_success
    assert lines.of("1") == ["Build run 1 succeeded (DONE)", "| BUILD:", "| one", "| two"]
    assert vendor.asked == [("single", 1), ("log", 1)]


def test_where_the_last_lines_cannot_be_read_in_time_the_log_says_so(
    vendor: CocktailServer, mocker: MockerFixture, lines: Lines
) -> None:
    mocker.patch.object(build_logs, "TAIL_LIMIT", 0.1)
    may_go_on = threading.Event()
    vendor.hold = lambda kind, number: kind == "log" and may_go_on.wait(LONGEST)
    (ref,) = vendor.start(1)
    vendor.states[1], vendor.logs[1] = "DONE", ["late"]

    async def scenario() -> None:
        assert (await asyncio.wait_for(outcome_of(ref), PATIENCE)).is_success
        may_go_on.set()
        await asyncio.sleep(0.3)

    asyncio.run(scenario())
    assert lines.of("1") == [
        "Build run 1 succeeded (DONE)",
        "| the end of the log of 1 could not be read within 0.1 s",
    ]


def test_lines_go_to_the_log_of_the_task_that_waits_for_them_once(vendor: CocktailServer, lines: Lines) -> None:
    refs = vendor.start(3)

    async def scenario() -> None:
        waits = Waits(refs)
        for number in vendor.states:
            vendor.logs[number] = [f"line of {number}"]
        await until_in_loop(lambda: vendor.count("log") >= 3)
        for number in vendor.states:
            vendor.states[number] = "DONE"
        await waits.until_ended(1, 2, 3)

    asyncio.run(scenario())
    for task in ("1", "2", "3"):
        assert [line for line in lines.of(task) if "line of" in line] == [f"| line of {task}"]


def test_very_long_news_of_one_poll_are_left_out_except_for_the_last() -> None:
    many = [LogLine(str(number)) for number in range(1000)]
    long = [LogLine("first"), *[LogLine("x" * 3000)] * 50, LogLine("last")]
    for news in (many, long):
        shown = [line.text for line in poller.shortened(news)]
        assert len(shown) <= poller.MOST_LINES
        assert sum(map(len, shown)) <= poller.MOST_CHARACTERS + 100
        assert (shown[0], shown[-1]) == (news[0].text, news[-1].text)
        assert shown[-2] == f"  ... {len(news) - len(shown) + 1} lines left out"
    assert len(poller.shortened(many)) == poller.MOST_LINES
    for few in (many[: poller.MOST_LINES], long[:3]):
        assert poller.shortened(few) == few


@pytest.mark.parametrize("connections", [1, 2])
def test_few_connections_are_enough_for_polls_and_logs(vendor: CocktailServer, connections: int, lines: Lines) -> None:
    define_connection(
        CONN_ID, conn_type="cocktail", host=vendor.url, password="t", extra={"max_connections": connections}
    )
    refs = vendor.start(12)

    async def scenario() -> None:
        waits = Waits(refs)
        await until_in_loop(lambda: vendor.count("log") >= 12)
        for number in vendor.states:
            vendor.states[number] = "DONE"
        await waits.until_ended(*vendor.states)

    asyncio.run(scenario())
    assert vendor.most_at_once <= connections


@pytest.mark.parametrize("takes_long", [False, True])
def test_the_loop_gets_its_turn_after_every_few_lines_of_however_many_logs(
    vendor: CocktailServer, lines: Lines, takes_long: bool, mocker: MockerFixture
) -> None:
    if takes_long:
        mocker.patch.object(poller, "LONGEST_BLOCK", 0.0)
    refs = vendor.start(20)

    async def scenario() -> int:
        longest = logged = 0
        waits = Waits(refs)
        for number in vendor.states:
            vendor.logs[number] = [f"line {line} of {number}" for line in range(40)]
            vendor.states[number] = "DONE"
        while len(waits.ended()) < len(refs):
            await asyncio.sleep(0)
            logged, before = len(lines.all), logged
            longest = max(longest, logged - before)
        return longest

    assert asyncio.run(scenario()) <= (1 if takes_long else poller.LINES_AT_ONCE)
    assert all(len(lines.of(str(number))) == 42 for number in vendor.states)
