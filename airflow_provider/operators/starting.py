"""Start -> remember -> wait -> result for real: carries out what the core decides, synchronous and deferrable.

A leaf operator says what is particular to its system: its arguments, ``intent``, ``start``.
"""

from __future__ import annotations

import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR
from airflow.sdk.exceptions import AirflowRuntimeError, AirflowTaskTimeout

from airflow_provider.core.canceling import CANCEL_REASON, RESUMED, Verdict, cancel, judge_worker_kill
from airflow_provider.core.commands import Command, Defer, Find, Forget, Prepare, Program, Send
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.record import Phase, StartRecord, read_record
from airflow_provider.core.starting import Policy, Start
from airflow_provider.core.waiting import GUESS, Outcome
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.freeze_watch import FreezeWatch
from airflow_provider.links import MARKER_XCOM
from airflow_provider.operators.attempt import (
    AttemptOver,
    ExecutionCanceledForGood,
    Told,
    attempt_of,
    is_asking_airflow,
    require_standing,
    told_in_time,
)
from airflow_provider.operators.base import WaitingOperator
from airflow_provider.operators.carrying_out import Carrier, Clock, carry_out

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.clients.base import Intent, ReleaseClient
    from airflow_provider.execution import Execution, ExecutionRef

KEY = "release_start"
"""Key of the record in the task state store."""


