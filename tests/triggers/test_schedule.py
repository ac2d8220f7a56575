"""When requests are made, in a time of the tests' own: no clock, no loop, no vendor."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from airflow_provider.core.waiting import Wait
from airflow_provider.exceptions import Call, ReleasePipelineError, ServerUnavailableError, ThrottledError
from airflow_provider.triggers.errands import Answer, Batch
from airflow_provider.triggers.schedule import LOOKS_FOR_A_LOG, MOST_IN_ONE_GO, TICK, Schedule

TODAY = 1_800_000_000.0
"""Epoch seconds at which the tests' own clock says 0."""

DOWN = ServerUnavailableError("no connection")
BROKEN = ServerUnavailableError("down", call=Call(status=503))


class Poll:
    """A schedule whose requests take no time, and what was asked for when.

    :param answer: to the request for these waits.
    """

    def __init__(self, per_second: float = 20.0, connections: int = 8) -> None:
        self.schedule = Schedule(per_second, 1.0)
        self.schedule.connections = connections
        self.waits: list[Wait] = []
        self.asked: list[tuple[float, list[Wait]]] = []
        self.answers: dict[Wait, Answer] = {}
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
        for errand, waits in batch.asked:
            self.asked.append((self.now, waits))
            answered.append((errand, waits, self.answers.get(waits[0], [None] * len(waits))))
        self.schedule.is_over(batch, self.now)
        self.schedule.budget.spend(len(batch.asked), self.now)
        self.schedule.judge(batch, answered, self.now, today, self.waits)
        for errand, _ in batch.asked:
            self.schedule.is_back(errand, self.now, today)

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
            self.sizes += [len(batch.asked) for batch in batches]
            self.running += [(self.now + took, batch) for batch in batches]

    def times_of(self, wait: Wait) -> list[float]:
        return [moment for moment, waits in self.asked if wait in waits]


def test_a_request_for_many_is_made_once_for_all_of_them_at_the_shortest_interval() -> None:
    poll = Poll()
    poll.join(100, "all", 60.0)
    poll.join(1, "all", 5.0)
    poll.run(100.0)
    assert 18 <= len(poll.asked) <= 24
    assert all(len(waits) == 101 for _, waits in poll.asked)


def test_each_request_keeps_an_interval_of_its_own() -> None:
    poll = Poll()
    (often,), (rarely,) = poll.join(1, None, 5.0), poll.join(1, None, 60.0)
    poll.run(600.0)
    assert 115 <= len(poll.times_of(often)) <= 126
    assert 10 <= len(poll.times_of(rarely)) <= 13


@pytest.mark.parametrize(("took", "count"), [(0.002, 1000), (0.3, 1000), (0.3, 60)])
def test_waits_that_share_no_request_keep_to_the_budget_and_take_turns(took: float, count: int) -> None:
    poll = Poll(20.0)
    waits = poll.join(count)
    poll.run(150.0, took)
    per_second = min(20.0, count / 5.0)
    assert len(poll.asked) <= 1.1 * per_second * 150 + 5 * 20 + count
    assert len(poll.asked) >= 0.9 * per_second * 150
    looks = [len(poll.times_of(wait)) for wait in waits]
    assert max(looks) - min(looks) <= max(2, 0.2 * max(looks))
    assert poll.schedule.is_late == (count > 100)


def test_two_hundred_ends_at_once_are_read_as_fast_as_eight_connections_can() -> None:
    poll = Poll(100.0)
    waits = poll.join(200, "all")
    poll.run(20.0, 0.3)
    poll.asked.clear()
    for wait in waits:
        poll.schedule.look_apart(wait, lambda: None, poll.now, TODAY + poll.now)
    begun = poll.now
    poll.run(60.0, 0.3)
    ends = [moment for moment, asked in poll.asked if len(asked) == 1]
    assert len(ends) == 200
    assert max(ends) - begun <= 200 * 0.3 / 8 + 1.0


