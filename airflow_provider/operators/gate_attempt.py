"""How one process of a start handles the gates that its execution reaches: asks, processes answers, sends them.

The core decides when it does so; ``gates.py`` defines the gates of each system.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, NoReturn

from airflow_provider.core.approving import Ended, Gate, GateQuestion, decided_elsewhere
from airflow_provider.core.commands import Ask, TakeAnswer
from airflow_provider.core.waiting import GUESS, Outcome, named_exactly
from airflow_provider.exceptions import ConflictError, Effect, ReleasePipelineError
from airflow_provider.links import MARKER_XCOM
from airflow_provider.operators.asking import Asking, as_json
from airflow_provider.operators.attempt import push_if_standing
from airflow_provider.operators.base import DEFERRAL_MARGIN, ClientT, noticed_within, waiting_for
from airflow_provider.operators.carrying_out import save_record
from airflow_provider.operators.gated import KEY
from airflow_provider.operators.gates import GATES, Gates
from airflow_provider.triggers.gate import GateTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.record import StartRecord
    from airflow_provider.core.starting import Start
    from airflow_provider.operators.gated import GatedStartOperator


def answers_for_good(context: Context, record: StartRecord | None) -> list[dict[str, Any]]:
    """All answers for the gates of a start that has ended, which may be deleted some day."""
    question = _read(context, record.marker if record else "")
    if question.gates:
        question.leave()
        question.is_over = True
        save_record(context, KEY, question)
    return as_json(question.before)


def is_rejected_here(context: Context, marker: str) -> bool:
    """Whether people in Airflow have rejected the last gate that the execution of a start reached."""
    return _read(context, marker).is_rejected


class GateAttempt(Generic[ClientT]):
    """:param start: has the record of the execution."""

    def __init__(self, operator: GatedStartOperator[ClientT], context: Context, client: ClientT, start: Start) -> None:
        self._operator = operator
        self._context = context
        self._start = start
        self._client = client
        self._asking = Asking(operator, context, client)
        self._gates: Gates = GATES[operator.system](client)
        self._question = _read(context, start.record.marker if start.record else "")

    def perform(self, command: Ask | TakeAnswer) -> Outcome | None:
        if isinstance(command, TakeAnswer):
            return self._take(command.event)
        self._ask(command)
        return None

    # --- asking

    def _ask(self, command: Ask) -> None:
        """Ask and defer; returns if that is not done."""
        question = self._question
        if question.decision:
            self._operator.log.info("Continuing with the decision that an earlier attempt got: %s", question.decision)
            self._send()
            return
        gate = self._find(command)
        held_back = noticed_within()
        has_time = command.deadline is None or not held_back or time.time() + held_back < command.deadline
        if not has_time or (gate is None and command.is_patient):
            return
        if gate:
            self._put(gate)
        self._defer(command, gate)

    def _find(self, command: Ask) -> Gate | None:
        problem: object = "none is visible"
        passed = {each.about for each in self._question.before}
        try:
            if GUESS in command.waiting.ref:
                problem = "the execution was only guessed to be this task's"
            elif gate := self._gates.find(command.waiting, passed):
                return gate
        except ReleasePipelineError as error:
            if command.is_patient:
                raise
            problem = error
        if not command.is_patient:
            self._operator.log.warning(
                "Could not find out which approval it waits for, so nobody is asked (%s): waiting for a decision at "
                "the vendor",
                problem,
            )
        return None

    def _put(self, gate: Gate) -> None:
        question = self._question
        if not question.is_about(gate):
            question.come_to(gate, self._asking.deadline())
        question.renew(self._asking.deadline())
        subject, body = self._asking.text(gate.name, gate.details, self._sentences())
        self._operator.log.info("%s\n%s", subject, body)
        if question.is_asked:
            # Since then the task may have waited without asking.
            self._asking.identify(question)
            return
        for_all = self._text_of_all()
        self._asking.put(question, *for_all)
        self._note()
        self._asking.notify(*for_all)

    def _text_of_all(self) -> tuple[str, str]:
        """Subject and body for all gates of the task, because Airflow keeps the first ones."""
        operator = self._operator
        details = {
            "Task": operator.rendered_purpose,
            "Inputs": getattr(operator, "inputs", None) or getattr(operator, "selected_tasks", None),
        }
        sentences = [
            "The task asks about each approval that its execution reaches, one after another.",
            "Its log says which one an answer is for now.",
            *self._sentences(),
        ]
        return self._asking.text(operator.rendered_purpose, details, sentences)

    def _sentences(self) -> list[str]:
        operator = self._operator
        if operator.response_seconds is None:
            return []
        then = {"fail": "this task fails"}.get(operator.on_no_response, f"the answer is to {operator.on_no_response}")
        return [f"If nobody has decided within {timedelta(seconds=operator.response_seconds)} of being asked, {then}."]

    def _defer(self, command: Ask, gate: Gate | None) -> NoReturn:
        operator, ti, record = self._operator, self._context["ti"], self._start.record
        ref, question = command.waiting.ref, self._question
        is_guess = record is None or GUESS in ref
        marker = operator.trigger_arguments(None if is_guess or record is None else record.marker)["marker"]
        if marker:
            # A trigger that is being ended compares it: does the task still wait for this start?
            push_if_standing(self._context, MARKER_XCOM, marker)
        ends = [each for each in (command.deadline, question.deadline if gate else None) if each is not None]
        trigger = GateTrigger(
            system=operator.system,
            conn_id=operator.conn_id,
            ref=ref,
            poll_interval=operator.poll_interval,
            deadline=command.deadline,
            hold_back=noticed_within(),
            marker=marker,
            begun=command.begun.to_json(),
            gate=gate.ref if gate else None,
            asked_as=self._asking.name_of(question),
            asks_until=question.deadline if gate else None,
            on_no_response=operator.on_no_response,
            is_last_try=int(ti.try_number) > int(ti.max_tries),
        )
        operator.defer(
            trigger=trigger,
            method_name="execute_complete",
            kwargs=waiting_for(ref),
            timeout=timedelta(seconds=max(0.0, min(ends) - time.time()) + DEFERRAL_MARGIN) if ends else None,
        )

    # --- answers

    def _take(self, event: dict[str, Any]) -> Outcome | None:
        question, outcome = self._question, None
        if question.decision is None:
            outcome = self._take_in(event)
        if question.decision:
            self._send()
        return outcome

    def _take_in(self, event: dict[str, Any]) -> Outcome | None:
        question, asking = self._question, self._asking
        ended = event.get("ended")
        if asking.is_of_another(question, event):
            return None
        if ended == Ended.ELSEWHERE:
            return self._ended_elsewhere(event)
        if ended == Ended.UNHEARD and not self._is_late:
            return None
        if not question.ref:
            self._operator.log.warning("An answer came, but there is no question: waiting")
            return None
        if ended in (Ended.NO_RESPONSE, Ended.UNHEARD):
            try:
                asking.take_silence(question)
            finally:
                self._note()
        elif ended == Ended.UNASKED:
            question.asked = len(question.answers)
        else:
            asking.take(question, event)
        if not question.decision:
            # Airflow has closed the question, although the answer does not decide it: ask again.
            question.asked = min(question.asked, len(question.answers))
        self._note()
        return None

    @property
    def _is_late(self) -> bool:
        """Whether people were asked, and their time to answer is over."""
        question = self._question
        return question.is_asked and question.deadline is not None and time.time() >= question.deadline

    def _ended_elsewhere(self, event: dict[str, Any]) -> Outcome | None:
        outcome = Outcome.from_event(event.get("outcome"))
        if self._question.ref and (decision := decided_elsewhere(outcome)):
            by = str(((outcome.execution or {}).get("outputs") or {}).get("respondedBy") or "")
            self._asking.take_decision_elsewhere(self._question, decision, by)
        self._question.leave()
        self._note()
        record = self._start.record
        is_own = record and record.ref and outcome.waited_for == named_exactly(record.ref)
        return outcome if is_own else None

    def _send(self) -> None:
        """Send the decision, and leave the gate behind."""
        question = self._question
        self._client.waits.check_place(question.ref)
        question.sends += 1
        self._note()
        try:
            self._gates.answer(question, question.message(None))
        except ConflictError as error:
            self._operator.log.warning("The answer came too late: %s", error)
            question.refuse(f"too late: {error.summary}")
        except ReleasePipelineError as error:
            if error.effect is Effect.NONE:
                # A refusal of the next one is no sign that this one was taken.
                question.sends -= 1
                self._note()
            raise
        else:
            self._operator.log.info("The system accepted the answer to %s: %s", question.name, question.decision)
        question.leave()
        self._note()

    def _note(self) -> None:
        save_record(self._context, KEY, self._question)
        self._asking.push(self._question.all_answers)


def _read(context: Context, marker: str) -> GateQuestion:
    return GateQuestion.from_json(context["task_state_store"].get(KEY), marker)
