"""A sensor whose release window is closed until the moment that is in the run's parameters."""

from __future__ import annotations

from airflow.sdk import DAG

from airflow_provider.core.release_window import DAYS
from airflow_provider.sensors.release_window import ReleaseWindowSensor

with DAG("release_window", schedule=None, params={"frozen_until": "2099-12-31"}):
    ReleaseWindowSensor(
        task_id="ask",
        windows=[{"days": list(DAYS), "from": "00:00", "to": "24:00"}],
        freezes=[{"from": "2020-01-01", "to": "{{ params.frozen_until }}", "reason": "the fair"}],
        environment="production",
        approvers=["ada", "admin"],
    )
