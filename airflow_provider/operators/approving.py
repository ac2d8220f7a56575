"""Answer an approval: at once with a decision that the author gives, or as people decide in Airflow."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason

from airflow_provider.exceptions import Call, ConflictError, ExecutionTimeout
from airflow_provider.operators.arguments import Seconds, seconds_of
from airflow_provider.operators.base import (
    DEFAULT_POLL_INTERVAL,
    DEFERRAL_MARGIN,
    ReleaseOperator,
    in_dag_test,
    noticed_within,
)
from airflow_provider.operators.checking import rule_of
from airflow_provider.storable import storable

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.approving import Answer, Question, Rules
    from airflow_provider.execution import Execution, ExecutionRef
    from airflow_provider.operators.memory import Memory

KEY = "approval_question"
"""Key of what a task remembers of its question, in the task state store."""
ANSWERS_XCOM = "approvals"


class ApprovalOperator(ReleaseOperator):
    """Answers an approval, and checks that the system took the answer.

    Without a ``decision``, people are asked in Airflow: the task is deferred, and the question stands under the
    required actions until somebody answers it, decides at the vendor, or the time is over.

    :param decision: ``approve`` or ``reject``; ``None``: people decide in Airflow.
    :param message: sent with the answer; who has decided in Airflow, and their comment, is added.
    :param approvers: ids of the only Airflow users who may answer; default: all who may in Airflow.
    :param not_requester: do not take the answer of whoever triggered the run.
    :param approvals: how many different people must approve. One rejection is enough.
    :param response_timeout: seconds or timedelta in which people must have decided; default: no limit.
    :param on_no_response: what follows then: ``reject`` (default), ``approve``, or ``fail`` of the task alone.
    :param poll_interval: seconds between looks at whether it was decided at the vendor.
    """

    def __init__(
        self,
        *,
        decision: Literal["approve", "reject"] | None = None,
        message: str | None = None,
        approvers: Sequence[str] | None = None,
        not_requester: bool = False,
        approvals: int = 1,
        response_timeout: Seconds | None = None,
        on_no_response: Literal["reject", "approve", "fail"] = "reject",
        poll_interval: Seconds = DEFAULT_POLL_INTERVAL,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.decision = decision
        self.message = message
        self.approvers = approvers
        self.not_requester = not_requester
        self.approvals = approvals
        self.response_timeout = response_timeout
        self.on_no_response = on_no_response
        self.poll_interval = seconds_of(poll_interval)

    @rule_of("approvers", "approvals")
    def _check_who_decides(self) -> None:
        if not isinstance(self.approvals, int) or isinstance(self.approvals, bool) or self.approvals < 1:
            raise self.bad_argument("approvals", f"must be a whole number from 1 on, got {self.approvals!r}")
        if self.approvers is None:
            return
        names = {str(each).strip() for each in self.approvers}
        if not names or "" in names:
            raise self.bad_argument("approvers", f"must name users, got {self.approvers!r}")
        if len(names) < self.approvals:
            raise self.bad_argument("approvals", f"must be at most the number of approvers, {len(names)}")

    @abstractmethod
    def find(self, client: Any) -> tuple[Execution, str]:
        """What waits for the answer, and the name of its approval task where the answer must hold one.

        Its state is ``WAITING``, unless it was decided already; its reference is what is watched.

        :raises ConflictError: nothing waits for an answer.
        """

    @abstractmethod
    def describe(self, client: Any, waiting: Execution, task_name: str) -> dict[str, Any]:
        """What a person must know to decide, by names for people."""

    @abstractmethod
    def title(self, waiting: Execution) -> str:
        """What is asked about, in a few words."""

    @abstractmethod
    def answer(
        self, context: Context, client: Any, decision: str, message: str | None, asked: Question | None
    ) -> dict[str, Any]:
        """Send the answer once, and check that it was taken.

        :param asked: in Airflow about this; ``None``: about what waits now.
        :return: the result.
        """

    @abstractmethod
    def result_now(self, client: Any, ref: ExecutionRef) -> dict[str, Any]:
        """The result for an approval that was decided elsewhere."""

    def execute(self, context: Context) -> dict[str, Any]:
        with self.begin(context) as client:
            if self.decision:
                return self.answer(context, client, self.decision, self.message, None)
            return _Asking(self, context, client).begin()

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """Called with the answer of a person, or when the trigger has fired."""
        with self.telling_failure():
            self.check_arguments()
            with self.get_client(context) as client:
                return _Asking(self, context, client).go_on(event)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Also handles a deferral that ended without an event: the trigger crashed, or Airflow timed it out."""
        from airflow_provider.core.approving import Ended

        if next_method != TRIGGER_FAIL_REPR:
            return super().resume_execution(next_method, next_kwargs, context)
        error = (next_kwargs or {}).get("error")
        self.log.warning("The wait for an answer ended without an event: %s", error)
        if error == TriggerFailureReason.TRIGGER_TIMEOUT:
            return self.execute_complete(context, {"ended": Ended.NO_RESPONSE})
        self.check_arguments()
        with self.get_client(context) as client:
            if result := _Asking(self, context, client).wait_again():
                return result
        return super().resume_execution(next_method, next_kwargs, context)

    @property
    def deed_now(self) -> str:
        return super().deed_now if self.decision else "ask people about an approval"

    def rules(self, context: Context) -> Rules:
        from airflow_provider.core.approving import Rules

        requester = getattr(context["dag_run"], "triggering_user_name", None) if self.not_requester else None
        return Rules(
            approvers=tuple(str(each).strip() for each in self.approvers or ()),
            requester=requester,
            approvals=self.approvals,
            on_no_response=self.on_no_response,
        )

    @property
    def response_seconds(self) -> float | None:
        limit = self.response_timeout
        return limit.total_seconds() if isinstance(limit, timedelta) else limit


