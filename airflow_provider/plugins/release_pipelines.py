"""The entry point ``airflow.plugins``: without it Airflow refuses a DAG whose timetable is ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from airflow.timetables.base import Timetable


class ReleasePipelinesPlugin(AirflowPlugin):
    name = "release_pipelines"

    @property
    def timetables(self) -> list[type[Timetable]]:  # type: ignore[override]
        """Imported when asked for: every task's process loads plugins, and only schedulers and parsers need these."""
        from airflow_provider.timetables import ReleaseWindow

        return [ReleaseWindow]
