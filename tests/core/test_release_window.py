"""Release windows and freezes, by the clock of their time zone."""

from __future__ import annotations

from datetime import datetime

import pendulum
import pytest

from airflow_provider.core.release_window import ALWAYS_OPEN_SINCE, DAYS, HORIZON, ReleaseCalendar
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
    ("zone", "begins", "ends", "after", "opens", "closes"),
    [
        # The clock goes back by half an hour, at 02:00 to 01:30.
        ("Australia/Lord_Howe", "01:45", "02:15", "2026-04-04T12:00", "2026-04-04T14:45Z", "2026-04-04T15:45Z"),
        # It skips 02:00 to 02:30: this window opens at the change, and the next one does not exist.
        ("Australia/Lord_Howe", "02:15", "03:00", "2026-10-03T12:00", "2026-10-03T15:30Z", "2026-10-03T16:00Z"),
        ("Australia/Lord_Howe", "02:05", "02:25", "2026-10-03T12:00", "2026-10-04T15:05Z", "2026-10-04T15:25Z"),
        # There was no 30 December 2011: the night of the 29th ends on the 31st.
        ("Pacific/Apia", "22:00", "06:00", "2011-12-29T12:00", "2011-12-30T08:00Z", "2011-12-30T16:00Z"),
        ("Pacific/Apia", "09:00", "10:00", "2011-12-29T12:00", "2011-12-30T19:00Z", "2011-12-30T20:00Z"),
        # Ramadan is the exception there: the clock goes back at 03:00 to 02:00, and forward a month later.
        ("Africa/Casablanca", "02:30", "03:30", "2026-02-14T12:00", "2026-02-15T01:30Z", "2026-02-15T03:30Z"),
        ("Africa/Casablanca", "02:30", "03:30", "2026-03-21T12:00", "2026-03-22T02:00Z", "2026-03-22T02:30Z"),
        # Midnight itself is skipped, or shown twice.
        ("Africa/Cairo", "00:00", "02:00", "2026-04-23T12:00", "2026-04-23T22:00Z", "2026-04-23T23:00Z"),
        ("America/Havana", "00:00", "00:30", "2026-10-31T12:00", "2026-11-01T04:00Z", "2026-11-01T04:30Z"),
        ("America/Santiago", "23:30", "00:15", "2026-04-04T12:00", "2026-04-05T02:30Z", "2026-04-05T04:15Z"),
    ],
)
def test_windows_are_right_over_the_odd_changes_of_odd_zones(zone, begins, ends, after, opens, closes):
    opening = ReleaseCalendar(daily(begins, ends), zone).opening_after(at(after, zone))
    assert opening == (at(opens), at(closes))


# Every minute of the week, said in four ways.
ROUND_THE_CLOCK = [
    daily("00:00", "24:00"),
    daily("12:00", "12:00"),
    [*daily("00:00", "13:00"), *daily("11:00", "24:00")],
    [{"days": WORKDAYS, "from": "00:00", "to": "24:00"}, {"days": ["sat", "sun"], "from": "00:00", "to": "00:00"}],
]


@pytest.mark.parametrize("windows", ROUND_THE_CLOCK)
def test_windows_without_a_gap_open_only_after_a_freeze_and_once(windows):
    calendar = ReleaseCalendar(windows, BERLIN, [{"from": "2026-01-10", "to": "2026-01-12"}])
    for moment in ("2026-01-13T00:00", "2026-02-01T12:00", "2026-11-27T12:00", "2027-11-27T12:00"):
        assert calendar.opening_at(at(moment)).opens == at("2026-01-13T00:00")
    assert calendar.opening_at(at("2026-01-09T12:00")) == (ALWAYS_OPEN_SINCE, at("2026-01-10T00:00"))


@pytest.mark.parametrize("windows", ROUND_THE_CLOCK)
def test_windows_without_a_gap_and_a_freeze_have_never_opened(windows):
    now = at("2026-11-27T12:00")
    assert ReleaseCalendar(windows, BERLIN).opening_at(now) == (ALWAYS_OPEN_SINCE, now + HORIZON)
    assert ReleaseCalendar(windows, BERLIN).opening_after(now) is None


@pytest.mark.parametrize(("windows", "is_seen"), [(NIGHTS, True), *((windows, False) for windows in ROUND_THE_CLOCK)])
def test_the_end_of_what_never_closes_is_no_date(windows, is_seen):
    opening = ReleaseCalendar(windows, BERLIN).opening_at(at("2026-11-27T23:00"))
    assert opening.end_seen_at(at("2026-11-27T23:00")) == (opening.closes if is_seen else None)


def test_a_gap_that_the_clock_skips_joins_two_weeks_whatever_the_present_is():
    but_sunday = [{"days": [each for each in DAYS if each != "sun"], "from": "00:00", "to": "24:00"}]
    sunday = [{"days": ["sun"], "from": "00:00", "to": "02:00"}, {"days": ["sun"], "from": "03:00", "to": "24:00"}]
    calendar = ReleaseCalendar([*but_sunday, *sunday], BERLIN)
    for moment in ("2026-03-22T03:00", "2026-03-29T12:00", "2026-03-31T12:00", "2026-04-05T01:59"):
        assert calendar.opening_at(at(moment)) == (at("2026-03-22T03:00"), at("2026-04-05T02:00"))


def test_a_week_with_a_minute_closed_is_not_always_open():
    calendar = ReleaseCalendar([*daily("00:00", "12:00"), *daily("12:01", "24:00")], BERLIN)
    assert calendar.opening_at(at("2026-11-27T12:00")) is None
    assert calendar.opening_at(at("2026-11-27T12:01")).opens == at("2026-11-27T12:01")


