"""A question to people: its text, how it is put under Airflow's required actions, and how its answers are processed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from threading import Thread
from typing import TYPE_CHECKING, Any

import msgspec
from airflow.sdk._shared.secrets_masker import redact
from airflow.sdk.execution_time.hitl import upsert_hitl_detail

from airflow_provider.core.approving import (
    COMMENT,
    LONGEST_COMMENT,
    OPTIONS,
    Answer,
    Question,
    is_of_another,
    read_answer,
)
from airflow_provider.core.question import body_of, subject_of
from airflow_provider.exceptions import Call, ExecutionTimeout
from airflow_provider.links import QUESTION_XCOM
from airflow_provider.operators.attempt import push_if_standing
from airflow_provider.operators.base import in_dag_test
from airflow_provider.storable import storable

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.clients.base import ReleaseClient
    from airflow_provider.operators.people import AsksPeople

ANSWERS_XCOM = "approvals"
ASSIGNED_KEY = "asked_users"
"""Of the task state store: the only users from whom Airflow accepts an answer, empty if it does from all."""
NOTIFIED_WITHIN = 10.0
"""Most seconds that notifiers may take before the task defers."""


def can_ask() -> bool:
    """Whether anybody can be asked; in ``dag.test()``, nobody can."""
    return not in_dag_test()


def task_url(context: Context) -> str:
    """The page of the task, with its log."""
    return str(context["ti"].log_url.partition("?")[0])


def run_details(context: Context) -> dict[str, Any]:
    """Which run asks, by names for people."""
    return {
        "Run": f"{context['ti'].dag_id}, {context['ti'].run_id}",
        "Triggered by": getattr(context["dag_run"], "triggering_user_name", None),
    }


def shown(details: Mapping[str, Any]) -> dict[str, Any]:
    """Details without what Airflow knows to be secret, by its value or by its name."""
    return dict(storable(redact(dict(details))))


def require_action(
    context: Context, options: Sequence[str], subject: str, body: str, params: dict[str, Any], users: Sequence[str]
) -> None:
    """Put a question under Airflow's required actions, where the answer to an earlier one is lost.

    :param params: the form beside the options.
    :param users: ids of the only ones who may answer; empty: all who may in Airflow. Of a task's later questions,
        Airflow ignores them.
    """
    upsert_hitl_detail(
        ti_id=context["ti"].id,
        options=list(options),
        subject=subject,
        body=body,
        params=params,
        assigned_users=[{"id": each, "name": each} for each in users],
    )


def warn_if_kept_from_answering(context: Context, log: Any, users: Sequence[str]) -> None:
    """Warn if Airflow blocks somebody whose answer would count: it keeps the users of the task's first question.

    :param users: as for :func:`require_action`, which was just called.
    """
    from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]

    store = context["task_state_store"]
    kept: Any = store.get(ASSIGNED_KEY)
    if kept is None:
        store.set(ASSIGNED_KEY, [*users], retention=NEVER_EXPIRE)
    elif kept and not (users and set(users) <= set(kept)):
        ours = f"only the answers of {', '.join(users)} count" if users else "the answers of all would count"
        none = "" if not users or set(users) & set(kept) else ", so that nobody can decide in Airflow"
        log.warning(
            "Airflow still enforces the approvers of this task's first question: only %s can answer, but now %s%s. "
            "Start a new DAG run to apply the change",
            ", ".join(kept),
            ours,
            none,
        )


class Asking:
    """What one process of a task does about its question; the caller saves what must be remembered of it.

    :param operator: defines who may answer, and how many must.
    """

    def __init__(self, operator: AsksPeople[Any], context: Context, client: ReleaseClient) -> None:
        self._operator = operator
        self._context = context
        self._client = client
        self.rules = operator.rules(context)

    def deadline(self) -> float | None:
        """Epoch seconds until which people may answer a question that is asked now."""
        seconds = self._operator.response_seconds
        return None if seconds is None else time.time() + seconds

    def name_of(self, question: Question) -> str:
        """Identifies the awaited answer among those of all tasks."""
        return f"{self._context['ti'].id} {question.label}"

    # --- putting

    def text(self, title: str, details: Mapping[str, Any], sentences: Sequence[str]) -> tuple[str, str]:
        """Subject and body.

        :param details: by names for people.
        :param sentences: shown below the rules.
        """
        known = shown({"System": self._client.place, **details, **run_details(self._context)})
        redacted = self._client.transport.redact
        body = body_of(known, [*self.rules.to_lines(), *sentences], task_url(self._context))
        return redacted(subject_of(title)), redacted(body)

    def is_to_be_put(self, question: Question) -> bool:
        """Whether it is not among the required actions yet, and somebody can be asked."""
        if not can_ask():
            self._operator.log.warning("Nobody can be asked in dag.test(): waiting for a decision at the vendor")
            return False
        return not question.is_asked

    def put(self, question: Question, subject: str, body: str) -> None:
        """Put the question under the required actions; the caller notes it only afterwards.

        A question that was noted but not put would take the answer to an earlier one for its own.
        """
        question.asked = len(question.answers) + 1
        # First: a trigger that still runs for an earlier question must not close this one.
        self.identify(question)
        schema = {"type": ["null", "string"], "title": "Comment", "maxLength": LONGEST_COMMENT}
        comment = {"value": None, "description": "Goes to the vendor with your answer.", "schema": schema}
        require_action(self._context, [*OPTIONS.values()], subject, body, {COMMENT: comment}, self.rules.approvers)
        warn_if_kept_from_answering(self._context, self._operator.log, self.rules.approvers)

    def identify(self, question: Question) -> None:
        """Publish for the triggers which question is among the required actions from now on."""
        push_if_standing(self._context, QUESTION_XCOM, self.name_of(question))

    def notify(self, subject: str, body: str) -> None:
        """Notify people that a decision is needed; for a few seconds at most, because this process must end."""
        approval = {"subject": subject, "body": body, "link": f"{task_url(self._context)}/required_actions"}
        context: dict[str, Any] = {**self._context, "approval": approval}
        notifiers = self._operator.notifiers or ()
        threads = [Thread(target=self._notify_one, args=(each, context), daemon=True) for each in notifiers]
        end = time.monotonic() + NOTIFIED_WITHIN
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
            if thread.is_alive():
                self._operator.log.warning("A notification takes over %g s: continuing without it", NOTIFIED_WITHIN)

    def _notify_one(self, notifier: Any, context: dict[str, Any]) -> None:
        try:
            notifier(context)
        except Exception as error:
            self._operator.log.warning("Notifier %s failed: %s", type(notifier).__name__, error)

    # --- answers

    def is_of_another(self, question: Question, event: Any) -> bool:
        """Whether an event is of the trigger of another question."""
        if not is_of_another(event, self.name_of(question)):
            return False
        self._operator.log.warning("Airflow delivered the event of another question, still waiting")
        return True

    def take(self, question: Question, event: Any) -> bool:
        """Take an answer as Airflow passes it on; returns whether it is new."""
        answer = read_answer(event)
        taken = question.take(answer, self.rules) if answer else None
        if taken:
            self._log(taken)
        return taken is not None

    def take_silence(self, question: Question) -> None:
        """Nobody has decided in time.

        :raises ExecutionTimeout: the author wants the task to fail then. The caller notes the question all the same.
        """
        then = self._operator.on_no_response
        if then == "fail":
            question.end_late()
            raise ExecutionTimeout(
                "nobody has decided in time: the approval still waits at the vendor",
                call=Call(system=self._client.system),
            )
        now = datetime.now(UTC).isoformat()
        question.answers.append(Answer(decision=then, name="on_no_response (nobody answered in time)", at=now))
        question.decision = then
        self._log(question.answers[-1])

    def take_decision_elsewhere(self, question: Question, decision: str, by: str) -> None:
        """It was decided at the vendor. :param by: "" where that is not known."""
        # When it was noticed: the vendors do not say when it was decided.
        now = datetime.now(UTC).isoformat()
        answer = Answer(decision=decision, name=by or "somebody", at=now, comment="decided at the vendor")
        question.answers.append(answer)
        self._log(answer)

    def _log(self, answer: Answer) -> None:
        if answer.refused:
            self._operator.log.warning("An answer does not count (%s): %s", answer.refused, answer.to_text())
        else:
            self._operator.log.info("It was %s", answer.to_text())

    def push(self, answers: Sequence[Answer]) -> None:
        """Show the answers so far to other tasks."""
        if answers:
            self._context["ti"].xcom_push(ANSWERS_XCOM, as_json(answers))


def as_json(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    body: list[dict[str, Any]] = [storable(msgspec.structs.asdict(each)) for each in answers]
    return body
