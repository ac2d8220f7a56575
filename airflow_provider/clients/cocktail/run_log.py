"""Which lines of a build run's log are new. The text of a step comes at once, when it ended, at the end, or never."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider.clients.cocktail import fields
from airflow_provider.clients.redaction import lines_of

MOST_STEPS = 1000
"""A number with a bit for each of very many would take longer to work out than all else."""
_ENDED = ("DONE", "ERROR")


def new_lines(log: Mapping[str, Any], told: int) -> tuple[list[str], int]:
    """The lines of the steps that ended and were not told before.

    :param log: as ``get_build_run_log`` fields.
    :param told: one bit for each step, by its place.
    :return: the lines, each step's under its name, and ``told`` with the bits of these steps.
    """
    lines: list[str] = []
    steps = fields.in_order(log.get("buildRunLogs"))[:MOST_STEPS]
    for place, step in enumerate(steps):
        text = str(step.get("log") or "")
        if told >> place & 1 or not text.strip() or str(step.get("stepState")).upper() not in _ENDED:
            continue
        lines += [f"{step.get('stepType')}:", *lines_of(text.rstrip())]
        told |= 1 << place
    return lines, told
