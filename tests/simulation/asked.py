"""The trigger of a task that asks people about an approval: step for step as ``triggers/approval.py`` and ``asked.py``.

It waits for three things at once, each in a process of its own: a decision at the vendor, an answer that came before
the deferral, and the deadline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider.core.approving import ASKED_AS, CLOSED_WHEN, Ended, Question
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.task_states import ENDED_FROM_OUTSIDE
from airflow_provider.core.waiting import Ending, Outcome, Pace
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionState
from tests.simulation.airflow import Airflow, AirflowError, Task
from tests.simulation.people import RequiredAction
from tests.simulation.question_runs import QuestionRun
from tests.simulation.triggerers import Trigger, TriggerRun
from tests.simulation.world import Machine, Process, Steps

if TYPE_CHECKING:
    from tests.simulation.workers import Worker

LONGEST_SLEEP = 60.0


class AskTrigger(Trigger):
    """:param asked_as: which question it is for."""

    def __init__(self, worker: Worker, carrier: Any, question: Question, *, asked_as: str) -> None:
        super().__init__(worker, carrier, question.ref, None, worker.machine.now)
        self.until = frozenset(CLOSED_WHEN)
        self.asked_as = asked_as
        self.asks_until = question.deadline
        self.action = self.task.action
        self.id = worker.id

    def begin(self, triggerer: Machine) -> TriggerRun:
        return AskRun(self, triggerer)


def time_out(airflow: Airflow, task: Task, trigger: AskTrigger) -> None:
    """Airflow's own timeout of a deferral has passed."""
    if task.trigger is trigger and task.state == "deferred":
        airflow.resume(task, "resume", "Trigger timeout", "its deferral has timed out")


class AskRun(QuestionRun):
    """One run of such a trigger; ``main`` is the process that waits for the vendor, until something ends that."""

    trigger: AskTrigger

    def __init__(self, trigger: AskTrigger, machine: Machine) -> None:
        super().__init__(trigger, machine)
        self._reader = Process(machine, self._read_early())
        self._clock = Process(machine, self._until_deadline())

    # What it waits for

    def _run(self) -> Steps[None]:
        wait, pace = self._wait, Pace()
        while True:
            try:
                seen: Execution | ReleasePipelineError = yield from self.client.observe_approval(self, wait.ref)
                pace.note(None)
            except ReleasePipelineError as error:
                seen = error
                pace.note(error)
            outcome = wait.update(seen, self.machine.now)
            wait.new_lines()
            if outcome:
                break
            self.world.judge.waits_for_people(self)
            yield max(1.0, pace.pause(wait.interval_now))
        self._reader.kill()
        self._clock.kill()
        yield from self._end_elsewhere(self._unless_stopped(outcome))

    def _read_early(self) -> Steps[None]:
        """As ``_early_answer``: read twice and no more."""
        reads = 0
        while reads < 2:
            is_known, action = yield from self._see()
            if action and action.answer:
                self._end_with(self._fire_event(action.answer))
                return
            if is_known and not (action and action.is_open):
                self._end_with(self._fire_event({"ended": Ended.UNASKED}))
                return
            reads += is_known
            yield DURATIONS.early_answer

    def _until_deadline(self) -> Steps[None]:
        deadline = self.trigger.asks_until
        if deadline is None:
            return
        while self.machine.now < deadline:
            yield min(LONGEST_SLEEP, deadline - self.machine.now)
        self._end_with(self._expire())

    def _end_with(self, steps: Steps[None]) -> None:
        """The rest of the run, if it has not ended otherwise."""
        if self.main.is_over:
            return
        for process in (self.main, self._reader, self._clock):
            process.kill()
        self.main = Process(self.machine, steps)

    # How it ends

    def _expire(self) -> Steps[None]:
        answer = yield from self._answer_in_time()
        if not answer:
            yield from self._close("nobody answered in time")
        yield from self._fire_event(answer or {"ended": Ended.NO_RESPONSE})

    def _answer_in_time(self) -> Steps[dict[str, Any] | None]:
        end = self.machine.now + DURATIONS.error_budget
        while True:
            is_known, action = yield from self._see()
            if is_known or self.machine.now >= end:
                return action.answer if action else None
            yield DURATIONS.early_answer

    def _end_elsewhere(self, outcome: Outcome) -> Steps[None]:
        is_lost = outcome.ending is not Ending.FINISHED
        yield from self._close("decided at the vendor", is_lost=is_lost)
        yield from self._fire_event({"ended": Ended.ELSEWHERE, "outcome": outcome.to_event()})

    def _unless_stopped(self, outcome: Outcome) -> Outcome:
        seen = outcome.execution
        if not seen or seen["state"] != ExecutionState.RUNNING:
            return outcome
        if self.client.needs_cancel(Execution(seen["ref"], ExecutionState.RUNNING, seen["status"])):
            return outcome
        return outcome._replace(execution={**seen, "state": ExecutionState.PAUSED.value})

    def _fire_event(self, event: dict[str, Any]) -> Steps[None]:
        yield from self._fire({**event, ASKED_AS: self.trigger.asked_as}, "answered")

    # The question

    def _see(self) -> Steps[tuple[bool, RequiredAction | None]]:
        """Whether Airflow answers, and the question as long as no other attempt has taken it over."""
        try:
            yield from self.airflow.call()
        except AirflowError:
            return False, None
        return True, self._action

    def _on_kill(self) -> Steps[None]:
        """As ``close_if_ended``: it cancels nothing."""
        self._reader.kill()
        self._clock.kill()
        self.world.point("on_kill", self)
        _, action = yield from self._see()
        if action is None or not action.is_open:
            return
        try:
            state = yield from self.airflow.state_of(self.task)
            if state not in ENDED_FROM_OUTSIDE:
                return
            yield from self.airflow.call()
        except AirflowError:
            return
        if action is self._action and action.is_open:
            self.world.note(str(self), f"closes the question: the task is {state}")
            self.world.judge.closes_after_end(self, action)
            action.is_closed = True
