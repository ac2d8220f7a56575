"""How to know, when Airflow ends a task from outside, whether a person meant it."""

from __future__ import annotations

from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

from airflow_provider.exceptions import Effect

if TYPE_CHECKING:
    from airflow_provider.clients.base import ReleaseClient
    from airflow_provider.execution import ExecutionRef

CANCEL_REASON = "canceled by Airflow: the task that started it was ended by a person"
MARKER_XCOM = "release_start"
"""XCom that tells which start the task instance stands for, readable where the state store is not."""

NO_STATE = "no state"
"""Of a deferred task instance that a person cleared, or of a running one whose scheduler died."""

_ANSWER_LIMIT = 3.0
"""Seconds: the supervisor sends SIGKILL five seconds after SIGTERM."""

ENDED_BY_A_PERSON = frozenset({"failed", "success", "restarting", "skipped", "removed", "upstream_failed"})


def cancel_surely(client: ReleaseClient, ref: ExecutionRef, reason: str, seconds: float) -> None:
    """Cancel unless it is over or ending already; goes on trying for some seconds while the system does not answer.

    :raises ReleasePipelineError: it could not be canceled.
    """
    import tenacity

    tenacity.Retrying(
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_exponential(multiplier=0.5, max=5.0),
        retry=tenacity.retry_if_exception(
            lambda error: getattr(error, "effect", None) in (Effect.NONE, Effect.UNKNOWN, Effect.LATE)
        ),
        reraise=True,
    )(client.cancel, ref, reason)


def task_state(dag_id: str, task_id: str, run_id: str, map_index: int) -> str | None:
    """What Airflow's database says of a task instance: ``NO_STATE`` for one without, ``None`` for no answer."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    mapped = map_index is not None and map_index >= 0
    runs = RuntimeTaskInstance.get_task_states(
        dag_id=dag_id, map_index=map_index if mapped else None, task_ids=[task_id], run_ids=[run_id]
    )
    states = runs.get(run_id) or {}
    key = f"{task_id}_{map_index}" if mapped else task_id
    return (states[key] or NO_STATE) if key in states else None


def a_person_ended(dag_id: str, task_id: str, run_id: str, map_index: int) -> bool:
    """Whether a person marked or cleared a running task, rather than a machine stopping its worker.

    Safe inside a signal handler: the question is asked in a thread, because the interrupted code may be asking one too.
    No answer means no.
    """
    answer: list[str | None] = []

    def ask() -> None:
        with suppress(Exception):
            answer.append(task_state(dag_id, task_id, run_id, map_index))

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(_ANSWER_LIMIT)
    return bool(answer) and answer[0] in ENDED_BY_A_PERSON