def test_freezes_that_abut_leave_nothing_between_them():
    freezes = [
        {"from": "2026-12-01", "to": "2026-12-01"},
        {"from": "2026-12-02", "to": "2026-12-02T11:59:59"},
        {"from": "2026-12-02T12:00", "to": "2026-12-02T23:59:59"},
    ]
    opening = ReleaseCalendar(daily("00:00", "24:00"), BERLIN, freezes).opening_after(at("2026-11-30T12:00"))
    assert opening.opens == at("2026-12-03T00:00")


@pytest.mark.parametrize("ends", ["9999-12-31", "9999-12-31T23:59:59"])
def test_a_freeze_until_the_end_of_time_is_a_freeze(ends):
    calendar = ReleaseCalendar(NIGHTS, BERLIN, [{"from": "2026-12-01", "to": ends}])
    assert calendar.freeze_at(at("2036-01-01"))
    assert calendar.opening_after(at("2026-12-02T12:00")) is None


@pytest.mark.parametrize(
    ("begins", "ends", "frozen", "free"),
    [
        ("2026-12-01", "2026-12-02", ["2026-12-01T00:00", "2026-12-02T23:59:59"], ["2026-12-03T00:00"]),
        ("2026-12-01T12:00", "2026-12-01T13:00", ["2026-12-01T12:00", "2026-12-01T13:00"], ["2026-12-01T13:00:01"]),
        ("2026-12-01T12:00Z", "2026-12-01T13:00Z", ["2026-12-01T13:00"], ["2026-12-01T12:00"]),
        ("12-20", "01-03", ["2026-12-20T00:00", "2027-01-03T23:59", "2040-12-31T12:00"], ["2027-01-04T00:00"]),
        ("2026-10-25T02:30", "2026-10-25T02:45", ["2026-10-25T00:30Z", "2026-10-25T01:45Z"], ["2026-10-25T01:45:01Z"]),
        ("2026-03-29T02:30", "2026-03-29T12:00", ["2026-03-29T03:00"], ["2026-03-29T01:59:59"]),
        ("02-29", "02-29", ["2028-02-29T12:00", "2027-02-28T12:00"], ["2028-02-28T12:00", "2027-03-01T00:00"]),
    ],
    ids=[
        "dates",
        "times",
        "times of another zone",
        "every year",
        "times that are shown twice",
        "a time that is skipped",
        "leap day",
    ],
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
        ({"windows": "22:00"}, "windows must be a list, got text"),
        ({"windows": [{"days": ["mon"], "from": "22:00"}]}, "windows[0] must have 'to'"),
        ({"windows": [{"days": [], "from": "22:00", "to": "23:00"}]}, "windows[0].days must name"),
        ({"windows": [{"days": ["monday"], "from": "22:00", "to": "23:00"}]}, "windows[0].days must be one of mon"),
        ({"windows": [*NIGHTS, {"days": ["mon"], "from": "25:00", "to": "23:00"}]}, "windows[1].from must be a time"),
        ({"windows": [{"days": ["mon"], "from": "24:00", "to": "23:00"}]}, "windows[0].from must be before 24:00"),
        (
            {"windows": [{"days": ["mon"], "from": "1:00", "to": "23:00", "tz": "UTC"}]},
            "windows[0] must have only days, from, to, got 'tz'",
        ),
        ({"timezone": "Mars/Olympus"}, "timezone must be an IANA name"),
        ({"freezes": [{"from": "2026-12-20", "to": "soon"}]}, "freezes[0].to must be a date"),
        ({"freezes": [{"from": "2026-12-20", "to": "2026-12-19"}]}, "freezes[0].to must not be before"),
        ({"freezes": [{"from": "12-20", "to": "2026-12-19"}]}, "freezes[0] must name a year in both"),
        ({"freezes": [{"from": "13-20", "to": "13-21"}]}, "freezes[0].from must be a date"),
        ({"freezes": [{"from": "02-28", "to": "02-30"}]}, "got '02-30'"),
        # A month, a week or a day of the year would be taken for a single day.
        ({"freezes": [{"from": "2026-12", "to": "2027-01"}]}, "freezes[0].from must be a date"),
        ({"freezes": [{"from": "2026-12-20", "to": "2026-W53"}]}, "freezes[0].to must be a date"),
        ({"freezes": [{"from": "2026-354", "to": "2026-355"}]}, "freezes[0].from must be a date"),
        ({"freezes": [{"from": "now", "to": "2027-01-01"}]}, "freezes[0].from must be a date"),
        ({"freezes": [{"from": "2026-12-20", "to": "2026-12-20T25:00"}]}, "freezes[0].to must be a date"),
        (
            {"freezes": [{"from": "12-20", "to": "01-03", "environments": "prod"}]},
            "environments must be a list, got text",
        ),
        ({"freezes": {"from": "12-20", "to": "01-03"}}, "freezes must be a list, got a mapping"),
        ({"freezes": 5}, "freezes must be a list, got a number"),
        ({"timezone": 3600}, "timezone must be an IANA name"),
        ({"timezone": {"name": "UTC"}}, "timezone must be an IANA name"),
        (
            {"windows": [{"days": ["mon"], "from": 1320, "to": "23:00"}]},
            "windows[0].from must be text, got a number: put it in quotes",
        ),
    ],
)
def test_a_wrong_field_is_named(arguments, field):
    with pytest.raises(BadRequestError) as caught:
        ReleaseCalendar(**{"windows": NIGHTS, **arguments})
    assert field in str(caught.value)
