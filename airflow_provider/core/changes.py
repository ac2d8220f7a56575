"""What is new in a vendor's list since a watcher's last poll, however often and by whom the list is read.

All watchers of one thing share a reading; each determines what is new to it by its own cursor. A cursor is saved after
the events that it covers, so that a watcher that dies in between repeats some, and never misses one.
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
"""Kinds of changes. A reading may hold all of the first kind, but none of the second."""

MOST_RECENT = 5000
"""Rough limit for the changes that a cursor names: it is stored in Airflow's database, and written after each event."""


class Change(Struct, frozen=True):
    """Something that happened at a vendor.

    :param id: identifies it, whoever reads it, and whenever.
    :param at: when it happened, in epoch seconds by the vendor's clock.
    :param payload: the content of its event.
    """

    id: str
    at: float
    payload: dict[str, Any]


class Lane(Struct, frozen=True):
    """The changes of one kind in a reading.

    :param since: all changes at this time or later are included; minus infinity: all changes are.
    :param read_at: when it was read, by the vendor's clock: one change with a date in the future must not make later
        ones look old.
    """

    changes: Sequence[Change]
    since: float = -math.inf
    read_at: float = math.inf

    @property
    def settled(self) -> float:
        """Changes from before this time no longer appear."""
        newest = max((each.at for each in self.changes), default=-math.inf)
        return min(newest, self.read_at) - DURATIONS.late_change


Reading = Mapping[str, Lane]
"""The changes that one poll found, by kind."""


class Mark(Struct):
    """Which changes of one kind are known: all before some time, and some after it, because lists lag.

    :param floor: every change before this time is known; ``None``: none is known, the list was empty.
    :param recent: times of the other known changes, by a short form of their ids.
    """

    floor: float | None = None
    recent: dict[str, float] = {}

    @property
    def since(self) -> float:
        """How far back a reading must reach to show what is not known."""
        return -math.inf if self.floor is None else self.floor

    def knows(self, change: Change) -> bool:
        return self.knows_named(short_form(change.id), change.at)

    def knows_named(self, name: str, at: float) -> bool:
        """:param name: the short form of an id."""
        return at < self.since or name in self.recent


class Cursor(Struct):
    """The changes that a watcher has already turned into events.

    :param place: the system that they are from: times and ids of another one mean something else.
    :param marks: by kind of change.
    """

    place: str
    marks: dict[str, Mark] = {}

    def since(self, kind: str) -> float | None:
        """How far back a reading must reach; ``None`` if nothing of that kind is known yet."""
        mark = self.marks.get(kind)
        return None if mark is None else mark.since

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = storable(msgspec.to_builtins(self))
        return body

    @classmethod
    def from_json(cls, body: object) -> Cursor:
        """:raises ValueError: it is not a cursor."""
        try:
            return msgspec.convert(body, cls)
        except msgspec.ValidationError as error:
            raise ValueError(f"not a cursor: {error}") from None


class Taken(Struct):
    """What a watcher makes of a reading.

    :param changes: those that become events, the oldest first.
    :param cursor: covers these changes, too: to be saved once their events are stored.
    :param is_more: whether there are more changes than the watcher may take at once.
    :param since: how far back the next reading must reach, if this one does not reach far enough.
    """

    changes: list[Change]
    cursor: Cursor
    is_more: bool = False
    since: float | None = None


def take(cursor: Cursor | None, place: str, reading: Reading, is_wanted: Callable[[Change], bool], most: int) -> Taken:
    """What is new to a watcher. To a watcher without a cursor, everything in its first reading is known.

    :param most: changes to take at once.
    """
    marks = dict(cursor.marks) if cursor and cursor.place == place else {}
    marks |= {kind: _not_ahead(marks[kind], lane) for kind, lane in reading.items() if kind in marks}
    reached = {kind: lane for kind, lane in reading.items() if kind not in marks or lane.since <= marks[kind].since}
    new: list[tuple[Change, str]] = []
    for kind, lane in reached.items():
        wanted = [each for each in lane.changes if is_wanted(each)]
        if kind in marks:
            new += [(each, kind) for each in wanted if not marks[kind].knows(each)]
        else:
            marks[kind] = _beginning(lane, wanted)
    new = _once(sorted(new, key=lambda each: each[0].at))
    taken, left = new[:most], new[most:]
    for kind, lane in reached.items():
        first_left = min((each.at for each, its in left if its == kind), default=math.inf)
        marks[kind] = _moved(marks[kind], lane, [each for each, its in taken if its == kind], first_left)
    since = min((marks[kind].since for kind in reading if kind not in reached), default=None)
    return Taken([each for each, _ in taken], Cursor(place, marks), bool(left), since)


def known_to_all(cursors: Iterable[Cursor]) -> Cursor | None:
    """A cursor that knows only what all of these, of one place, know: nothing that is new to any of them is missed."""
    same = list(cursors)
    if not same:
        return None
    kinds = {kind for each in same for kind in each.marks}
    # A cursor without a mark for a kind has not begun with it, and begins where the others are.
    marks = {kind: _common([each.marks[kind] for each in same if kind in each.marks]) for kind in sorted(kinds)}
    return Cursor(same[0].place, marks)


def known_to_either(one: Cursor, other: Cursor | None) -> Cursor:
    """A cursor that knows what either of the two knows; a second one of another place is ignored."""
    if other is None or other.place != one.place:
        return one
    marks = dict(one.marks)
    for kind, mark in other.marks.items():
        marks[kind] = _joined(marks[kind], mark) if kind in marks else mark
    return Cursor(one.place, marks)


def _beginning(lane: Lane, wanted: Sequence[Change]) -> Mark:
    return _mark(max(lane.since, lane.settled), {short_form(each.id): each.at for each in wanted})


def _not_ahead(mark: Mark, lane: Lane) -> Mark:
    """A mark from the time of a clock that was ahead and has been corrected would pass over all that happens now: it is
    moved back, even if that repeats what happened then."""
    return mark if mark.since <= lane.read_at else Mark(lane.read_at - DURATIONS.late_change, mark.recent)


def _moved(mark: Mark, lane: Lane, taken: Sequence[Change], left: float) -> Mark:
    """:param left: time of the oldest change that is not taken yet."""
    floor = min(left, max(mark.since, lane.settled))
    return _mark(floor, mark.recent | {short_form(each.id): each.at for each in taken}, left)


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


def _once(changes: list[tuple[Change, str]]) -> list[tuple[Change, str]]:
    return [*{each.id: (each, kind) for each, kind in changes}.values()]


def short_form(change_id: str) -> str:
    return hashlib.blake2b(change_id.encode(errors="replace"), digest_size=9).hexdigest()
