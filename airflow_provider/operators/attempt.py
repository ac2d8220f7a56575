"""What Airflow says of the attempt that runs, and whether it is still Airflow's: one that is over sends nothing."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError

from airflow_provider.core.canceling import OVER
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.generation import Attempt
from airflow_provider.exceptions import ExecutionCanceled, ExecutionRejected
from airflow_provider.task_instances import identity_of, task_state

if TYPE_CHECKING:
    from types import FrameType

    from airflow.sdk import Context

GUARD_KEY = "release_attempt"
"""Key in the task state store that an attempt writes before it sends something: Airflow refuses that to a stale one."""

_NOT_FOUND = 404
"""What Airflow's API server answers to an attempt that is not the task's any more."""


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


class Told(NamedTuple):
    """What Airflow says of the task instance of an attempt.

    :param state: ``None`` if it does not answer.
    :param is_stale: whether it refuses this attempt, because the task instance has another id by now.
    """

    state: str | None = None
    is_stale: bool = False


def told_in_time(context: Context) -> Told:
    """What Airflow says of an attempt that is told to end, within some seconds.

    Safe inside a signal handler: it is asked in a thread, because the interrupted code may be asking something, too.
    """
    told = [Told()]

    def ask() -> None:
        with suppress(Exception):
            told.append(Told(task_state(**identity_of(context["ti"]))))
            told.append(told[-1]._replace(is_stale=_is_stale(context)))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(DURATIONS.answer_limit)
    return told[-1]


def _is_stale(context: Context) -> bool:
    try:
        _write_guard(context)
    except AirflowRuntimeError as error:
        return bool((error.error.detail or {}).get("status_code") == _NOT_FOUND)
    return False


def _write_guard(context: Context) -> None:
    context["task_state_store"].set(GUARD_KEY, context["ti"].try_number)


def is_asking_airflow() -> bool:
    """Whether this thread is in the middle of a question to Airflow, as code is that a signal has interrupted.

    Until it goes on, no other thread gets an answer: Airflow's channel takes one question at a time.
    """
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    send = getattr(type(getattr(runner, "SUPERVISOR_COMMS", None)), "send", None)
    frame: FrameType | None = sys._getframe()
    while frame and send:
        if frame.f_code is send.__code__:
            return True
        frame = frame.f_back
    return False


def require_standing(context: Context) -> None:
    """Refuse to go on with an attempt that is not Airflow's any more.

    :raises AttemptOver: its task was ended, cleared or is run by another attempt.
    """
    try:
        _write_guard(context)
        state = task_state(**identity_of(context["ti"]))
    except AirflowRuntimeError as error:
        raise AttemptOver(f"this attempt may not be Airflow's any more, so nothing is sent: {error}") from None
    if state in OVER:
        raise AttemptOver(f"the task is {state}: this attempt is over and sends nothing more")


class ExecutionCanceledForGood(ExecutionCanceled, AirflowFailException):
    """Somebody canceled the execution in its own system, and no automatic retry starts it again."""


class ExecutionRejectedForGood(ExecutionRejected, AirflowFailException):
    """People have rejected it in Airflow, and no automatic retry starts it again to ask them again."""
