"""What must hold in the life of a task that asks people about an approval: what they decide, and that alone, counts."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any, NamedTuple

from airflow_provider.core.approving import APPROVE, REJECT, Answer, Question
from airflow_provider.core.record import RequestRecord
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import ExecutionRef, ExecutionState
from tests.simulation.airflow import Task
from tests.simulation.answering import AnswerJudge
from tests.simulation.approvals import WORDS, Approval, Releases
from tests.simulation.people import RequiredAction
from tests.simulation.releasing import ReleaseJudge

HEARD_WITHIN = 3600.0
"""Seconds after which a task has certainly heard of an answer, whatever was down."""
LATE = 90.0
"""Most seconds from a deadline until a trigger that runs has noticed it."""
KEEP_FROM_CLOSING = ("airflow away", "restart triggerer", "stall triggerer", "triggerers down", "clear")
"""Incidents because of which a question may stay open, or be taken over by another attempt."""


class Given(NamedTuple):
    """An answer that a person gave."""

    action: RequiredAction
    person: str
    decision: str
    at: str


class AskJudge(ReleaseJudge):
    """Watches the life of a task that asks, and of those that it asks."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._given: dict[Task, list[Given]] = defaultdict(list)
        self._to_be_closed: list[tuple[Task, RequiredAction]] = []
        """Questions of tasks that people have ended while a triggerer ran their triggers."""
        self._is_silent: set[tuple[Task, int]] = set()
        """Generations in which nobody has decided in time."""
        self._read: set[str] = set()
        """When answers were given that are on record."""
        self._seen: dict[tuple[Task, int], str] = {}
        """The decisions at the vendor that are on record."""

    # Asking

    def asks(self, worker: Any, question: Question, action: RequiredAction) -> None:
        """A question is about to take the place of the one before, and of its answer."""
        self.world.counted["questions to people"] += 1
        before, about = worker.task.action, self._noted.get((worker.task, worker.generation))
        if about is not None and action.about is not about:
            self.world.violate(f"{worker} asks about {action.about}, but its task is about {about}")
        if before is None or before.answer is None or before.generation != worker.generation:
            return
        if before.answer["responded_at"] in [each.at for each in question.answers]:
            return
        if not self._is_in_time(before):
            self.world.counted["answers that came too late"] += 1
        elif not before.is_noted:
            self.world.counted["window: answered just as its question was put, whose process dies then"] += 1
        else:
            self.world.violate(f"{worker} asks again, although nobody has read the answer to the question before")

    def people_answer(self, task: Task, action: RequiredAction, decision: str, person: str) -> None:
        self.world.counted["answers of people"] += 1
        at = str((action.answer or {})["responded_at"])
        self._given[task].append(Given(action, person, decision, at))
        self.world.after(HEARD_WITHIN, self._requires_hearing, task, action)

    def _requires_hearing(self, task: Task, action: RequiredAction) -> None:
        """An answer that came before the deferral resumes nobody by itself."""
        is_awaited = task.state == "deferred" and getattr(task.trigger, "action", None) is action
        if is_awaited and action.is_noted and not self.airflow.is_away:
            self.world.violate(f"{task} still waits for an answer that was given long ago")

    def saved(self, worker: Any, record: RequestRecord) -> None:
        self.progresses(worker, record)
        if record.escalated_by == worker.carrier.attempt or "release" in record.notes:
            return
        self._noted.setdefault((worker.task, worker.generation), self._approval_of(worker, record))
        if worker.task.action:
            worker.task.action.is_noted = True
        self._read.update(each.get("at", "") for each in record.notes.get("answers", ()))
        if record.notes.get("is_decided_elsewhere"):
            self._seen.setdefault((worker.task, worker.generation), record.notes["answers"][-1]["decision"])

    # Ends of questions

    def person_acts(self, task: Task, what: str) -> None:
        super().person_acts(task, what)
        if what == "clears" or task.state != "deferred" or not (task.trigger and task.trigger.is_run):
            return
        if task.action and task.action.is_open:
            self._to_be_closed.append((task, task.action))

    def takes_silence(self, worker: Any, question: Question) -> None:
        """That nobody has decided in time is about to count."""
        action = worker.task.action
        if action is None or question.deadline is None or self.world.now < action.until - self._clocks_apart:
            self.world.violate(f"{worker} waits no longer for an answer, although there is time")
        elif (
            action.answer
            and action.is_noted
            and self._is_in_time(action)
            and action.answer["responded_at"] not in [each.at for each in question.answers]
        ):
            self.world.violate(f"{worker} says that nobody has answered, although somebody has")
        self._is_silent.add((worker.task, worker.generation))

    def _is_in_time(self, action: RequiredAction) -> bool:
        """Whether a question was answered before its deadline, by anybody's clock."""
        answered_at = float(action.answer["responded_at"]) if action.answer else math.inf
        return answered_at < action.until - self._clocks_apart

    @property
    def _clocks_apart(self) -> float:
        plan = self.world.plan
        return abs(plan.condition("worker clocks")) + abs(plan.condition("triggerer clock"))

    def waits_for_people(self, run: Any) -> None:
        deadline = run.trigger.asks_until
        if deadline is not None and run.machine.now > deadline + LATE and not run.machine.frozen_for(LATE):
            self.world.violate(f"{run} waits past its deadline")

    def closes(self, run: Any, action: RequiredAction, *, is_race: bool, is_lost: bool) -> None:
        """A trigger is about to close a question that nobody needs to answer any more.

        :param is_lost: whether it cannot find out what became of the approval.
        """
        deadline = run.trigger.asks_until
        is_late = deadline is not None and run.machine.now >= deadline
        if action is not run.trigger.action:
            if is_race:
                self.world.counted["window: a question put just when a trigger closes the one before"] += 1
            else:
                self.world.violate(f"{run} closes the question about {action.about}, which it does not ask")
        elif not is_late and not is_lost and action.about.status == "active":
            self.world.violate(f"{run} closes the question about {action.about}, which still waits for an answer")

    def closes_after_end(self, run: Any, action: RequiredAction) -> None:
        if run.task.state not in ("failed", "success", "skipped"):
            self.world.violate(f"{run} closes the question of {run.task}, which is {run.task.state}")

    # Answers at the vendor

    def answers(self, worker: Any, approval: Approval, decision: str) -> None:
        AnswerJudge.answers(self, worker, approval, decision)
        self._requires_reason(worker, approval, decision)

    def answers_release(self, worker: Any, release: int, decision: str) -> None:
        approval = worker.client.approvals.of_release(release)
        self.answers(worker, approval, decision)
        self._polled_before[worker] = self._polled.get(worker, math.inf)

    def _requires_reason(self, worker: Any, approval: Approval, decision: str) -> None:
        """Nothing is sent that those who may decide have not decided."""
        policy, who = self.airflow.policy, (worker.task, worker.generation)
        counting = [each for each in self._given[worker.task] if self._counts(worker, each)]
        rejecting = {each.person for each in counting if each.decision == REJECT}
        approving = {each.person for each in counting if each.decision == APPROVE}
        known = [each for each in counting if each.at in self._read and each.action.generation == worker.generation]
        if decision == APPROVE and any(each.decision == REJECT for each in known):
            self.world.violate(f"{worker} approves {approval}, which somebody has rejected")
        if rejecting if decision == REJECT else len(approving) >= policy["approvals"]:
            return
        is_silent = who in self._is_silent or any(
            (worker.task, each) in self._is_silent and self._is_hidden(worker, each) for each in range(who[1])
        )
        if not is_silent or policy["on_no_response"] != decision:
            self.world.violate(f"{worker} sends {decision} to {approval}, which nobody has decided")

    def _counts(self, worker: Any, given: Given) -> bool:
        policy, generation = self.airflow.policy, given.action.generation
        may_answer = not policy["approvers"] or given.person in policy["approvers"]
        is_requester = policy["not_requester"] and given.person == "rob"
        is_current = generation == worker.generation or self._is_hidden(worker, generation)
        return bool(may_answer and not is_requester and is_current)

    def fails_to_answer(self, worker: Any, error: ReleasePipelineError) -> None:
        """The decision stays, and so does what it is about."""

    def forgets(self, worker: Any) -> None:
        """The decision stays, and so does what it is about."""

    # Ends

    def succeeds(self, task: Task, worker: Any, result: dict[str, Any]) -> None:
        approval: Approval = worker.client.approvals.about(result["ref"])
        about = self._noted_by(worker)
        last = next(each for each in reversed(result["approvals"]) if not each.refused)
        decision, seen = last.decision, self._seen.get((task, worker.generation))
        if about is not approval:
            self.world.violate(f"{task} succeeds with {approval}, but it is about {about}")
        elif seen != APPROVE and self._looks_rejected(worker, result["ref"], last):
            self.world.counted["window: a failure that cannot be told from a rejection"] += 1
        elif approval.status != WORDS[decision] and not self._may_seem_taken(worker):
            self.world.violate(f"{task} succeeds with {decision}, but {approval} is {approval.status}")

    def ends(self) -> None:
        super().ends()
        # Only a triggerer that reaches Airflow can close one.
        kinds = {incident.kind for incident in self.world.plan.incidents}
        for task, action in self._to_be_closed:
            if action.is_open and task.action is action and kinds.isdisjoint(KEEP_FROM_CLOSING):
                self.world.violate(f"the question of {task} is still open, although a person has ended the task")

    def _may_seem_taken(self, worker: Any) -> bool:
        """Whether an answer may seem to be taken by its release although it was not."""
        if not isinstance(worker.client.approvals, Releases):
            return False
        return (worker.task, worker.generation) in self._went_astray or self._is_undetermined(worker)

    def _looks_rejected(self, worker: Any, ref: ExecutionRef, last: Answer) -> bool:
        """Whether a release that shows no more has failed, some time after its approval was given."""
        approvals = worker.client.approvals
        has_failed = approvals.observed(ref).state is ExecutionState.FAILED
        is_approved = approvals.about(ref).status == WORDS[APPROVE]
        return has_failed and is_approved and last.decision == REJECT

    def _approval_of(self, worker: Any, record: RequestRecord) -> Approval:
        approval: Approval = worker.client.approvals.about(record.notes["ref"])
        return approval
