"""One process of a task that asks people about one approval: before the question, or after an answer.

Separate from approving.py, which every parsing of a DAG file imports.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, NoReturn

import msgspec

from airflow_provider.core.approving import (
    CLOSED_WHEN,
    Ended,
    Question,
    decided_at_the_vendor,
    decided_elsewhere,
    is_open,
)
from airflow_provider.core.durations import MOST_CRASHES
from airflow_provider.core.waiting import Ending, Outcome, Patience, result_of
from airflow_provider.exceptions import Call, ConflictError, ReleasePipelineError
from airflow_provider.execution import ExecutionState
from airflow_provider.operators.asking import ANSWERS_XCOM, Asking, as_json
from airflow_provider.operators.base import DEFERRAL_MARGIN, ClientT, noticed_within
from airflow_provider.triggers.approval import ApprovalTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.execution import Execution
    from airflow_provider.operators.approving import ApprovalOperator

KEY = "approval_question"
"""Key of the task's question in the task state store."""


def named(arguments: Mapping[str, str | None]) -> str:
    """The arguments that are given, for people."""
    return ", ".join(f"{name} {value!r}" for name, value in arguments.items() if value is not None)


class ApprovalAttempt(Generic[ClientT]):
    """Asks, processes answers, and sends the decision."""

    def __init__(self, operator: ApprovalOperator[ClientT], context: Context, client: ClientT) -> None:
        self._operator = operator
        self._context = context
        self._client = client
        self._asking = Asking(operator, context, client)
        self._memory = operator.memory(context, client, KEY, "asked people about an approval")

    def begin(self) -> dict[str, Any]:
        """Ask, or continue with the question or the decision of an earlier attempt."""
        question = self._recall()
        if question is None:
            waiting, task_name = self._operator.find(self._client)
            question = Question(
                ref=dict(waiting.ref),
                task_name=task_name,
                arguments=self._operator.naming_arguments,
                deadline=self._asking.deadline(),
            )
        elif question.decision:
            self._operator.log.info("Continuing with the decision that an earlier attempt got: %s", question.decision)
            self._asking.push(question.answers)
            return self._send_decision(question)
        elif question.is_decided_elsewhere:
            self._asking.push(question.answers)
            return self._result_elsewhere(question)
        else:
            question.renew(self._asking.deadline())
            waiting = self._observe(question)
        self._operator.publish(self._context, waiting.to_result())
        self._asking.push(question.answers)
        return self._ask(question, waiting)

    def resume(self, event: Any) -> dict[str, Any]:
        """Process an answer, or the end of the question without one."""
        question = self._recalled()
        if self._asking.is_of_another(question, event):
            return self._ask(question, self._observe(question))
        match event.get("ended") if isinstance(event, dict) else None:
            case Ended.ELSEWHERE:
                return self._ended_elsewhere(question, event)
            case Ended.NO_RESPONSE:
                try:
                    self._asking.take_silence(question)
                finally:
                    self._note(question)
            case Ended.UNASKED:
                question.asked = len(question.answers)
            case _:
                if self._asking.take(question, event):
                    self._note(question)
        self._asking.push(question.answers)
        if question.decision:
            return self._send_decision(question)
        # Airflow has closed the question, although the answer does not decide it: ask again.
        question.asked = min(question.asked, len(question.answers))
        return self._ask(question, self._observe(question))

    def wait_again(self) -> dict[str, Any] | None:
        """Continue after a wait that crashed; returns ``None`` if that has happened too often."""
        question = self._recalled()
        question.crashes += 1
        if question.crashes > MOST_CRASHES:
            return None
        return self._ask(question, self._observe(question))

    # --- what is remembered

    def _recall(self) -> Question | None:
        notes = self._memory.recall()
        if notes is None:
            return None
        question = msgspec.convert(notes, Question)
        if question.arguments not in ({}, self._operator.naming_arguments):
            # A retry has one question, whatever was deployed meanwhile or a template renders to now.
            self._operator.log.warning(
                "The arguments of this task have changed since it asked: people decide about %s. Clear the task to ask "
                "about what they name now",
                named(question.arguments),
            )
        return question

    def _recalled(self) -> Question:
        question = self._recall()
        if question is None:
            raise self._conflict("the question of this task is no longer known; clear the task to ask again")
        return question

    def _note(self, question: Question, *, is_done: bool = False) -> None:
        self._memory.note(msgspec.to_builtins(question), is_done=is_done)

    # --- asking

    def _ask(self, question: Question, waiting: Execution) -> dict[str, Any]:
        """Ask, if that is not done yet, and defer; returns the result if it was decided elsewhere."""
        if is_open(waiting.state):
            self._put(question, *self._text(question, waiting))
            self._defer(question)
        return self._decided_elsewhere(question, waiting)

    def _put(self, question: Question, subject: str, body: str) -> None:
        self._operator.log.info("%s\n%s", subject, body)
        is_to_be_put = self._asking.is_to_be_put(question)
        if is_to_be_put:
            self._asking.put(question, subject, body)
        self._note(question)
        if is_to_be_put:
            self._asking.notify(subject, body)

    def _text(self, question: Question, waiting: Execution) -> tuple[str, str]:
        operator, sentences = self._operator, []
        details = self._patiently(
            "read what is to be decided", lambda: operator.describe(self._client, waiting, question.task_name)
        )
        if question.deadline is not None:
            until = datetime.fromtimestamp(question.deadline, UTC)
            then = {"fail": "this task fails"}.get(
                operator.on_no_response, f"the answer is to {operator.on_no_response}"
            )
            sentences.append(f"If nobody has decided by {until:%Y-%m-%d %H:%M} UTC, {then}.")
        return self._asking.text(operator.title(waiting, question.arguments), details, sentences)

    def _defer(self, question: Question) -> NoReturn:
        safety_net = None
        if question.deadline is not None:
            safety_net = timedelta(seconds=max(0.0, question.deadline - time.time()) + DEFERRAL_MARGIN)
        self._operator.defer(
            trigger=ApprovalTrigger(
                system=self._operator.system,
                conn_id=self._operator.conn_id,
                ref=question.ref,
                poll_interval=self._operator.poll_interval,
                asked_as=self._asking.name_of(question),
                until=CLOSED_WHEN,
                deadline=question.deadline,
                on_no_response=self._operator.on_no_response,
                hold_back=noticed_within(),
            ),
            method_name="execute_complete",
            timeout=safety_net,
        )

    # --- the decision

    def _send_decision(self, question: Question) -> dict[str, Any]:
        message = question.message(self._operator.message)
        decision = str(question.decision)
        result = self._patiently(
            "send the decision",
            lambda: self._operator.answer(self._context, self._client, decision, message, question),
        )
        return self._result(question, result)

    def _observe(self, question: Question) -> Execution:
        seen: Execution = self._patiently("poll the approval", lambda: self._client.observe(question.ref))
        return seen

    def _patiently(self, action: str, call: Callable[[], Any]) -> Any:
        """Call the system, and retry while it is down, as failing polls are retried: people have answered already.

        :param action: for the log.
        """
        patience = Patience(self._operator.poll_interval, time.time())
        while True:
            try:
                return call()
            except ReleasePipelineError as error:
                pause = patience.pause(error)
                if patience.is_over(time.time() + pause):
                    raise
                self._operator.log.warning("Could not %s, will retry in %.0f s: %s", action, pause, error)
            time.sleep(pause)

    def _ended_elsewhere(self, question: Question, event: dict[str, Any]) -> dict[str, Any]:
        outcome = Outcome.from_event(event.get("outcome"))
        if outcome.ending is not Ending.FINISHED:
            result_of(outcome, self._client.system)
        # By now a release may have failed, or wait for its next approval.
        if (decision := decided_elsewhere(outcome)) and outcome.execution:
            return self._take_decision_elsewhere(question, decision, outcome.execution["outputs"])
        return self._decided_elsewhere(question, self._observe(question))

    def _decided_elsewhere(self, question: Question, seen: Execution) -> dict[str, Any]:
        decision = decided_at_the_vendor(seen.state)
        is_stopped = seen.state is ExecutionState.RUNNING and not self._client.waits.needs_cancel(seen)
        if decision is None or is_stopped:
            title = self._operator.title(seen, question.arguments)
            raise self._conflict(f"it can no longer be decided: {title} is {seen.status}")
        return self._take_decision_elsewhere(question, decision, seen.outputs)

    def _take_decision_elsewhere(self, question: Question, decision: str, outputs: Mapping[str, Any]) -> dict[str, Any]:
        self._asking.take_decision_elsewhere(question, decision, str(outputs.get("respondedBy") or ""))
        question.is_decided_elsewhere = True
        # First: a retry could not tell any more what was decided if the release has failed since.
        self._note(question)
        return self._result_elsewhere(question)

    def _result_elsewhere(self, question: Question) -> dict[str, Any]:
        result = self._patiently("read the result", lambda: self._operator.result_now(self._client, question.ref))
        return self._result(question, result)

    def _result(self, question: Question, result: dict[str, Any]) -> dict[str, Any]:
        self._operator.publish(self._context, result)
        self._asking.push(question.answers)
        self._note(question, is_done=True)
        return {**result, ANSWERS_XCOM: as_json(question.answers)}

    def _conflict(self, summary: str) -> ConflictError:
        return ConflictError(summary, call=Call(system=self._client.system))
