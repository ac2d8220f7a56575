"""The execution's own log, in the task's log: new lines when something has changed, the tail of it at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider.core.waiting import News, Wait

if TYPE_CHECKING:
    from airflow_provider.clients.base import ReleaseClient

MOST_LINES = 100
"""Lines passed on at once, the last ones: a build log has thousands, and each costs Airflow a database write."""


def log_news(client: ReleaseClient, wait: Wait) -> list[News]:
    """The lines that the execution's log got since this was last asked."""
    try:
        lines, wait.log_offset = client.read_log(wait.ref, wait.log_offset)
    except Exception as error:
        # Whatever a log looks like, it ends no wait: the poll of a whole connection would end with it.
        return [News(f"  the log of {wait.ref['id']} cannot be read: {error}")]
    left_out = len(lines) - MOST_LINES
    news = [News(f"  | ... {left_out} lines left out")] if left_out > 0 else []
    return news + [News(f"  | {line}") for line in lines[-MOST_LINES:]]
