"""The approvals that executions of a simulated vendor need, one after the other; events that are triggered by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

from airflow_provider.core.approving import APPROVE, REJECT
from airflow_provider.exceptions import BadRequestError, ConflictError, NotFoundError
from tests.simulation.network import CALL
from tests.simulation.world import World

LONGEST_PAUSE = 60.0
"""Seconds from one answer until the next approval is asked for."""
NEXT_RELEASE = 5.0
"""Seconds that a release takes at least from its last answer until the next one asks."""
OURS, OTHER = "review", "sign-off"
"""Names of the approvals of a release: the one that our tasks answer, and one that may follow it."""


class Approval:
    """One approval.

    :param place: of the vendor that asks.
    :param asked_at: when it begins to wait for its answer.
    :param release: number of the release that asks, where there are several.
    :param name: within its release.
    """

    def __init__(self, number: int, place: str, asked_at: float, release: int = 1, name: str = OURS) -> None:
        self.number = number
        self.place = place
        self.asked_at = asked_at
        self.release = release
        self.name = name
        self.status = "active"
        self.answered_by: tuple[Any, int] | None = None
        """The task and its generation; ``None`` if a colleague has answered."""

    def __str__(self) -> str:
        what = f"approval {self.number}" if self.name == OURS else f"{self.name} {self.number}"
        return f"{what} at {self.place}"


class Approvals:
    """The approvals of one execution."""

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
        """Takes an answer: a colleague's, if no worker has sent it."""
        approval = self.get(number)
        who = worker.task if worker else "a colleague"
        self.world.note(self.place, f"{who} answers {approval}: it was {approval.status}")
        if approval.status != "active":
            raise ConflictError(f"{approval} is {approval.status}", call=CALL)
        approval.status = status
        approval.answered_by = (worker.task, worker.generation) if worker else None
        self.row.append(self._next(approval))

    def _next(self, last: Approval) -> Approval:
        asked_at = self.world.now + self.world.between(0.0, 1.0) ** 2 * LONGEST_PAUSE
        return Approval(last.number + 1, self.place, asked_at)

    def answer_by_colleague(self, status: str) -> None:
        if self.world.now >= self.row[-1].asked_at:
            self.answer(self.row[-1].number, status=status)


class Releases(Approvals):
    """The approvals of a release task of ServiceStage, which is started again and again.

    An answer names the approval, and not the release that asks: it goes to the one that asks when it arrives.
    """

    def __init__(self, world: World, place: str) -> None:
        super().__init__(world, place)
        self.names = (OURS, OTHER) if world.plan.conditions("two approvals") else (OURS,)
        self._shows_which = not world.plan.conditions("asks without a name")

    def waiting(self) -> int:
        """The release that waits for an approval now."""
        last = self.row[-1]
        if self.world.now < last.asked_at:
            raise ConflictError("the release waits for no approval now", call=CALL)
        return last.release

    def is_waiting_for(self, release: int, name: str) -> bool | None:
        """As the client's: ``None`` if nothing shows which of several it waits for."""
        last = self.row[-1]
        if last.release != release or self.world.now < last.asked_at:
            return False
        if self._shows_which:
            return last.name == name
        return True if self.names == (name,) else None

    def decision_shown(self, release: int) -> str:
        """The decision that follows from the state of a release that does not wait for our answer."""
        is_rejected = any(each.release == release and each.status == "rejected" for each in self.row)
        return REJECT if is_rejected else APPROVE

    def of_release(self, release: int) -> Approval:
        """The approval of a release that our tasks answer."""
        return next(each for each in self.row if each.release == release and each.name == OURS)

    def answer_named(self, name: str, worker: Any) -> Approval:
        """Takes the answer of the release that asks now."""
        last = self.row[-1]
        if self.world.now < last.asked_at or last.name != name:
            raise BadRequestError(f"no approval {name} is waited for", call=CALL)
        self.answer(last.number, worker)
        return last

    def _next(self, last: Approval) -> Approval:
        pause = self.world.between(0.0, 1.0) ** 2 * LONGEST_PAUSE
        is_last = last.name == self.names[-1] or last.status == "rejected"
        if is_last:
            at = self.world.now + NEXT_RELEASE + pause
            return Approval(last.number + 1, self.place, at, last.release + 1)
        return Approval(last.number + 1, self.place, self.world.now + pause, last.release, OTHER)


class Events:
    """The events of a Gerrit change that were triggered by hand, as Code Stream lists them."""

    def __init__(self, world: World, place: str) -> None:
        self.world = world
        self.place = place
        self._lag = world.plan.condition("lists lag")
        self._row: list[tuple[float, tuple[Any, int] | None]] = []
        """When each appears in lists, and the task and generation that triggered it; ``None`` for a colleague's."""

    def trigger(self, worker: Any = None) -> None:
        self.world.note(self.place, f"{worker.task if worker else 'a colleague'} triggers the change by hand")
        listed_from = self.world.now + self._lag * self.world.random.random()
        self._row.append((listed_from, (worker.task, worker.generation) if worker else None))

    def listed(self) -> list[int]:
        return [number for number, (listed_from, _) in enumerate(self._row) if self.world.now >= listed_from]

    def count_of(self, task: Any, generation: int) -> int:
        return [by for _, by in self._row].count((task, generation))

    def triggered_twice(self) -> list[tuple[Any, int]]:
        """Tasks with the generation in which more than one trigger of theirs has arrived."""
        return [who for who, count in Counter(who for _, who in self._row if who).items() if count > 1]

    def __len__(self) -> int:
        return len(self._row)
