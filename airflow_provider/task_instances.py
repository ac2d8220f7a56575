"""What Airflow's database says of a task instance, asked from a worker or a triggerer."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow_provider.core.canceling import GONE, NO_STATE


def task_state(dag_id: str, task_id: str, run_id: str, map_index: int) -> str:
    """What Airflow's database says of a task instance: ``NO_STATE`` for one without, ``GONE`` where there is none.

    Raises whatever Airflow raises while its API server is away.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    mapped = map_index >= 0
    runs = RuntimeTaskInstance.get_task_states(
        dag_id=dag_id, map_index=map_index if mapped else None, task_ids=[task_id], run_ids=[run_id]
    )
    states = runs.get(run_id) or {}
    key = f"{task_id}_{map_index}" if mapped else task_id
    return (states[key] or NO_STATE) if key in states else GONE


def try_number_of(logical_date: datetime | None, dag_id: str, task_id: str, run_id: str, map_index: int) -> int | None:
    """The try that a task instance is at now; ``None`` where Airflow cannot tell: for runs without a logical date.

    Airflow 3.3.2 tells a triggerer the try number of "the task instance before a date" only, so it is asked for the one
    just before a moment after our own.
    """
    from airflow.sdk.execution_time.comms import GetPreviousTI, PreviousTIResult
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    if logical_date is None:
        return None
    just_after = logical_date + timedelta(microseconds=1)
    answer = SUPERVISOR_COMMS.send(
        GetPreviousTI(dag_id=dag_id, task_id=task_id, logical_date=just_after, map_index=map_index)
    )
    found = answer.task_instance if isinstance(answer, PreviousTIResult) else None
    return found.try_number if found and found.run_id == run_id else None
