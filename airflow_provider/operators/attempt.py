"""Asks Airflow about the running attempt, and whether it is still current: one that is over sends nothing."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from airflow.sdk.exceptions import AirflowFailException, AirflowRuntimeError

from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.generation import Attempt
from airflow_provider.core.task_states import OVER
from airflow_provider.exceptions import ExecutionCanceled, ExecutionRejected
from airflow_provider.task_instances import identity_of, task_state

if TYPE_CHECKING:
    from types import FrameType

    from airflow.sdk import Context

GUARD_KEY = "release_attempt"
"""Key in the task state store that an attempt writes before it sends anything: Airflow refuses that to a stale one."""

_NOT_FOUND = 404
"""The status with which Airflow's API server answers an attempt that is no longer the task's."""


class AttemptOver(ExecutionCanceled):
    """Airflow has given up this attempt, so it sends nothing more."""


def attempt_of(context: Context) -> Attempt:
    """Airflow's counters of the running attempt."""
    ti = context["ti"]
    return Attempt(
        try_number=int(ti.try_number),
        max_tries=int(ti.max_tries),
        clear_number=int(getattr(context.get("dag_run"), "clear_number", None) or 0),
        retries=int(context["task"].retries or 0),
    )


class TaskAnswer(NamedTuple):
    """Airflow's answer about the task instance of an attempt.

    :param state: ``None`` if Airflow does not answer.
    :param is_stale: whether Airflow refuses this attempt, because the task instance has a new id.
    """

    state: str | None = None
    is_stale: bool = False


def ask_in_time(context: Context) -> TaskAnswer:
    """Airflow's answer, within a few seconds, about an attempt that has been asked to end.

    Safe inside a signal handler: a thread sends the question, because the interrupted code may be asking as well.
    """
    answers = [TaskAnswer()]

    def ask() -> None:
        with suppress(Exception):
            answers.append(TaskAnswer(task_state(**identity_of(context["ti"]))))
            answers.append(answers[-1]._replace(is_stale=_is_stale(context)))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(DURATIONS.answer_limit)
    return answers[-1]


def _is_stale(context: Context) -> bool:
    try:
        _write_guard(context)
    except AirflowRuntimeError as error:
        return bool((error.error.detail or {}).get("status_code") == _NOT_FOUND)
    return False


def _write_guard(context: Context) -> None:
    context["task_state_store"].set(GUARD_KEY, context["ti"].try_number)


def is_asking_airflow() -> bool:
    """Whether this thread is waiting for an answer from Airflow, as code interrupted by a signal may be.

    Until it continues, no other thread gets an answer: Airflow's channel takes one question at a time.
    """
    runner = sys.modules.get("airflow.sdk.execution_time.task_runner")
    send = getattr(type(getattr(runner, "SUPERVISOR_COMMS", None)), "send", None)
    frame: FrameType | None = sys._getframe()
    while frame and send:
        if frame.f_code is send.__code__:
            return True
        frame = frame.f_back
    return False


def push_if_standing(context: Context, key: str, value: str) -> None:
    """Push an XCom that triggers read, unless Airflow has given this attempt up.

    Airflow would accept it: a worker that was frozen would overwrite what the next attempt has pushed, whose trigger
    would then take its own end for a person's act.
    """
    if not _is_stale(context):
        context["ti"].xcom_push(key, value)


def require_standing(context: Context) -> None:
    """Refuse to continue an attempt that Airflow has given up.

    :raises AttemptOver: its task was ended or cleared, or another attempt runs it.
    """
    try:
        _write_guard(context)
        state = task_state(**identity_of(context["ti"]))
    except AirflowRuntimeError as error:
        raise AttemptOver(f"Airflow may have given up this attempt, so nothing is sent: {error}") from None
    if state in OVER:
        raise AttemptOver(f"the task is {state}: this attempt is over and sends nothing more")


class ExecutionCanceledForGood(ExecutionCanceled, AirflowFailException):
    """Somebody canceled the execution in its own system, so no automatic retry starts it again."""


class ExecutionRejectedForGood(ExecutionRejected, AirflowFailException):
    """People have rejected it in Airflow, so no automatic retry asks them again."""
