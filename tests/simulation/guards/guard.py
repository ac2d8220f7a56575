"""What a guard is: a piece of source text and its replacement."""

from __future__ import annotations

from typing import NamedTuple

from tests.simulation.plan import Plan

OF_BOTH = ("Common", "generation", "waiting")
"""Parts of the places of guards that concern lives of all kinds."""
_OF_QUESTIONS = ("ask", "ask about a release")
KINDS = {
    "question_runs": (*_OF_QUESTIONS, "gate"),
    "simulation.asking": _OF_QUESTIONS,
    "simulation.asked": _OF_QUESTIONS,
    "answer_asked": _OF_QUESTIONS,
    "_decision_shown": _OF_QUESTIONS,
    "Rules": _OF_QUESTIONS,
    "decided_at_the_vendor": _OF_QUESTIONS,
    "acting": ("act",),
    "notes": ("answer", "release answer", "trigger"),
    "answering": ("answer",),
    "releasing": ("release answer",),
    "triggering": ("trigger",),
    "while_asking": ("gate",),
    "decided_elsewhere": ("gate",),
    "Start._adopt": ("start", "gate"),
    "gates": ("gate",),
}
"""Parts of the places of guards that concern lives of some kinds only; anything else concerns starts."""
CORE, HERE = "airflow_provider.core", "tests.simulation"


class Change(NamedTuple):
    """One piece of source text.

    :param where: module and function.
    """

    where: str
    old: str
    new: str


class Guard(NamedTuple):
    """:param faults: those of issue 9 that return without it: numbers, comma-separated; empty: another fault would."""

    name: str
    faults: str
    changes: tuple[Change, ...]

    @property
    def part(self) -> str:
        """The part of the package from which it is removed; or the simulation, which has a copy of an operator's."""
        packages = {change.where.split(".")[0 if change.where.startswith("tests") else 1] for change in self.changes}
        return ", ".join(sorted("simulation" if each == "tests" else each for each in packages))

    def concerns(self, plan: Plan) -> bool:
        """Whether its removal could show in a life: one of an act needs no guards of starts, and vice versa."""
        where = [change.where for change in self.changes]
        if any(part in each for part in OF_BOTH for each in where):
            return True
        if any("pushing" in each for each in where):
            return bool(plan.policy["callback"])
        kinds = next((kinds for part, kinds in KINDS.items() if any(part in each for each in where)), ("start",))
        return plan.kind in kinds


def core(name: str, faults: str, where: str, old: str, new: str) -> Guard:
    return Guard(name, faults, (Change(f"{CORE}.{where}", old, new),))


def act(name: str, method: str, old: str, new: str) -> Guard:
    return Guard(name, "3", (Change(f"{CORE}.acting:Acting.{method}", old, new),))


def notes(name: str, old: str, new: str) -> Guard:
    return Guard(name, "6", (Change(f"{CORE}.notes:recall", old, new),))


def carrier(name: str, faults: str, where: str, old: str, new: str) -> Guard:
    return Guard(name, faults, (Change(f"{HERE}.{where}", old, new),))
