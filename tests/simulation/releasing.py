"""Lives of a task that answers an approval of a release which waits by name: step for step as ``release_answer.py``.

``ServiceStageApprovalOperator``, with the client's ``approvals.py``: an answer names the approval and not the release,
which may ask again the next day.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import msgspec

from airflow_provider.clients.service_stage.approvals import ACCEPTED_WITHIN, POLL_PAUSE
from airflow_provider.core.approving import APPROVE, decided_at_the_vendor
from airflow_provider.core.record import RequestRecord
from airflow_provider.exceptions import (
    BadRequestError,
    Call,
    ConflictError,
    PermissionDeniedError,
    ReleasePipelineError,
)
from airflow_provider.execution import Execution, ExecutionState
from tests.simulation.airflow import AirflowError, Task
from tests.simulation.answering import AnswerCarrier, AnswerJudge, AnswerWorker
from tests.simulation.approvals import NEXT_RELEASE, OURS, WORDS, Approval
from tests.simulation.world import Steps


class ReleaseCarrier(AnswerCarrier):
    """Carries out what one attempt of such an answer does."""

    _is_inferred = False

    def in_words(self, record: RequestRecord) -> str:
        done = "done" if record.is_done else "taken" if record.notes.get("is_taken") else "intended"
        return f"answer to release {record.notes['release']}, {done}"

    def answer(self) -> Steps[dict[str, Any]]:
        notes = yield from self.recalled()
        if notes is not None:
            yield from self._answer_once(notes)
        else:
            notes = {"release": (yield from self._ask("choose", self._waiting))}
            yield from self._answer_now(notes)
        yield from self._wait_until_taken(notes)
        yield from self._note(notes, is_done=True)
        return notes

    def answer_asked(self, release: int, decision: str) -> Steps[None]:
        """As ``answer_once``, with a question that people were asked."""
        stored = yield from self.airflow.read(self.worker, self.key)
        self.stored = stored and msgspec.convert(stored, RequestRecord)
        earlier = yield from self.recalled()
        if earlier and earlier["release"] != release:
            earlier = None
        if earlier and earlier.get("is_taken") and earlier["decision"] != decision:
            raise ConflictError("an earlier attempt has sent another answer", call=Call(system="vendor"))
        notes = {**(earlier or {"release": release}), "decision": decision}
        if earlier:
            yield from self._answer_once(notes)
        else:
            if (yield from self._is_waiting_for(notes)) is False:
                raise ConflictError(f"release {release} has no pending approval", call=Call(system="vendor"))
            yield from self._answer_now(notes)
        yield from self._wait_until_taken(notes)
        yield from self._note(notes, is_done=True)

    def _answer_once(self, notes: dict[str, Any]) -> Steps[None]:
        if notes.get("is_taken"):
            return
        if (yield from self._is_waiting_for(notes)) is not False:
            try:
                yield from self._note_and_send(notes)
                return
            except (BadRequestError, ConflictError) as error:
                if (yield from self._is_waiting_for(notes)):
                    raise
                self.worker.task.warn(f"Refused, perhaps because it was already answered: {error}")
        yield from self._check_decision(notes)
        self._is_inferred = True

    def _check_decision(self, notes: dict[str, Any]) -> Steps[None]:
        approvals = self.client.approvals
        seen = yield from self._ask("observe", lambda: approvals.observed(approvals.reference(notes["release"])))
        if _decision_shown(seen) != _decision_in(notes):
            raise ConflictError("somebody else may have answered", call=Call(system="vendor"))

    def _answer_now(self, notes: dict[str, Any]) -> Steps[None]:
        try:
            yield from self._note_and_send(notes)
        except ReleasePipelineError as error:
            if not error.effect.is_open:
                yield from self._forget()
            raise

    def _note_and_send(self, notes: dict[str, Any]) -> Steps[None]:
        yield from self._note(notes)
        yield from self._send(notes)
        notes["is_taken"] = True
        yield from self._note(notes)

    def _send(self, notes: dict[str, Any]) -> Steps[None]:
        self.world.point("action before", self.worker)
        yield 0.0
        yield from self.require_standing()
        worker, approvals, judge = self.worker, self.client.approvals, self.world.judge
        judge.answers_release(worker, notes["release"], _decision_in(notes))

        def serve() -> None:
            judge.arrives(worker, approvals.answer_named(OURS, worker, WORDS[_decision_in(notes)]))

        try:
            yield from self._ask("action", serve)
        except ReleasePipelineError as error:
            judge.fails_to_answer(worker, error)
            if not error.effect.is_open or not (yield from self._was_taken(notes)):
                raise

    def _was_taken(self, notes: dict[str, Any]) -> Steps[bool]:
        try:
            if (yield from self._is_waiting_for(notes)) is not False:
                return False
            yield from self._check_decision(notes)
        except ReleasePipelineError:
            return False
        return True

    def _wait_until_taken(self, notes: dict[str, Any]) -> Steps[None]:
        end = self.worker.machine.now + ACCEPTED_WITHIN
        while (is_waiting := (yield from self._is_waiting_for(notes))) is not False and self.worker.machine.now < end:
            self.world.point("pause", self.worker)
            yield POLL_PAUSE
        if is_waiting:
            yield from self._forget()
            raise PermissionDeniedError("the answer was ignored", call=Call(system="vendor"))
        if self._is_inferred:
            yield from self._check_decision(notes)

    def _is_waiting_for(self, notes: dict[str, Any]) -> Steps[bool | None]:
        def serve() -> bool | None:
            is_waiting: bool | None = self.client.approvals.is_waiting_for(notes["release"], OURS)
            self.world.judge.polls(self.worker, is_waiting is not False)
            return is_waiting

        return (yield from self._ask("observe", serve))

    def _waiting(self) -> int:
        release: int = self.client.approvals.waiting()
        self.world.judge.polls(self.worker, True)
        return release

    def _forget(self) -> Steps[None]:
        try:
            yield from self.airflow.write(self.worker, self.key, None)
        except AirflowError:
            self.world.judge.keeps(self.worker)
            raise
        self.world.judge.forgets(self.worker)


def _decision_shown(seen: Execution) -> str | None:
    """The decision that follows from the state of a release that does not wait for our answer."""
    if seen.status == "canceling":
        return None
    return APPROVE if seen.state is ExecutionState.WAITING else decided_at_the_vendor(seen.state)


def _decision_in(notes: dict[str, Any]) -> str:
    return str(notes.get("decision", APPROVE))


class ReleaseWorker(AnswerWorker):
    """A process of such an answer."""

    carrier_class = ReleaseCarrier


class ReleaseJudge(AnswerJudge):
    """What must hold: the answer goes to the release that was noted, once, and the task succeeds with that."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._polled: dict[Any, float] = {}
        """When a poll showed that its release may wait for the answer; infinite: none has, or the last one did not."""
        self._polled_before: dict[Any, float] = {}
        """The same, when its answer was sent."""
        self._went_astray: set[tuple[Task, int]] = set()
        self._refused: set[tuple[Task, int]] = set()
        """Generations whose answers were certainly not taken."""
        self._pending: Counter[tuple[Task, int]] = Counter()
        """Of a generation: answers that may have been taken."""
        self._unheard: set[Any] = set()
        """Workers that are about to send an answer, or have sent it, and have not heard that it was refused."""

    def polls(self, worker: Any, may_wait: bool) -> None:
        self._polled[worker] = self.world.now if may_wait else math.inf

    def saved(self, worker: Any, record: RequestRecord) -> None:
        super().saved(worker, record)
        if record.escalated_by == worker.carrier.attempt:
            return
        if record.notes.get("is_taken"):
            self._taken[worker.task].add(worker.generation)
        elif not record.is_done:
            self._unheard.add(worker)
            self._refused.discard((worker.task, worker.generation))

    def fails_to_answer(self, worker: Any, error: ReleasePipelineError) -> None:
        """An answer came back with an error."""
        who = worker.task, worker.generation
        if not error.effect.is_open:
            self._unheard.discard(worker)
            self._pending[who] -= 1
            about = self._noted_by(worker)
            # It may be refused because somebody else has answered.
            is_answered = about is not None and about.status != "active"
            if not self._pending[who] and not is_answered and not self._is_undetermined(worker):
                self._refused.add(who)

    def forgets(self, worker: Any) -> None:
        """Certainly nothing came of its answer: another attempt may be about another release."""
        for generation in range(worker.generation + 1):
            self._noted.pop((worker.task, generation), None)
            self._taken[worker.task].discard(generation)

    def keeps(self, worker: Any) -> None:
        """Its notes stay, although its answer was refused: nobody can know that it was."""
        self._refused.discard((worker.task, worker.generation))

    def dies(self, worker: Any) -> None:
        super().dies(worker)
        self.keeps(worker)

    def answers_release(self, worker: Any, release: int, decision: str) -> None:
        """An answer is about to be sent."""
        self._requires_standing(worker, "an answer")
        about = self._noted_by(worker)
        if about is None or about.release != release:
            self.world.violate(f"{worker} answers release {release}, but its task is about {about}")
        self._pending[worker.task, worker.generation] += 1
        self._polled_before[worker] = self._polled.get(worker, math.inf)
        if worker.generation in self._taken[worker.task]:
            self.world.violate(f"{worker} answers release {release} again, although that was accepted")

    def arrives(self, worker: Any, approval: Approval) -> None:
        """An answer was taken by the release that asks now."""
        about = self._noted_by(worker)
        if about is not None and about.release == approval.release:
            return
        if self.world.now >= self._polled_before[worker] + NEXT_RELEASE:
            self.world.counted["window: an answer arrives so late that the next release takes it"] += 1
            self._went_astray.add((worker.task, worker.generation))
            return
        self.world.violate(f"{worker} answers {approval}, but its task is about {about}")

    def succeeds(self, task: Task, worker: Any, result: dict[str, Any]) -> None:
        about = self._noted_by(worker)
        if about is None or about.release != result["release"]:
            self.world.violate(f"{task} succeeds with release {result['release']}, but it is about {about}")
        elif (task, worker.generation) in self._went_astray:
            return
        elif (task, worker.generation) in self._refused and not self._may_be_of_another(worker, about):
            self.world.violate(f"{task} succeeds with {about}, although its answer was refused")
        elif about.status != "approved" and not self._is_undetermined(worker):
            self.world.violate(f"{task} succeeds, but {about} is {about.status}")

    def _may_be_of_another(self, worker: Any, about: Approval) -> bool:
        """Whether it is approved, and nobody can know whether by an earlier attempt."""
        return about.status == "approved" and any(each.task is worker.task for each in self._unheard - {worker})

    def _is_undetermined(self, worker: Any) -> bool:
        """Whether a refusal may mean that it was already answered: nothing shows which approval is waited for."""
        approvals = worker.client.approvals
        is_unknown = approvals.is_waiting_for(approvals.row[-1].release, OURS) is None
        self.world.counted["window: a refusal while nothing shows which approval is waited for"] += is_unknown
        return is_unknown

    def _may_be_two(self, task: Task, generation: int) -> bool:
        return (task, generation) in self._went_astray

    def _approval_of(self, worker: Any, record: RequestRecord) -> Approval:
        return worker.client.approvals.of_release(record.notes["release"])
