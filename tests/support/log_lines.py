"""The log of a task as its readers see it: one line each, with its level; ids and times the same in every run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

NOT_OF_THE_TASK = (
    "DAG bundle",
    "Task failed with exception",
    "XCom not found",
    "Success criteria met",
    "Polls over connection",
)
"""Beginnings of lines that Airflow itself logs, and of those that go to the triggerer's own log on a busy machine."""

PLAIN = (
    (r"http://127\.0\.0\.1:\d+", "<sandbox>"),
    (r"airflow-[0-9a-f]{16}", "<marker>"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<id>"),
    (r"sha256:[0-9a-f]{64}", "<digest>"),
    (r"(?<=release )28\d{4}\b", "<n>"),
    (r"(?<=Release )28\d{4}\b", "<n>"),
    (r"\b\d+(\.\d+)? (s|min|h)\b", "<time>"),
)


@contextmanager
def log_lines() -> Iterator[list[str]]:
    """Collects what this provider logs, from anywhere in this process, as ``level text``."""
    lines: list[str] = []
    with capture_logs(processors=[merge_contextvars]) as events:
        yield lines
    ours = [each for each in events if not str(each["event"]).startswith(NOT_OF_THE_TASK)]
    lines += [f"{each['log_level']:<8}{_plain(str(each['event']))}" for each in ours]


def _plain(text: str) -> str:
    for pattern, plain in PLAIN:
        text = re.sub(pattern, plain, text)
    return text
