"""The approvals that executions of a simulated vendor need, one after the other; events that are triggered by hand."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from airflow_provider.core.approving import APPROVE, REJECT
from airflow_provider.exceptions import BadRequestError, ConflictError, NotFoundError
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState
from tests.simulation.network import CALL
from tests.simulation.world import World

LONGEST_PAUSE = 60.0
"""Seconds from one answer until the next approval is asked for."""
NEXT_RELEASE = 5.0
"""Seconds that a release takes at least from its last answer until the next one asks."""
GOES_ON = 30.0
"""Seconds for which a release goes on after its last answer."""
STOPS = 15.0
"""Seconds for which a release that is being stopped still counts as running."""
WORDS = {APPROVE: "approved", REJECT: "rejected"}
"""Statuses of an approval by decision."""
STATES = {
    "active": ExecutionState.WAITING,
    "approved": ExecutionState.SUCCEEDED,
    "rejected": ExecutionState.FAILED,
    "canceled": ExecutionState.CANCELED,
}
"""What a wait for the answer to an approval observes, by status."""
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
        self.ended_at = 0.0
        """When it was answered or withdrawn."""
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
        approval.status, approval.ended_at = status, self.world.now
        approval.answered_by = (worker.task, worker.generation) if worker else None
        self.row.append(self._next(approval))

    def observed(self, ref: ExecutionRef) -> Execution:
        """An approval as a wait for its answer observes it."""
        status = self.get(int(ref["id"])).status
        return Execution(dict(ref), STATES[status], status)

    def reference(self, number: int) -> ExecutionRef:
        return {"system": "vendor", "kind": "approval", "id": str(number), "place": self.place}

    def about(self, ref: ExecutionRef) -> Approval:
        """The approval that somebody is asked about."""
        return self.get(int(ref["id"]))

    def withdraw(self) -> None:
        """A colleague cancels the execution that asks, so that nobody can answer any more."""
        last = self.row[-1]
        if self.world.now >= last.asked_at:
            self.world.note("a colleague", f"cancels what waits for {last}")
            last.status, last.ended_at = "canceled", self.world.now
            self.row.append(self._next(last))

    def end_for_good(self) -> None:
        """Nothing waits for an answer any more, and nothing will."""
        self.withdraw()
        self.row[-1].asked_at = math.inf

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
        self._fails_later = bool(world.plan.conditions("fails later"))

    def waiting(self) -> int:
        """The release that waits for an approval now."""
        last = self.row[-1]
        if self.world.now < last.asked_at:
            raise ConflictError("the release has no pending approval", call=CALL)
        return last.release

    def is_waiting_for(self, release: int, name: str) -> bool | None:
        """As the client's: ``None`` if nothing shows which of several it waits for."""
        last = self.row[-1]
        if last.release != release or self.world.now < last.asked_at:
            return False
        if self._shows_which:
            return last.name == name
        return True if self.names == (name,) else None

    def observed(self, ref: ExecutionRef) -> Execution:
        """A release: one that is being stopped runs on for a while."""
        last = [each for each in self.row if each.release == int(ref["id"])][-1]
        since_end = self.world.now - last.ended_at
        match last.status:
            case "canceled":
                if since_end < STOPS:
                    return Execution(dict(ref), ExecutionState.RUNNING, "canceling")
                return Execution(dict(ref), ExecutionState.PAUSED, "paused")
            case "rejected":
                state = ExecutionState.FAILED
            case "active":
                is_asking = self.world.now >= last.asked_at
                state = ExecutionState.WAITING if is_asking else ExecutionState.RUNNING
            case _ if since_end < GOES_ON:
                state = ExecutionState.RUNNING
            case _:
                state = ExecutionState.FAILED if self._fails_later else ExecutionState.SUCCEEDED
        return Execution(dict(ref), state, state.value)

    def about(self, ref: ExecutionRef) -> Approval:
        return self.of_release(int(ref["id"]))

    def of_release(self, release: int) -> Approval:
        """The approval of a release that our tasks answer."""
        return next(each for each in self.row if each.release == release and each.name == OURS)

    def answer_named(self, name: str, worker: Any, status: str = "approved") -> Approval:
        """Takes the answer of the release that asks now."""
        last = self.row[-1]
        if self.world.now < last.asked_at or last.name != name:
            raise BadRequestError(f"no approval {name} is waited for", call=CALL)
        self.answer(last.number, worker, status=status)
        return last

    def _next(self, last: Approval) -> Approval:
        pause = self.world.between(0.0, 1.0) ** 2 * LONGEST_PAUSE
        is_last = last.name == self.names[-1] or last.status != "approved"
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
