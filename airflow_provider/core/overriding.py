"""What an answer in Airflow means for a release window that is closed: who may override it, and that it takes a reason.

Pure decisions: no Airflow, clock or I/O.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from airflow_provider.core.approving import LONGEST_COMMENT, Answer, Rules, read_answer
from airflow_provider.core.durations import MOST_CRASHES
from airflow_provider.core.generation import Attempt, Relation, relation
from airflow_provider.storable import storable

RELEASE = "release"
OPTIONS = {RELEASE: "Release now"}
"""What people choose from: to wait, they do nothing."""
WAITED = "Waited"
"""Shown as the answer of an unanswered question. It is not an option, so it is never mistaken for an override."""

REASON = "reason"
"""The one field of the form."""
LONGEST_REASON = LONGEST_COMMENT


class Overriding(msgspec.Struct, kw_only=True):
    """What a sensor remembers of its question whether to release although no window is open.

    :param attempt: the attempt that wrote this last.
    :param asked: how often people were asked.
    :param is_asked: whether they were asked for the answer that is awaited now.
    :param is_open: whether what they were asked, perhaps before the task was cleared, must still be closed.
    :param crashes: how many waits for an answer ended without an event.
    :param override: the answer by which somebody has overridden the window.
    :param is_over: whether the wait has ended.
    """

    attempt: Attempt
    asked: int = 0
    is_asked: bool = False
    is_open: bool = False
    crashes: int = 0
    override: Answer | None = None
    is_over: bool = False

    @classmethod
    def from_json(cls, stored: object, attempt: Attempt) -> Overriding:
        """What an earlier process has noted, as far as it counts for this attempt.

        Only an attempt that certainly continues the wait releases by an earlier answer. Any other one asks anew, and of
        what was asked before knows only whether it must still be closed.
        """
        try:
            known = msgspec.convert(stored, cls)
        except msgspec.ValidationError:
            return cls(attempt=attempt)
        if relation(known.attempt, attempt, had_succeeded=known.is_over) is not Relation.SAME:
            return cls(attempt=attempt, asked=known.asked, is_open=known.is_open)
        return msgspec.structs.replace(known, attempt=attempt)

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = storable(msgspec.to_builtins(self))
        return body

    def ask(self) -> None:
        """People are asked now."""
        self.asked += 1
        self.is_asked = self.is_open = True
        self.is_over = False

    def close(self) -> None:
        """No answer is awaited any more."""
        self.is_asked = self.is_open = False

    def crash(self) -> None:
        """A wait for an answer ended without an event: no trigger has read answers, or could close the question."""
        self.crashes += 1
        if self.crashes > MOST_CRASHES:
            self.close()

    def take(self, event: Mapping[str, Any], approvers: Collection[str]) -> Answer | None:
        """Take an answer as Airflow delivers it; returns it, marked as refused if it overrides nothing.

        :return: ``None`` where no person has answered.
        """
        self.close()
        answer = read_answer(event, OPTIONS, REASON)
        if answer is None:
            return None
        judged = _judged(answer, approvers)
        if not judged.refused:
            self.override, self.is_over = judged, True
        return judged


def _judged(answer: Answer, approvers: Collection[str]) -> Answer:
    judged = Rules(approvers=tuple(approvers)).judge(answer, ())
    if not judged.refused and not judged.comment:
        return msgspec.structs.replace(judged, refused="it needs a reason")
    return judged


def override_of(answer: Answer) -> dict[str, str]:
    """The override as the result reports it."""
    return {"by": answer.by, "name": answer.name, "at": answer.at, "reason": answer.comment}
