"""When requests are made, in a time of the tests' own: no clock, no loop, no vendor."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from airflow_provider.core.waiting import Wait
from airflow_provider.exceptions import Call, ReleasePipelineError, ServerUnavailableError, ThrottledError
from airflow_provider.triggers.polls import Batch, PollAnswer
from airflow_provider.triggers.schedule import LARGEST_BATCH, POLLS_PER_LOG, TICK, Schedule

TODAY = 1_800_000_000.0
"""Epoch seconds at which the tests' own clock says 0."""

DOWN = ServerUnavailableError("no connection")
BROKEN = ServerUnavailableError("down", call=Call(status=503))


class Polling:
    """A schedule whose requests take no time, and what was asked for when.

    :param answer: to the request for these waits.
    """

    def __init__(self, per_second: float = 20.0, connections: int = 8) -> None:
        self.schedule = Schedule(per_second, 1.0)
        self.schedule.connections = connections
        self.waits: list[Wait] = []
        self.asked: list[tuple[float, list[Wait]]] = []
        self.answers: dict[Wait, PollAnswer] = {}
        self.now = 0.0
        self.running: list[tuple[float, Batch]] = []
        self.sizes: list[int] = []

    def join(self, count: int, name: str | None = None, interval: float = 5.0, **arguments: Any) -> list[Wait]:
        waits = [Wait({}, interval, **arguments) for _ in range(count)]
        for wait in waits:
            self.schedule.join(wait, name, self.now, TODAY + self.now)
        self.waits += waits
        return waits

    def take(self) -> list[Batch]:
        return self.schedule.take(self.now, TODAY + self.now)

    def end(self, batch: Batch) -> None:
        """The batch comes back."""
        today = TODAY + self.now
        answered = []
        for poll, waits in batch.polls:
            self.asked.append((self.now, waits))
            answered.append((poll, waits, self.answers.get(waits[0], [None] * len(waits))))
        self.schedule.finish(batch, self.now)
        self.schedule.budget.spend(len(batch.polls), self.now)
        self.schedule.judge(batch, answered, self.now, today, self.waits)
        for poll, _ in batch.polls:
            self.schedule.requeue(poll, self.now, today)

    def run(self, until: float, took: float = 0.0) -> None:
        """:param took: seconds from a request to its answer."""
        while True:
            moment = min([self.schedule.next_moment(self.now), *(end for end, _ in self.running)])
            if moment > until:
                self.now = until
                return
            self.now = max(self.now, moment)
            for each in [each for each in self.running if each[0] <= self.now]:
                self.running.remove(each)
                self.end(each[1])
            batches = self.take()
            self.sizes += [len(batch.polls) for batch in batches]
            self.running += [(self.now + took, batch) for batch in batches]

    def times_of(self, wait: Wait) -> list[float]:
        return [moment for moment, waits in self.asked if wait in waits]


def test_a_request_for_many_is_made_once_for_all_of_them_at_the_shortest_interval() -> None:
    polling = Polling()
    polling.join(100, "all", 60.0)
    polling.join(1, "all", 5.0)
    polling.run(100.0)
    assert 18 <= len(polling.asked) <= 24
    assert all(len(waits) == 101 for _, waits in polling.asked)


def test_each_request_keeps_an_interval_of_its_own() -> None:
    polling = Polling()
    (often,), (rarely,) = polling.join(1, None, 5.0), polling.join(1, None, 60.0)
    polling.run(600.0)
    assert 115 <= len(polling.times_of(often)) <= 126
    assert 10 <= len(polling.times_of(rarely)) <= 13


@pytest.mark.parametrize(("took", "count"), [(0.002, 1000), (0.3, 1000), (0.3, 60)])
def test_waits_that_share_no_request_keep_to_the_budget_and_take_turns(took: float, count: int) -> None:
    polling = Polling(20.0)
    waits = polling.join(count)
    polling.run(150.0, took)
    per_second = min(20.0, count / 5.0)
    assert len(polling.asked) <= 1.1 * per_second * 150 + 5 * 20 + count
    assert len(polling.asked) >= 0.9 * per_second * 150
    polls = [len(polling.times_of(wait)) for wait in waits]
    assert max(polls) - min(polls) <= max(2, 0.2 * max(polls))
    assert polling.schedule.is_late == (count > 100)


@pytest.mark.parametrize("apart", [0.0, 1.7])
def test_polls_of_one_interval_come_together_in_one_batch(apart: float) -> None:
    polling = Polling()
    for number in range(10):
        polling.join(2, f"build {number}")
        polling.run(polling.now + apart, 0.005)
    polling.run(300.0, 0.005)
    polling.sizes.clear()
    polling.run(420.0, 0.005)
    assert 210 <= sum(polling.sizes) <= 270, "each every five seconds, no more often"
    assert len(polling.sizes) <= 60, "twenty-four rounds, most of them in one batch"


