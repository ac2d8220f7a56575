"""Who ended a task, and whether its execution is to be canceled; and the cancel that goes on trying."""

from __future__ import annotations

import enum
from typing import Protocol

from msgspec import Struct

from airflow_provider.core import lines
from airflow_provider.core.commands import Cancel, Pause, Program, Tell
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.lines import name_of
from airflow_provider.core.waiting import GUESS
from airflow_provider.exceptions import Effect, ReleasePipelineError
from airflow_provider.execution import ExecutionRef

CANCEL_REASON = "canceled by Airflow: the task that started it was ended by a person"

NO_STATE = "no state"
"""Of a deferred task instance that a person cleared, or of a running one whose scheduler died."""
GONE = "gone"
"""Of a task instance that is not there: its DAG or its run was deleted."""

ENDED = frozenset({"failed", "success", "skipped", "removed", "upstream_failed", GONE})
"""States of a task instance that is over."""
ENDED_FROM_OUTSIDE = ENDED | {"restarting"}
"""States that a running task instance has when somebody else has ended it."""
OVER = ENDED_FROM_OUTSIDE | {"up_for_retry"}
"""States in which an attempt is not Airflow's any more: it must send nothing."""


class Verdict(enum.StrEnum):
    """What is to become of an execution whose task was told to end."""

    CANCEL = "cancel"
    LEAVE = "leave"
    ASK_AGAIN = "ask again"


def judge_worker_kill(
    state: str | None, *, timed_out: bool, frozen_for: float, is_stale: bool = False
) -> tuple[Verdict, str]:
    """Why a worker's process was told to end: by a person, or by a machine.

    :param state: of the task instance now; ``None`` if Airflow does not answer.
    :param is_stale: whether Airflow refuses this attempt, because it has given the task instance another id since: at
        a clear, a retry, or a new scheduler's reset.
    :param timed_out: whether ``execution_timeout`` ended it.
    :param frozen_for: seconds for which the process did not run just before.
    :return: the verdict, and the reason for the log.
    """
    if timed_out:
        return Verdict.CANCEL, "its execution_timeout has passed"
    if state in ENDED_FROM_OUTSIDE and frozen_for >= DURATIONS.frozen:
        # What a heartbeat time-out leaves on the last attempt looks just like a person's act, and so does how the
        # attempts after it have ended.
        return (
            Verdict.LEAVE,
            f"this worker did not run for {frozen_for:.0f} s, so Airflow may have given it up by itself",
        )
    if is_stale and state in ENDED - {GONE}:
        # A person who ends what has just been cleared leaves the same; whom the log tells.
        return Verdict.LEAVE, f"the task is {state}, but Airflow gave this attempt up before: another may have ended so"
    if state in ENDED_FROM_OUTSIDE:
        return Verdict.CANCEL, f"the task is {state}: ended by a person, by fail_fast or by dagrun_timeout"
    if state is None:
        return Verdict.LEAVE, "Airflow does not answer, so it is not known whether a person ended the task"
    return Verdict.LEAVE, "no person ended this task; the next attempt goes on with the execution"


class TaskSeen(Struct, frozen=True):
    """What Airflow says of a task instance.

    :param state: ``None`` if Airflow does not answer.
    :param waits_as: the marker of the start whose wait the task has deferred for; ``None`` if it has no such XCom.
    """

    state: str | None
    waits_as: str | None = None


RESUMED = "resumed "
"""In front of the marker once the task goes on without its trigger: a worker answers for the execution from then on, or
a webhook has ended the wait for one that is over."""


def judge_trigger_kill(seen: TaskSeen, marker: str, waited: float, frozen_for: float = 0.0) -> tuple[Verdict, str]:
    """Why a trigger was told to end: by a person, or because the wait goes on elsewhere.

    Airflow also tells a triggerer that stalled, for waits that another one took over or that a worker has resumed. The
    try number would tell those apart, but a triggerer of 3.3.2 cannot read Airflow's answer about it.

    :param marker: of the start that this wait is of.
    :param waited: seconds since this was first asked.
    :param frozen_for: seconds for which the triggerer did not run just before.
    :return: the verdict, and the reason for the log.
    """
    is_ours = seen.waits_as == marker
    if seen.state is None:
        return (Verdict.ASK_AGAIN if waited < DURATIONS.undecided_limit else Verdict.LEAVE), "Airflow does not answer"
    if frozen_for >= DURATIONS.stalled:
        # Meanwhile the task may have resumed, failed by itself and been retried: that looks like a person's act, too.
        return (
            Verdict.LEAVE,
            f"this triggerer did not run for {frozen_for:.0f} s, so another one may have taken the wait over",
        )
    if seen.waits_as == RESUMED + marker:
        return Verdict.LEAVE, "the task goes on without this wait, after a push or in a worker"
    if seen.state in ENDED_FROM_OUTSIDE:
        return Verdict.CANCEL, f"the task is {seen.state}: ended by a person, by fail_fast or by dagrun_timeout"
    if seen.state == "deferred":
        if seen.waits_as in (None, marker):
            return Verdict.LEAVE, "the wait moved to another triggerer"
        return Verdict.CANCEL, "a person cleared the task, and it waits for another start already"
    if not is_ours:
        return Verdict.CANCEL, "a person cleared the task"
    if waited < DURATIONS.undecided_limit:
        return Verdict.ASK_AGAIN, f"the task is {seen.state}"
    return Verdict.LEAVE, f"the task is {seen.state}: its next attempt sees to the execution"


def judge_kill_while_asking(
    seen: TaskSeen,
    marker: str,
    waited: float,
    frozen_for: float = 0.0,
    *,
    is_answered: bool,
    is_moved: bool,
    is_last_try: bool,
) -> tuple[Verdict, str]:
    """Why a trigger was told to end whose task asks people: as :func:`judge_trigger_kill`, or by an answer.

    An answer resumes the task without the trigger, which is told to end a second or two later, or long after, and by
    then the task may have come to anything: an answer cancels nothing.

    :param is_answered: whether the question has a person's answer.
    :param is_moved: whether the question is another attempt's by now.
    :param is_last_try: whether the attempt that asks is the last one.
    """
    is_there = seen.state not in (None, GONE, "deferred")
    if is_there and (is_moved or seen.waits_as is None):
        # It cancels what was started before a clear, and goes on with it otherwise.
        return Verdict.LEAVE, "another attempt sees to the execution"
    if is_answered and is_last_try and seen.waits_as == marker and seen.state in ENDED:
        # Airflow 3.3.2 itself fails a task that is answered before it has heard of the end of its process.
        return Verdict.LEAVE, f"the task was answered before it was {seen.state}, and maybe no person has ended it"
    return judge_trigger_kill(seen, marker, waited, frozen_for)


class Timed(Protocol):
    """Whoever runs a program; its ``now`` (epoch seconds) is set before each answer."""

    now: float


def cancel(timed: Timed, ref: ExecutionRef, reason: str, seconds: float) -> Program[ReleasePipelineError | None]:
    """Cancel, trying again for some seconds while the system does not answer; returns why it could not be done.

    What was only guessed to be the task's is never canceled.
    """
    if GUESS in ref:
        yield Tell([lines.guess_not_canceled(name_of(ref))])
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
            yield Tell([lines.cancel_fails(name_of(ref), problem)])
        pause_now = max(pause, problem.retry_after or 0.0)
        if problem.effect is Effect.REFUSED or timed.now + pause_now > end:
            return problem
        yield Pause(pause_now)
        pause = min(2 * pause, DURATIONS.longest_search_pause)
