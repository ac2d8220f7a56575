"""The timetable of release windows, as Airflow's scheduler uses it."""

from __future__ import annotations

import json
import os
from datetime import date, datetime
from typing import Any
from uuid import uuid4

import pendulum
import pytest
from airflow.exceptions import AirflowTimetableInvalid
from airflow.timetables.base import DataInterval, TimeRestriction

from airflow_provider.core.release_window import DAYS
from airflow_provider.timetables import ReleaseWindow
from tests.support.airflow_runs import make_known, prepare_database

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


@pytest.mark.parametrize(
    ("earliest", "latest", "begins"),
    [
        ("2026-11-27T22:00", None, "2026-11-27T22:00"),
        ("2026-11-27T22:00:01", None, "2026-11-28T22:00"),
        ("2026-01-01", "2026-11-27T22:00", "2026-11-27T22:00"),
        ("2026-01-01", "2026-11-27T21:59", None),
    ],
)
def test_an_open_window_starts_a_run_only_between_the_dates_of_the_dag(mocker, earliest, latest, begins):
    mocker.patch("pendulum.now", return_value=at("2026-11-27T23:00"))
    restriction = TimeRestriction(at(earliest), latest and at(latest), False)
    info = ReleaseWindow(**NIGHTS).next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
    assert (info and info.run_after) == (begins and at(begins))


def test_a_run_by_hand_has_no_window():
    now = at("2026-11-27T12:00")
    assert ReleaseWindow(**NIGHTS).infer_manual_data_interval(run_after=now) == DataInterval.exact(now)


ROUND_THE_CLOCK = {"windows": [{"days": list(DAYS), "from": "00:00", "to": "24:00"}], "timezone": "Europe/Berlin"}


@pytest.mark.parametrize("earliest", [None, "2026-01-01"])
def test_windows_without_a_gap_start_a_run_after_each_freeze_and_none_besides(mocker, earliest):
    timetable = ReleaseWindow(**ROUND_THE_CLOCK, freezes=[{"from": "2026-06-01", "to": "2026-06-02"}])
    restriction = TimeRestriction(earliest and at(earliest), None, False)
    begins, last = [], None
    for moment in pendulum.interval(at("2026-05-01T12:00"), at("2026-08-01T12:00")).range("days", 3):
        mocker.patch("pendulum.now", return_value=moment)
        info = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        if info and info.run_after <= moment:
            begins.append(info.run_after)
            last = info.data_interval
    assert begins == [at("2026-06-03T00:00")]


def test_catchup_makes_up_for_each_window_since_the_start_and_for_none_that_a_freeze_has_closed():
    week = {"from": "2026-03-02", "to": "2026-03-08T23:59:59"}
    begins = runs(3, ReleaseWindow(**NIGHTS, freezes=[week]), earliest=at("2026-02-28T23:00"), catchup=True)
    # That of 28 February had opened before the start, and a freeze has cut short that of 1 March.
    assert begins == [at("2026-03-01T22:00"), at("2026-03-09T00:00"), at("2026-03-09T22:00")]


def test_a_wrong_window_makes_the_dag_invalid():
    with pytest.raises(AirflowTimetableInvalid, match=r"windows\[0\].days must be one of mon"):
        ReleaseWindow(windows=[{"days": ["monday"], "from": "22:00", "to": "06:00"}]).validate()


def at_the_scheduler(timetable: ReleaseWindow) -> ReleaseWindow:
    """As the scheduler has it, which reads it from the database."""
    from airflow.sdk import DAG
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("nights", schedule=timetable, start_date=at("2026-03-25T00:00")) as dag:
        pass
    stored = json.dumps(DagSerialization.serialize_dag(dag))
    return DagSerialization.deserialize_dag(json.loads(stored)).timetable


def test_a_dag_with_this_timetable_travels_to_the_scheduler_and_back():
    there = at_the_scheduler(ReleaseWindow(**NIGHTS))
    assert runs(1, there, earliest=at("2026-03-25T00:00")) == [at("2026-03-25T22:00")]


