"""Answer an approval: right away with the author's decision, or as people decide in Airflow."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason

from airflow_provider.identifiers import seconds_of
from airflow_provider.operators.arguments import Seconds
from airflow_provider.operators.base import DEFAULT_POLL_INTERVAL, ClientT
from airflow_provider.operators.checking import rule_of
from airflow_provider.operators.people import AsksPeople

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Unpack

    from airflow.sdk import Context

    from airflow_provider.core.approving import Question
    from airflow_provider.execution import Execution, ExecutionRef
    from airflow_provider.operators.approval_attempt import ApprovalAttempt
    from airflow_provider.operators.shared_arguments import PeopleArguments


class ApprovalOperator(AsksPeople[ClientT]):
    """Answers an approval, and checks that the system accepted the answer.

    Without a ``decision``, people are asked in Airflow: the task is deferred, and the question is listed under required
    actions until somebody answers it or decides at the vendor, or the time is up. Also takes the arguments of
    :class:`~airflow_provider.operators.people.AsksPeople` for that.

    :param decision: ``approve`` or ``reject``; ``None``: people decide in Airflow.
    :param message: sent with the answer, together with the names of those who decided in Airflow, and their comments.
    :param poll_interval: seconds between polls for a decision at the vendor.
    """

    named_by: ClassVar[tuple[str, ...]]
    """The arguments by which the author names the approval."""

    def __init__(
        self,
        *,
        decision: Literal["approve", "reject"] | None = None,
        message: str | None = None,
        poll_interval: Seconds = DEFAULT_POLL_INTERVAL,
        **kwargs: Unpack[PeopleArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.decision = decision
        self.message = message
        self.poll_interval = seconds_of(poll_interval)

    @property
    def naming_arguments(self) -> dict[str, str | None]:
        """Those by which the author names the approval."""
        return {name: getattr(self, name) for name in self.named_by}

    @rule_of("decision")
    def _check_decision(self) -> None:
        if self.decision:
            self.require_none_of_these("without decision, when people are asked")

    @abstractmethod
    def find(self, client: ClientT) -> tuple[Execution, str]:
        """What waits for the answer, and the name of its approval task if the answer must contain one.

        Its state is ``WAITING`` unless it was already decided; its reference is the one to poll.

        :raises ConflictError: nothing waits for an answer.
        """

    @abstractmethod
    def describe(self, client: ClientT, waiting: Execution, task_name: str) -> dict[str, Any]:
        """What a person must know to decide, by names for people."""

    @abstractmethod
    def title(self, waiting: Execution, arguments: Mapping[str, str | None]) -> str:
        """What people are asked about, in a few words.

        :param arguments: see :attr:`naming_arguments`; those of the process that asked.
        """

    @abstractmethod
    def answer(
        self, context: Context, client: ClientT, decision: str, message: str | None, asked: Question | None
    ) -> dict[str, Any]:
        """Send the answer once, and check that it was accepted.

        :param asked: the question that was asked in Airflow; ``None``: answer what waits now.
        :return: the result.
        """

    @abstractmethod
    def result_now(self, client: ClientT, ref: ExecutionRef) -> dict[str, Any]:
        """The result for an approval that was decided elsewhere."""

    def execute(self, context: Context) -> dict[str, Any]:
        with self.begin(context) as client:
            if self.decision:
                return self.answer(context, client, self.decision, self.message, None)
            self.require_enough_approvers(context)
            return self._attempt(context, client).begin()

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """Called with a person's answer, or when the trigger has fired."""
        with self.logging_failure():
            self.check_arguments()
            with self.get_client(context) as client:
                return self._attempt(context, client).resume(event)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Also handles a deferral that ended without an event: the trigger crashed, or Airflow timed it out."""
        from airflow_provider.core.approving import Ended

        if next_method != TRIGGER_FAIL_REPR:
            return super().resume_execution(next_method, next_kwargs, context)
        error = (next_kwargs or {}).get("error")
        self.log.warning("The wait for an answer ended without an event: %s", error)
        self.check_arguments()
        with self.get_client(context) as client:
            # Also after a time-out: only a trigger can read an answer that was not passed on, and close the question.
            if result := self._attempt(context, client).wait_again():
                return result
        if error == TriggerFailureReason.TRIGGER_TIMEOUT:
            return self.execute_complete(context, {"ended": Ended.NO_RESPONSE})
        return super().resume_execution(next_method, next_kwargs, context)

    @property
    def rendered_purpose(self) -> str:
        return super().rendered_purpose if self.decision else "ask people about an approval"

    def _attempt(self, context: Context, client: ClientT) -> ApprovalAttempt[ClientT]:
        from airflow_provider.operators.approval_attempt import ApprovalAttempt

        return ApprovalAttempt(self, context, client)
