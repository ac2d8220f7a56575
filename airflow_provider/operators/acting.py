"""One request about an existing execution, then a wait until it takes effect: cancel, pause, stop."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from airflow_provider.operators.base import ClientT, WaitingOperator, event_or_mismatch

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.clients.base import ReleaseClient
    from airflow_provider.core.acting import ActPolicy
    from airflow_provider.core.commands import Command
    from airflow_provider.execution import Execution, ExecutionState

KEY = "release_act"
"""Key of the record in the task state store."""


class ActOperator(WaitingOperator[ClientT]):
    """Sends one request about an execution and waits until the system shows its effect.

    Takes the arguments of :class:`~airflow_provider.operators.base.WaitingOperator`. However the execution ends is the
    result: a run that finished before its cancel is not an error. A retry acts on the same execution only.
    """

    @abstractmethod
    def choose(self, client: ClientT) -> Execution:
        """The execution that the request is about, as it is now."""

    @abstractmethod
    def act(self, client: ClientT, target: Execution) -> Execution:
        """Send the request; returns the execution as it is then."""

    def shows_effect(self, execution: Execution) -> bool:
        """Whether the execution is in the requested state, or on its way there: then nothing is sent."""
        return execution.state.is_terminal

    def wanted(self) -> str:
        """Which request it is, if the operator has several: a retry may ask for another one."""
        return ""

    def until(self) -> tuple[ExecutionState, ...]:
        """States that end the wait for the effect; the end of the execution always does."""
        return ()

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_provider.core.acting import Acting
        from airflow_provider.core.commands import Act, Choose
        from airflow_provider.core.record import read_act
        from airflow_provider.operators.attempt import attempt_of
        from airflow_provider.operators.carrying_out import Carrier, carry_out

        begun = time.time()
        with self.begin(context) as client:
            if self.timeout_seconds is not None:
                client.transport.give_up_at = begun + self.timeout_seconds
            record = read_act(context["task_state_store"].get(KEY))
            acting = Acting(self._policy(client), record, attempt_of(context), time.time())
            carrier = Carrier(self, context, client, KEY, lambda: {"until": list(self.until())})

            def perform(command: Command) -> Any:
                match command:
                    case Choose():
                        return carrier.ask(self.choose)
                    case Act(target):
                        return carrier.ask(lambda client: self.act(client, target))
                return carrier.perform(command)

            result: dict[str, Any] = carry_out(acting.execute(), acting, perform)
            self.log_lines([self.lines.acted(result, time.time() - begun)])
            return result

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """After the event of another wait, act as a retry does: on the same execution, and never twice."""
        arguments, mismatch = event_or_mismatch(next_kwargs)
        if not mismatch:
            return super().resume_execution(next_method, arguments, context)
        self.log.warning("The wait ended without an event: %s", mismatch)
        return self.execute(context)

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """Called when the trigger has fired."""
        from airflow_provider.core.acting import result_of_act
        from airflow_provider.core.record import read_act
        from airflow_provider.core.waiting import Outcome
        from airflow_provider.operators.attempt import attempt_of
        from airflow_provider.operators.carrying_out import save_record

        outcome = Outcome.from_event(event)
        with self.logging_failure(outcome.seconds):
            result = result_of_act(outcome, self.system)
        self.log_lines([self.lines.acted(result, outcome.seconds)])
        if record := read_act(context["task_state_store"].get(KEY)):
            record.note_done(attempt_of(context))
            save_record(context, KEY, record)
        return result

    def _policy(self, client: ReleaseClient) -> ActPolicy:
        from airflow_provider.core.acting import ActPolicy

        return ActPolicy(
            system=self.system,
            place=client.place,
            poll_interval=self.poll_interval,
            timeout=self.timeout_seconds,
            wait_for_completion=self.wait_for_completion,
            deferrable=self.deferrable,
            fail_on_waiting=self.on_waiting == "fail",
            until=frozenset(self.until()),
            shows_effect=self.shows_effect,
            wanted=self.wanted(),
            has_log=client.waits.has_log,
        )
