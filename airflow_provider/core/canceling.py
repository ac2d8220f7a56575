"""Judges who ended a task and whether to cancel its execution; and the cancel that is retried."""

from __future__ import annotations

import enum
import math
from typing import Protocol

from msgspec import Struct

from airflow_provider.core import lines
from airflow_provider.core.commands import Cancel, Log, Pause, Program
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.lines import LogLine, name_of
from airflow_provider.core.task_states import ENDED, ENDED_FROM_OUTSIDE, GONE
from airflow_provider.core.waiting import GUESS
from airflow_provider.exceptions import Effect, ReleasePipelineError
from airflow_provider.execution import ExecutionRef

CANCEL_REASON = "canceled by Airflow: the task that started it was ended by a person"


class Verdict(enum.StrEnum):
    """What happens to the execution of a task that is being ended."""

    CANCEL = "cancel"
    LEAVE = "leave"
    LEAVE_UNSURE = "leave, unsure"
    """Nothing is canceled, although it may be that a person ended the task."""
    ASK_AGAIN = "ask again"


def judge_worker_kill(
    state: str | None,
    *,
    timed_out: bool,
    frozen_for: float,
    is_stale: bool = False,
    given_up_after: float = math.inf,
) -> tuple[Verdict, str]:
    """Judge why a worker's process is being ended: by a person, or by a machine.

    :param state: current state of the task instance; ``None`` if Airflow does not answer.
    :param is_stale: whether Airflow refuses this attempt, because the task instance has another id since a clear, a
        retry, or a new scheduler's reset.
    :param timed_out: whether ``execution_timeout`` ended it.
    :param frozen_for: seconds for which the process did not run just before.
    :param given_up_after: seconds without a heartbeat after which this Airflow gives up a worker.
    :return: the verdict, and the reason for the log.
    """
    if timed_out:
        return Verdict.CANCEL, "its execution_timeout has passed"
    if state in ENDED_FROM_OUTSIDE and frozen_for >= min(DURATIONS.frozen, given_up_after / 2):
        # A heartbeat time-out of the last attempt leaves the same state as a person does, and so may later attempts.
        return (
            Verdict.LEAVE_UNSURE,
            f"this worker did not run for {frozen_for:.0f} s, so Airflow may have given it up by itself",
        )
    if is_stale and state in ENDED - {GONE}:
        # A person who ends a task that was just cleared, or whose attempt was just given up, leaves the same state.
        return (
            Verdict.LEAVE_UNSURE,
            f"the task is {state}, but maybe by another attempt, because Airflow gave up this one",
        )
    if state in ENDED_FROM_OUTSIDE:
        return Verdict.CANCEL, f"the task is {state}: ended by a person, by fail_fast or by dagrun_timeout"
    if state is None:
        return Verdict.LEAVE_UNSURE, "Airflow does not answer"
    return Verdict.LEAVE, "no person ended this task; the next attempt continues with the execution"


def not_canceled(verdict: Verdict, name: str, reason: str) -> LogLine:
    """The log line for an execution that is not canceled."""
    return lines.may_be_left(name, reason) if verdict is Verdict.LEAVE_UNSURE else lines.not_canceling(name, reason)


class TaskSeen(Struct, frozen=True):
    """A task instance as read from Airflow.

    :param state: ``None`` if Airflow does not answer.
    :param waits_as: marker of the start for which the task is deferred; ``None`` if it has no such XCom.
    :param was_retrying: whether it was waiting for a retry at an earlier reading, which no clear of a deferred task
        leads to.
    """

    state: str | None
    waits_as: str | None = None
    was_retrying: bool = False


RESUMED = "resumed "
"""Prefix of the marker once the task continues without its trigger: a worker is responsible for the execution from then
on, or a webhook has ended the wait for an execution that had finished."""


