"""Release windows and freezes, by the clock of their time zone."""

from __future__ import annotations

from datetime import datetime

import pendulum
import pytest

from airflow_provider.core.release_window import DAYS, ReleaseCalendar
from airflow_provider.exceptions import BadRequestError

WORKDAYS = ["mon", "tue", "wed", "thu", "fri"]
NIGHTS = [{"days": WORKDAYS, "from": "22:00", "to": "06:00"}]
BERLIN = "Europe/Berlin"


def at(text: str, zone: str = BERLIN) -> datetime:
    return pendulum.parse(text, tz=zone)


def daily(begin: str, end: str) -> list[dict]:
    return [{"days": list(DAYS), "from": begin, "to": end}]


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-27T21:59:59", False),
        ("2026-11-27T22:00", True),  # a Friday
        ("2026-11-28T05:59:59", True),  # belongs to Friday's window
        ("2026-11-28T06:00", False),
        ("2026-11-28T22:00", False),  # a Saturday
        ("2026-11-30T03:00", False),  # the night of Sunday
    ],
)
def test_a_window_may_pass_midnight_and_belongs_to_the_day_on_which_it_opens(moment, is_open):
    assert bool(ReleaseCalendar(NIGHTS, BERLIN).opening_at(at(moment))) is is_open


def test_the_next_opening_skips_the_weekend():
    opening = ReleaseCalendar(NIGHTS, BERLIN).opening_after(at("2026-11-28T07:00"))
    assert opening == (at("2026-11-30T22:00"), at("2026-12-01T06:00"))


def test_windows_that_touch_are_one():
    windows = [*daily("00:00", "12:00"), *daily("12:00", "18:00")]
    assert ReleaseCalendar(windows, BERLIN).opening_at(at("2026-11-27T09:00")) == (
        at("2026-11-27T00:00"),
        at("2026-11-27T18:00"),
    )


@pytest.mark.parametrize(
    ("evening", "hours"), [("2026-03-28T22:00", 7), ("2026-10-24T22:00", 9), ("2026-11-24T22:00", 8)]
)
def test_a_night_lasts_as_long_as_the_clock_says(evening, hours):
    opening = ReleaseCalendar(daily("22:00", "06:00"), BERLIN).opening_at(at(evening))
    assert (opening.closes - opening.opens).total_seconds() == hours * 3600


def test_a_window_opens_at_the_change_where_the_clock_skips_its_begin():
    opening = ReleaseCalendar(daily("02:30", "04:00"), BERLIN).opening_after(at("2026-03-28T12:00"))
    assert opening == (at("2026-03-29T03:00"), at("2026-03-29T04:00"))


def test_a_window_that_the_clock_skips_whole_opens_on_the_next_day():
    opening = ReleaseCalendar(daily("02:10", "02:50"), BERLIN).opening_after(at("2026-03-28T12:00"))
    assert opening.opens == at("2026-03-30T02:10")


def test_a_window_opens_and_closes_when_the_clock_first_shows_its_times():
    opening = ReleaseCalendar(daily("02:15", "02:45"), BERLIN).opening_after(at("2026-10-24T12:00"))
    assert opening == (at("2026-10-25T00:15", "UTC"), at("2026-10-25T00:45", "UTC"))


@pytest.mark.parametrize(
    ("begins", "ends", "frozen", "free"),
    [
        ("2026-12-01", "2026-12-02", ["2026-12-01T00:00", "2026-12-02T23:59:59"], ["2026-12-03T00:00"]),
        ("2026-12-01T12:00", "2026-12-01T13:00", ["2026-12-01T12:00", "2026-12-01T13:00"], ["2026-12-01T13:00:01"]),
        ("2026-12-01T12:00Z", "2026-12-01T13:00Z", ["2026-12-01T13:00"], ["2026-12-01T12:00"]),
        ("12-20", "01-03", ["2026-12-20T00:00", "2027-01-03T23:59", "2040-12-31T12:00"], ["2027-01-04T00:00"]),
        ("02-29", "02-29", ["2028-02-29T12:00", "2027-02-28T12:00"], ["2028-02-28T12:00", "2027-03-01T00:00"]),
    ],
    ids=["dates", "times", "times of another zone", "every year", "leap day"],
)
def test_a_freeze_closes_every_window_and_both_ends_belong_to_it(begins, ends, frozen, free):
    calendar = ReleaseCalendar(daily("00:00", "24:00"), BERLIN, [{"from": begins, "to": ends}])
    for moment in frozen:
        assert calendar.opening_at(at(moment)) is None, moment
        assert calendar.freeze_at(at(moment)), moment
    for moment in free:
        assert calendar.opening_at(at(moment)), moment
        assert calendar.freeze_at(at(moment)) is None, moment


def test_a_freeze_cuts_a_window_short_and_what_is_left_opens_after_it():
    calendar = ReleaseCalendar(NIGHTS, BERLIN, [{"from": "2026-12-01T23:00", "to": "2026-12-02T01:59:59"}])
    assert calendar.opening_at(at("2026-12-01T22:30")).closes == at("2026-12-01T23:00")
    assert calendar.opening_after(at("2026-12-01T22:30")) == (at("2026-12-02T02:00"), at("2026-12-02T06:00"))


def test_a_freeze_holds_for_its_environments_only():
    freezes = [{"from": "2026-12-01", "to": "2026-12-01", "environments": ["production"]}]
    noon = at("2026-12-01T12:00")
    for environment, is_open in (("production", False), ("staging", True), (None, True)):
        calendar = ReleaseCalendar(daily("00:00", "24:00"), BERLIN, freezes, environment)
        assert bool(calendar.opening_at(noon)) is is_open


def test_a_freeze_without_an_end_in_sight_leaves_no_opening():
    calendar = ReleaseCalendar(NIGHTS, BERLIN, [{"from": "2026-01-01", "to": "2036-01-01"}])
    assert calendar.opening_after(at("2026-11-27T12:00")) is None


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"windows": []}, "windows must hold"),
        ({"windows": "22:00"}, "windows is wrong"),
        ({"windows": [{"days": ["mon"], "from": "22:00"}]}, "windows[0] is wrong: Object missing required field `to`"),
        ({"windows": [{"days": [], "from": "22:00", "to": "23:00"}]}, "windows[0].days must name"),
        ({"windows": [{"days": ["monday"], "from": "22:00", "to": "23:00"}]}, "windows[0].days must be one of mon"),
        ({"windows": [*NIGHTS, {"days": ["mon"], "from": "25:00", "to": "23:00"}]}, "windows[1].from must be a time"),
        ({"windows": [{"days": ["mon"], "from": "24:00", "to": "23:00"}]}, "windows[0].from must be before 24:00"),
        ({"windows": [{"days": ["mon"], "from": "1:00", "to": "23:00", "tz": "UTC"}]}, "unknown field `tz`"),
        ({"timezone": "Mars/Olympus"}, "timezone must be an IANA name"),
        ({"freezes": [{"from": "2026-12-20", "to": "soon"}]}, "freezes[0].to must be a date"),
        ({"freezes": [{"from": "2026-12-20", "to": "2026-12-19"}]}, "freezes[0].to must not be before"),
        ({"freezes": [{"from": "12-20", "to": "2026-12-19"}]}, "freezes[0] must name a year in both"),
        ({"freezes": [{"from": "13-20", "to": "13-21"}]}, "freezes[0].from must be a date"),
    ],
)
def test_a_wrong_field_is_named(arguments, field):
    with pytest.raises(BadRequestError) as caught:
        ReleaseCalendar(**{"windows": NIGHTS, **arguments})
    assert field in str(caught.value)
