"""What is new to a watcher: nothing is lost and nothing is told twice, over random lives of lists and watchers."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from airflow_provider.core import changes as core_changes
from airflow_provider.core.changes import (
    GONE,
    NEW,
    Change,
    Cursor,
    Lane,
    Mark,
    known_to_all,
    known_to_either,
    take,
)
from airflow_provider.core.durations import DURATIONS
from tests.support.examples import PATIENT

LATE = DURATIONS.late_change
PLACE = "quay.example.com"


def change(number: int, at: float, wanted: bool = True) -> Change:
    return Change(f"change {number}", at, {"number": number, "wanted": wanted})


def is_wanted(each: Change) -> bool:
    return bool(each.payload["wanted"])


def read(changes: list[Change], since: float = -math.inf, read_at: float = math.inf) -> dict[str, Lane]:
    """What a poll shows that reaches back to a moment."""
    return {NEW: Lane([each for each in changes if each.at >= since], since, read_at)}


def new_of(taken: core_changes.Taken) -> list[int]:
    return [each.payload["number"] for each in taken.changes]


def begun(changes: list[Change], since: float = -math.inf) -> Cursor:
    return take(None, PLACE, read(changes, since), is_wanted, 10).cursor


def test_who_begins_reports_nothing_of_what_it_finds_and_all_that_comes() -> None:
    changes = [change(number, 1000.0 * number) for number in range(4)]
    cursor = begun(changes)
    changes += [change(4, 3000.0), change(5, 3001.0)]
    assert new_of(take(cursor, PLACE, read(changes), is_wanted, 10)) == [4, 5]


def test_who_begins_with_an_empty_list_reports_whatever_comes() -> None:
    cursor = begun([])
    assert cursor.since(NEW) == -math.inf
    assert new_of(take(cursor, PLACE, read([change(1, 5.0)]), is_wanted, 10)) == [1]


def test_who_has_seen_a_part_of_a_list_takes_nothing_older_for_news() -> None:
    changes = [change(1, 1000.0), change(2, 2000.0)]
    cursor = begun(changes, since=1900.0)
    assert new_of(take(cursor, PLACE, read(changes), is_wanted, 10)) == []


def test_what_shows_late_is_reported_all_the_same() -> None:
    changes = [change(1, 10_000.0)]
    cursor = begun(changes)
    changes.append(change(2, 10_000.0 - LATE))
    assert new_of(take(cursor, PLACE, read(changes), is_wanted, 10)) == [2]


def test_a_reading_that_does_not_reach_back_far_enough_reports_nothing_and_says_how_far_it_must() -> None:
    cursor = begun([change(1, 1000.0)])
    taken = take(cursor, PLACE, read([change(1, 1000.0), change(2, 9000.0)], since=8000.0), is_wanted, 10)
    assert (new_of(taken), taken.since, taken.cursor) == ([], 1000.0 - LATE, cursor)


def test_of_very_many_news_the_oldest_are_reported_first_and_the_others_next() -> None:
    cursor = begun([])
    changes = [change(number, 100.0) for number in range(7)]
    seen = []
    for _ in range(4):
        taken = take(cursor, PLACE, read(changes), is_wanted, 2)
        seen.append((new_of(taken), taken.is_more))
        cursor = taken.cursor
    assert seen == [([0, 1], True), ([2, 3], True), ([4, 5], True), ([6], False)]


def test_a_change_with_a_date_in_the_future_makes_nothing_else_look_old() -> None:
    cursor = begun([change(1, 1000.0)])
    changes = [change(1, 1000.0), change(2, 9e9)]
    taken = take(cursor, PLACE, read(changes, read_at=1010.0), is_wanted, 10)
    assert new_of(taken) == [2]
    changes.append(change(3, 1005.0))
    assert new_of(take(taken.cursor, PLACE, read(changes, read_at=1020.0), is_wanted, 10)) == [3]


def test_a_clock_that_was_ahead_for_a_while_hides_nothing_that_happens_after_it_was_corrected() -> None:
    day = 86_400.0
    changes = [change(1, 1000.0)]
    cursor = take(None, PLACE, read(changes, read_at=2000.0), is_wanted, 10).cursor
    changes.append(change(2, day + 2000.0))
    ahead = take(cursor, PLACE, read(changes, read_at=day + 2001.0), is_wanted, 10)
    changes.append(change(3, 2100.0))
    back = take(ahead.cursor, PLACE, read(changes, since=day + 1000.0, read_at=2101.0), is_wanted, 10)
    # The poll reached back to what was known, which it must do once more.
    assert (new_of(back), back.since) == ([], 2101.0 - LATE)
    after = take(back.cursor, PLACE, read(changes, since=2101.0 - LATE, read_at=2102.0), is_wanted, 10)
    assert (new_of(ahead), new_of(after)) == ([2], [3])
    assert new_of(take(after.cursor, PLACE, read(changes, read_at=2103.0), is_wanted, 10)) == []


@pytest.mark.parametrize("step", [1.0, LATE])
def test_a_clock_that_is_set_back_a_little_repeats_nothing(step: float) -> None:
    changes = [change(1, 1000.0), change(2, 5000.0 - LATE - step / 2), change(3, 6000.0)]
    cursor = begun(changes)
    for read_at in (6000.0, 6000.0 - step):
        taken = take(cursor, PLACE, read(changes, read_at=read_at), is_wanted, 10)
        assert new_of(taken) == []
        cursor = taken.cursor


def test_what_is_not_wanted_is_passed_over_and_costs_no_room() -> None:
    cursor = begun([])
    taken = take(cursor, PLACE, read([change(1, 1000.0, wanted=False), change(2, 1001.0)]), is_wanted, 10)
    assert new_of(taken) == [2]
    assert len(taken.cursor.marks[NEW].recent) == 1


def test_a_kind_that_a_reading_does_not_mention_stays_as_it_was() -> None:
    cursor = take(None, PLACE, read([]) | {GONE: Lane([change(1, 50.0)])}, is_wanted, 10).cursor
    taken = take(cursor, PLACE, read([change(2, 1000.0)]), is_wanted, 10)
    assert taken.cursor.marks[GONE] == cursor.marks[GONE]
    later = take(taken.cursor, PLACE, read([]) | {GONE: Lane([change(1, 50.0), change(3, 60.0)])}, is_wanted, 10)
    assert new_of(later) == [3]


def test_a_cursor_of_another_system_is_none() -> None:
    taken = take(begun([]), "another.example.com", read([change(1, 5.0)]), is_wanted, 10)
    assert (new_of(taken), taken.cursor.place) == ([], "another.example.com")


def test_a_cursor_names_no_more_than_it_may_and_reports_nothing_twice(mocker: MockerFixture) -> None:
    mocker.patch.object(core_changes, "MOST_RECENT", 5)
    changes = [change(number, 1000.0 + number) for number in range(20)]
    taken = take(begun([]), PLACE, read(changes), is_wanted, 100)
    assert len(taken.cursor.marks[NEW].recent) == 5
    assert new_of(take(taken.cursor, PLACE, read(changes), is_wanted, 100)) == []


@pytest.mark.parametrize("body", [None, 7, {}, {"place": 1}, {"place": "x", "marks": {"new": {"floor": "soon"}}}])
def test_what_is_no_cursor_is_refused(body: Any) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        Cursor.from_json(body)


# Over random lives

MOMENTS = st.integers(0, 40).map(lambda step: step * LATE / 8)
"""Of changes: some at the same moment, some just as late as a list may be, some later than that."""


@st.composite
def marks(draw: st.DrawFn) -> Mark:
    recent = draw(
        st.dictionaries(st.integers(0, 9).map(lambda number: core_changes.short_form(f"change {number}")), MOMENTS)
    )
    floor = draw(st.none() | MOMENTS)
    return Mark(floor, {name: at for name, at in recent.items() if floor is None or at >= floor})


@PATIENT
@given(st.lists(marks(), min_size=1, max_size=3), st.integers(0, 9), MOMENTS)
def test_a_common_cursor_knows_what_all_know_and_a_joined_one_what_one_knows(
    known: list[Mark], number: int, at: float
) -> None:
    # A change has one moment, whoever has noted it.
    name = core_changes.short_form(f"change {number}")
    for mark in known:
        if name in mark.recent:
            mark.recent[name] = at
    for mark in known:
        mark.recent = {each: its for each, its in mark.recent.items() if its >= mark.since}
    cursors = [Cursor(PLACE, {NEW: mark}) for mark in known]
    each_knows = [mark.knows(change(number, at)) for mark in known]
    common = known_to_all(cursors)
    assert common is not None
    assert common.marks[NEW].knows(change(number, at)) == all(each_knows)
    joined = cursors[0]
    for cursor in cursors[1:]:
        joined = known_to_either(joined, cursor)
    assert joined.marks[NEW].knows(change(number, at)) == any(each_knows)


class Life:
    """A list that changes, and one watcher of it, whose process may die at any moment.

    Airflow stores what was told, then confirms it, and then the cursor is kept.
    """

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.now = 10 * LATE
        self.stored: Any = None
        self.memory: Cursor | None = None
        self.unconfirmed: Cursor | None = None
        self.events: Counter[int] = Counter()
        self.expected: set[int] = set()
        self.deaths = 0
        self.since: float | None = None

    def happen(self, lag: float, is_wanted: bool) -> None:
        """Something that shows now, with a moment up to as long ago as lists may lag."""
        each = change(len(self.changes), self.now - lag, is_wanted)
        self.changes.append(each)
        if is_wanted and self.stored is not None:
            self.expected.add(each.payload["number"])

    def poll(self, spare: float, most: int) -> None:
        """:param spare: how much further back it reaches than it was asked to."""
        cursor = self.memory
        if cursor is None and self.stored is not None:
            cursor = Cursor.from_json(json.loads(self.stored))
        newest = max((each.at for each in self.changes), default=-math.inf)
        since = min(newest - LATE, math.inf if self.since is None else self.since) - spare
        taken = take(cursor, PLACE, read(self.changes, since, self.now), is_wanted, most)
        self.since = taken.cursor.since(NEW) if taken.since is None else taken.since
        self.memory = taken.cursor
        if cursor is None:
            self.keep(taken.cursor)
        if taken.changes:
            self.events.update(new_of(taken))
            self.unconfirmed = taken.cursor

    def confirm(self) -> None:
        if self.unconfirmed:
            self.keep(self.unconfirmed)
            self.unconfirmed = None

    def keep(self, cursor: Cursor) -> None:
        self.stored = json.dumps(cursor.to_json())

    def die(self) -> None:
        self.deaths += self.unconfirmed is not None
        self.memory = self.unconfirmed = self.since = None


ACTS = st.one_of(
    st.tuples(st.just("happen"), st.sampled_from([0.0, LATE / 8, LATE / 2, LATE]), st.booleans()),
    st.tuples(st.just("poll"), st.sampled_from([0.0, LATE]), st.integers(1, 4)),
    st.tuples(st.just("pass"), st.sampled_from([1.0, LATE / 4, 3 * LATE])),
    st.tuples(st.just("confirm")),
    st.tuples(st.just("die")),
)


@settings(PATIENT, max_examples=1500)
@given(st.lists(ACTS, max_size=40))
def test_nothing_is_lost_and_only_a_death_before_the_cursor_is_kept_repeats(acts: list[tuple[Any, ...]]) -> None:
    life = Life()
    life.poll(0.0, 3)
    for what, *how in acts:
        if what == "happen":
            life.happen(*how)
        elif what == "poll":
            life.poll(*how)
        elif what == "pass":
            life.now += how[0]
        elif what == "confirm":
            life.confirm()
        else:
            life.die()
        assert all(count <= 1 + life.deaths for count in life.events.values())
    for _ in range(2 + len(life.changes)):
        life.poll(0.0, 3)
    assert set(life.events) == life.expected
