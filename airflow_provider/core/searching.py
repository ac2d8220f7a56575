"""Finds the execution of a start: by its reference, or by its intent if the start got no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider.core import lines
from airflow_provider.core.commands import Find, Log, Observe, Pause, Program
from airflow_provider.core.doubles import end_doubles
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.lines import warning
from airflow_provider.core.progress import Progress
from airflow_provider.core.record import StartRecord
from airflow_provider.core.waiting import GUESS, guessed, is_the_systems_own
from airflow_provider.exceptions import Effect, NotFoundError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

Filter = Callable[[Execution], bool]


def observe(progress: Progress, record: StartRecord, ref: ExecutionRef) -> Program[Execution | None]:
    """Poll what was started; ``None`` if it is gone. If the system cannot answer now, its state is unknown."""
    try:
        return (yield from observe_or_raise(progress, record, ref))
    except ReleasePipelineError as error:
        if error.effect is Effect.REFUSED:
            raise
        yield Log([warning(f"Could not poll what this task started, will retry: {error}")])
        return Execution(ref, ExecutionState.UNKNOWN, "not seen yet")


def observe_or_raise(progress: Progress, record: StartRecord, ref: ExecutionRef) -> Program[Execution | None]:
    """Poll what was started; ``None`` if it is gone.

    :raises ReleasePipelineError: the poll failed.
    """
    seen = yield from _observe_until_gone(progress, ref)
    if seen is None and progress.policy.is_marked(record.intent):
        # A gateway that is being reconfigured may find nothing either: a list by the marker knows better.
        listed: list[Execution] = yield Find(record.intent)
        seen = next((each for each in listed if each.id == ref.get("id")), None)
    if seen is None:
        yield Log([warning(f"What this task started is gone: {record.name}")])
    return seen


def _observe_until_gone(progress: Progress, ref: ExecutionRef) -> Program[Execution | None]:
    end = progress.now + DURATIONS.gone_after
    while True:
        asked = progress.now
        try:
            seen: Execution = yield Observe(ref)
            return guessed(seen) if GUESS in ref else seen
        except NotFoundError as error:
            if not is_the_systems_own(error):
                raise
            if asked >= end:
                return None
        yield Pause(DURATIONS.not_found_pause)


def settled(progress: Progress, record: StartRecord, seen: Execution | None) -> Program[Execution | None]:
    """An execution as it was just seen or, if the system may yet take back its end, as it is some seconds later.

    A client believes any end of an execution that it has not seen unfinished, as in the process of a new attempt.

    :param seen: ``None`` if it is gone.
    """
    if seen is None or not seen.state.is_terminal or not (pause := progress.policy.settling_of(seen)):
        return seen
    yield Pause(pause)
    return (yield from observe(progress, record, seen.ref))


def search(
    progress: Progress, intent: dict[str, Any], until: float, counts: Filter = lambda found: True
) -> Program[list[Execution]]:
    """Search until a time: an execution may appear late, a request may fail.

    :param counts: whether an execution is one that is searched for.
    :raises ReleasePipelineError: the last request failed too; nothing may be started then.
    """
    pause = DURATIONS.search_pause
    while True:
        # What counts is when the last request began: this process may have been frozen since.
        asked = progress.now
        failure: ReleasePipelineError | None = None
        try:
            found: list[Execution] = yield Find(intent)
            if wanted := [each for each in found if counts(each)]:
                return wanted
        except ReleasePipelineError as error:
            if error.effect is Effect.REFUSED:
                raise
            failure = error
        if asked + pause > until:
            if failure:
                raise failure
            return []
        yield Pause(pause)
        pause = min(2 * pause, DURATIONS.longest_search_pause)


def search_for(
    progress: Progress, record: StartRecord, until: float, counts: Filter = lambda found: True
) -> Program[list[Execution]]:
    """Search for what the start in a record has started.

    :raises ReleasePipelineError: the search failed; the error says that the start may still take effect.
    """
    try:
        return (yield from search(progress, record.intent, until, counts))
    except ReleasePipelineError as error:
        raise unanswered(record, error) from error


def search_again(
    progress: Progress, record: StartRecord, counts: Filter = lambda found: True
) -> Program[list[Execution]]:
    """Search for what an earlier attempt may have started."""
    until = progress.now + patience_with_earlier_attempt(progress, record)
    return (yield from search_for(progress, record, until, counts))


def patience_with_earlier_attempt(progress: Progress, record: StartRecord) -> float:
    """How long the start of an earlier attempt may still take to appear: that attempt may have died while its request
    was being sent, after which the server may work on it as long as after a time-out.

    Counted from now, unless it is longer ago than the clocks of two machines can differ.
    """
    policy = progress.policy
    patience = DURATIONS.settling + policy.request_timeout
    if not policy.is_marked(record.intent):
        # With a marker, what begins even later is recognized and ended.
        patience = max(patience, (1.0 + DURATIONS.settling_per_second) * policy.request_timeout)
    sent = record.sent or record.started
    return 0.0 if progress.now > sent + patience + DURATIONS.clock_tolerance else patience


def choose(progress: Progress, record: StartRecord, found: list[Execution]) -> Program[Execution | None]:
    """Choose the execution to wait for: one of ours, or the only one that could be."""
    if not found:
        return None
    if progress.policy.is_marked(record.intent):
        chosen = min(found, key=_worst_last)
        yield from end_doubles(progress, chosen.id, found)
    elif len(found) > 1:
        yield from progress.escalate(
            record,
            f"ambiguous: each of {', '.join(each.id for each in found)} could be what this task has started. Resolve "
            "it manually; clearing this task starts anew",
        )
    else:
        chosen = guessed(found[0])
        yield Log([lines.guess(chosen)])
    record.ref = chosen.ref
    return chosen


def _worst_last(found: Execution) -> int:
    """Of several executions of one start, one that is running comes first, then one that has succeeded."""
    if not found.state.is_terminal:
        return 0
    return 1 if found.state is ExecutionState.SUCCEEDED else 2


def unanswered(record: StartRecord, problem: ReleasePipelineError) -> ReleasePipelineError:
    """The error of a start whose effect is not known."""
    return type(problem)(
        f"{record.name} was not found; it may exist or still begin, and only another attempt of this task would find "
        f"it: {problem.summary}",
        call=problem.call,
        effect=problem.effect,
        retry_after=problem.retry_after,
    )


def not_found(record: StartRecord) -> Log:
    text = f"{record.name} was not found: starting another. If the first one begins after all, cancel it manually"
    return Log([warning(text)])