def test_dates_that_a_dag_file_writes_as_dates_travel_too():
    freezes = [{"from": date(2026, 3, 25), "to": datetime(2026, 3, 26, 23, 59, 59)}]
    there = at_the_scheduler(ReleaseWindow(**NIGHTS, freezes=freezes))
    assert runs(1, there, earliest=at("2026-03-25T00:00")) == [at("2026-03-27T00:00")]


# --- in the scheduler, which creates what was planned when the DAG was parsed last


def created_runs(timetable: ReleaseWindow, planned: DataInterval, *, catchup: bool = False) -> list[datetime]:
    """When the runs begin that the scheduler creates now.

    :param planned: the window of the run that was planned last.
    """
    from airflow.jobs.job import Job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun
    from airflow.sdk import DAG, BaseOperator
    from airflow.utils.session import create_session
    from airflow.utils.sqlalchemy import prohibit_commit

    dag_id = f"test_{uuid4().hex[:8]}"
    with DAG(dag_id, schedule=timetable, start_date=at("2026-01-01"), catchup=catchup) as dag:
        BaseOperator(task_id="release")
    make_known(dag)
    with create_session() as session:
        model = session.get(DagModel, dag_id)
        model.next_dagrun = model.next_dagrun_create_after = planned.start
        model.next_dagrun_data_interval = (planned.start, planned.end)
        session.flush()
        with prohibit_commit(session):
            SchedulerJobRunner(job=Job())._create_dag_runs([model], session=session)  # noqa: SLF001 - Airflow's
        assert model.next_dagrun_create_after > pendulum.now("UTC"), "the scheduler would try again at once"
        return [run.run_after for run in session.query(DagRun).filter_by(dag_id=dag_id)]


def hours_from_now(begin: int, end: int) -> tuple[DataInterval, dict[str, Any]]:
    """A span of time, and the windows of each day that contain it."""
    now = pendulum.now("UTC").start_of("minute")
    span = DataInterval(now.add(hours=begin), now.add(hours=end))
    return span, {"windows": [{"days": list(DAYS), "from": f"{span.start:HH:mm}", "to": f"{span.end:HH:mm}"}]}


def test_a_run_that_is_due_is_created_in_its_window():
    window, windows = hours_from_now(-1, 1)
    assert created_runs(ReleaseWindow(**windows), window) == [window.start]


def test_no_run_is_created_after_its_window_although_airflow_was_down_until_then(capsys):
    window, windows = hours_from_now(-3, -1)
    assert created_runs(ReleaseWindow(**windows), window) == []
    assert "run skipped: the release window is closed" in capsys.readouterr().out


def test_no_run_is_created_in_a_freeze_that_was_declared_after_it_was_planned():
    window, windows = hours_from_now(-1, 1)
    today = f"{pendulum.now('UTC'):YYYY-MM-DD}"
    assert created_runs(ReleaseWindow(**windows, freezes=[{"from": today, "to": today}]), window) == []


def test_with_catchup_a_run_is_created_however_late():
    window, windows = hours_from_now(-3, -1)
    assert created_runs(ReleaseWindow(**windows), window, catchup=True) == [window.start]


def test_windows_in_a_variable_are_read_beside_the_session_of_dag_processor_and_scheduler(mocker):
    from airflow.models.variable import Variable

    mocker.patch.dict(os.environ, {"_AIRFLOW_PROCESS_CONTEXT": "server"})
    window, windows = hours_from_now(-1, 1)
    prepare_database()
    Variable.set("release_windows_here", windows, serialize_json=True)
    assert created_runs(ReleaseWindow(windows="variable:release_windows_here"), window) == [window.start]


def test_the_command_line_shows_the_run_that_was_planned_although_its_window_has_closed():
    """Airflow's ``dags next-execution`` asks after it has closed its database session."""
    from airflow.models.dag import DagModel

    window, windows = hours_from_now(-3, -1)
    model = DagModel(dag_id="next")
    model.next_dagrun = model.next_dagrun_create_after = window.start
    model.next_dagrun_data_interval = (window.start, window.end)
    assert ReleaseWindow(**windows).next_run_info_from_dag_model(dag_model=model).run_after == window.start
