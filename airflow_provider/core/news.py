"""What is new in a vendor's list since a watcher looked last, however often and by whom the list is read.

A reading is shared by all who watch one thing; the difference is each watcher's own, by its cursor. Nothing is told
before the cursor that covers it, so that a watcher which dies in between repeats, and never misses.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from airflow_provider.core.durations import DURATIONS
from airflow_provider.storable import storable

NEW, GONE = "new", "gone"
"""Kinds of changes. One reading may hold all of the first, but none of the second."""

MOST_RECENT = 5000
"""Changes that a cursor names, about: it is kept in Airflow's database, and written after each event."""


class Change(Struct, frozen=True):
    """Something that happened at a vendor.

    :param id: names it and nothing else, whoever reads it, and whenever.
    :param at: when it happened, in epoch seconds by the vendor's clock.
    :param told: what the event tells of it.
    """

    id: str
    at: float
    told: dict[str, Any]


class Lane(Struct, frozen=True):
    """The changes of one kind in a reading.

    :param since: every change at this moment or later is among them; minus infinity: all are.
    :param read_at: when it was read, by the vendor's clock: one change with a date in the future must not make all
        that really comes look old.
    """

    changes: Sequence[Change]
    since: float = -math.inf
    read_at: float = math.inf

    @property
    def settled(self) -> float:
        """Changes before this moment no longer come late."""
        newest = max((each.at for each in self.changes), default=-math.inf)
        return min(newest, self.read_at) - DURATIONS.late_change


Reading = Mapping[str, Lane]
"""The changes that one look has seen, by kind."""


class Mark(Struct):
    """Which changes of one kind are known: all before a moment, and some after it, because lists lag.

    :param floor: every change before this moment is known; ``None``: nothing is, the list was empty.
    :param recent: the others that are known, by a short form of their id, each with its moment.
    """

    floor: float | None = None
    recent: dict[str, float] = {}

    @property
    def since(self) -> float:
        """How far back a reading must reach to tell what is not known."""
        return -math.inf if self.floor is None else self.floor

    def knows(self, change: Change) -> bool:
        return self.knows_named(short_form(change.id), change.at)

    def knows_named(self, name: str, at: float) -> bool:
        """:param name: the short form of an id."""
        return at < self.since or name in self.recent


class Cursor(Struct):
    """Up to where a watcher has told what happened.

    :param place: the system that it is about: times and ids of another one mean something else.
    :param marks: by kind of change.
    """

    place: str
    marks: dict[str, Mark] = {}

    def since(self, kind: str) -> float | None:
        """How far back a reading must reach; ``None`` where nothing is known yet of that kind."""
        mark = self.marks.get(kind)
        return None if mark is None else mark.since

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = storable(msgspec.to_builtins(self))
        return body

    @classmethod
    def from_json(cls, body: object) -> Cursor:
        """:raises ValueError: it is no cursor."""
        try:
            return msgspec.convert(body, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"no cursor: {error}") from None


class Taken(Struct):
    """What a watcher makes of a reading.

    :param news: what it is to tell, the oldest first.
    :param cursor: covers the news too: to be kept once they are told.
    :param is_more: whether there are more news than it may tell at once.
    :param since: how far back the next reading must reach, where this one does not reach far enough.
    """

    news: list[Change]
    cursor: Cursor
    is_more: bool = False
    since: float | None = None


def take(cursor: Cursor | None, place: str, reading: Reading, is_wanted: Callable[[Change], bool], most: int) -> Taken:
    """What is new to a watcher. One that begins takes what it finds as known.

    :param most: news to be told at once.
    """
    marks = dict(cursor.marks) if cursor and cursor.place == place else {}
    reached = {kind: lane for kind, lane in reading.items() if kind not in marks or lane.since <= marks[kind].since}
    news: list[tuple[Change, str]] = []
    for kind, lane in reached.items():
        wanted = [each for each in lane.changes if is_wanted(each)]
        if kind in marks:
            news += [(each, kind) for each in wanted if not marks[kind].knows(each)]
        else:
            marks[kind] = _beginning(lane, wanted)
    news = _once(sorted(news, key=lambda each: each[0].at))
    told, left = news[:most], news[most:]
    for kind, lane in reached.items():
        first_left = min((each.at for each, its in left if its == kind), default=math.inf)
        marks[kind] = _moved(marks[kind], lane, [each for each, its in told if its == kind], first_left)
    since = min((marks[kind].since for kind in reading if kind not in reached), default=None)
    return Taken([each for each, _ in told], Cursor(place, marks), bool(left), since)


def known_to_all(cursors: Iterable[Cursor]) -> Cursor | None:
    """A cursor that knows what every one of these knows: what is new to one of them is to be told.

    Of cursors of several places, those of the first count.
    """
    cursors = list(cursors)
    same = [each for each in cursors if each.place == cursors[0].place]
    if not same:
        return None
    kinds = {kind for each in same for kind in each.marks}
    # Who has no mark of a kind has not begun with it, and begins with the others.
    marks = {kind: _common([each.marks[kind] for each in same if kind in each.marks]) for kind in sorted(kinds)}
    return Cursor(same[0].place, marks)


def known_to_either(one: Cursor, other: Cursor | None) -> Cursor:
    """A cursor that knows what one of the two knows; what the other one of another place knows does not count."""
    if other is None or other.place != one.place:
        return one
    marks = dict(one.marks)
    for kind, mark in other.marks.items():
        marks[kind] = _joined(marks[kind], mark) if kind in marks else mark
    return Cursor(one.place, marks)


def _beginning(lane: Lane, wanted: Sequence[Change]) -> Mark:
    return _mark(max(lane.since, lane.settled), {short_form(each.id): each.at for each in wanted})


def _moved(mark: Mark, lane: Lane, told: Sequence[Change], left: float) -> Mark:
    """:param left: when the first happened that is still to be told."""
    floor = min(left, max(mark.since, lane.settled))
    return _mark(floor, mark.recent | {short_form(each.id): each.at for each in told}, left)


def _mark(floor: float, recent: Mapping[str, float], left: float = math.inf) -> Mark:
    if len(recent) > MOST_RECENT:
        floor = min(left, max(floor, sorted(recent.values())[-MOST_RECENT]))
    kept = {name: at for name, at in recent.items() if at >= floor}
    return Mark(None if floor == -math.inf else floor, kept)


def _common(marks: Sequence[Mark]) -> Mark:
    known = {name: at for mark in marks for name, at in mark.recent.items()}
    kept = {name: at for name, at in known.items() if all(mark.knows_named(name, at) for mark in marks)}
    return _mark(min(mark.since for mark in marks), kept)


def _joined(one: Mark, other: Mark) -> Mark:
    return _mark(max(one.since, other.since), one.recent | other.recent)


def _once(news: list[tuple[Change, str]]) -> list[tuple[Change, str]]:
    return [*{each.id: (each, kind) for each, kind in news}.values()]


def short_form(change_id: str) -> str:
    return hashlib.blake2b(change_id.encode(errors="replace"), digest_size=9).hexdigest()
