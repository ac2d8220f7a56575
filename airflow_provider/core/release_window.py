"""When releases may go out: weekly windows in a time zone, and freezes that close them. The caller passes the time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple, get_args

import msgspec
import pendulum

from airflow_provider.exceptions import BadRequestError, Call

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

HORIZON = timedelta(days=800)
"""How far to search for an opening: long enough for a freeze of a whole year and every weekly window."""

ALWAYS_OPEN_SINCE = datetime(1970, 1, 1, tzinfo=UTC)
"""When windows have opened that leave no gap, and no freeze has closed for years: a moment that does not move."""

_LONGEST_WINDOW = timedelta(days=16)
"""Of windows with a gap in each week, one of which a change to daylight saving time may skip."""
_WEEK = timedelta(days=7)
_CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|24:00", re.ASCII)
_DAY_OF_YEAR = re.compile(r"(\d\d)-(\d\d)", re.ASCII)
_FIRST_YEAR, _LAST_YEAR = 4, 8800
"""Leap years, so that each date exists in them."""
_KINDS = {
    "array": "a list",
    "object": "a mapping",
    "str": "text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}
"""What msgspec calls the kinds of values, and what authors do."""
_MISMATCH = re.compile(r"Expected `([a-z]+)(?: \| null)?`, got `([a-z]+)`")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING_FIELD = re.compile(r"Object missing required field `(.*)`")
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{8}", re.ASCII)


class Window(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A weekly window.

    :param days: on which it opens: ``mon`` to ``sun``.
    :param opens: local time, ``HH:MM``.
    :param closes: local time, ``HH:MM`` or ``24:00``; on the next day if it is not after ``opens``.
    """

    days: tuple[str, ...]
    opens: str = msgspec.field(name="from")
    closes: str = msgspec.field(name="to")


