"""Lives of a task that answers an approval: the real notes of such a request, and who watches what they lead to.

Step for step as ``CodeStreamApprovalOperator`` and its client do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from airflow_provider.core.approving import APPROVE
from airflow_provider.core.notes import recall
from airflow_provider.core.record import RequestRecord
from airflow_provider.exceptions import Call, ConflictError, ReleasePipelineError
from tests.simulation.acting import ActJudge
from tests.simulation.airflow import Task
from tests.simulation.approvals import WORDS, Approval
from tests.simulation.carrying_out import CommonCarrier, Timed
from tests.simulation.workers import Worker
from tests.simulation.world import Steps

KEY = "approval_answer"


class AnswerCarrier(CommonCarrier):
    """Carries out what one attempt of an answer does."""

    key = KEY
    action = "answered an approval"

    def __init__(self, worker: Worker, stored: RequestRecord | None) -> None:
        super().__init__(worker)
        self.stored = stored
        self.start = Timed(worker.machine.now)
        self.policy = None

    def in_words(self, record: RequestRecord) -> str:
        return f"answer to approval {record.notes['id']}, {'done' if record.is_done else 'intended'}"

    def answer(self) -> Steps[dict[str, Any]]:
        notes = yield from self.recalled()
        if notes is None:
            notes = {"id": (yield from self._ask("choose", self.client.approvals.pending_id))}
            yield from self._note(notes)
        yield from self.send(notes["id"], APPROVE)
        yield from self._note(notes, is_done=True)
        return notes

    def recalled(self) -> Steps[dict[str, Any] | None]:
        """What an earlier attempt of this generation has noted."""
        if self.stored is None:
            return None
        about = {"system": "vendor", "place": self.client.place, "action": self.action}
        return (yield from self.run(recall(self.stored, self.attempt, **about)))

    def _ask(self, name: str, serve: Callable[[], Any]) -> Steps[Any]:
        return (yield from self.client.network.request(name, self.worker, serve))

    def _note(self, notes: dict[str, Any], *, is_done: bool = False) -> Steps[None]:
        record = RequestRecord(attempt=self.attempt, notes=notes, place=self.client.place, is_done=is_done)
        yield from self._write(record)

    def send(self, number: int, decision: str) -> Steps[None]:
        """As ``approvals.answer`` of the client: what is answered already is not answered again."""
        if (yield from self._is_answered(number, decision)):
            return
        self.world.point("action before", self.worker)
        yield 0.0
        yield from self.require_standing()
        approvals, worker = self.client.approvals, self.worker
        self.world.judge.answers(worker, approvals.get(number), decision)
        try:
            yield from self._ask("action", lambda: approvals.answer(number, worker, status=WORDS[decision]))
        except ReleasePipelineError as error:
            if not error.effect.is_open or not (yield from self._is_answered(number, decision)):
                raise
        else:
            yield from self._is_answered(number, decision)

    def _is_answered(self, number: int, decision: str) -> Steps[bool]:
        approvals = self.client.approvals
        status = yield from self._ask("observe", lambda: approvals.get(number).status)
        if status not in ("active", WORDS[decision]):
            raise ConflictError(f"approval {number} is already {status}", call=Call(system="vendor"))
        return bool(status == WORDS[decision])


class AnswerWorker(Worker):
    """A process of an answer; it waits for nothing, so that it is never deferred."""

    carrier_class = AnswerCarrier

    def _attempt(self, way: tuple[str, Any] | None) -> Steps[dict[str, Any]]:
        stored = yield from self.airflow.read(self, self.carrier_class.key)
        self.carrier = carrier = self.carrier_class(self, stored and msgspec.convert(stored, RequestRecord))
        return (yield from carrier.answer())


class AnswerJudge(ActJudge):
    """What must hold in the life of an answer: one approval for each generation, and no success of another one's."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._noted: dict[tuple[Task, int], Approval] = {}

    def saved(self, worker: Any, record: RequestRecord) -> None:
        self.progresses(worker, record)
        if record.escalated_by == worker.carrier.attempt:
            # It only notes that a person was asked.
            return
        if not record.is_done:
            self._noted.setdefault((worker.task, worker.generation), self._approval_of(worker, record))

    def answers(self, worker: Any, approval: Approval, decision: str) -> None:
        """An answer is about to be sent."""
        self._requires_standing(worker, "an answer")
        about = self._noted_by(worker)
        if about is not approval:
            self.world.violate(f"{worker} answers {approval}, but its task is about {about}")

    def succeeds(self, task: Task, worker: Any, result: dict[str, Any]) -> None:
        approval: Approval = worker.client.approvals.get(result["id"])
        about = self._noted_by(worker)
        if about is not approval:
            self.world.violate(f"{task} succeeds with {approval}, but it is about {about}")
        elif approval.status != "approved":
            self.world.violate(f"{task} succeeds, but {approval} is {approval.status}")

    def ends(self) -> None:
        super().ends()
        for server in self.servers:
            answered = [each.answered_by for each in server.approvals.row if each.answered_by]
            for task, generation in set(answered):
                if answered.count((task, generation)) > 1 and not self._may_be_two(task, generation):
                    self.world.violate(f"{task} has answered more than one approval since it was cleared last")

    def _may_be_two(self, task: Task, generation: int) -> bool:
        return False

    def _approval_of(self, worker: Any, record: RequestRecord) -> Approval:
        return worker.client.approvals.get(record.notes["id"])

    def _noted_by(self, worker: Any) -> Approval | None:
        """What its generation is about: what it has noted, or what was noted before a clear that shows nowhere."""
        for generation in range(worker.generation, -1, -1):
            if about := self._noted.get((worker.task, generation)):
                is_shown = generation == worker.generation or self._is_hidden(worker, generation)
                return about if is_shown else None
        return None
