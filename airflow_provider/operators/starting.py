"""Start, record, wait, return the result: carries out what the core decides, synchronously or deferred.

A subclass adds what is particular to its system: its arguments, ``intent``, ``start``.
"""

from __future__ import annotations

import hashlib
import json
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR
from airflow.sdk.exceptions import AirflowRuntimeError

from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.links import MARKER_XCOM
from airflow_provider.operators.base import ClientT, WaitingOperator, event_or_mismatch

if TYPE_CHECKING:
    from typing import Unpack

    from airflow.sdk import Context

    from airflow_provider.clients.base import ReleaseClient
    from airflow_provider.clients.waitable import Intent
    from airflow_provider.core.commands import Ask, Program, TakeAnswer
    from airflow_provider.core.policy import Policy
    from airflow_provider.core.record import StartRecord
    from airflow_provider.core.starting import Start
    from airflow_provider.core.waiting import Outcome
    from airflow_provider.execution import Execution, ExecutionRef
    from airflow_provider.operators.shared_arguments import WaitingArguments
    from airflow_provider.operators.start_attempt import StartAttempt

KEY = "release_start"
"""Key of the record in the task state store."""


class StartOperator(WaitingOperator[ClientT]):
    """Starts an execution exactly once and waits for its end.

    Takes the arguments of :class:`~airflow_provider.operators.base.WaitingOperator`; its ``timeout`` spans retries and
    deferrals. When it passes, the execution is canceled and the task fails with ``ExecutionTimeout``.

    :param on_canceled: what to do if somebody cancels the execution in its own system: ``fail`` (default) without
        another try, because a person has decided; or ``retry``, as for any failure.
    :param finish_in_triggerer: when deferrable, let the triggerer end the task, which saves a second process but calls
        no task listeners. A failure still returns to the worker, and so does the success of a task with outlets or
        ``multiple_outputs``, or one over whose result another task is expanded.
    """

    def __init__(
        self,
        *,
        on_canceled: Literal["fail", "retry"] = "fail",
        finish_in_triggerer: bool = False,
        **kwargs: Unpack[WaitingArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.on_canceled = on_canceled
        self.finish_in_triggerer = finish_in_triggerer
        self._attempt: StartAttempt[ClientT] | None = None
        self._end_requested = False

    @abstractmethod
    def intent(self, client: ClientT) -> dict[str, Any]:
        """Look up what must be known before the start, and refuse what cannot work.

        :return: JSON by which ``client.waits.find_started`` recognizes the execution later; it has ``kind``.
        """

    @abstractmethod
    def start(self, client: ClientT, intent: Intent) -> Execution:
        """Send the request that starts it, with ``intent["marker"]`` first in a free-text field if there is one."""

    def continuation(self, client: ClientT, failed: ExecutionRef) -> dict[str, Any] | None:
        """The intent to continue an execution that failed in an earlier attempt; ``None`` to start a new one.

        :param failed: that execution, the only one that is this task's.
        """
        return None

    def is_busy(self, error: ReleasePipelineError) -> bool:
        """Whether to retry a refused start later, because the system is only busy."""
        return False

    def is_known(self, ref: ExecutionRef) -> bool:
        """Whether the execution itself is known; if not, the worker polls for it for a while before it defers."""
        return True

    def verify(self, result: Mapping[str, Any]) -> None:
        """Refuse a success that is incomplete; raises ``ExecutionFailed``."""

    def perform(self, context: Context, client: ClientT, start: Start, command: Ask | TakeAnswer) -> Outcome | None:
        """Carry out a command that concerns people, for an operator that asks them."""
        raise ValueError(f"this operator does not support {type(command).__name__}")

    def execute(self, context: Context) -> dict[str, Any]:
        with self.logging_failure():
            self.check_arguments()
            if self.deferrable and self.wait_for_completion:
                self.rehearse_deferral(**self.trigger_arguments("marker"))
                self.log_who_finishes()
        return self._carry_out(context, self._read(context), lambda start: start.execute())

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """Called when the trigger has fired."""
        from airflow_provider.core.waiting import Outcome

        outcome = Outcome.from_event(event)
        if outcome.execution:
            self.publish(context, outcome.execution)
        return self._carry_out(context, self._read(context), lambda start: start.finish(outcome), resumed=True)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Also handle a deferral that ended without an event: the trigger crashed, or Airflow timed it out."""
        arguments, mismatch = event_or_mismatch(next_kwargs)
        if next_method != TRIGGER_FAIL_REPR and not mismatch:
            return super().resume_execution(next_method, arguments, context)
        record = self._read(context)
        if record is None or record.ref is None:
            return super().resume_execution(TRIGGER_FAIL_REPR, arguments, context)
        for line in arguments.get("traceback") or ():
            self.log.warning("%s", line.rstrip())
        cause = mismatch or str(arguments.get("error", "unknown reason"))
        return self._carry_out(context, record, lambda start: start.resume(cause), resumed=True)

    def on_kill(self) -> None:
        """Cancel our execution, once, if a person or ``execution_timeout`` ended the task; otherwise leave it alone.

        A drained worker, a lost heartbeat or an unreachable API server end tasks too; then the next attempt adopts it.
        """
        self._end_requested = True
        if self._attempt:
            self._attempt.end()

    def trigger_arguments(self, marker: str | None) -> dict[str, Any]:
        """:param marker: of the start that the trigger waits for; ``None`` if it must never be canceled."""
        return {
            "finish": self.how_to_finish(),
            "marker": marker if self.cancel_on_kill else None,
        }

    def _read(self, context: Context) -> StartRecord | None:
        from airflow_provider.core.record import read_record

        return read_record(context["task_state_store"].get(KEY), self.system)

    def _carry_out(
        self,
        context: Context,
        record: StartRecord | None,
        program: Callable[[Start], Program[dict[str, Any]]],
        *,
        resumed: bool = False,
    ) -> dict[str, Any]:
        from airflow_provider.core.canceling import RESUMED
        from airflow_provider.core.starting import Start
        from airflow_provider.operators.attempt import attempt_of, push_if_standing

        if resumed and record:
            # From now on this process is responsible for the execution, not a triggerer that returns late.
            push_if_standing(context, MARKER_XCOM, RESUMED + record.marker)
        start: Start | None = None
        begun = time.time()

        def took() -> float:
            known = start.record if start else record
            return max(0.0, time.time() - (known.started if known else begun))

        with self.logging_failure(took), self.get_client(context) as client:
            if not resumed:
                self.log_beginning(client)
            policy = self._policy(context, client, _place(client, record if resumed else None))
            start = Start(policy, record, attempt_of(context), time.time())
            result = self._run(context, client, start, program(start))
            self.verify(result)
            waited = self.wait_for_completion
            self.log_lines([self.lines.ended(result, took()) if waited else self.lines.left(result)])
        return result

    def _run(self, context: Context, client: ClientT, start: Start, program: Program[dict[str, Any]]) -> dict[str, Any]:
        from airflow_provider.operators.attempt import AttemptOver, ExecutionCanceledForGood
        from airflow_provider.operators.start_attempt import StartAttempt

        self._attempt = StartAttempt(self, context, client, start, KEY)
        if self._end_requested:
            self._attempt.end()
        try:
            return self._attempt.run(program)
        except (AttemptOver, AirflowRuntimeError):
            # Airflow is about to end this process, and nobody else may be left to cancel.
            self._attempt.end()
            raise
        except ReleasePipelineError as error:
            if start.is_final:
                raise ExecutionCanceledForGood(error.summary, call=error.call) from error
            raise
        finally:
            self._attempt.watch.stop()

    def _policy(self, context: Context, client: ReleaseClient, place: str) -> Policy:
        from airflow_provider.core.policy import Policy

        return Policy(
            system=self.system,
            place=place,
            asked=self._asked(),
            poll_interval=self.poll_interval,
            timeout=self.timeout_seconds,
            wait_for_completion=self.wait_for_completion,
            deferrable=self.deferrable,
            cancel_on_kill=self.cancel_on_kill,
            fail_on_waiting=self.on_waiting == "fail",
            on_canceled=self.on_canceled,
            request_timeout=client.transport.timeout,
            is_marked=client.waits.is_marked,
            needs_cancel=client.waits.needs_cancel,
            settling_of=client.waits.settling_of,
            is_busy=self.is_busy,
            has_log=client.waits.has_log,
            is_known=self.is_known,
        )

    def _asked(self) -> str:
        """A text that differs where the arguments of the start do. It may be kept: it shows none of them."""
        names = [name for name in self.template_fields if name != "approvers" and not name.endswith("_conn_id")]
        arguments = json.dumps([getattr(self, name) for name in names], default=str)
        return hashlib.sha256(arguments.encode()).hexdigest()


def _place(client: ReleaseClient, resumed: StartRecord | None) -> str:
    """The installation that the connection leads to; one that is unavailable now must not fail a wait in progress."""
    try:
        return client.place
    except ReleasePipelineError:
        if resumed is None:
            raise
        return resumed.place
