"""Reads the state of a task instance from Airflow, in a worker or a triggerer."""

from __future__ import annotations

from typing import Any

from airflow_provider.core.task_states import GONE, NO_STATE


def identity_of(ti: Any) -> dict[str, Any]:
    """Identifies a task instance, a worker's or a triggerer's, for :func:`task_state` and XCom."""
    map_index = ti.map_index if ti.map_index is not None else -1
    return {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": map_index}


def task_state(dag_id: str, task_id: str, run_id: str, map_index: int) -> str:
    """The state of a task instance in Airflow's database: ``NO_STATE`` if it has none, ``GONE`` if it does not exist.

    Raises whatever Airflow raises while its API server is unreachable.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    mapped = map_index >= 0
    runs = RuntimeTaskInstance.get_task_states(
        dag_id=dag_id, map_index=map_index if mapped else None, task_ids=[task_id], run_ids=[run_id]
    )
    states = runs.get(run_id) or {}
    key = f"{task_id}_{map_index}" if mapped else task_id
    return (states[key] or NO_STATE) if key in states else GONE
