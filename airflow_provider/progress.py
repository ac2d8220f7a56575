"""Copies the execution's own log into the task's log: new lines when something changes, the tail at the end.

Also finds the reason of a failure that only such a log contains.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider.core.lines import LogLine
from airflow_provider.core.waiting import Wait
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import ExecutionState
from airflow_provider.unforeseen import unforeseen

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider.clients.base import ReleaseClient
    from airflow_provider.execution import ExecutionRef

TAIL_LIMIT = 2.0
"""Longest time, in seconds, by which the last lines of its log delay the end of a wait."""

MOST_LINES = 100
"""Most lines copied at once, the last ones: a build log has thousands, and each costs Airflow a database write."""


def new_log_lines(client: ReleaseClient, wait: Wait) -> list[LogLine]:
    """The lines added to the execution's log since the last call."""
    lines, wait.log_offset = read_log_lines(client, wait.ref, wait.log_offset)
    return lines


def read_log_lines(client: ReleaseClient, ref: ExecutionRef, offset: int) -> tuple[list[LogLine], int]:
    """The lines of the execution's log from an offset on, and the offset of the next ones."""
    try:
        lines, offset = client.waits.read_log(ref, offset)
    except Exception as error:
        # Whatever a log contains must not end a wait, or even the polls of a whole connection.
        reason = error if isinstance(error, ReleasePipelineError) else unforeseen(error, "Reading a log")
        return [LogLine(f"  could not read the log of {ref.get('id')}: {reason}")], offset
    left_out = len(lines) - MOST_LINES
    omitted = [LogLine(f"  | ... {left_out} lines left out")] if left_out > 0 else []
    return omitted + [LogLine(f"  | {line}") for line in lines[-MOST_LINES:]], offset


def too_slow(ref: ExecutionRef, limit: float) -> LogLine:
    """The line in the place of the last lines of a log that is not read in time."""
    return LogLine(f"  | the end of the log of {ref['id']} could not be read within {limit:g} s")


def with_reason(event: Any, get_client: Callable[[], Any]) -> Any:
    """The trigger's event, with the reason of a failure that one more poll may reveal.

    A poll of many executions reads no logs; a worker that reports a failure has the time.
    """
    execution = event.get("execution") if isinstance(event, dict) else None
    if execution and execution["state"] == ExecutionState.FAILED:
        # Nothing that goes wrong here must hide the failure itself.
        with suppress(Exception), get_client() as client:
            seen = client.observe(execution["ref"])
            if seen.state is ExecutionState.FAILED:
                return {**event, "execution": seen.to_result()}
    return event
