"""Lives of a start that asks people about the gates of its execution, and who watches what their answers lead to.

Step for step as ``operators/gate_attempt.py`` and ``triggers/gate.py`` do, with the real rules and notes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, NamedTuple

from msgspec.structs import replace

from airflow_provider.core import canceling
from airflow_provider.core.approving import (
    APPROVE,
    ASKED_AS,
    CLOSED_WHEN,
    REJECT,
    Ended,
    Gate,
    GateQuestion,
    Rules,
    decided_at_the_vendor,
    decided_elsewhere,
    is_of_another,
    read_answer,
)
from airflow_provider.core.canceling import TaskSeen, Verdict
from airflow_provider.core.commands import Ask, TakeAnswer
from airflow_provider.core.record import StartRecord
from airflow_provider.core.waiting import GUESS, WAITED_FOR, Ending, Outcome, Pace, Wait, named_exactly
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    Effect,
    ExecutionFailed,
    ExecutionRejected,
    ExecutionTimeout,
    ReleasePipelineError,
)
from airflow_provider.execution import Execution, ExecutionState
from airflow_provider.links import QUESTION_XCOM
from tests.simulation.airflow import NOTICED, Airflow, AirflowError, StaleError, Task
from tests.simulation.invariants import Judge
from tests.simulation.jobs import Job
from tests.simulation.network import CALL
from tests.simulation.people import RequiredAction, give
from tests.simulation.question_runs import QuestionRun
from tests.simulation.starting import StartCarrier
from tests.simulation.triggerers import Trigger, TriggerRun
from tests.simulation.workers import Worker
from tests.simulation.world import Steps

GATES_KEY = "release_gates"
EARLY_ANSWER = 10.0
SILENT = 0.15
"""Part of the questions that nobody answers in Airflow."""


class Sent(NamedTuple):
    """An answer that has arrived at the vendor."""

    sender: Any
    decision: str
    had_effect: bool


class GateCarrier(StartCarrier):
    """Carries out what one attempt of a start with gates decides."""

    until = frozenset({"waiting"})
    may_finish = False

    def __init__(self, worker: Worker, record: StartRecord | None) -> None:
        super().__init__(worker, record)
        self.policy = self.start.policy = replace(self.policy, is_rejected=self._is_rejected)
        self._perform |= {Ask: self._ask, TakeAnswer: self._take}

    def is_final_after(self, error: ReleasePipelineError) -> bool:
        """As ``GatedStartOperator._run``."""
        record, of_end = self.start.record, (ExecutionFailed, ExecutionRejected, ExecutionTimeout)
        is_rejected = isinstance(error, of_end) and record and self._is_rejected(record.marker)
        return super().is_final_after(error) or bool(is_rejected)

    def _is_rejected(self, marker: str) -> bool:
        """As ``is_rejected_here`` of ``operators/gate_attempt.py``."""
        return GateQuestion.from_json(self.worker.task.store.get(GATES_KEY), marker).is_rejected

    def _question(self) -> Steps[GateQuestion]:
        stored = yield from self.airflow.read(self.worker, GATES_KEY)
        record = self.start.record
        return GateQuestion.from_json(stored, record.marker if record else "")

    def _note(self, question: GateQuestion) -> Steps[None]:
        self.world.point("save", self.worker)
        yield 0.0
        yield from self.airflow.write(self.worker, GATES_KEY, question.to_json())

    def _ask(self, command: Ask) -> Steps[None]:
        yield from self.require_standing()
        question = yield from self._question()
        if question.decision:
            yield from self._send_decision(question)
            return
        job, number = yield from self._find(command, {each.about for each in question.before})
        judged_at = self.worker.machine.now
        has_time = command.deadline is None or judged_at + NOTICED < command.deadline
        if not has_time or (number is None and command.is_patient):
            return
        if number is not None:
            gate = Gate(ref={"id": f"{job.id}/{number}", "place": self.client.place}, name=_name(job, number))
            if not question.is_about(gate):
                question.come_to(gate, None)
            if question.is_asked:
                yield from self._identify(question)
            else:
                question.asked = len(question.answers) + 1
                yield from self._identify(question)
                yield from self._put(job, number)
                yield from self._note(question)
        asked_as = self._name_of(question) if number is not None else ""
        ref, deadline = command.waiting.ref, command.deadline
        yield from self.hand_over(lambda: GateTrigger(self.worker, self, ref, deadline, judged_at, asked_as=asked_as))

    def _name_of(self, question: GateQuestion) -> str:
        return f"{self.worker.id} {question.label}"

    def _identify(self, question: GateQuestion) -> Steps[None]:
        yield from self.push_if_standing(QUESTION_XCOM, self._name_of(question))

    def _find(self, command: Ask, passed: set[str]) -> Steps[tuple[Any, int | None]]:
        ref = command.waiting.ref
        job = self.client.job_of(ref)
        if GUESS in ref:
            return job, None
        try:
            number = yield from self.client.find_gate(self.worker, ref)
        except ReleasePipelineError:
            if command.is_patient:
                raise
            number = None
        if number is not None and self.is_one_of_many(job):
            number = next((each for each in range(len(job.gates)) if _name(job, each) not in passed), None)
        return job, number

    def is_one_of_many(self, job: Job) -> bool:
        """Whether an execution that waits does not show at which of its gates."""
        return bool(self.world.plan.conditions("asks without a name")) and len(job.gates) > 1

    def _put(self, job: Job, number: int) -> Steps[None]:
        self.world.point("ask", self.worker)
        yield from self.airflow.call()
        task = self.worker.task
        if task.id != self.worker.id:
            raise StaleError("HTTP 404: this task instance is not there any more")
        action = task.action = RequiredAction((job, number))
        self.world.note("people", f"are asked by {task} about gate {number} of {job}")
        seconds = self.world.between(0.0, 1.0) ** 3 * 900.0
        if self.world.random.random() >= SILENT:
            self.world.after(seconds, answer, self.airflow, task, action)

    # Answers

    def _take(self, command: TakeAnswer) -> Steps[Outcome | None]:
        yield from self.require_standing()
        question, event = (yield from self._question()), command.event
        outcome: Outcome | None = None
        if question.decision is None:
            if is_of_another(event, self._name_of(question)):
                return None
            if event.get("ended") == Ended.ELSEWHERE:
                outcome = event["outcome"]
                self._judge_elsewhere(question, outcome)
                question.leave()
                record = self.start.record
                is_own = record and record.ref and outcome.waited_for == named_exactly(record.ref)
                outcome = outcome if is_own else None
            elif not question.ref or event.get("ended") == Ended.UNHEARD:
                return None
            elif event.get("ended") == Ended.UNASKED:
                question.asked = len(question.answers)
            elif read := read_answer(event):
                question.take(read, Rules())
                if not question.decision:
                    question.asked = min(question.asked, len(question.answers))
            yield from self._note(question)
        if question.decision:
            yield from self._send_decision(question)
        return outcome

    def _judge_elsewhere(self, question: GateQuestion, outcome: Outcome) -> None:
        if question.ref and (decision := decided_elsewhere(outcome)):
            execution_id, _, number = question.ref["id"].partition("/")
            job = self.client.job_of({"id": execution_id})
            self.world.judge.decided_elsewhere(self.worker, job, int(number), decision)

    def _send_decision(self, question: GateQuestion) -> Steps[None]:
        """What is decided already is not answered again."""
        execution_id, _, number = question.ref["id"].partition("/")
        decision = str(question.decision)
        self.client.check_place(question.ref)
        question.sends += 1
        yield from self._note(question)
        try:
            yield from self._answer(execution_id, int(number), decision, question.sends)
        except ConflictError as error:
            self.world.note(str(self.worker), f"the answer came too late: {error}")
        except ReleasePipelineError as error:
            if error.effect is Effect.NONE:
                question.sends -= 1
                yield from self._note(question)
            raise
        else:
            self.world.judge.counts(self.worker, self.client.job_of({"id": execution_id}), int(number), decision)
        question.leave()
        yield from self._note(question)

    def _answer(self, execution_id: str, number: int, decision: str, sends: int) -> Steps[None]:
        if (yield from self._is_decided(execution_id, number, decision)):
            return
        self.world.point("action before", self.worker)
        yield 0.0
        yield from self.require_standing()
        job = self.client.job_of({"id": execution_id})
        judge, worker = self.world.judge, self.worker
        judge.answers(worker, job, number, decision, may_be_repeated=self.is_one_of_many(job))

        def serve() -> None:
            if not self.client.is_marked and job.open_gate != number:
                raise BadRequestError(f"{job} does not wait at gate {number}", call=CALL, effect=Effect.REFUSED)
            judge.answered(worker, job, number, decision, job.answer_gate(number, decision))

        try:
            yield from self.client.network.request("action", worker, serve)
        except BadRequestError:
            if not self.is_one_of_many(job):
                raise
            if sends > 1 and decision == APPROVE:
                # By an answer of an earlier attempt.
                return
            raise ConflictError(f"{job} has probably passed gate {number}", call=CALL) from None
        except ReleasePipelineError as error:
            if not error.effect.is_open or not (yield from self._is_decided(execution_id, number, decision)):
                raise

    def _is_decided(self, execution_id: str, number: int, decision: str) -> Steps[bool]:
        job = self.client.job_of({"id": execution_id})
        if not self.client.is_marked:
            return (yield from self._is_decided_by_name(job, number, decision))
        status = yield from self.client.network.request("observe", self.worker, lambda: job.gates[number].status)
        if status not in ("active", decision):
            raise ConflictError(f"gate {number} is already {status}")
        return bool(status == decision)

    def _is_decided_by_name(self, job: Job, number: int, decision: str) -> Steps[bool]:
        """As with a release, of which only its state shows what became of an approval."""
        state, waits_at = yield from self.client.network.request(
            "observe", self.worker, lambda: (job.state, job.open_gate)
        )
        if waits_at == number or (waits_at is not None and self.is_one_of_many(job)):
            return False
        is_next = state is ExecutionState.WAITING
        shown = APPROVE if is_next else decided_at_the_vendor(state)
        if shown != decision:
            raise ConflictError(f"somebody else may have answered gate {number}: {job.id} is {state}")
        return True


def _name(job: Job, number: int) -> str:
    return f"gate {number} of {job.id}"


def answer(airflow: Airflow, task: Task, action: RequiredAction) -> None:
    """A person answers what stands under the required actions of a task; Airflow resumes the task if it is deferred."""
    world = airflow.world
    if airflow.is_away:
        world.after(5.0, answer, airflow, task, action)
        return
    if task.action is not action or not action.is_open:
        return
    give(airflow, task, action, REJECT if world.random.random() < 0.2 else APPROVE, "ada")


class GateTrigger(Trigger):
    """:param asked_as: which question is put; "": none."""

    def __init__(
        self, worker: Worker, carrier: Any, ref: Any, deadline: float | None, judged_at: float, *, asked_as: str
    ) -> None:
        super().__init__(worker, carrier, ref, deadline, judged_at)
        self.asks = bool(asked_as)
        self.asked_as = asked_as
        self.question = self.task.action if asked_as else None
        self.id = worker.id
        self.is_last_try = self.task.try_number > self.task.max_tries
        self.until = self._closed_when(has_own=self.asks and carrier.client.is_marked)
        self.net = None

    def _closed_when(self, *, has_own: bool) -> frozenset[str]:
        """:param has_own: whether the approval itself is polled, too."""
        return frozenset(CLOSED_WHEN) - ({ExecutionState.RUNNING} if has_own else set())

    def begin(self, machine: Any) -> TriggerRun:
        return GateTriggerRun(self, machine)


class GateTriggerRun(QuestionRun):
    """One run of a trigger whose task asks."""

    trigger: GateTrigger

    def _run(self) -> Steps[None]:
        wait, pace, machine = self._wait, Pace(), self.machine
        reads, read_at = 0, machine.now
        while True:
            if self.trigger.asks and reads < 2 and machine.now >= read_at:
                reads, read_at = reads + 1, machine.now + EARLY_ANSWER
                if event := (yield from self._early()):
                    break
            if event := (yield from self._poll(wait, pace)):
                break
            self.world.judge.waits(self, wait)
            if event := (yield from self._poll_gate()):
                break
            yield max(1.0, pace.pause(wait.interval_now, wait.until_deadline(machine.now)))
        named = {ASKED_AS: self.trigger.asked_as, WAITED_FOR: named_exactly(self.trigger.ref)}
        yield from self._fire({**event, **named}, "answered")

    def _early(self) -> Steps[dict[str, Any] | None]:
        try:
            yield from self.airflow.call()
        except AirflowError:
            return None
        action = self._action
        if action is None or action.is_closed:
            return {"ended": Ended.UNASKED}
        return action.answer

    def _poll(self, wait: Wait, pace: Pace) -> Steps[dict[str, Any] | None]:
        seen: Execution | ReleasePipelineError
        try:
            seen = yield from self.client.observe(self, wait.ref)
            pace.note(None)
        except ReleasePipelineError as error:
            seen = error
            pace.note(error)
        outcome = wait.update(seen, self.machine.now)
        wait.new_lines()
        if outcome is None:
            return None
        yield from self._close_for(outcome)
        return {"ended": Ended.ELSEWHERE, "outcome": outcome._replace(waited_for=named_exactly(self.trigger.ref))}

    def _poll_gate(self) -> Steps[dict[str, Any] | None]:
        """If approvals have references of their own, the trigger waits for the one that people are asked about, too."""
        if self.trigger.question is None or not self.client.is_marked:
            return None
        job, number = self.trigger.question.about
        try:
            status = yield from self.client.network.request("observe", self, lambda: job.gates[number].status)
        except ReleasePipelineError:
            return None
        if status == "active":
            return None
        state = ExecutionState.SUCCEEDED if status == APPROVE else ExecutionState.FAILED
        outcome = Outcome(Ending.FINISHED, {"state": state}, waited_for=f"gate {number} of {job.id}")
        yield from self._close_for(outcome)
        return {"ended": Ended.ELSEWHERE, "outcome": outcome}

    def _close_for(self, outcome: Outcome) -> Steps[None]:
        if self.trigger.asks:
            yield from self._close(str(decided_elsewhere(outcome)))

    def _judge_seen(self, seen: TaskSeen, waited: float, frozen_for: float) -> Steps[tuple[Verdict, str]]:
        if not self.trigger.asks:
            return (yield from super()._judge_seen(seen, waited, frozen_for))
        action = self._action
        return canceling.judge_kill_while_asking(
            seen,
            self.trigger.marker,
            waited,
            frozen_for,
            is_answered=action is not None and action.answer is not None,
            is_moved=action is None,
            is_last_try=self.trigger.is_last_try,
        )
        yield


class GateWorker(Worker):
    """A process of a start that asks about gates."""

    carrier_class = GateCarrier


class GateJudge(Judge):
    """What must hold beside what holds for each start: nobody's answer is made up, sent twice or taken for another."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._given: dict[tuple[Job, int], set[str]] = defaultdict(set)
        self._arrived: dict[tuple[Job, int], list[Sent]] = defaultdict(list)

    def people_answer(self, task: Task, action: RequiredAction, decision: str, person: str) -> None:
        self.world.counted["answers of people"] += 1
        job, number = action.about
        self._given[job, number].add(decision)

    def closes(self, run: Any, action: RequiredAction, *, is_race: bool, is_lost: bool) -> None:
        """A trigger is about to close a question.

        :param is_race: whether it was put since the trigger has read which one stands there.
        """
        job, number = action.about
        if action is run.trigger.question:
            return
        if is_race:
            self.world.counted["window: a question put just when a trigger closes the one before"] += 1
        else:
            self.world.violate(f"{run} closes the question about gate {number} of {job}, which it does not ask")

    def decided_elsewhere(self, worker: Any, job: Job, number: int, decision: str) -> None:
        """A decision at the vendor goes on record."""
        if job.state is ExecutionState.WAITING and job.open_gate == number:
            self.world.violate(f"{worker} records a decision about gate {number} of {job}, which nobody has taken")
        elif job.owner is worker.task and job.gates[number].status == REJECT != decision:
            self.world.violate(f"{worker} records {decision} for gate {number} of {job}, which was rejected")

    def answers(self, worker: Any, job: Job, number: int, decision: str, *, may_be_repeated: bool = False) -> None:
        """An answer is about to be sent.

        :param may_be_repeated: whether nobody can know that it was accepted before, and the vendor refuses it then.
        """
        self._requires_standing(worker, "an answer")
        if job.owner is not worker.task:
            self.world.violate(f"{worker} answers gate {number} of {job}")
        if decision not in self._given[job, number]:
            self.world.violate(f"{worker} sends {decision} to gate {number} of {job}, which nobody has answered")
        if any(each.had_effect for each in self._arrived[job, number]) and not may_be_repeated:
            self.world.violate(f"{worker} answers gate {number} of {job} once more")

    def counts(self, worker: Any, job: Job, number: int, decision: str) -> None:
        """A decision is on record as the one that the system has accepted."""
        status = job.gates[number].status
        if status == APPROVE and decision == REJECT and job.state is ExecutionState.FAILED:
            self.world.counted["window: a failure that cannot be told from a rejection"] += 1
        elif status == "active" and worker.carrier.is_one_of_many(job):
            self.world.counted["window: a refusal while nothing shows which approval is waited for"] += 1
        elif status != decision:
            self.world.violate(f"{worker} records {decision} for gate {number} of {job}, which is {status}")

    def answered(self, worker: Any, job: Job, number: int, decision: str, had_effect: bool) -> None:
        """An answer has arrived."""
        self.world.counted["answers that arrived"] += 1
        self._arrived[job, number].append(Sent(worker, decision, had_effect))

    def _judge_second(self, job: Job, other: Job) -> None:
        super()._judge_second(job, other)
        if self._was_rejected(other) and other is self._last_before(job):
            self.world.violate(f"{job} is started, although people have rejected {other}")

    def _was_rejected(self, job: Job) -> bool:
        """Whether a rejection by people in Airflow has ended it."""
        arrived = [each for (about, _), sent in self._arrived.items() if about is job for each in sent]
        return any(each.had_effect and each.decision == REJECT for each in arrived)

    def leaves(self, run: Any, seen: TaskSeen) -> None:
        """While a task asks, its trigger leaves a cleared task to the next attempt."""
        if not isinstance(run, GateTriggerRun):
            super().leaves(run, seen)

    def ends(self) -> None:
        super().ends()
        for (job, number), sent in self._arrived.items():
            effects = Counter(each.had_effect for each in sent)
            if effects[True] > 1 or len({each.decision for each in sent}) > 1:
                self.world.violate(f"gate {number} of {job} was answered more than once")
