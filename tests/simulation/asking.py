"""What one attempt of a task that asks people about an approval does: step for step as ``approval_attempt.py`` does.

With the real question, rules and notes. The answer is sent as in ``answering.py`` or, to a release, ``releasing.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec

from airflow_provider.core.approving import (
    Answer,
    Ended,
    Question,
    Rules,
    decided_at_the_vendor,
    decided_elsewhere,
    is_of_another,
    is_open,
    read_answer,
)
from airflow_provider.core.durations import MOST_CRASHES
from airflow_provider.core.record import RequestRecord
from airflow_provider.core.waiting import Ending, Outcome, Patience, result_of
from airflow_provider.exceptions import (
    Call,
    ConflictError,
    ExecutionTimeout,
    ReleasePipelineError,
)
from airflow_provider.execution import Execution, ExecutionState
from airflow_provider.links import QUESTION_XCOM
from airflow_provider.operators.retrying import SAME_AGAIN
from tests.simulation.airflow import AirflowError, StaleError
from tests.simulation.answering import AnswerCarrier
from tests.simulation.asked import AskTrigger, time_out
from tests.simulation.asked_people import ask
from tests.simulation.people import RequiredAction
from tests.simulation.releasing import ReleaseCarrier
from tests.simulation.workers import Worker
from tests.simulation.world import Steps

KEY = "approval_question"
ASSIGNED_KEY = "asked_users"
ANSWERS_XCOM = "approvals"
DEFERRAL_MARGIN = 120.0
"""Seconds by which Airflow's own timeout of a deferral exceeds the deadline."""
REQUESTER = "rob"


