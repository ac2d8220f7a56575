"""What the logs of the releases report to a person."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.plan import Release
from tests.chaos.vendors import Seen

ASKS_FOR_CLEAR = re.compile(r"(clear|clearing) this task")
"""In the error of an attempt that a person must resolve."""
OTHER_PLACE = "the connection now leads to"
CANCELED_FOR_GOOD = "ExecutionCanceledForGood"
_ENDED_IN_TRIGGERER = "TriggerEvent<'success'>"
_GUESS = re.compile(r"Found (\S+), which this task probably started")
_NOT_CANCELED = (
    "only guessed to be this task's",
    "If a person ended the task, cancel it manually",
    "nothing was adopted, canceled or started",
    "Nothing else was started",
    "Could not cancel",
    "could not be canceled",
)
_ATTEMPT = re.compile(r"attempt=(\d+)\.log")


class TaskLogs:
    """:param folder: of Airflow's logs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def newest(self, release: Release) -> str:
        """All that the newest attempt has logged."""
        attempts = self._attempts(release)
        return attempts[max(attempts)] if attempts else ""

    def lines(self, release: Release) -> list[str]:
        """Of all attempts, also in the triggerer."""
        return [line for text in self._attempts(release).values() for line in text.splitlines()]

    def names_both(self, release: Release, here: str, there: str) -> bool:
        """Whether it has failed because its connection leads to another system, and named both."""
        return any(OTHER_PLACE in line and here in line and there in line for line in self.lines(release))

    def ended_in_triggerer(self, release: Release) -> bool:
        """Whether the triggerer has ended one of its attempts itself."""
        return any(_ENDED_IN_TRIGGERER in line for line in self.lines(release))

    def guesses(self, release: Release) -> frozenset[str]:
        """Ids of the executions that were only guessed to be the task's."""
        return frozenset(match[1] for line in self.lines(release) if (match := _GUESS.search(line)))

    def named(self, release: Release, executions: Sequence[Seen]) -> frozenset[str]:
        """Ids of those that are reported to a person, because they are not to be canceled or could not be."""
        telling = [line for line in self.lines(release) if any(words in line for words in _NOT_CANCELED)]
        return frozenset(each.id for each in executions if any(_names(line, each) for line in telling))

    def _attempts(self, release: Release) -> dict[int, str]:
        where = f"dag_id={release.dag_id}/run_id=*/task_id={release.task_id}/map_index={release.map_index}/attempt=*"
        attempts: dict[int, str] = {}
        for file in sorted(self._folder.glob(where)):
            if match := _ATTEMPT.match(file.name):
                number = int(match[1])
                attempts[number] = attempts.get(number, "") + file.read_text(errors="replace")
        return attempts


def _names(line: str, execution: Seen) -> bool:
    # Cocktail's numbers are so small that many other numbers equal them.
    name = f"build_run {execution.id}" if execution.system == "cocktail" else execution.id
    return re.search(rf"\b{re.escape(name)}\b", line) is not None
