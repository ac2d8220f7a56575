"""What Airflow says of the attempt that runs, and whether it is still Airflow's: one that is over sends nothing."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from airflow_provider.core.canceling import OVER
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.generation import Attempt
from airflow_provider.exceptions import ExecutionCanceled
from airflow_provider.task_instances import identity_of, task_state

if TYPE_CHECKING:
    from airflow.sdk import Context

GUARD_KEY = "release_attempt"
"""Key in the task state store that an attempt writes before it sends something: Airflow refuses that to a stale one."""


class AttemptOver(ExecutionCanceled):
    """Airflow has given this attempt up: nothing is sent any more."""


def attempt_of(context: Context) -> Attempt:
    """What Airflow counts of the attempt that runs."""
    ti = context["ti"]
    return Attempt(
        try_number=int(ti.try_number),
        max_tries=int(ti.max_tries),
        clear_number=int(getattr(context.get("dag_run"), "clear_number", None) or 0),
        retries=int(context["task"].retries or 0),
    )


def state_told_in_time(identity: dict[str, Any]) -> str | None:
    """The state of a task instance, or ``None`` if Airflow does not answer within some seconds.

    Safe inside a signal handler: it is asked in a thread, because the interrupted code may be asking something, too.
    """
    answer: list[str] = []

    def ask() -> None:
        with suppress(Exception):
            answer.append(task_state(**identity))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(DURATIONS.answer_limit)
    return answer[0] if answer else None


def require_standing(context: Context) -> None:
    """Refuse to go on with an attempt that is not Airflow's any more.

    :raises AttemptOver: its task was ended, cleared or is run by another attempt.
    """
    from airflow.sdk.exceptions import AirflowRuntimeError

    try:
        context["task_state_store"].set(GUARD_KEY, context["ti"].try_number)
        state = task_state(**identity_of(context["ti"]))
    except AirflowRuntimeError as error:
        raise AttemptOver(f"this attempt may not be Airflow's any more, so nothing is sent: {error}") from None
    if state in OVER:
        raise AttemptOver(f"the task is {state}: this attempt is over and sends nothing more")


class ExecutionCanceledForGood(ExecutionCanceled, AirflowFailException):
    """Somebody canceled the execution in its own system, and no automatic retry starts it again."""