def test_two_hundred_ends_at_once_are_read_as_fast_as_eight_connections_can() -> None:
    polling = Polling(100.0)
    waits = polling.join(200, "all")
    polling.run(20.0, 0.3)
    polling.asked.clear()
    for wait in waits:
        polling.schedule.poll_alone(wait, lambda: None, polling.now, TODAY + polling.now)
    begun = polling.now
    polling.run(60.0, 0.3)
    ends = [moment for moment, asked in polling.asked if len(asked) == 1]
    assert len(ends) == 200
    assert max(ends) - begun <= 200 * 0.3 / 8 + 1.0


def test_an_execution_that_has_moved_is_polled_before_others_and_a_deadline_before_everything() -> None:
    polling = Polling(2.0, connections=1)
    polling.join(300)
    (moved,) = polling.join(1, "list")
    polling.run(60.0)
    urgent = Wait({}, 500.0, deadline=TODAY + 70.0)
    polling.schedule.join(urgent, None, polling.now, TODAY + polling.now)
    polling.schedule.poll_alone(moved, lambda: None, polling.now, TODAY + polling.now)
    polling.asked.clear()
    polling.run(75.0)
    assert polling.times_of(moved)[0] <= 65.0
    assert any(70.0 <= moment <= 71.0 for moment in polling.times_of(urgent))


def test_requests_that_are_fast_are_made_in_one_go_and_slow_ones_by_themselves() -> None:
    fast, slow = Polling(1000.0), Polling(1000.0)
    for polling, took in ((fast, 0.01), (slow, 0.5)):
        polling.join(100)
        polling.run(20.0, took)
    assert fast.sizes[0] == 1
    assert max(fast.sizes) == LARGEST_BATCH
    assert set(slow.sizes) == {1}


def test_while_there_is_trouble_one_request_at_a_time_tries_and_another_one_each_time() -> None:
    polling = Polling()
    waits = polling.join(20, interval=1.0)
    polling.answers = dict.fromkeys(waits, DOWN)
    polling.run(120.0, 0.1)
    late = [(moment, asked) for moment, asked in polling.asked if moment > 10.0]
    moments = [moment for moment, _ in late]
    assert all(later - sooner >= 4.0 for sooner, later in pairwise(moments))
    assert len({id(asked[0]) for _, asked in late}) == len(late)
    polling.answers = {}
    polling.asked.clear()
    polling.run(190.0, 0.1)
    assert all(polling.times_of(wait) for wait in waits)


def test_requests_that_fail_together_are_one_failure() -> None:
    polling = Polling()
    polling.answers = dict.fromkeys(polling.join(8, interval=1.0), DOWN)
    batches = polling.take()
    assert len(batches) == 8
    polling.now = 0.2
    for batch in batches:
        polling.end(batch)
    assert polling.schedule.trouble.until <= polling.now + 2.0


@pytest.mark.parametrize("healthy", [0, 1])
def test_errors_of_all_requests_are_trouble_and_errors_of_some_are_not(healthy: int) -> None:
    polling = Polling()
    polling.answers = dict.fromkeys(polling.join(10), BROKEN)
    good = polling.join(healthy)
    polling.run(120.0)
    if healthy:
        assert not polling.schedule.trouble.is_on
        assert len(polling.times_of(good[0])) >= 20
    else:
        assert polling.schedule.trouble.is_on
        assert len(polling.asked) <= 10 + 6


def test_a_moment_that_the_vendor_names_is_kept_whatever_was_on_its_way() -> None:
    polling = Polling()
    first, second, third = polling.join(3)
    polling.answers = {first: DOWN, second: ThrottledError("slower", retry_after=100.0)}
    batches = polling.take()
    polling.now = 0.1
    for batch in batches:
        polling.end(batch)
    assert polling.schedule.trouble.is_on, "the third was on its way: its answer proves nothing"
    polling.asked.clear()
    polling.run(100.0)
    assert polling.asked == []
    polling.answers = {}
    polling.run(110.0)
    assert all(polling.times_of(wait) for wait in (first, second, third))


def test_logs_come_after_polls_but_are_not_starved() -> None:
    polling = Polling(10.0)
    assert polling.schedule.log_delay(0.0, is_the_last=False) == 0
    polling.schedule.budget.spend(40, 0.0)
    assert polling.schedule.log_delay(0.0, is_the_last=False) > 0, "the rest is left to the polls"
    assert polling.schedule.log_delay(0.0, is_the_last=True) == 0
    polling.schedule.budget.spend(-40, 0.0)
    polling.join(500)
    logs = 0
    while polling.now < 60.0:
        polling.run(polling.now + TICK)
        if polling.schedule.log_delay(polling.now, is_the_last=False) == 0:
            polling.schedule.note_log()
            polling.schedule.budget.spend(1, polling.now)
            logs += 1
    assert 60 <= logs <= len(polling.asked) / (POLLS_PER_LOG - 1)


