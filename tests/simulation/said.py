"""What the log of a task says about executions: one that it names, a person can end."""

from __future__ import annotations

import re

from tests.simulation.airflow import Task
from tests.simulation.jobs import Job

OF_ANY = (
    "got no answer",
    "Could not find out whether the cleared",
    "could be what this task has started",
    "which this task probably started",
    "unless its own execution has yet to begin",
)
"""Parts of lines about an execution whose name nobody knows."""

WHERE_UNKNOWN = ("If a person ended the task", "only guessed")
"""Parts of the lines about what is not canceled because it is not known who ended the task, or whose it is."""


def is_said(task: Task, part: str) -> bool:
    """Whether any line has this part."""
    return any(part in text for text in task.warnings)


def last_said(task: Task) -> str:
    return task.warnings[-1] if task.warnings else ""


def is_said_of_any(text: str) -> bool:
    """Whether this line is about an execution whose name nobody knows."""
    return any(part in text for part in OF_ANY)


def is_named(job: Job, *, as_any: bool) -> bool:
    """Whether a line names it and does not leave it to another process.

    :param as_any: whether a line about an execution without a name counts as well.
    """
    names = [rf"\b{job.id}\b", *([job.event] if job.event else []), *(OF_ANY if as_any else ())]
    pattern = re.compile("|".join(names))
    return any(pattern.search(text) for text in job.owner.warnings if not _is_left_to_others(text))


def is_left_knowingly(job: Job) -> bool:
    """Whether a cancel of it failed, and no person was asked to end it."""
    named = _lines_about(job)
    return any("Could not cancel" in text for text in named) and not any("clear this task" in text for text in named)


def was_canceled_in_vain(double: Job) -> bool:
    """Whether it began late, and the vendor has accepted its cancel without effect."""
    named = _lines_about(double)
    return bool(named) and "from a start of this task: canceling it" in named[-1]


def _lines_about(job: Job) -> list[str]:
    return [text for text in job.owner.warnings if re.search(rf"\b{job.id}\b", text)]


def _is_left_to_others(text: str) -> bool:
    """Whether a line says that another process takes care of the execution."""
    return text.startswith("Not canceling") and not any(reason in text for reason in WHERE_UNKNOWN)
