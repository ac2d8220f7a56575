"""An operator that starts an execution, and may ask people in Airflow about each approval that it reaches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider.exceptions import ExecutionFailed, ExecutionRejected, ExecutionTimeout
from airflow_provider.operators.base import ClientT, in_dag_test
from airflow_provider.operators.checking import rule_of
from airflow_provider.operators.people import AsksPeople
from airflow_provider.operators.starting import StartOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.clients.base import ReleaseClient
    from airflow_provider.core.commands import Ask, Program, TakeAnswer
    from airflow_provider.core.policy import Policy
    from airflow_provider.core.record import StartRecord
    from airflow_provider.core.starting import Start
    from airflow_provider.core.waiting import Outcome

KEY = "release_gates"
"""Key of questions and answers in the task state store."""


class GatedStartOperator(AsksPeople[ClientT], StartOperator[ClientT]):
    """Starts an execution exactly once and waits for its end, through all its gates.

    Takes the arguments of :class:`~airflow_provider.operators.starting.StartOperator`, and, if people are asked, those
    of :class:`~airflow_provider.operators.people.AsksPeople`, which apply to each approval separately.

    :param approve: ask people in Airflow about each approval that the execution reaches, one after another, while the
        triggerer waits for it, whatever ``deferrable`` says. The result's ``approvals`` list who answered what. Ending
        the task while it asks cancels the execution; an answer cancels nothing.
    """

    def __init__(self, *, approve: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.approve = approve
        self.deferrable = self.deferrable or approve

    @rule_of("approve")
    def _check_approve(self) -> None:
        if not self.approve:
            self.require_none_of_these("with approve=True, which asks people")
        elif not self.wait_for_completion:
            raise self.bad_argument("approve", "is valid only with wait_for_completion=True")
        elif self.on_waiting == "fail":
            raise self.bad_argument("approve", "must be left out with on_waiting='fail', which asks nobody")

    def has_more_to_do(self) -> bool:
        return self.approve or super().has_more_to_do()

    def trigger_arguments(self, marker: str | None) -> dict[str, Any]:
        arguments = super().trigger_arguments(marker)
        return {**arguments, "until": ["waiting"], "has_asked": True} if self._asks else arguments

    def execute(self, context: Context) -> dict[str, Any]:
        if self.approve:
            with self.logging_failure():
                self.check_arguments()
                self.require_enough_approvers(context)
        return super().execute(context)

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """Called with a person's answer, or when a trigger has fired."""
        if not isinstance(event, dict) or "ending" in event:
            return super().execute_complete(context, event)
        return self._carry_out(context, self._read(context), lambda start: start.answered(event), resumed=True)

    def perform(self, context: Context, client: ClientT, start: Start, command: Ask | TakeAnswer) -> Outcome | None:
        """Carry out a command that concerns people."""
        from airflow_provider.operators.gate_attempt import GateAttempt

        return GateAttempt(self, context, client, start).perform(command)

    def _carry_out(
        self,
        context: Context,
        record: StartRecord | None,
        program: Callable[[Start], Program[dict[str, Any]]],
        *,
        resumed: bool = False,
    ) -> dict[str, Any]:
        if self.approve and not self._asks:
            self.log.info("In dag.test(), nobody can be asked: approvals wait for a decision at the vendor")
        result = super()._carry_out(context, record, program, resumed=resumed)
        if not self.approve:
            return result
        from airflow_provider.operators.gate_attempt import answers_for_good

        return {**result, "approvals": answers_for_good(context, self._read(context))}

    def _run(self, context: Context, client: ClientT, start: Start, program: Program[dict[str, Any]]) -> dict[str, Any]:
        from airflow_provider.operators.attempt import ExecutionRejectedForGood

        try:
            return super()._run(context, client, start, program)
        except (ExecutionFailed, ExecutionRejected, ExecutionTimeout) as error:
            if not self.approve:
                raise
            from airflow_provider.operators.gate_attempt import is_rejected_here

            if start.record and is_rejected_here(context, start.record.marker):
                raise ExecutionRejectedForGood(error.summary, call=error.call) from error
            raise

    def _policy(self, context: Context, client: ReleaseClient, place: str) -> Policy:
        policy = super()._policy(context, client, place)
        if not self.approve:
            return policy
        from msgspec.structs import replace

        from airflow_provider.operators.gate_attempt import is_rejected_here

        return replace(policy, approve=self._asks, is_rejected=partial(is_rejected_here, context))

    @property
    def _asks(self) -> bool:
        return self.approve and not in_dag_test()
