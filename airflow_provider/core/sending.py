"""Sends a start: saves the intent, sends the request, and finds out whether it took effect if the answer is lost."""

from __future__ import annotations

from typing import Any

from airflow_provider.core import lines
from airflow_provider.core.commands import Forget, Log, Pause, Prepare, Program, Send
from airflow_provider.core.doubles import end_late_doubles, unanswered_starts
from airflow_provider.core.durations import DURATIONS, MOST_SENDS
from airflow_provider.core.lines import warning
from airflow_provider.core.progress import Progress
from airflow_provider.core.record import End, Phase, StartRecord
from airflow_provider.core.searching import choose, search_for, settled, unanswered
from airflow_provider.core.states import State
from airflow_provider.core.waiting import GUESS
from airflow_provider.exceptions import AuthenticationError, Effect, ReleasePipelineError
from airflow_provider.execution import Execution


def start_anew(
    progress: Progress, before: StartRecord | None, cleared: StartRecord | None = None
) -> Program[Execution]:
    """Start an execution.

    :param before: the record of this start, if an earlier attempt may have sent it.
    :param cleared: the record of the start before the task was cleared.
    """
    went_wrong = before is not None and (before.end is End.FAILED or before.phase is Phase.ENDING)
    # An execution of another system, or one that was only guessed to be ours, is not continued either.
    is_ours = before is not None and before.place in ("", progress.policy.place) and GUESS not in (before.ref or {})
    has_failed = before is not None and before.end is End.FAILED and is_ours
    intent: dict[str, Any] = yield Prepare(after_failure=has_failed)
    may_be_there = before is not None and before.ref is None and before.sends > 0 and not went_wrong
    # An execution that an earlier request of this start may still cause is recognized by the same marker.
    marker = before.marker if may_be_there and before and before.marker else intent["marker"]
    record = progress.record = StartRecord(
        system=progress.policy.system,
        place=progress.policy.place,
        attempt=progress.attempt,
        intent={**intent, "marker": marker, "place": progress.policy.place},
        asked=progress.policy.asked,
        started=progress.now,
        is_late=may_be_there,
        unanswered=unanswered_starts(progress, before or cleared, marker),
    )
    yield from end_late_starts(progress, record, before or cleared)
    return (yield from send_until_accepted(progress, record, may_be_there))


def send_until_accepted(progress: Progress, record: StartRecord, may_be_there: bool) -> Program[Execution]:
    """Send a start, again after a pause where that is safe.

    :param may_be_there: whether an earlier request of this start may have taken effect.
    :raises ReleasePipelineError: it was refused, or it is not known whether it took effect.
    """
    holds, searches, begun_holding, since = 0, 0, progress.now, record.intent["since"]
    while True:
        record.sends += 1
        record.sent = begun = progress.now
        yield from progress.save(record)
        progress.enter(State.SENDING)
        try:
            execution: Execution = yield Send(record.intent)
            break
        except ReleasePipelineError as error:
            problem = error
        # A refusal after a lost answer may only mean that the lost request took effect.
        if problem.effect.is_open or (may_be_there and searches == 0):
            if found := (yield from search_sent(progress, record, problem, progress.now - begun)):
                return (yield from progress.remember(record, found, lines.found))
            searches += 1
            may_be_there = may_be_there or problem.effect.is_open
            if problem.effect is Effect.UNKNOWN and searches < MOST_SENDS:
                continue
            if problem.effect.is_open:
                raise unanswered(record, problem)
        pause = pause_before_another_send(progress, problem, holds, begun_holding)
        if pause is None:
            if not may_be_there:
                yield from forget(progress, record)
            raise problem
        holds += 1
        progress.enter(State.HOLDING)
        yield Log([warning(f"Nothing was started yet; sending it again in {pause:.0f} s: {problem}")])
        if not may_be_there:
            # If this process dies during the pause, the next attempt must not take somebody else's start for this one.
            record.sends = 0
            yield from progress.save(record)
        yield Pause(pause)
        moment = since + (progress.now - begun_holding)
        if not may_be_there:
            # Nothing was started yet: what a search after the next request may find begins after this time.
            record.intent["since"] = moment
        else:
            record.intent["held"] = moment - record.intent["since"]
            if found := (yield from search_after_pause(progress, record)):
                return (yield from progress.remember(record, found, lines.found))
    return (yield from progress.remember(record, execution, lines.started))


def end_late_starts(progress: Progress, record: StartRecord, earlier: StartRecord | None) -> Program[None]:
    """End what earlier starts have started since then: nothing else is started before."""
    left = yield from end_late_doubles(progress, record)
    if left and earlier and not progress.was_resolved(earlier):
        yield from progress.escalate(
            earlier,
            f"{', '.join(left)} began late, by an earlier start of this task, and could not be canceled. Nothing "
            "else was started: end it manually, then clear this task",
        )


def forget(progress: Progress, record: StartRecord) -> Program[None]:
    """Delete the record of a start that certainly had no effect, unless earlier starts may still have one."""
    if not record.unanswered:
        yield Forget()
        return
    record.sends = 0
    yield from progress.save(record)


def search_sent(
    progress: Progress, record: StartRecord, error: ReleasePipelineError, took: float
) -> Program[Execution | None]:
    """Search after an answer that does not say whether the start took effect, or a refusal because it already had."""
    progress.enter(State.SEARCHING)
    record.is_late = record.is_late or error.effect is Effect.LATE
    yield Log([warning(f"The answer to the start was lost, searching for the execution: {error}")])
    patience = max(DURATIONS.settling, DURATIONS.settling_per_second * took)
    found = yield from search_for(progress, record, progress.now + patience)
    return (yield from _choose_settled(progress, record, found))


def search_after_pause(progress: Progress, record: StartRecord) -> Program[Execution | None]:
    """Search once more: a start that got no answer may have taken effect during a pause."""
    progress.enter(State.SEARCHING)
    found = yield from search_for(progress, record, progress.now)
    return (yield from _choose_settled(progress, record, found))


def _choose_settled(progress: Progress, record: StartRecord, found: list[Execution]) -> Program[Execution | None]:
    """Choose as :func:`choose`; an execution that has failed since the start was sent may still be rolled back."""
    chosen = yield from choose(progress, record, found)
    return (yield from settled(progress, record, chosen)) or chosen


def pause_before_another_send(
    progress: Progress, error: ReleasePipelineError, holds: int, begun: float
) -> float | None:
    """Seconds until a start that certainly had no effect is sent again; ``None``: not by this attempt."""
    policy = progress.policy
    if policy.is_busy(error):
        asked = error.retry_after or 0.0
        pause = max(asked, min(DURATIONS.longest_busy_pause, DURATIONS.busy_pause * 2 ** min(holds, 10)))
        limit = DURATIONS.busy_limit if policy.timeout is None else policy.timeout
        return pause if progress.now + pause < begun + limit else None
    if error.effect is not Effect.NONE or isinstance(error, AuthenticationError) or holds >= MOST_SENDS - 1:
        return None
    pause = DURATIONS.first_resend_pause * 2**holds if error.retry_after is None else error.retry_after
    is_in_time = policy.timeout is None or progress.now + pause < begun + policy.timeout
    return pause if pause <= DURATIONS.longest_retry_after and is_in_time else None