class StartOperator(WaitingOperator):
    """Starts an execution exactly once and waits for its end.

    Takes the arguments of :class:`~airflow_provider.operators.base.WaitingOperator`, where ``timeout`` counts over
    retries and deferrals: after it the execution is canceled and the task fails with ``ExecutionTimeout``.

    :param on_canceled: what to do about an execution that somebody canceled in the system itself: ``fail`` (default)
        without another try, because a person has decided; or ``retry``, as for any failure.
    :param finish_in_triggerer: when deferrable, let the triggerer end the task: spares a second process. Its price: no
        task listeners. An execution that fails comes back to the worker all the same, and so does a success of a task
        with outlets or ``multiple_outputs``, or over whose result another task is expanded.
    """

    def __init__(
        self,
        *,
        on_canceled: Literal["fail", "retry"] = "fail",
        finish_in_triggerer: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.on_canceled = on_canceled
        self.finish_in_triggerer = finish_in_triggerer
        self.require_one_of("on_canceled", "fail", "retry")
        self._attempt: _StartAttempt | None = None
        self._was_told_to_end = False

    @abstractmethod
    def intent(self, client: Any) -> dict[str, Any]:
        """Look up what must be known before the start; refuse what cannot work.

        :return: JSON by which ``client.find_started`` recognises the execution later; holds ``kind``.
        """

    @abstractmethod
    def start(self, client: Any, intent: Intent) -> Execution:
        """Send the request that starts it, with ``intent["marker"]`` first in a free-text field, if there is one."""

    def continuation(self, client: Any, failed: ExecutionRef) -> dict[str, Any] | None:
        """The intent of going on with an execution that failed in an earlier attempt; ``None``: start another one.

        :param failed: that execution; whatever else has failed is not this task's.
        """
        return None

    def is_busy(self, error: ReleasePipelineError) -> bool:
        """Whether a refused start is to be sent again later, because the system only takes none now."""
        return False

    def is_known(self, ref: ExecutionRef) -> bool:
        """Whether the execution itself is known; if not, the worker looks for it for a while before it defers."""
        return True

    def verify(self, result: Mapping[str, Any]) -> None:
        """Refuse a success that is none; raises ``ExecutionFailed``."""

    def execute(self, context: Context) -> dict[str, Any]:
        self.check_arguments()
        if self.deferrable and self.wait_for_completion:
            self.rehearse_deferral(**self.trigger_arguments("marker"))
            self.tell_who_finishes()
        return self._carry_out(context, self._read(context), lambda start: start.execute())

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """Called when the trigger has fired."""
        outcome = Outcome.from_event(event)
        if outcome.execution:
            self.publish(context, outcome.execution)
        return self._carry_out(context, self._read(context), lambda start: start.finish(outcome), resumed=True)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Also handles a deferral that ended without an event: the trigger crashed, or Airflow timed it out."""
        if next_method != TRIGGER_FAIL_REPR:
            return super().resume_execution(next_method, next_kwargs, context)
        record = self._read(context)
        if record is None or record.ref is None:
            return super().resume_execution(next_method, next_kwargs, context)
        for line in (next_kwargs or {}).get("traceback") or ():
            self.log.warning("%s", line.rstrip())
        cause = str((next_kwargs or {}).get("error", "unknown reason"))
        return self._carry_out(context, record, lambda start: start.resume(cause), resumed=True)

    def on_kill(self) -> None:
        """Cancel our execution, once, if a person ended the task, or its ``execution_timeout`` did; else leave it be.

        A drained worker, a lost heartbeat or an unreachable API server end tasks too: then the next attempt adopts.
        """
        self._was_told_to_end = True
        if self._attempt:
            self._attempt.end()

    def trigger_arguments(self, marker: str | None) -> dict[str, Any]:
        """:param marker: of the start that is waited for; ``None`` for what is never canceled."""
        return {
            "finish": self.how_to_finish(),
            "marker": marker if self.cancel_on_kill else None,
        }

    def _read(self, context: Context) -> StartRecord | None:
        return read_record(context["task_state_store"].get(KEY), self.system)

    def _carry_out(
        self,
        context: Context,
        record: StartRecord | None,
        program: Callable[[Start], Program[dict[str, Any]]],
        *,
        resumed: bool = False,
    ) -> dict[str, Any]:
        if resumed and record:
            # From now on this process answers for the execution, whatever a triggerer believes that comes back late.
            context["ti"].xcom_push(MARKER_XCOM, RESUMED + record.marker)
        with self.get_client(context) as client:
            policy = self._policy(client, _place(client, record if resumed else None))
            start = Start(policy, record, attempt_of(context), time.time())
            self._attempt = _StartAttempt(self, context, client, start)
            if self._was_told_to_end:
                self._attempt.end()
            try:
                result = self._attempt.run(program(start))
            except (AttemptOver, AirflowRuntimeError):
                # Airflow ends this process in a moment; by then nobody else may be left to act.
                self._attempt.end()
                raise
            except ReleasePipelineError as error:
                if start.is_final:
                    raise ExecutionCanceledForGood(error.summary, call=error.call) from error
                raise
            finally:
                self._attempt.watch.stop()
        self.verify(result)
        return result

    def _policy(self, client: ReleaseClient, place: str) -> Policy:
        return Policy(
            system=self.system,
            place=place,
            poll_interval=self.poll_interval,
            timeout=self.timeout_seconds,
            wait_for_completion=self.wait_for_completion,
            deferrable=self.deferrable,
            cancel_on_kill=self.cancel_on_kill,
            fail_on_waiting=self.on_waiting == "fail",
            on_canceled=self.on_canceled,
            request_timeout=client.transport.timeout,
            is_marked=client.is_marked,
            needs_cancel=client.needs_cancel,
            is_busy=self.is_busy,
            has_log=client.has_log,
            is_known=self.is_known,
        )


class _StartAttempt:
    """One attempt while it runs: carries out its programs, and ends it when Airflow says so."""

    def __init__(self, operator: StartOperator, context: Context, client: ReleaseClient, start: Start) -> None:
        self.watch = FreezeWatch()
        self._operator = operator
        self._context = context
        self._start = start
        self._carrier = Carrier(operator, context, client, KEY, self._trigger_arguments)
        self._told_to_end = threading.Event()
        self._is_canceling = threading.Event()
        self._is_performing = False
        self._is_undecided = False
        self._by_thread = threading.local()
        client.transport.guard = self._require_standing

    def run(self, program: Program[dict[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = carry_out(program, self._start, self._perform)
        return result

    def end(self) -> None:
        """Airflow ends this attempt; cancel what it started if a person meant it. The first call decides."""
        if self._told_to_end.is_set():
            return
        self._told_to_end.set()
        if not self._operator.cancel_on_kill:
            return
        if self._is_performing and is_asking_airflow():
            # In a signal handler: Airflow can be asked only once the interrupted code goes on.
            self._is_undecided = True
            return
        self._decide()

    def _decide(self) -> None:
        self._is_undecided = False
        timed_out = isinstance(sys.exception(), AirflowTaskTimeout)
        told = Told() if timed_out else told_in_time(self._context)
        verdict, reason = judge_worker_kill(
            told.state, timed_out=timed_out, frozen_for=self.watch.frozen_for(), is_stale=told.is_stale
        )
        record = self._start.record
        name = record.name if record else f"what this task may have started in {self._operator.system}"
        if verdict is not Verdict.CANCEL:
            self._operator.log.info("Not canceling %s: %s", name, reason)
            return
        self._is_canceling.set()
        if record and record.is_over:
            return
        if record is None or record.ref is None:
            self._operator.log.warning("The task is ended while %s may be on its way: %s", name, reason)
            return
        if timed_out:
            # Airflow may retry this task: that must know of this before it begins.
            record.phase = Phase.ENDING
            self._carrier.try_to_save(record)
        # In a thread: the interrupted code may hold a lock that the request needs.
        thread = threading.Thread(target=self._cancel, args=(record.ref, reason), daemon=True)
        thread.start()
        thread.join(DURATIONS.worker_kill_limit)

    def _perform(self, command: Command) -> Any:
        self._is_performing = True
        try:
            return self._do(command)
        finally:
            self._is_performing = False
            if self._is_undecided:
                self._decide()

    def _do(self, command: Command) -> Any:
        if self._is_canceling.is_set() and not self._is_by_canceler:
            raise AttemptOver("the task was ended, and its execution is being canceled: nothing else is done")
        match command:
            case Prepare(going_on):
                return self._prepare(going_on)
            case Send(intent):
                return self._send(intent)
            case Find(intent):
                return self._carrier.client.find_started(intent)
            case Forget():
                return self._carrier.forget()
            case Defer():
                # A person's act of the last seconds would be heard by nobody after this.
                self._require_standing()
        return self._carrier.perform(command)

    def _trigger_arguments(self) -> dict[str, Any]:
        record = self._start.record
        is_guess = record is None or GUESS in (record.ref or {})
        arguments = self._operator.trigger_arguments(None if is_guess or record is None else record.marker)
        if record and (record.is_late or record.unanswered):
            # What a start without an answer may have led to is looked for in a worker.
            arguments["finish"] = ""
        return arguments

    def _require_standing(self) -> None:
        """:raises AttemptOver: Airflow has given this attempt up; only the cancel on its way out may be sent."""
        if self._is_by_canceler:
            return
        if not self._told_to_end.is_set():
            require_standing(self._context)
        # It may be told while Airflow answers.
        if self._told_to_end.is_set():
            raise AttemptOver("the task was told to end: nothing is sent any more")

    @property
    def _is_by_canceler(self) -> bool:
        """Whether this thread carries out the cancel on the way out."""
        return getattr(self._by_thread, "is_canceling", False)

    def _prepare(self, going_on: bool) -> dict[str, Any]:
        client, failed = self._carrier.client, self._start.record
        intent = self._operator.continuation(client, failed.ref) if going_on and failed and failed.ref else None
        intent = intent or self._operator.intent(client)
        by_vendor = client.server_time()
        clock = "worker" if by_vendor is None else "vendor"
        marker = f"airflow-{uuid4().hex[:16]}"
        return {**intent, "marker": marker, "since": by_vendor or time.time(), "clock": clock}

    def _send(self, intent: dict[str, Any]) -> Execution:
        execution = self._operator.start(self._carrier.client, intent)
        if self._is_undecided:
            self._decide()
        if self._is_canceling.is_set():
            reason = "the task was ended while it started the execution"
            self._cancel(execution.ref, reason)
            raise AttemptOver(reason)
        return execution

    def _cancel(self, ref: ExecutionRef, reason: str) -> None:
        log, name = self._operator.log, f"{ref['kind']} {ref['id']}"
        clock = Clock()
        self._by_thread.is_canceling = True
        is_guess = GUESS in ref
        if not is_guess:
            # Told first: the process may be killed before the answer comes.
            log.warning("Canceling %s: %s", name, reason)
        program = cancel(clock, ref, CANCEL_REASON, DURATIONS.worker_kill_limit)
        if problem := carry_out(program, clock, self._perform):
            log.error("Could not cancel %s: %s", name, problem)
        elif not is_guess:
            log.info("The cancel of %s was taken", name)
        if not is_guess:
            self._note_ending(ref)

    def _note_ending(self, ref: ExecutionRef) -> None:
        """Another attempt must not take for a person's what was this task's own cancel, nor adopt it.

        After the cancel, because it may have to wait until the interrupted code has done speaking to Airflow.
        """
        if record := self._start.record:
            record.phase, record.ref = Phase.ENDING, ref
            self._carrier.try_to_save(record)


def _place(client: ReleaseClient, resumed: StartRecord | None) -> str:
    """Which installation the connection leads to; a system that cannot say so now does not fail a wait that goes on."""
    try:
        return client.place
    except ReleasePipelineError:
        if resumed is None:
            raise
        return resumed.place
