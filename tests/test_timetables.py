"""The timetable of release windows, as Airflow's scheduler uses it."""

from __future__ import annotations

from typing import Any

import pendulum
import pytest
from airflow.exceptions import AirflowTimetableInvalid
from airflow.timetables.base import DataInterval, TimeRestriction

from airflow_provider.core.release_window import DAYS
from airflow_provider.timetables import ReleaseWindow

NIGHTS = {"windows": [{"days": list(DAYS), "from": "22:00", "to": "06:00"}], "timezone": "Europe/Berlin"}


def at(text: str) -> pendulum.DateTime:
    return pendulum.parse(text, tz="Europe/Berlin")


def runs(count: int, timetable: ReleaseWindow, **restriction: Any) -> list[pendulum.DateTime]:
    """When the scheduler starts the first runs."""
    restriction = {"earliest": None, "latest": None, "catchup": True, **restriction}
    begins, last = [], None
    for _ in range(count):
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=TimeRestriction(**restriction))
        if info is None:
            break
        last = info.data_interval
        begins.append(info.run_after)
    return begins


def test_each_opening_starts_one_run_over_daylight_saving_time_and_freezes():
    timetable = ReleaseWindow(**NIGHTS, freezes=[{"from": "2026-03-27", "to": "2026-03-27"}])
    assert runs(4, timetable, earliest=at("2026-03-25T22:00")) == [
        at("2026-03-25T22:00"),
        at("2026-03-26T22:00"),
        at("2026-03-28T00:00"),
        at("2026-03-28T22:00"),
    ]


def test_the_data_interval_is_the_window():
    restriction = TimeRestriction(at("2026-03-28T12:00"), None, True)
    info = ReleaseWindow(**NIGHTS).next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
    assert info.data_interval == DataInterval(at("2026-03-28T22:00"), at("2026-03-29T06:00"))


def test_nothing_is_scheduled_after_the_end_date():
    assert len(runs(9, ReleaseWindow(**NIGHTS), earliest=at("2026-03-01"), latest=at("2026-03-03"))) == 2


@pytest.mark.parametrize(
    ("now", "last", "begins"),
    [
        ("2026-11-27T23:00", "2026-11-25T22:00", "2026-11-27T22:00"),
        ("2026-11-27T23:00", "2026-11-27T22:00", "2026-11-28T22:00"),
        ("2026-11-28T07:00", "2026-11-25T22:00", "2026-11-28T22:00"),
    ],
    ids=["still open", "has run", "closed"],
)
def test_without_catchup_a_missed_run_is_made_up_for_in_its_window_only(mocker, now, last, begins):
    mocker.patch("pendulum.now", return_value=at(now))
    last = DataInterval(at(last), at(last).add(hours=8))
    restriction = TimeRestriction(at("2026-01-01"), None, False)
    info = ReleaseWindow(**NIGHTS).next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
    assert info.run_after == at(begins)


def test_a_wrong_window_makes_the_dag_invalid():
    with pytest.raises(AirflowTimetableInvalid, match=r"windows\[0\].days must be one of mon"):
        ReleaseWindow(windows=[{"days": ["monday"], "from": "22:00", "to": "06:00"}]).validate()


def test_a_dag_with_this_timetable_travels_to_the_scheduler_and_back():
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("nights", schedule=ReleaseWindow(**NIGHTS), start_date=at("2026-03-25T00:00")) as dag:
        pass
    there = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)).timetable
    assert runs(1, there, earliest=at("2026-03-25T00:00")) == [at("2026-03-25T22:00")]
