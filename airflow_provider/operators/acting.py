"""One request to what is there already, then waiting until it has taken effect: cancel, pause, stop.

Nothing is started here; such a request may be sent twice without harm.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from airflow_provider.execution import Execution
from airflow_provider.operators.connected import WaitingOperator
from airflow_provider.core.waiting import Ending, Outcome, Wait, result_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.execution import ExecutionState


class ActOperator(WaitingOperator):
    """Sends one request about an execution and waits until the system shows its effect.

    Takes the arguments of :class:`~airflow_provider.operators.connected.WaitingOperator`. However the execution ends,
    it is the result: a run that finished before its cancel is no error.
    """

    @abstractmethod
    def act(self, client: Any) -> Execution:
        """Send the request; returns the execution whose effect is waited for."""

    def until(self) -> tuple[ExecutionState, ...]:
        """States that show the effect; an execution that is over always does."""
        return ()

    def execute(self, context: Context) -> dict[str, Any]:
        self.check()
        with self.get_client() as client:
            execution = self.act(client)
            self.publish(context, execution.to_result())
            if not self.wait_for_completion:
                return execution.to_result()
            deadline = self.deadline_from(time.time())
            if self.deferrable and not execution.state.is_terminal:
                self.defer_wait(execution.ref, deadline, until=list(self.until()))
            wait = Wait(
                execution.ref, self.poll_interval, deadline, self.on_waiting == "fail", until=frozenset(self.until())
            )
            return next(self._result(outcome) for _, outcome in self.looks(client, wait, execution) if outcome)

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """Called when the trigger has fired."""
        return self._result(Outcome.from_event(event))

    def _result(self, outcome: Outcome) -> dict[str, Any]:
        if outcome.ending is Ending.FINISHED and outcome.execution:
            return outcome.execution
        return result_of(outcome, self.system)
