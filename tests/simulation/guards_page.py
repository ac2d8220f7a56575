"""Writes ``GUARDS.md``: after how many lives the removal of each guard showed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pendulum

from tests.simulation import faults

PAGE = Path(__file__).with_name("GUARDS.md")

TEXT = """\
# Guards, and after how many lives the removal of each shows

`make simulate ARGS=--guards` removes each guard of `guards/`, one at a time, and simulates lives from seed 0 on until
one goes wrong that does not with the guard; {most:,} at most. It wrote this page on {date}. Any change of `plan.py` or
`themes.py` changes the numbers; a test checks that this page has every guard.

The core and parts of the clients run in the simulation as they are. What operators, triggers and clients do around
them, with threads and HTTP, it does step by step in a copy: a guard that is removed from the *simulation* shows that
the promise needs it, not that the package has it. That is for the tests of those parts to show.

{guards}

## The faults of issue 9

Which guards keep a fault of its part 3 from returning, with the lives until the removal of each shows; and for what no
life reaches, or not all of it, tests that were seen to fail without the fix (`faults.py`).

{faults}
"""

HEADER = """\
| guard | removed from | faults of issue 9 | lives until it shows | what goes wrong then |
|---|---|---|---|---|"""


FAULTS_HEADER = """\
| fault | guards, and the lives until the removal of each shows | tests of what no life reaches |
|---|---|---|"""


class Shown(NamedTuple):
    """When the removal of a guard showed, and how.

    :param part: of the package, or the simulation.
    :param faults: of issue 9, which the guard keeps from returning.
    :param lives: ``None`` if it did not show.
    """

    guard: str
    part: str
    faults: str
    lives: int | None
    wrong: str

    def __str__(self) -> str:
        return f"| {self.guard} | {self.part} | {self.faults} | {self.after} | {self.wrong} |"

    @property
    def after(self) -> str:
        return "**none**" if self.lives is None else f"{self.lives:,}"


def write(shown: Sequence[Shown], most: int) -> None:
    """:param most: lives that were tried for each."""
    PAGE.write_text(
        TEXT.format(
            most=most,
            date=pendulum.today("UTC").format("D MMMM YYYY"),
            guards="\n".join((HEADER, *map(str, shown))),
            faults="\n".join((FAULTS_HEADER, *(_row(number, shown) for number in faults.ALL))),
        )
    )


def _row(number: int, shown: Sequence[Shown]) -> str:
    guards = "; ".join(f"{each.guard} ({each.after})" for each in shown if str(number) in each.faults.split(", "))
    tests = ", ".join(f"`{test}`" for test in faults.TESTS.get(number, ()))
    return f"| {number} | {guards} | {tests} |"