class Freeze(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A time in which every window is closed.

    :param begins: a date, an ISO 8601 date-time (local unless it says otherwise), or ``MM-DD`` for every year.
    :param ends: the same; that whole day, or that second, is still part of the freeze.
    :param environments: to which it applies; default: all.
    :param reason: shown to those who wait.
    """

    begins: str = msgspec.field(name="from")
    ends: str = msgspec.field(name="to")
    environments: tuple[str, ...] = ()
    reason: str | None = None

    def __str__(self) -> str:
        return f"{self.begins} to {self.ends}" + (f" ({self.reason})" if self.reason else "")


class Opening(NamedTuple):
    """A period in which releases may go out, from ``opens`` to just before ``closes``."""

    opens: datetime
    closes: datetime

    def end_seen_at(self, moment: datetime) -> datetime | None:
        """When it closes; ``None`` if that is further away than anything that is searched."""
        return self.closes if self.closes < moment + HORIZON else None


class ReleaseCalendar:
    """The windows and freezes of one environment.

    :param windows: ``[{"days": ["mon", ...], "from": "22:00", "to": "06:00"}, ...]``
    :param timezone: IANA name in which the times are meant, for example ``Europe/Berlin``.
    :param freezes: ``[{"from": "2026-12-20", "to": "2027-01-03", "environments": ["production"]}, ...]``
    :param environment: whose freezes apply; default: only those that name no environment.
    :raises BadRequestError: a field is wrong; the error names it.

    A window opens when the clock first shows ``from``, and closes when it next shows ``to``; if a change to daylight
    saving time skips that time, at the moment of the change.
    """

    def __init__(
        self, windows: Any, timezone: str = "UTC", freezes: Any = None, environment: str | None = None
    ) -> None:
        self.timezone = _zone(timezone)
        self._windows = _converted("windows", windows, tuple[Window, ...])
        if not self._windows:
            raise _wrong("windows", "must hold at least one window")
        self._times = [_times_of(window, f"windows[{number}]") for number, window in enumerate(self._windows)]
        self._is_always_open = _covers_the_week(self._times)
        self._freezes: list[tuple[Freeze, Callable[[int], Opening]]] = [
            (freeze, _span_of(freeze, f"freezes[{number}]", self.timezone))
            for number, freeze in enumerate(_converted("freezes", freezes or (), tuple[Freeze, ...]))
            if not freeze.environments or environment in freeze.environments
        ]

    def opening_at(self, moment: datetime) -> Opening | None:
        """The opening that contains the moment, if there is one."""
        opening = next(self._openings(moment), None)
        return opening if opening and opening.opens <= moment else None

    def opening_after(self, moment: datetime) -> Opening | None:
        """The first opening that begins later; ``None`` if there is none within :data:`HORIZON`."""
        return next((opening for opening in self._openings(moment) if opening.opens > moment), None)

    def freeze_at(self, moment: datetime) -> Freeze | None:
        """The freeze that contains the moment."""
        years = _years_around(moment, moment)
        for freeze, span in self._freezes:
            if any(opens <= moment < closes for opens, closes in map(span, years)):
                return freeze
        return None

    def _openings(self, moment: datetime) -> Iterator[Opening]:
        """In order, without those that have closed."""
        for window in self._weekly(moment):
            for opening in self._thawed(window):
                if opening.closes > moment:
                    is_old = opening.opens <= moment - HORIZON
                    yield opening._replace(opens=ALWAYS_OPEN_SINCE) if is_old else opening

    def _weekly(self, moment: datetime) -> Iterator[Opening]:
        """The openings of the weekly windows; adjacent and overlapping ones are merged."""
        if self._is_always_open:
            yield Opening(moment - HORIZON, moment + HORIZON)
            return
        day = moment.astimezone(self.timezone).date() - _LONGEST_WINDOW
        last = day + HORIZON
        pending: Opening | None = None
        while day < last:
            for opening in sorted(self._of_day(day)):
                if pending and opening.opens <= pending.closes:
                    pending = Opening(pending.opens, max(pending.closes, opening.closes))
                    continue
                if pending:
                    yield pending
                pending = opening
            day += timedelta(days=1)
        if pending:
            yield pending

    def _of_day(self, day: date) -> Iterator[Opening]:
        for days, opens, closes in self._times:
            if day.weekday() in days:
                opening = Opening(_moment(day, opens, self.timezone), _moment(day, closes, self.timezone))
                if opening.opens < opening.closes:
                    yield opening

    def _thawed(self, opening: Opening) -> list[Opening]:
        """What the freezes leave of it."""
        left = [opening]
        for year in _years_around(*opening):
            for _, span in self._freezes:
                left = [part for piece in left for part in _without(piece, span(year))]
        return left


def _covers_the_week(times: Iterable[tuple[frozenset[int], timedelta, timedelta]]) -> bool:
    """Whether the windows leave no gap."""
    midnights = ((timedelta(days=day), opens, closes) for days, opens, closes in times for day in days)
    spans = sorted((midnight + opens, midnight + closes) for midnight, opens, closes in midnights)
    # What is open at the end of Sunday is open on Monday.
    covered = max(closes for _, closes in spans) - _WEEK
    for opens, closes in spans:
        if opens > covered:
            return False
        covered = max(covered, closes)
    return True


def _years_around(begin: datetime, end: datetime) -> range:
    """The years in which a freeze that overlaps this time may begin."""
    return range(begin.year - 1, end.year + 2)


def _without(piece: Opening, frozen: Opening) -> Iterator[Opening]:
    before = Opening(piece.opens, min(piece.closes, frozen.opens))
    after = Opening(max(piece.opens, frozen.closes), piece.closes)
    for part in (before, after):
        if part.opens < part.closes:
            yield part


def _moment(day: date, clock: timedelta, zone: Any) -> datetime:
    """When the clock of the zone first shows this time on this day; a skipped time is the moment of the skip."""
    wall = datetime.combine(day, time()) + clock
    moment = wall.replace(tzinfo=zone).astimezone(pendulum.UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wall:
        return moment
    before, after = wall.replace(tzinfo=zone, fold=1).astimezone(pendulum.UTC), moment
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def _zone(name: object) -> Any:
    try:
        # A number would be taken for an offset in seconds.
        return pendulum.timezone(name if isinstance(name, str) else "")
    except (ValueError, KeyError, TypeError, OSError):
        raise _wrong("timezone", f"must be an IANA name such as Europe/Berlin, got {name!r}") from None


def _times_of(window: Window, field: str) -> tuple[frozenset[int], timedelta, timedelta]:
    if not window.days:
        raise _wrong(f"{field}.days", f"must name at least one of {', '.join(DAYS)}")
    for day in window.days:
        if day not in DAYS:
            raise _wrong(f"{field}.days", f"must be one of {', '.join(DAYS)}, got {day!r}")
    opens = _clock_time(window.opens, f"{field}.from")
    closes = _clock_time(window.closes, f"{field}.to")
    if opens == timedelta(days=1):
        raise _wrong(f"{field}.from", "must be before 24:00; open at 00:00 of the next day instead")
    if closes <= opens:
        closes += timedelta(days=1)
    return frozenset(map(DAYS.index, window.days)), opens, closes


def _clock_time(text: str, field: str) -> timedelta:
    if not _CLOCK_TIME.fullmatch(text):
        raise _wrong(field, f"must be a time such as 22:00, got {text!r}")
    hours, minutes = map(int, text.split(":"))
    return timedelta(hours=hours, minutes=minutes)


def _span_of(freeze: Freeze, field: str, zone: Any) -> Callable[[int], Opening]:
    """A function that returns the span of the freeze in a year; always the same one if it does not recur."""
    if bool(_DAY_OF_YEAR.fullmatch(freeze.begins)) != bool(_DAY_OF_YEAR.fullmatch(freeze.ends)):
        raise _wrong(field, f"must name a year in both from and to or in neither, got {freeze}")
    if not _DAY_OF_YEAR.fullmatch(freeze.begins):
        once = Opening(_bounds(freeze.begins, f"{field}.from", zone)[0], _bounds(freeze.ends, f"{field}.to", zone)[1])
        if once.closes <= once.opens:
            raise _wrong(f"{field}.to", f"must not be before from, got {freeze}")
        return lambda year: once
    # In a leap year, so that 02-29 is valid.
    first, _ = _bounds(freeze.begins, f"{field}.from", zone, year="2024-")
    last, _ = _bounds(freeze.ends, f"{field}.to", zone, year="2024-")
    over_new_year = 1 if last < first else 0

    def of_year(year: int) -> Opening:
        closes = _in_year(freeze.ends, year + over_new_year, zone, after=1)
        return Opening(_in_year(freeze.begins, year, zone), closes)

    return of_year


def _in_year(text: str, year: int, zone: Any, after: int = 0) -> datetime:
    """Midnight at the start of a day of the year, or ``after`` days later; 02-29 is 02-28 in other years."""
    month, day = map(int, text.split("-"))
    if (month, day) == (2, 29) and not pendulum.datetime(year, 1, 1).is_leap_year():
        day = 28
    return _moment(date(year, month, day) + timedelta(days=after), timedelta(), zone)


def _bounds(text: str, field: str, zone: Any, year: str = "") -> tuple[datetime, datetime]:
    """The first moment of what the text names, and the first moment after it.

    :param year: prefix for parsing; errors omit it.
    """
    whole = year + text
    try:
        named = datetime.fromisoformat(whole) if _DATE.match(whole) else None
    except ValueError:
        named = None
    if named is None:
        raise _wrong(field, f"must be a date, a date-time (ISO 8601) or MM-DD, got {text!r}")
    # People write 9999-12-31 for a freeze without an end; it overflows when converted to another time zone.
    named = named.replace(year=min(max(_FIRST_YEAR, named.year), _LAST_YEAR))
    if _DATE.fullmatch(whole):
        return _moment(named.date(), timedelta(), zone), _moment(named.date() + timedelta(days=1), timedelta(), zone)
    second = timedelta(seconds=1)
    if named.tzinfo is not None:
        return named, named + second
    # A time that the clock shows twice: all of it is meant.
    first = _moment(named.date(), named - datetime.combine(named.date(), time()), zone)
    return first, max(first, named.replace(tzinfo=zone, fold=1).astimezone(pendulum.UTC)) + second


def _converted(field: str, value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(plain(value), kind)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `$")
        raise _wrong(f"{field}{where.rstrip('`')}", _in_words(problem, get_args(kind)[0])) from None


def _in_words(problem: str, struct: type[msgspec.Struct]) -> str:
    """What msgspec says of a value, as authors of windows would."""
    if unknown := _UNKNOWN_FIELD.fullmatch(problem):
        names = ", ".join(field.encode_name for field in msgspec.structs.fields(struct))
        return f"must have only {names}, got {unknown[1]!r}"
    if missing := _MISSING_FIELD.fullmatch(problem):
        return f"must have {missing[1]!r}"
    if mismatch := _MISMATCH.fullmatch(problem):
        needed, given = (_KINDS.get(name, name) for name in mismatch.groups())
        return f"must be {needed}, got {given}{': put it in quotes' * (needed == 'text' and given == 'a number')}"
    return f"is wrong: {problem}"


def plain(value: Any) -> Any:
    """The same as JSON, with dates as text: YAML and DAG authors write them as dates."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(part) for part in value]
    return value


def _wrong(field: str, problem: str) -> BadRequestError:
    return BadRequestError(f"{field} {problem}", call=Call(system="release_window"))
