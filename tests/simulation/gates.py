"""Lives of a start that asks people about the gates of its execution, and who watches what their answers lead to.

Step for step as ``operators/gate_attempt.py`` and ``triggers/gate.py`` do, with the real rules and notes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, NamedTuple

from airflow_provider.core import canceling
from airflow_provider.core.approving import (
    APPROVE,
    CLOSED_WHEN,
    OPTIONS,
    REJECT,
    Ended,
    Gate,
    GateQuestion,
    Rules,
    decided_at_the_vendor,
    read_answer,
)
from airflow_provider.core.canceling import TaskSeen, Verdict
from airflow_provider.core.commands import Ask, TakeAnswer
from airflow_provider.core.record import StartRecord
from airflow_provider.core.waiting import GUESS, Outcome, Pace, Wait
from airflow_provider.exceptions import ConflictError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionState
from tests.simulation.airflow import NOTICED, Airflow, AirflowError, StaleError, Task
from tests.simulation.invariants import Judge
from tests.simulation.jobs import Job
from tests.simulation.starting import StartCarrier
from tests.simulation.triggerers import Trigger, TriggerRun
from tests.simulation.workers import Worker
from tests.simulation.world import Steps

GATES_KEY = "release_gates"
EARLY_ANSWER = 10.0
TOO_EARLY = 1.5
"""Seconds from a deferral within which Airflow 3.3.2 may fail a task by itself that is answered."""
SILENT = 0.15
"""Part of the questions that nobody answers in Airflow."""


class RequiredAction:
    """Airflow's row: it follows the task from attempt to attempt.

    :param about: the execution and the number of the gate that people are asked about.
    """

    def __init__(self, about: tuple[Job, int]) -> None:
        self.about = about
        self.answer: dict[str, Any] | None = None
        self.is_closed = False

    @property
    def is_open(self) -> bool:
        return self.answer is None and not self.is_closed


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
        self._perform |= {Ask: self._ask, TakeAnswer: self._take}

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
        job, number = yield from self._find(command)
        judged_at = self.worker.machine.now
        has_time = command.deadline is None or judged_at + NOTICED < command.deadline
        if not has_time or (number is None and command.is_patient):
            return
        if number is not None:
            gate = Gate(ref={"id": f"{job.id}/{number}", "place": self.client.place}, name=f"gate {number} of {job.id}")
            if not question.is_about(gate):
                question.come_to(gate, None)
            if not question.is_asked:
                yield from self._put(job, number)
                question.asked = len(question.answers) + 1
                yield from self._note(question)
        asks = number is not None
        ref, deadline = command.waiting.ref, command.deadline
        yield from self.hand_over(lambda: GateTrigger(self.worker, self, ref, deadline, judged_at, asks=asks))

    def _find(self, command: Ask) -> Steps[tuple[Any, int | None]]:
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
        return job, number

    def _put(self, job: Job, number: int) -> Steps[None]:
        self.world.point("ask", self.worker)
        yield from self.airflow.call()
        task = self.worker.task
        if task.id != self.worker.id:
            raise StaleError("HTTP 404: this task instance is not there any more")
        action = task.action = RequiredAction((job, number))  # type: ignore[attr-defined]
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
            if event.get("ended") == Ended.ELSEWHERE:
                outcome = event["outcome"]
                question.leave()
            elif not question.ref:
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

    def _send_decision(self, question: GateQuestion) -> Steps[None]:
        """What is decided already is not answered again."""
        execution_id, _, number = question.ref["id"].partition("/")
        decision = str(question.decision)
        self.client.check_place(question.ref)
        try:
            yield from self._answer(execution_id, int(number), decision)
        except ConflictError as error:
            self.world.note(str(self.worker), f"the answer came too late: {error}")
        else:
            self.world.judge.counts(self.worker, self.client.job_of({"id": execution_id}), int(number), decision)
        question.leave()
        yield from self._note(question)

    def _answer(self, execution_id: str, number: int, decision: str) -> Steps[None]:
        if (yield from self._is_decided(execution_id, number, decision)):
            return
        self.world.point("action before", self.worker)
        yield 0.0
        yield from self.require_standing()
        job = self.client.job_of({"id": execution_id})
        judge, worker = self.world.judge, self.worker
        judge.answers(worker, job, number, decision)

        def serve() -> None:
            judge.answered(worker, job, number, decision, job.answer_gate(number, decision))

        try:
            yield from self.client.network.request("action", worker, serve)
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
        if waits_at == number:
            return False
        is_next = state is ExecutionState.WAITING
        shown = APPROVE if is_next else decided_at_the_vendor(state)
        if shown != decision:
            raise ConflictError(f"somebody else may have answered gate {number}: {job.id} is {state}")
        return True


def answer(airflow: Airflow, task: Task, action: RequiredAction) -> None:
    """A person answers what stands under the required actions of a task; Airflow resumes the task if it is deferred."""
    world = airflow.world
    if airflow.is_away:
        world.after(5.0, answer, airflow, task, action)
        return
    if getattr(task, "action", None) is not action or not action.is_open:
        return
    decision = REJECT if world.random.random() < 0.2 else APPROVE
    person = {"id": "ada", "name": "Ada"}
    at = f"{world.now:.3f}"
    action.answer = {
        "chosen_options": [OPTIONS[decision]],
        "params_input": {},
        "responded_by_user": person,
        "responded_at": at,
    }
    job, number = action.about
    world.note("a person", f"answers {decision} to {task} about gate {number} of {job}")
    world.judge.people_answer(job, number, decision)
    if task.state != "deferred":
        return
    is_early = world.now - task.changed_at < TOO_EARLY
    airflow.resume(task, "answered", action.answer, "a person has answered")
    if is_early and world.random.random() < 0.7:
        task.is_ended_by_machine = True
        airflow.handle_failure(task, "answered before Airflow had heard of the end of its process")


class GateTrigger(Trigger):
    """:param asks: whether a question is put."""

    def __init__(
        self, worker: Worker, carrier: Any, ref: Any, deadline: float | None, judged_at: float, *, asks: bool
    ) -> None:
        super().__init__(worker, carrier, ref, deadline, judged_at)
        self.asks = asks
        self.id = worker.id
        self.is_last_try = self.task.try_number > self.task.max_tries
        self.until = frozenset(CLOSED_WHEN)
        self.net = None

    def begin(self, machine: Any) -> TriggerRun:
        return GateTriggerRun(self, machine)


class GateTriggerRun(TriggerRun):
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
            event = yield from self._poll(wait, pace)
            if event:
                break
            self.world.judge.waits(self, wait)
            yield max(1.0, pace.pause(wait.interval_now, wait.until_deadline(machine.now)))
        yield from self._fire(event, "answered")

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
        if self._action and self._action.is_open:
            state = (outcome.execution or {}).get("state", "")
            self.world.note(str(self), f"closes the question: {decided_at_the_vendor(state)}")
            self._action.is_closed = True
        return {"ended": Ended.ELSEWHERE, "outcome": outcome}

    @property
    def _action(self) -> RequiredAction | None:
        """The question, as long as no other attempt has taken it over."""
        return getattr(self.task, "action", None) if self.trigger.id == self.task.id else None

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

    def people_answer(self, job: Job, number: int, decision: str) -> None:
        self.world.counted["answers of people"] += 1
        self._given[job, number].add(decision)

    def answers(self, worker: Any, job: Job, number: int, decision: str) -> None:
        """An answer is about to be sent."""
        self._requires_standing(worker, "an answer")
        if job.owner is not worker.task:
            self.world.violate(f"{worker} answers gate {number} of {job}")
        if decision not in self._given[job, number]:
            self.world.violate(f"{worker} sends {decision} to gate {number} of {job}, which nobody has answered")
        if any(each.had_effect for each in self._arrived[job, number]):
            self.world.violate(f"{worker} answers gate {number} of {job} once more")

    def counts(self, worker: Any, job: Job, number: int, decision: str) -> None:
        """A decision is on record as the one that the system has accepted."""
        status = job.gates[number].status
        if status == APPROVE and decision == REJECT and job.state is ExecutionState.FAILED:
            self.world.counted["window: a failure that cannot be told from a rejection"] += 1
        elif status != decision:
            self.world.violate(f"{worker} records {decision} for gate {number} of {job}, which is {status}")

    def answered(self, worker: Any, job: Job, number: int, decision: str, had_effect: bool) -> None:
        """An answer has arrived."""
        self.world.counted["answers that arrived"] += 1
        self._arrived[job, number].append(Sent(worker, decision, had_effect))

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
