"""Ends what was started before a task was cleared: nothing is started while an earlier execution still runs."""

from __future__ import annotations

from airflow_provider.core import lines
from airflow_provider.core.commands import Cancel, Log, Pause, Program
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.lines import LogLine, warning
from airflow_provider.core.progress import Progress
from airflow_provider.core.record import Phase, StartRecord
from airflow_provider.core.searching import choose, not_found, observe_or_raise, search_again, settled
from airflow_provider.core.states import State
from airflow_provider.core.waiting import GUESS
from airflow_provider.exceptions import Effect, ReleasePipelineError, ServerUnavailableError


def end_cleared(progress: Progress, record: StartRecord) -> Program[None]:
    """After a clear, wait for the end of the earlier start: the process that waited for it cancels it, or has died."""
    was_sent = record.ref is not None or record.sends > 0
    if not progress.policy.cancel_on_kill or record.is_over or not was_sent:
        progress.enter(State.PREPARING)
        return
    if record.ref is None:
        yield from find_cleared(progress, record)
        if record.ref is None:
            progress.enter(State.PREPARING)
            return
    yield from let_end(progress, record)


def find_cleared(progress: Progress, record: StartRecord) -> Program[None]:
    """Find the execution of a start that got no answer before the clear."""
    progress.enter(State.SEARCHING)
    is_marked = progress.policy.is_marked(record.intent)
    try:
        # Without a marker, a finished execution may be somebody else's, and ours may still appear.
        found = yield from search_again(progress, record, lambda each: is_marked or progress.is_unfinished(each))
    except ReleasePipelineError as error:
        if error.effect is not Effect.REFUSED or isinstance(error, ServerUnavailableError):
            raise
        yield Log([warning(f"Could not find out whether the cleared task had started anything: {error}")])
        return
    if not found:
        yield not_found(record)
    if is_marked:
        yield from choose(progress, record, found)
        return
    # None of them is certainly ours: a person must decide.
    if found and not progress.was_resolved(record):
        yield from progress.escalate(
            record,
            f"{', '.join(each.id for each in found)} may have been started by this task before it was cleared, "
            "unless its own execution has yet to begin. Guesses are never canceled. Nothing else was started: if it is "
            "this task's, cancel it manually, then clear this task",
        )


def let_end(progress: Progress, record: StartRecord) -> Program[None]:
    """Wait until an execution has ended, cancel it if necessary, or fail with an error that names it."""
    progress.enter(State.ENDING)
    ref = record.ref or {}
    begun, trouble, is_asked = progress.now, "", False
    cancel_from = begun if record.phase is Phase.ENDING else begun + DURATIONS.cleared_grace
    pause = DURATIONS.cleared_cancel_pause
    while True:
        seen = None
        try:
            seen = yield from observe_or_raise(progress, record, ref)
            seen = yield from settled(progress, record, seen)
            is_over = seen is None or not progress.is_unfinished(seen)
            # An execution that cannot be canceled was left to a person, who has cleared the task again.
            is_left = GUESS in ref or not progress.policy.is_known(ref)
            if is_over or (is_left and progress.was_resolved(record)):
                if not is_over:
                    yield Log([warning(f"Starting anew; {record.name} is left alone, although it has not ended")])
                progress.enter(State.PREPARING)
                return
        except ReleasePipelineError as error:
            trouble = str(error)
        if progress.now >= begun + DURATIONS.cleared_limit:
            break
        if seen and progress.policy.needs_cancel(seen) and not is_asked and progress.now >= cancel_from:
            if GUESS in ref:
                trouble = "it was only guessed to be this task's, and a guess is never canceled"
                break
            try:
                yield Cancel(ref, "canceled by Airflow: the task that started it was cleared")
                is_asked = True
                yield Log([LogLine(f"Canceled {record.name}, which the cleared task had started")])
            except ReleasePipelineError as error:
                trouble = str(error)
                yield Log([lines.cancel_fails(record.name, error)])
                # What is refused while an execution is queued may be accepted once it runs.
                cancel_from = progress.now + max(pause, error.retry_after or 0.0)
                pause = min(2 * pause, DURATIONS.longest_cleared_cancel_pause)
        yield Pause(DURATIONS.let_end_pause)
    yield from progress.escalate(
        record,
        f"{record.name}, which this task had started before, has not ended"
        + (f" and could not be canceled: {trouble}" if trouble else "")
        + ". Nothing else was started: end it manually, then clear this task",
    )
