"""The approvals that an execution of a simulated vendor asks for, one after the other."""

from __future__ import annotations

from typing import Any

from airflow_provider.exceptions import ConflictError, NotFoundError
from tests.simulation.network import CALL
from tests.simulation.world import World

LONGEST_PAUSE = 60.0
"""Seconds from one answer until the next approval is asked for."""


class Approval:
    """One of them.

    :param place: of the vendor that asks.
    :param asked_at: when it begins to wait for its answer.
    """

    def __init__(self, number: int, place: str, asked_at: float) -> None:
        self.number = number
        self.place = place
        self.asked_at = asked_at
        self.status = "active"
        self.answered_by: tuple[Any, int] | None = None
        """The task, and its generation; nobody of ours where a colleague has answered."""

    def __str__(self) -> str:
        return f"approval {self.number} at {self.place}"


class Approvals:
    """Those of one execution."""

    def __init__(self, world: World, place: str) -> None:
        self.world = world
        self.place = place
        self.row = [Approval(1, place, world.now)]

    def get(self, number: int) -> Approval:
        if number > len(self.row):
            raise NotFoundError(f"no approval {number}", call=CALL)
        return self.row[number - 1]

    def pending_id(self) -> int:
        last = self.row[-1]
        if self.world.now < last.asked_at:
            raise ConflictError("no approval is waited for", call=CALL)
        return last.number

    def answer(self, number: int, worker: Any = None, *, status: str = "approved") -> None:
        """Takes an answer, a colleague's where no worker has sent it."""
        approval = self.get(number)
        who = worker.task if worker else "a colleague"
        self.world.tell(self.place, f"{who} answers {approval}: it was {approval.status}")
        if approval.status != "active":
            raise ConflictError(f"{approval} is {approval.status}", call=CALL)
        approval.status = status
        approval.answered_by = (worker.task, worker.generation) if worker else None
        asked_at = self.world.now + self.world.between(0.0, 1.0) ** 2 * LONGEST_PAUSE
        self.row.append(Approval(number + 1, self.place, asked_at))

    def answer_by_colleague(self, status: str) -> None:
        if self.world.now >= self.row[-1].asked_at:
            self.answer(self.row[-1].number, status=status)