def test_an_execution_that_has_moved_is_looked_at_before_others_and_a_deadline_before_everything() -> None:
    poll = Poll(2.0, connections=1)
    poll.join(300)
    (moved,) = poll.join(1, "list")
    poll.run(60.0)
    urgent = Wait({}, 500.0, deadline=TODAY + 70.0)
    poll.schedule.join(urgent, None, poll.now, TODAY + poll.now)
    poll.schedule.look_apart(moved, lambda: None, poll.now, TODAY + poll.now)
    poll.asked.clear()
    poll.run(75.0)
    assert poll.times_of(moved)[0] <= 65.0
    assert any(70.0 <= moment <= 71.0 for moment in poll.times_of(urgent))


def test_requests_that_are_fast_are_made_in_one_go_and_slow_ones_by_themselves() -> None:
    fast, slow = Poll(1000.0), Poll(1000.0)
    for poll, took in ((fast, 0.01), (slow, 0.5)):
        poll.join(100)
        poll.run(20.0, took)
    assert fast.sizes[0] == 1
    assert max(fast.sizes) == MOST_IN_ONE_GO
    assert set(slow.sizes) == {1}


def test_while_there_is_trouble_one_request_at_a_time_tries_and_another_one_each_time() -> None:
    poll = Poll()
    waits = poll.join(20, interval=1.0)
    poll.answers = dict.fromkeys(waits, DOWN)
    poll.run(120.0, 0.1)
    late = [(moment, asked) for moment, asked in poll.asked if moment > 10.0]
    moments = [moment for moment, _ in late]
    assert all(later - sooner >= 4.0 for sooner, later in pairwise(moments))
    assert len({id(asked[0]) for _, asked in late}) == len(late)
    poll.answers = {}
    poll.asked.clear()
    poll.run(190.0, 0.1)
    assert all(poll.times_of(wait) for wait in waits)


def test_requests_that_fail_together_are_one_failure() -> None:
    poll = Poll()
    poll.answers = dict.fromkeys(poll.join(8, interval=1.0), DOWN)
    batches = poll.take()
    assert len(batches) == 8
    poll.now = 0.2
    for batch in batches:
        poll.end(batch)
    assert poll.schedule.trouble.until <= poll.now + 2.0


@pytest.mark.parametrize("healthy", [0, 1])
def test_errors_of_all_requests_are_trouble_and_errors_of_some_are_not(healthy: int) -> None:
    poll = Poll()
    poll.answers = dict.fromkeys(poll.join(10), BROKEN)
    good = poll.join(healthy)
    poll.run(120.0)
    if healthy:
        assert not poll.schedule.trouble.is_on
        assert len(poll.times_of(good[0])) >= 20
    else:
        assert poll.schedule.trouble.is_on
        assert len(poll.asked) <= 10 + 6


def test_a_moment_that_the_vendor_names_is_kept_whatever_was_on_its_way() -> None:
    poll = Poll()
    first, second, third = poll.join(3)
    poll.answers = {first: DOWN, second: ThrottledError("slower", retry_after=100.0)}
    batches = poll.take()
    poll.now = 0.1
    for batch in batches:
        poll.end(batch)
    assert poll.schedule.trouble.is_on, "the third was on its way: its answer proves nothing"
    poll.asked.clear()
    poll.run(100.0)
    assert poll.asked == []
    poll.answers = {}
    poll.run(110.0)
    assert all(poll.times_of(wait) for wait in (first, second, third))


