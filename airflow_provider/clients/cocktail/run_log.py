"""The new lines of a build run's log. The text of a step appears when it ends, at the end of the run, or never."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider.clients.cocktail import fields
from airflow_provider.clients.redaction import lines_of

MOST_STEPS = 1000
"""With very many steps, computing a number with a bit for each would take longer than everything else."""
_ENDED = ("DONE", "ERROR")


def new_lines(log: Mapping[str, Any], copied: int) -> tuple[list[str], int]:
    """The lines of the steps that have ended and were not copied before.

    :param log: as returned by ``runs.get_log``.
    :param copied: one bit for each step that was copied, by its index.
    :return: the lines, each step's under its name, and ``copied`` with the bits of these steps.
    """
    lines: list[str] = []
    steps = fields.in_order(log.get("buildRunLogs"))[:MOST_STEPS]
    for index, step in enumerate(steps):
        text = str(step.get("log") or "")
        if copied >> index & 1 or not text.strip() or str(step.get("stepState")).upper() not in _ENDED:
            continue
        lines += [f"{step.get('stepType')}:", *lines_of(text.rstrip())]
        copied |= 1 << index
    return lines, copied