class _Asking:
    """One process of a task that asks: before the question, or after an answer."""

    def __init__(self, operator: ApprovalOperator, context: Context, client: Any) -> None:
        self._operator = operator
        self._context = context
        self._client = client
        self._rules = operator.rules(context)
        self._memory: Memory = operator.memory(context, client, KEY, "asked people about an approval")

    def begin(self) -> dict[str, Any]:
        """Ask, or go on with what an earlier attempt has asked or been told."""
        question = self._recall()
        if question is None:
            waiting, task_name = self._operator.find(self._client)
            question = self._question(waiting, task_name)
        elif question.decision:
            self._operator.log.info("An earlier attempt was told the decision: %s", question.decision)
            return self._pass_on(question)
        else:
            waiting = self._client.look(question.ref)
        self._operator.publish(self._context, waiting.to_result())
        self._tell_answers(question)
        return self._ask(question, waiting)

    def go_on(self, event: Any) -> dict[str, Any]:
        """Take in an answer, or how the question ended without one."""
        from airflow_provider.core.approving import Ended, is_of_another, read_answer

        question = self._recalled()
        if is_of_another(event, self._asked_as(question)):
            self._operator.log.warning("An event of another task's question came here, waiting on")
            return self._ask(question, self._client.look(question.ref))
        match event.get("ended") if isinstance(event, dict) else None:
            case Ended.ELSEWHERE:
                return self._ended_elsewhere(question, event)
            case Ended.NO_RESPONSE:
                return self._nobody_answered(question)
            case Ended.UNASKED:
                question.asked = len(question.answers)
            case _:
                answer = read_answer(event)
                if answer and (taken := question.take(answer, self._rules)):
                    self._note(question)
                    self._tell(taken)
        self._tell_answers(question)
        if question.decision:
            return self._pass_on(question)
        # Airflow has closed the question with the answer that does not decide: it is asked again.
        question.asked = min(question.asked, len(question.answers))
        return self._ask(question, self._client.look(question.ref))

    def wait_again(self) -> dict[str, Any] | None:
        """Wait on after a wait that has crashed; returns nothing once that has happened too often."""
        from airflow_provider.core.durations import MOST_CRASHES

        question = self._recalled()
        question.crashes += 1
        if question.crashes > MOST_CRASHES:
            return None
        return self._ask(question, self._client.look(question.ref))

    # --- what is remembered

    def _question(self, waiting: Execution, task_name: str) -> Question:
        from airflow_provider.core.approving import Question

        seconds = self._operator.response_seconds
        deadline = None if seconds is None else time.time() + seconds
        return Question(ref=dict(waiting.ref), task_name=task_name, deadline=deadline)

    def _recall(self) -> Question | None:
        import msgspec

        from airflow_provider.core.approving import Question

        notes = self._memory.recall()
        return None if notes is None else msgspec.convert(notes, Question)

    def _recalled(self) -> Question:
        question = self._recall()
        if question is None:
            raise self._conflict("nothing is known of what this task has asked; clear it to ask anew")
        return question

    def _note(self, question: Question, *, is_done: bool = False) -> None:
        import msgspec

        self._memory.note(msgspec.to_builtins(question), is_done=is_done)

    # --- asking

    def _ask(self, question: Question, waiting: Execution) -> dict[str, Any]:
        """Ask unless that is done, and defer; returns what was decided elsewhere, if it was."""
        from airflow_provider.core.approving import is_open

        if is_open(waiting.state):
            self._put(question, *self._text(question, waiting))
            self._defer(question)
        return self._decided_elsewhere(question, waiting)

    def _put(self, question: Question, subject: str, body: str) -> None:
        """Put the question under Airflow's required actions, unless it stands there already."""
        self._operator.log.info("%s\n%s", subject, body)
        if in_dag_test():
            self._operator.log.warning("dag.test() has nobody to ask: waiting for a decision at the vendor")
        elif not question.is_asked:
            question.asked = len(question.answers) + 1
            # Noted first: what is asked again loses the answer that it may have got by then.
            self._note(question)
            self._ask_people(subject, body)
            return
        self._note(question)

    def _ask_people(self, subject: str, body: str) -> None:
        from airflow.sdk.execution_time.hitl import upsert_hitl_detail

        from airflow_provider.core.approving import COMMENT, OPTIONS

        schema = {"type": ["null", "string"], "title": "Comment", "maxLength": 1000}
        upsert_hitl_detail(
            ti_id=self._context["ti"].id,
            options=list(OPTIONS.values()),
            subject=subject,
            body=body,
            params={COMMENT: {"value": None, "description": "Goes to the vendor with your answer.", "schema": schema}},
            assigned_users=[{"id": each, "name": each} for each in self._rules.approvers],
        )

    def _text(self, question: Question, waiting: Execution) -> tuple[str, str]:
        from airflow.sdk._shared.secrets_masker import redact

        from airflow_provider.core.question import body_of, subject_of

        operator, context = self._operator, self._context
        details: dict[str, Any] = {
            "System": self._client.place,
            **operator.describe(self._client, waiting, question.task_name),
            "Run": f"{context['ti'].dag_id}, {context['ti'].run_id}",
            "Triggered by": getattr(context["dag_run"], "triggering_user_name", None),
        }
        rules = self._rules.to_lines()
        if question.deadline is not None:
            until = datetime.fromtimestamp(question.deadline, UTC)
            then = {"fail": "this task fails"}.get(
                operator.on_no_response, f"the answer is to {operator.on_no_response}"
            )
            rules.append(f"If nobody has decided by {until:%Y-%m-%d %H:%M} UTC, {then}.")
        # Inputs may hold what Airflow knows to be secret, by its value or by its name.
        shown: dict[str, Any] = storable(redact(details))
        redacted = self._client.transport.redact
        body = redacted(body_of(shown, rules, context["ti"].log_url.partition("?")[0]))
        return redacted(subject_of(operator.title(waiting))), body

    def _defer(self, question: Question) -> NoReturn:
        from airflow_provider.core.approving import CLOSED_WHEN
        from airflow_provider.triggers.approval import ApprovalTrigger

        safety_net = None
        if question.deadline is not None:
            safety_net = timedelta(seconds=max(0.0, question.deadline - time.time()) + DEFERRAL_MARGIN)
        self._operator.defer(
            trigger=ApprovalTrigger(
                system=self._operator.system,
                conn_id=self._operator.conn_id,
                ref=question.ref,
                poll_interval=self._operator.poll_interval,
                asked_as=self._asked_as(question),
                until=CLOSED_WHEN,
                deadline=question.deadline,
                on_no_response=self._operator.on_no_response,
                hold_back=noticed_within(),
            ),
            method_name="execute_complete",
            timeout=safety_net,
        )

    def _asked_as(self, question: Question) -> str:
        """Names the answer that is awaited now, among those of all tasks."""
        return f"{self._context['ti'].id} {question.asked}"

    # --- what comes of it

    def _tell(self, answer: Answer) -> None:
        if answer.refused:
            self._operator.log.warning("An answer that does not count (%s): %s", answer.refused, answer.to_text())
        else:
            self._operator.log.info("It was %s", answer.to_text())

    def _tell_answers(self, question: Question) -> None:
        if question.answers:
            self._context["ti"].xcom_push(ANSWERS_XCOM, _as_json(question.answers))

    def _pass_on(self, question: Question) -> dict[str, Any]:
        message = question.message(self._operator.message)
        result = self._operator.answer(self._context, self._client, str(question.decision), message, question)
        return self._result(question, result)

    def _nobody_answered(self, question: Question) -> dict[str, Any]:
        from airflow_provider.core.approving import Answer

        then = self._operator.on_no_response
        if then == "fail":
            raise ExecutionTimeout(
                "nobody has decided in time: the approval still waits at the vendor",
                call=Call(system=self._client.system),
            )
        now = datetime.now(UTC).isoformat()
        question.answers.append(Answer(decision=then, name="nobody in time (on_no_response)", at=now))
        question.decision = then
        self._note(question)
        self._tell(question.answers[-1])
        return self._pass_on(question)

    def _ended_elsewhere(self, question: Question, event: dict[str, Any]) -> dict[str, Any]:
        from airflow_provider.core.waiting import Ending, Outcome, result_of

        outcome = Outcome.from_event(event.get("outcome"))
        if outcome.ending is not Ending.FINISHED:
            result_of(outcome, self._client.system)
        return self._decided_elsewhere(question, self._client.look(question.ref))

    def _decided_elsewhere(self, question: Question, seen: Execution) -> dict[str, Any]:
        from airflow_provider.core.approving import Answer, decided_at_the_vendor

        decision = decided_at_the_vendor(seen.state)
        if decision is None:
            raise self._conflict(f"nobody can decide it any more: {self._operator.title(seen)} is {seen.status}")
        name = str(seen.outputs.get("respondedBy") or "somebody")
        comment = "decided at the vendor"
        question.answers.append(Answer(decision=decision, name=name, comment=comment))
        self._tell(question.answers[-1])
        return self._result(question, self._operator.result_now(self._client, question.ref))

    def _result(self, question: Question, result: dict[str, Any]) -> dict[str, Any]:
        self._operator.publish(self._context, result)
        self._tell_answers(question)
        self._note(question, is_done=True)
        return {**result, ANSWERS_XCOM: _as_json(question.answers)}

    def _conflict(self, summary: str) -> ConflictError:
        return ConflictError(summary, call=Call(system=self._client.system))


def _as_json(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    import msgspec

    told: list[dict[str, Any]] = [storable(msgspec.structs.asdict(each)) for each in answers]
    return told