class Counted(Wait):
    """Counts how often the deadlines of all waits were read."""

    reads = 0

    def __getattribute__(self, name: str) -> Any:
        if name == "deadline":
            Counted.reads += 1
        return super().__getattribute__(name)


def test_thousands_that_begin_one_after_the_other_are_not_searched_for_each_of_them() -> None:
    polling, waits = Polling(), [Counted({}, 5.0, deadline=TODAY + 900.0 - number) for number in range(1000)]
    Counted.reads = 0
    for wait in waits:
        polling.schedule.join(wait, "a", 0.0, TODAY)
    for wait in waits:
        polling.schedule.follow(wait, "b", 0.0, TODAY)
    assert Counted.reads <= 20 * len(waits)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_comes_and_goes_each_wait_is_polled_and_none_twice_at_a_time(seed: int) -> None:
    random.seed(seed)  # requests are spread by chance
    chance = random.Random(seed)
    polling = Polling(chance.choice([5.0, 50.0, 1000.0]), chance.randint(1, 8))
    took = chance.choice([0.001, 0.05, 1.0])
    on_their_way: list[Wait] = []
    take, end = polling.take, polling.end

    def noted_take() -> list[Batch]:
        batches = take()
        for batch in batches:
            for _, waits in batch.polls:
                assert not set(waits) & set(on_their_way), "asked for twice at a time"
                on_their_way.extend(waits)
        assert len(batches) <= polling.schedule.connections
        return batches

    def noted_end(batch: Batch) -> None:
        for _, waits in batch.polls:
            for wait in waits:
                on_their_way.remove(wait)
        end(batch)
        for _, waits in batch.polls:
            if len(waits) > 1 and chance.random() < 0.3:
                for wait in chance.sample(waits, 2):
                    polling.schedule.poll_alone(wait, lambda: None, polling.now, TODAY + polling.now)

    polling.take, polling.end = noted_take, noted_end  # type: ignore[method-assign]
    for _ in range(40):
        act = chance.random()
        if act < 0.5:
            polling.join(chance.choice([1, 5]), chance.choice([None, "a", "b"]), chance.choice([1.0, 10.0]))
        elif act < 0.6 and polling.waits:
            polling.schedule.leave(polling.waits.pop(chance.randrange(len(polling.waits))))
        elif act < 0.7 and polling.waits:
            wait = chance.choice(polling.waits)
            if wait not in on_their_way:  # its end is delivered first
                polling.schedule.follow(wait, chance.choice([None, "a", "c"]), polling.now, TODAY + polling.now)
        elif act < 0.8 and polling.waits:
            wait = chance.choice(polling.waits)
            error: ReleasePipelineError = chance.choice([DOWN, BROKEN, ThrottledError("slower", retry_after=3.0)])
            polling.answers = {wait: error} if act < 0.75 else {}
        polling.run(polling.now + chance.choice([0.0, 0.3, 3.0]), took)
    polling.answers = {}
    begun = polling.now
    polling.run(begun + 200.0, took)
    for wait in polling.waits:
        assert any(moment > begun for moment in polling.times_of(wait)), "forgotten"


def test_a_request_that_no_wait_needs_comes_within_the_budget_and_not_during_trouble() -> None:
    schedule = Schedule(20.0, 1.0)
    assert schedule.call_delay(0.0) == 0.0
    schedule.budget.spend(100, 0.0)
    assert schedule.call_delay(0.0) == pytest.approx(0.05)
    schedule.note_trouble(ThrottledError("slowly", retry_after=30.0), 0.0, 1.0, TODAY, [])
    assert schedule.call_delay(1.0) == pytest.approx(30.0)


def test_a_request_that_no_wait_needs_is_not_starved_by_polls_that_are_late() -> None:
    schedule = Schedule(20.0, 1.0)
    schedule.join(Wait({}, 1.0), None, 0.0, TODAY)
    schedule.budget.spend(100, 0.0)
    assert schedule.call_delay(0.0) == 0.0
    schedule.budget.spend(100, 0.0)
    assert schedule.call_delay(0.0) == pytest.approx(0.05)


def test_an_outage_of_waits_that_rely_on_a_push_holds_nobody_back_for_long() -> None:
    polling = Polling()
    (wait,) = polling.join(1, interval=10.0, net=600.0)
    wait.update_unchanged(TODAY)
    polling.answers[wait] = DOWN
    polling.run(0.0)
    assert polling.schedule.trouble.is_on
    assert polling.schedule.trouble.until <= 60.0