class AskCarrier(AnswerCarrier):
    """Carries out what one attempt that asks does; nothing here is a start, so that it cancels nothing."""

    key = KEY
    action = "asked people about an approval"

    def __init__(self, worker: Worker, stored: RequestRecord | None) -> None:
        super().__init__(worker, stored)
        settings = self.settings = self.airflow.policy
        interval = settings["poll_interval"]
        self.policy = SimpleNamespace(system="vendor", poll_interval=interval, fail_on_waiting=False)
        self.rules = Rules(
            approvers=tuple(settings["approvers"]),
            requester=REQUESTER if settings["not_requester"] else None,
            approvals=settings["approvals"],
            on_no_response=settings["on_no_response"],
        )
        self._is_release = "release" in self.world.plan.kind

    def is_final_after(self, error: ReleasePipelineError) -> bool:
        """As the default retry policy."""
        return isinstance(error, SAME_AGAIN) and bool(self.settings["has_retry_policy"])

    def in_words(self, record: RequestRecord) -> str:
        question = record.notes
        said = [f"{each['decision']} by {each.get('by')}" for each in question.get("answers", ())]
        return f"question {question.get('asked', 0)} about {question['ref']['id']}, {said}, {question.get('decision')}"

    # What an attempt does

    def begin(self) -> Steps[dict[str, Any]]:
        question = yield from self._recall()
        if question is None:
            waiting = yield from self._find()
            question = Question(ref=dict(waiting.ref), deadline=self._deadline())
        elif question.decision:
            yield from self._push(question)
            return (yield from self._send_decision(question))
        elif question.is_decided_elsewhere:
            yield from self._push(question)
            return (yield from self._result_elsewhere(question))
        else:
            question.renew(self._deadline())
            waiting = yield from self._observe(question)
        yield from self._show(waiting.id)
        yield from self._push(question)
        return (yield from self._put_and_wait(question, waiting))

    def resume(self, event: Any) -> Steps[dict[str, Any]]:
        question = yield from self._recalled()
        if is_of_another(event, self.name_of(question)):
            return (yield from self._ask_again(question))
        self.world.counted[f"question ended: {event.get('ended', 'answered')}"] += 1
        match event.get("ended"):
            case Ended.ELSEWHERE:
                return (yield from self._end_elsewhere(question, event))
            case Ended.NO_RESPONSE:
                yield from self._take_silence(question)
            case Ended.UNASKED:
                question.asked = len(question.answers)
            case _:
                if self._take(question, event):
                    yield from self._note_question(question)
        yield from self._push(question)
        if question.decision:
            return (yield from self._send_decision(question))
        question.asked = min(question.asked, len(question.answers))
        return (yield from self._ask_again(question))

    def resume_without_event(self, error: str) -> Steps[dict[str, Any]]:
        question = yield from self._recalled()
        question.crashes += 1
        if question.crashes <= MOST_CRASHES:
            return (yield from self._ask_again(question))
        if error == "Trigger timeout":
            self.stored = yield from self.read_notes()
            return (yield from self.resume({"ended": Ended.NO_RESPONSE}))
        raise AirflowError(f"TaskDeferralError: {error}")

    # What it remembers

    def read_notes(self) -> Steps[RequestRecord | None]:
        stored = yield from self.airflow.read(self.worker, self.key)
        return stored and msgspec.convert(stored, RequestRecord)

    def _recall(self) -> Steps[Question | None]:
        notes = yield from self.recalled()
        return None if notes is None else msgspec.convert(notes, Question)

    def _recalled(self) -> Steps[Question]:
        question = yield from self._recall()
        if question is None:
            raise ConflictError("the question of this task is no longer known", call=Call(system="vendor"))
        return question

    def _note_question(self, question: Question, *, is_done: bool = False) -> Steps[None]:
        yield from self._note(msgspec.to_builtins(question), is_done=is_done)

    def _deadline(self) -> float | None:
        seconds = self.settings["response_timeout"]
        return None if seconds is None else self.worker.machine.now + seconds

    def name_of(self, question: Question) -> str:
        return f"{self.worker.id} {question.label}"

    # Asking

    def _find(self) -> Steps[Execution]:
        approvals = self.client.approvals
        ask_for = approvals.waiting if self._is_release else approvals.pending_id
        number = yield from self._ask("choose", ask_for)
        return (yield from self.client.observe_approval(self.worker, approvals.reference(number)))

    def _ask_again(self, question: Question) -> Steps[dict[str, Any]]:
        waiting = yield from self._observe(question)
        return (yield from self._put_and_wait(question, waiting))

    def _put_and_wait(self, question: Question, waiting: Execution) -> Steps[dict[str, Any]]:
        """As ``_ask``."""
        if not is_open(waiting.state):
            return (yield from self._take_state(question, waiting))
        # What people must know to decide is read from the system as well.
        yield from self._observe(question)
        if not question.is_asked:
            yield from self._put(question)
        yield from self._note_question(question)
        yield from self._wait_for_people(question)
        raise AssertionError("a deferral ends the process")

    def _put(self, question: Question) -> Steps[None]:
        question.asked = len(question.answers) + 1
        yield from self.push_if_standing(QUESTION_XCOM, self.name_of(question))
        self.world.point("ask", self.worker)
        yield from self.airflow.call()
        task, worker = self.worker.task, self.worker
        if task.id != worker.id:
            raise StaleError("HTTP 404: this task instance is not there any more")
        action = RequiredAction(self.client.approvals.about(question.ref), worker.generation)
        if question.deadline is not None:
            action.until = self.world.now + question.deadline - worker.machine.now
        self.world.judge.asks(worker, question, action)
        task.action = action
        ask(self.airflow, task, action)
        if (yield from self.airflow.read(worker, ASSIGNED_KEY)) is None:
            yield from self.airflow.write(worker, ASSIGNED_KEY, list(self.rules.approvers))

    def _wait_for_people(self, question: Question) -> Steps[None]:
        worker = self.worker
        trigger = AskTrigger(worker, self, question, asked_as=self.name_of(question))
        if question.deadline is not None:
            net = max(0.0, question.deadline - worker.machine.now) + DEFERRAL_MARGIN
            self.world.after(net, time_out, self.airflow, worker.task, trigger)
        yield from self.hand_over(lambda: trigger)

    # Answers

    def _take(self, question: Question, event: Any) -> bool:
        answer = read_answer(event)
        return bool(answer and question.take(answer, self.rules))

    def _take_silence(self, question: Question) -> Steps[None]:
        then = self.settings["on_no_response"]
        self.world.judge.takes_silence(self.worker, question)
        if then == "fail":
            question.end_late()
        else:
            question.answers.append(Answer(decision=then, name="on_no_response (nobody answered in time)"))
            question.decision = then
        yield from self._note_question(question)
        if then == "fail":
            raise ExecutionTimeout("nobody has decided in time", call=Call(system="vendor"))

    def _send_decision(self, question: Question) -> Steps[dict[str, Any]]:
        decision, number = str(question.decision), int(question.ref["id"])

        def answer() -> Steps[None]:
            if self._is_release:
                yield from ReleaseCarrier(self.worker, None).answer_asked(number, decision)
            else:
                yield from self.send(number, decision)

        yield from self._patiently(answer)
        return (yield from self._finish(question))

    def _observe(self, question: Question) -> Steps[Execution]:
        return (yield from self._patiently(lambda: self.client.observe_approval(self.worker, question.ref)))

    def _patiently(self, call: Callable[[], Steps[Any]]) -> Steps[Any]:
        machine = self.worker.machine
        patience = Patience(self.settings["poll_interval"], machine.now)
        while True:
            try:
                return (yield from call())
            except ReleasePipelineError as error:
                pause = patience.pause(error)
                if patience.is_over(machine.now + pause):
                    raise
            self.world.point("pause", self.worker)
            yield pause

    # Decided at the vendor

    def _end_elsewhere(self, question: Question, event: dict[str, Any]) -> Steps[dict[str, Any]]:
        outcome = Outcome.from_event(event["outcome"])
        if outcome.ending is not Ending.FINISHED:
            result_of(outcome, "vendor")
        if decision := decided_elsewhere(outcome):
            return (yield from self._take_decision_elsewhere(question, decision))
        return (yield from self._take_state(question, (yield from self._observe(question))))

    def _take_state(self, question: Question, seen: Execution) -> Steps[dict[str, Any]]:
        """As ``_decided_elsewhere``."""
        decision = decided_at_the_vendor(seen.state)
        is_stopped = seen.state is ExecutionState.RUNNING and not self.client.needs_cancel(seen)
        if decision is None or is_stopped:
            raise ConflictError(f"it can no longer be decided: it is {seen.status}", call=Call(system="vendor"))
        return (yield from self._take_decision_elsewhere(question, decision))

    def _take_decision_elsewhere(self, question: Question, decision: str) -> Steps[dict[str, Any]]:
        question.answers.append(Answer(decision=decision, name="somebody", comment="decided at the vendor"))
        question.is_decided_elsewhere = True
        yield from self._note_question(question)
        return (yield from self._result_elsewhere(question))

    def _result_elsewhere(self, question: Question) -> Steps[dict[str, Any]]:
        yield from self._observe(question)
        return (yield from self._finish(question))

    def _finish(self, question: Question) -> Steps[dict[str, Any]]:
        yield from self._show(question.ref["id"])
        yield from self._push(question)
        yield from self._note_question(question, is_done=True)
        return {"ref": question.ref, "approvals": question.answers}

    def _show(self, approval_id: str) -> Steps[None]:
        self.world.point("publish", self.worker)
        yield from self.airflow.push(self.worker, "release_id", approval_id)

    def _push(self, question: Question) -> Steps[None]:
        if question.answers:
            yield from self.airflow.push(self.worker, ANSWERS_XCOM, str(len(question.answers)))


class AskWorker(Worker):
    """A process of a task that asks."""

    def _attempt(self, way: tuple[str, Any] | None) -> Steps[dict[str, Any]]:
        carrier = AskCarrier(self, None)
        carrier.stored = yield from carrier.read_notes()
        self.carrier = carrier
        if way is None:
            return (yield from carrier.begin())
        method, argument = way
        if method == "resume":
            return (yield from carrier.resume_without_event(argument))
        return (yield from carrier.resume(argument))