def judge_trigger_kill(
    seen: TaskSeen, marker: str, waited: float, frozen_for: float = 0.0, *, given_up_after: float = math.inf
) -> tuple[Verdict, str]:
    """Judge why a trigger is being ended: by a person, or because the wait continues elsewhere.

    Airflow also ends the triggers of a triggerer that stalled, whose waits another one has taken over or a worker has
    resumed. The try number would distinguish these cases, but a triggerer of 3.3.2 cannot read Airflow's answer about
    it.

    :param marker: marker of the start that is waited for.
    :param waited: seconds since the first judgment.
    :param frozen_for: seconds for which the triggerer did not run just before.
    :param given_up_after: seconds without a heartbeat after which this Airflow gives its triggers to another one.
    :return: the verdict, and the reason for the log.
    """
    is_ours = seen.waits_as == marker
    if seen.state is None:
        is_early = waited < DURATIONS.undecided_limit
        return (Verdict.ASK_AGAIN if is_early else Verdict.LEAVE_UNSURE), "Airflow does not answer"
    if frozen_for >= min(DURATIONS.stalled, given_up_after / 1.5):
        # The task may have resumed, failed by itself and been retried since, which also looks like a person's act.
        return (
            Verdict.LEAVE_UNSURE,
            f"this triggerer did not run for {frozen_for:.0f} s, so another one may have taken over the wait",
        )
    if seen.waits_as == RESUMED + marker:
        return Verdict.LEAVE, "the task continues without this wait, in a worker or after a webhook"
    if seen.was_retrying and seen.state in ENDED_FROM_OUTSIDE:
        return Verdict.LEAVE_UNSURE, f"the task is {seen.state}, but maybe its next attempt failed by itself"
    if seen.state in ENDED_FROM_OUTSIDE:
        return Verdict.CANCEL, f"the task is {seen.state}: ended by a person, by fail_fast or by dagrun_timeout"
    if seen.state == "deferred":
        if seen.waits_as in (None, marker):
            return Verdict.LEAVE, "the wait moved to another triggerer"
        return Verdict.CANCEL, "a person cleared the task, and it already waits for another start"
    if not is_ours and seen.was_retrying:
        # It had resumed without this wait, and its process ended before it could say so.
        return Verdict.LEAVE, "the task is retried, and its next attempt takes care of the execution"
    if not is_ours:
        return Verdict.CANCEL, "a person cleared the task"
    if waited < DURATIONS.undecided_limit:
        return Verdict.ASK_AGAIN, f"the task is {seen.state}"
    return Verdict.LEAVE, f"the task is {seen.state}: its next attempt takes care of the execution"


def judge_kill_while_asking(
    seen: TaskSeen,
    marker: str,
    waited: float,
    frozen_for: float = 0.0,
    *,
    is_answered: bool,
    is_moved: bool,
    is_last_try: bool,
    given_up_after: float = math.inf,
) -> tuple[Verdict, str]:
    """Judge why a trigger is being ended whose task asks people: as :func:`judge_trigger_kill`, or by an answer.

    An answer resumes the task without the trigger, which Airflow ends a second or two later, or much later, and by then
    the task may be in any state: an answer cancels nothing.

    :param is_answered: whether the question has a person's answer.
    :param is_moved: whether the question now belongs to another attempt.
    :param is_last_try: whether the attempt that asks is the last one.
    """
    is_there = seen.state not in (None, GONE, "deferred")
    if is_there and (is_moved or seen.waits_as is None):
        # That attempt cancels what was started before a clear, and otherwise continues with it.
        return Verdict.LEAVE, "another attempt takes care of the execution"
    if is_answered and is_last_try and seen.waits_as == marker and seen.state in ENDED:
        # Airflow 3.3.2 itself fails a task whose answer comes before Airflow has noticed the end of its process.
        return Verdict.LEAVE, f"the task was answered before it was {seen.state}, and maybe no person ended it"
    return judge_trigger_kill(seen, marker, waited, frozen_for, given_up_after=given_up_after)


class Timed(Protocol):
    """An object whose ``now`` (epoch seconds) is set before its program is sent a result."""

    now: float


def cancel(timed: Timed, ref: ExecutionRef, reason: str, seconds: float) -> Program[ReleasePipelineError | None]:
    """Cancel, and retry for some seconds while the system does not answer; returns the error if it failed.

    An execution that is only guessed to be the task's is never canceled.
    """
    if GUESS in ref:
        yield Log([lines.guess_not_canceled(name_of(ref))])
        return None
    end = timed.now + seconds
    pause = DURATIONS.search_pause
    is_warned = False
    while True:
        try:
            yield Cancel(ref, reason)
            return None
        except ReleasePipelineError as error:
            problem = error
        if not is_warned:
            is_warned = True
            yield Log([lines.cancel_fails(name_of(ref), problem)])
        pause_now = max(pause, problem.retry_after or 0.0)
        if problem.effect is Effect.REFUSED or timed.now + pause_now > end:
            return problem
        yield Pause(pause_now)
        pause = min(2 * pause, DURATIONS.longest_search_pause)
