"""A timetable that starts one run at the opening of each release window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.exceptions import AirflowTimetableInvalid
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable

from airflow_provider.core.release_window import ALWAYS_OPEN_SINCE, Opening, ReleaseCalendar
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.identifiers import windows_problem
from airflow_provider.release_windows import WindowSource

if TYPE_CHECKING:
    from airflow.models.dag import DagModel
    from airflow.serialization.definitions.dag import SerializedDAG


class ReleaseWindow(Timetable):
    """One run at the opening of each release window; its data interval is the window.

    Takes the arguments of :class:`~airflow_provider.sensors.release_window.ReleaseWindowSensor`. Without ``catchup``, a
    missed run still starts while its window is open, but never afterwards.
    """

    def __init__(
        self,
        *,
        windows: Sequence[Mapping[str, Any]] | str,
        timezone: str | None = None,
        freezes: Sequence[Mapping[str, Any]] | None = None,
        environment: str | None = None,
    ) -> None:
        self._source = WindowSource(windows, timezone, freezes, environment)

    @property
    def summary(self) -> str:
        """Shown in the UI."""
        return f"Release windows of {self._source.windows}" if self._source.is_elsewhere else "Release windows"

    def serialize(self) -> dict[str, Any]:
        return self._source.to_json()

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> ReleaseWindow:
        return cls(**data)

    def validate(self) -> None:
        """Windows in a variable or a file are checked when they are read."""
        if problem := windows_problem(self._source.windows):
            raise AirflowTimetableInvalid(f"windows {problem}")
        if self._source.is_elsewhere:
            return
        try:
            self._source.read()
        except ReleasePipelineError as error:
            raise AirflowTimetableInvalid(str(error)) from None

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        return DataInterval.exact(run_after)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        calendar = self._read()
        last = last_automated_data_interval.start if last_automated_data_interval else None
        now = pendulum.now("UTC")
        if not restriction.catchup:
            current = calendar.opening_at(now)
            if current and _may_run(current, last, restriction):
                return _run_in(current)
        begins = [moment for moment in (last, restriction.earliest) if moment]
        if not restriction.catchup:
            begins.append(now)
        if not begins:
            return None
        after = max(begins)
        # The first window of a DAG may open exactly at its start_date.
        opening = calendar.opening_after(after - pendulum.duration(microseconds=1) if after != last else after)
        if opening is None or (restriction.latest and opening.opens > restriction.latest):
            return None
        return _run_in(opening)

    def next_run_info_from_dag_model(self, *, dag_model: DagModel) -> DagRunInfo | None:
        """The run that Airflow is about to create, as it was planned when the DAG was parsed last.

        :raises AirflowTimetableInvalid: its window has closed since, as after an outage of Airflow, or a freeze has
            closed it. Airflow logs that and creates no run; the next one is planned anew.
        """
        info = super().next_run_info_from_dag_model(dag_model=dag_model)
        now = pendulum.now("UTC")
        if info is None or info.data_interval is None or info.run_after > now:
            return info
        if now < info.data_interval.end and self._read().opening_at(now):
            return info
        dag = _dag_of(dag_model)
        if dag is None or dag.catchup:
            # Without a session it is no scheduler that asks, but the command line.
            return info
        # Otherwise Airflow tries again several times a second, until it parses the DAG.
        dag_model.calculate_dagrun_date_fields(dag=dag, reference_run=None)
        raise AirflowTimetableInvalid(f"run skipped: the release window is closed at {info.run_after}")

    def _read(self) -> ReleaseCalendar:
        if not self._source.is_elsewhere:
            return self._source.read()
        # Airflow reads a Variable in the database session of its thread, and closes it then: that of the DAG processor
        # or the scheduler, which is in use.
        with ThreadPoolExecutor(max_workers=1) as reader:
            return reader.submit(self._source.read).result()


def _dag_of(dag_model: DagModel) -> SerializedDAG | None:
    from airflow.models.serialized_dag import SerializedDagModel
    from sqlalchemy.orm import object_session

    session = object_session(dag_model)
    return SerializedDagModel.get_dag(dag_model.dag_id, session=session) if session else None


def _may_run(opening: Opening, last: pendulum.DateTime | None, restriction: TimeRestriction) -> bool:
    return (
        # Windows that leave no gap do not open.
        opening.opens > ALWAYS_OPEN_SINCE
        and (last is None or last < opening.opens)
        and (restriction.earliest is None or restriction.earliest <= opening.opens)
        and (restriction.latest is None or opening.opens <= restriction.latest)
    )


def _run_in(opening: Opening) -> DagRunInfo:
    opens, closes = pendulum.instance(opening.opens), pendulum.instance(opening.closes)
    return DagRunInfo(run_after=opens, data_interval=DataInterval(opens, closes))
