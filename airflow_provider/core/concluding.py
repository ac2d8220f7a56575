"""How a start ends: the result of its wait, and the cancel at its deadline."""

from __future__ import annotations

from typing import Any

from airflow_provider.core.canceling import cancel
from airflow_provider.core.commands import Log, Observe, Program
from airflow_provider.core.doubles import end_late_doubles
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.lines import name_of, warning
from airflow_provider.core.progress import Progress
from airflow_provider.core.record import End, Phase, StartRecord
from airflow_provider.core.searching import settled
from airflow_provider.core.states import State
from airflow_provider.core.waiting import GUESS, Ending, Outcome, Wait
from airflow_provider.exceptions import ExecutionTimeout, ReleasePipelineError
from airflow_provider.execution import Execution


def end_record(progress: Progress, outcome: Outcome) -> Program[Outcome]:
    """Save how a wait ended, after a cancel if time is up; returns how the execution ended."""
    record = progress.own_record()
    if outcome.ending is Ending.DEADLINE:
        outcome = yield from end_at_deadline(progress, record, outcome)
    if outcome.ending is Ending.FINISHED and outcome.execution:
        record.phase = Phase.ENDED
        record.end = End(outcome.execution["state"])
        record.ref = outcome.execution.get("ref") or record.ref
        yield from progress.save(record)
        yield from end_late_doubles(progress, record)
    return outcome


def end_at_deadline(progress: Progress, record: StartRecord, outcome: Outcome) -> Program[Outcome]:
    """Poll once more, then cancel. Returns the outcome of an execution that ended just in time."""
    progress.enter(State.CANCELING)
    policy = progress.policy
    ref: dict[str, Any] = outcome.execution["ref"] if outcome.execution else record.ref or {}
    last = Wait(ref, policy.poll_interval)
    summary = f"{name_of(ref)} did not finish within {policy.timeout or 0:g} s"
    try:
        seen: Execution = yield Observe(ref)
        if ended := last.update((yield from settled(progress, record, seen)) or seen, progress.now):
            return ended
        ref = last.ref
    except ReleasePipelineError as error:
        yield Log([warning(f"The last poll failed: {error}")])
    if last.last and last.last.message:
        summary += f" ({last.last.message})"
    if GUESS in (record.ref or {}):
        raise progress.error(
            ExecutionTimeout, f"{summary}; it was only guessed to be this task's, so it was not canceled"
        )
    record.phase, record.ref = Phase.ENDING, ref
    yield from progress.save(record)
    if last.last and not policy.needs_cancel(last.last):
        raise progress.error(ExecutionTimeout, f"{summary}; it is already being canceled, or has stopped")
    seconds = DURATIONS.deadline_cancel_limit if policy.is_known(ref) else 0.0
    problem = yield from cancel(progress, ref, f"canceled by Airflow: {summary}", seconds)
    yield from end_late_doubles(progress, record)
    if problem:
        raise progress.error(ExecutionTimeout, f"{summary}, and it could not be canceled: {problem}")
    raise progress.error(ExecutionTimeout, f"{summary}; it was canceled")