def test_logs_come_after_looks_but_are_not_starved() -> None:
    poll = Poll(10.0)
    assert poll.schedule.until_a_log(0.0, is_the_last=False) == 0
    poll.schedule.budget.spend(40, 0.0)
    assert poll.schedule.until_a_log(0.0, is_the_last=False) > 0, "the rest is left to the looks"
    assert poll.schedule.until_a_log(0.0, is_the_last=True) == 0
    poll.schedule.budget.spend(-40, 0.0)
    poll.join(500)
    logs = 0
    while poll.now < 60.0:
        poll.run(poll.now + TICK)
        if poll.schedule.until_a_log(poll.now, is_the_last=False) == 0:
            poll.schedule.note_log()
            poll.schedule.budget.spend(1, poll.now)
            logs += 1
    assert 60 <= logs <= len(poll.asked) / (LOOKS_FOR_A_LOG - 1)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_comes_and_goes_each_wait_is_looked_at_and_none_twice_at_a_time(seed: int) -> None:
    random.seed(seed)  # requests are spread by chance
    chance = random.Random(seed)
    poll = Poll(chance.choice([5.0, 50.0, 1000.0]), chance.randint(1, 8))
    took = chance.choice([0.001, 0.05, 1.0])
    on_their_way: list[Wait] = []
    take, end = poll.take, poll.end

    def noted_take() -> list[Batch]:
        batches = take()
        for batch in batches:
            for _, waits in batch.asked:
                assert not set(waits) & set(on_their_way), "asked for twice at a time"
                on_their_way.extend(waits)
        assert len(batches) <= poll.schedule.connections
        return batches

    def noted_end(batch: Batch) -> None:
        for _, waits in batch.asked:
            for wait in waits:
                on_their_way.remove(wait)
        end(batch)
        for _, waits in batch.asked:
            if len(waits) > 1 and chance.random() < 0.3:
                for wait in chance.sample(waits, 2):
                    poll.schedule.look_apart(wait, lambda: None, poll.now, TODAY + poll.now)

    poll.take, poll.end = noted_take, noted_end  # type: ignore[method-assign]
    for _ in range(40):
        act = chance.random()
        if act < 0.5:
            poll.join(chance.choice([1, 5]), chance.choice([None, "a", "b"]), chance.choice([1.0, 10.0]))
        elif act < 0.6 and poll.waits:
            poll.schedule.leave(poll.waits.pop(chance.randrange(len(poll.waits))))
        elif act < 0.7 and poll.waits:
            wait = chance.choice(poll.waits)
            if wait not in on_their_way:  # it is told first
                poll.schedule.follow(wait, chance.choice([None, "a", "c"]), poll.now, TODAY + poll.now)
        elif act < 0.8 and poll.waits:
            wait = chance.choice(poll.waits)
            error: ReleasePipelineError = chance.choice([DOWN, BROKEN, ThrottledError("slower", retry_after=3.0)])
            poll.answers = {wait: error} if act < 0.75 else {}
        poll.run(poll.now + chance.choice([0.0, 0.3, 3.0]), took)
    poll.answers = {}
    begun = poll.now
    poll.run(begun + 200.0, took)
    for wait in poll.waits:
        assert any(moment > begun for moment in poll.times_of(wait)), "forgotten"


def test_a_request_that_no_wait_needs_comes_within_the_budget_and_not_during_trouble() -> None:
    schedule = Schedule(20.0, 1.0)
    assert schedule.until_asked(0.0) == 0.0
    schedule.budget.spend(100, 0.0)
    assert schedule.until_asked(0.0) == pytest.approx(0.05)
    schedule.note_trouble(ThrottledError("slowly", retry_after=30.0), 0.0, 1.0, TODAY, [])
    assert schedule.until_asked(1.0) == pytest.approx(30.0)


def test_a_request_that_no_wait_needs_is_not_starved_by_looks_that_are_late() -> None:
    schedule = Schedule(20.0, 1.0)
    schedule.join(Wait({}, 1.0), None, 0.0, TODAY)
    schedule.budget.spend(100, 0.0)
    assert schedule.until_asked(0.0) == 0.0
    schedule.budget.spend(100, 0.0)
    assert schedule.until_asked(0.0) == pytest.approx(0.05)


def test_an_outage_of_waits_that_rely_on_a_push_holds_nobody_back_for_long() -> None:
    poll = Poll()
    (wait,) = poll.join(1, interval=10.0, net=600.0)
    wait.saw_no_change(TODAY)
    poll.answers[wait] = DOWN
    poll.run(0.0)
    assert poll.schedule.trouble.is_on
    assert poll.schedule.trouble.until <= 60.0
