"""Ends second executions of a start: a request that got no answer may take effect long after another one was sent."""

from __future__ import annotations

from typing import Any

from airflow_provider.core.commands import Cancel, Find, Log, Program
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.lines import name_of, warning
from airflow_provider.core.progress import Progress
from airflow_provider.core.record import StartRecord
from airflow_provider.exceptions import Effect, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionState


def end_doubles(progress: Progress, ours: str, found: list[Execution]) -> Program[list[str]]:
    """Cancel all executions of one start but ``ours``.

    :return: the ids of those that continue because they could not be canceled.
    """
    left = []
    for double in found:
        if double.id == ours:
            continue
        late = f"{name_of(double.ref)} came late from a start of this task"
        if double.state is ExecutionState.SUCCEEDED:
            yield Log([warning(f"{late}, and succeeded as well as {ours}")])
        if not progress.policy.needs_cancel(double):
            continue
        yield Log([warning(f"{late}: canceling it, and keeping {ours}")])
        try:
            yield Cancel(double.ref, "canceled by Airflow: a second execution of the same start")
        except ReleasePipelineError as error:
            left.append(double.id)
            yield Log([warning(f"Could not cancel {double.id}, end it manually: {error}")])
    return left


def end_late_doubles(progress: Progress, record: StartRecord) -> Program[list[str]]:
    """Cancel what starts without an answer have started, except the execution that is known.

    :return: the ids of those that continue.
    :raises ReleasePipelineError: the search failed, and nothing else has been started yet.
    """
    left = []
    is_open = record.is_late and progress.policy.is_marked(record.intent) and record.ref
    for intent in [*record.unanswered, *([record.intent] if is_open else [])]:
        try:
            found: list[Execution] = yield Find(intent)
        except ReleasePipelineError as error:
            if record.ref is None and error.effect is not Effect.REFUSED:
                raise
            yield Log([warning(f"Could not search for what a start without an answer has started: {error}")])
        else:
            ours = record.ref["id"] if record.ref else "the next one"
            left += yield from end_doubles(progress, ours, found)
    return left


def last_sent(intent: dict[str, Any]) -> float:
    """About when the last request with this intent was sent, by the clock of its ``since``."""
    return float(intent["since"]) + float(intent.get("held") or 0.0)


def unanswered_starts(progress: Progress, earlier: StartRecord | None, marker: str) -> list[dict[str, Any]]:
    """Intents of earlier starts that got no answer, if their executions can be recognized by a marker.

    :param marker: of the start that is about to be sent, which does not count.
    """
    if earlier is None:
        return []
    is_open = earlier.is_late or (earlier.ref is None and earlier.sends > 0)
    intents = [*earlier.unanswered, *([earlier.intent] if is_open else [])]
    oldest = progress.now - DURATIONS.doubles_searched
    return [
        each
        for each in intents
        if progress.policy.is_marked(each) and each["marker"] != marker and last_sent(each) > oldest
    ]
