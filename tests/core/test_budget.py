"""Which request is next under a budget: properties that hold over many random lives of a poller."""

from __future__ import annotations

import math
import random
import tracemalloc

import pytest

from airflow_provider.core.budget import MADE_UP_FOR, QUIET, Budget, Lateness, Turns


def test_what_was_not_needed_is_made_up_for_and_no_more():
    budget = Budget(20.0)
    assert budget.left(1000.0) == 20 * MADE_UP_FOR
    budget.spend(20 * MADE_UP_FOR, 1000.0)
    assert budget.left(1000.0) == 0
    assert budget.pause(1000.0) == pytest.approx(0.05)
    assert budget.left(1001.0) == 20
    assert budget.left(5000.0) == 20 * MADE_UP_FOR


def test_more_requests_than_were_planned_are_paid_back():
    budget = Budget(10.0)
    budget.spend(10 * MADE_UP_FOR + 30, 0.0)
    assert budget.pause(0.0) == pytest.approx(3.1)
    budget.spend(-30, 0.0)
    assert budget.pause(0.0) == pytest.approx(0.1)


def test_a_budget_below_one_request_a_second_still_lets_one_through_at_a_time():
    budget = Budget(0.1)
    budget.spend(1, 0.0)
    assert budget.pause(0.0, 10) == pytest.approx(10.0)


def test_a_clock_that_stands_still_or_goes_back_gives_nothing():
    budget = Budget(1.0)
    budget.spend(5, 10.0)
    assert budget.left(9.0) == 0


def test_a_deadline_that_has_come_goes_first_and_the_soonest_of_them():
    turns: Turns[str] = Turns()
    turns.put("for many", 0.0, unseen_since=-1000.0, weight=500)
    turns.put("soon", 100.0, unseen_since=9.0, deadline=10.0)
    turns.put("sooner", 0.0, unseen_since=9.0, deadline=9.5)
    turns.put("later", 0.0, unseen_since=9.0, deadline=11.0)
    assert [key for key, _ in turns.take(10.0, 9)] == ["sooner", "soon", "for many", "later"]


def test_the_longest_unseen_goes_first_and_a_request_for_many_counts_for_all_of_them():
    turns: Turns[str] = Turns()
    turns.put("long", 0.0, unseen_since=-30.0)
    turns.put("longer", 0.0, unseen_since=-50.0)
    turns.put("for many", 0.0, unseen_since=-5.0, weight=256)
    turns.put("not due", 2.0, unseen_since=-90.0)
    assert turns.take(1.0, 9) == [("for many", 1.0), ("longer", 1.0), ("long", 1.0)]
    assert turns.next_due() == 2.0
    assert turns.take(1.0, 9) == []


def test_what_is_lined_up_again_or_dropped_is_not_taken_twice():
    turns: Turns[str] = Turns()
    turns.put("a", 0.0, unseen_since=0.0)
    turns.put("a", 5.0, unseen_since=0.0)
    turns.put("b", 0.0, unseen_since=0.0)
    turns.drop("b")
    turns.drop("never there")
    assert turns.take(1.0, 9) == []
    assert (len(turns), "a" in turns, turns.due(5.0), turns.next_due()) == (1, True, ["a"], 5.0)


def test_what_waits_for_years_costs_no_memory_for_each_poll():
    turns: Turns[int] = Turns()
    tracemalloc.start()
    try:
        for now in range(10_000):
            turns.put(now % 7, float(now), unseen_since=float(now), deadline=1e9)
            turns.take(now + 1.0, now % 3)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 10_000


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_the_budget_is_kept_and_nobody_is_starved(seed: int):
    """A poller in virtual time: requests of all weights, intervals and deadlines are added, made and removed."""
    chance = random.Random(seed)
    rate, threads = chance.choice([0.5, 3.0, 20.0, 200.0]), chance.randint(1, 8)
    budget, turns = Budget(rate), Turns[int]()
    intervals = {key: chance.choice([1.0, 5.0, 60.0]) for key in range(chance.randint(1, 120))}
    weights = {key: chance.choice([1, 1, 1, 3, 200]) for key in intervals}
    deadlines = {key: chance.uniform(0, 100) for key in intervals if chance.random() < 0.2}
    asked: dict[int, float] = {}
    longest: dict[int, float] = dict.fromkeys(intervals, 0.0)
    sent = 0
    for key in intervals:
        turns.put(key, 0.0, unseen_since=0.0, weight=weights[key], deadline=deadlines.get(key))
    end, now = 120 + 30 * len(intervals) / rate, 0.0
    while now < end:
        taken = turns.take(now, min(threads, budget.affords(now)))
        assert len(taken) <= threads
        budget.spend(len(taken), now)
        sent += len(taken)
        assert sent <= rate * (now + MADE_UP_FOR) + 1, "over the budget"
        for place, (key, late) in enumerate(taken):
            since = asked.get(key, 0.0)
            assert late >= 0
            assert now >= min(since + intervals[key], deadlines.get(key, now)) or key not in asked, "before its time"
            is_over = [deadlines.get(other, now + 1) <= now for other, _ in taken]
            assert is_over[place] or not any(is_over[place:]), "a deadline that has come stood behind another"
            longest[key] = max(longest[key], now - since)
            asked[key] = now
            if deadlines.get(key, now + 1) <= now:
                del deadlines[key]
            turns.put(
                key,
                now + intervals[key],
                unseen_since=now,
                weight=weights[key],
                deadline=deadlines.get(key),
            )
        due = turns.next_due()
        assert due is not None
        now = max(now + 0.01, due if due > now else now + budget.pause(now))
    assert asked.keys() == intervals.keys(), "never asked at all"
    share = sum(math.sqrt(weight) for weight in weights.values()) / min(rate, threads / 0.01)
    assert max(longest.values()) <= max(intervals.values()) + 2 * share + 2 / rate, "starved"


def test_being_late_is_said_once_and_again_only_after_it_was_over_for_long():
    lateness = Lateness()
    assert not lateness.note(4.0, 5.0, 0.0)
    assert lateness.note(6.0, 5.0, 0.0)
    assert not any(lateness.note(6.0, 5.0, float(now)) for now in range(1, 2000, 10))
    assert lateness.note(6.0, 5.0, 2000.0 + QUIET)
