"""States of a task instance as Airflow reports them, what they mean, and two of our own."""

from __future__ import annotations

NO_STATE = "no state"
"""State of a deferred task instance that a person cleared, or of a running one whose scheduler died."""
GONE = "gone"
"""State of a task instance that does not exist: its DAG or its run was deleted."""

ENDED = frozenset({"failed", "success", "skipped", "removed", "upstream_failed", GONE})
"""States of a task instance that is over."""
ENDED_FROM_OUTSIDE = ENDED | {"restarting"}
"""States of a running task instance that somebody else has ended."""
OVER = ENDED_FROM_OUTSIDE | {"up_for_retry"}
"""States in which Airflow has given up an attempt: it must send nothing more."""
