"""A running attempt of a start: carries out what the core decides, and ends when Airflow ends it.

Separate from starting.py, which each DAG file imports: what this module needs takes longer to import.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Generic
from uuid import uuid4

from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowTaskTimeout

from airflow_provider.core import lines
from airflow_provider.core.canceling import CANCEL_REASON, Verdict, cancel, judge_worker_kill, not_canceled
from airflow_provider.core.commands import Ask, Command, Defer, Find, Forget, Prepare, Program, Send, TakeAnswer
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.lines import name_of
from airflow_provider.core.record import Phase
from airflow_provider.core.starting import Start
from airflow_provider.core.waiting import GUESS
from airflow_provider.freeze_watch import FreezeWatch
from airflow_provider.operators.attempt import (
    AttemptOver,
    TaskAnswer,
    ask_in_time,
    is_asking_airflow,
    require_standing,
)
from airflow_provider.operators.base import ClientT
from airflow_provider.operators.carrying_out import Carrier, Clock, carry_out

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.execution import Execution, ExecutionRef
    from airflow_provider.operators.starting import StartOperator


class StartAttempt(Generic[ClientT]):
    """A running attempt: carries out its programs, and ends when Airflow ends it."""

    def __init__(
        self, operator: StartOperator[ClientT], context: Context, client: ClientT, start: Start, key: str
    ) -> None:
        self.watch = FreezeWatch()
        self._operator = operator
        self._context = context
        self._start = start
        self._carrier = Carrier(operator, context, client, key, self._trigger_arguments)
        self._end_requested = threading.Event()
        self._is_canceling = threading.Event()
        self._is_performing = False
        self._is_undecided = False
        self._by_thread = threading.local()
        client.transport.guard = self._require_standing

    def run(self, program: Program[dict[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = carry_out(program, self._start, self._perform)
        return result

    def end(self) -> None:
        """Airflow is ending this attempt: cancel what it started if a person wants that. The first call decides."""
        if self._end_requested.is_set():
            return
        self._end_requested.set()
        if not self._operator.cancel_on_kill:
            return
        if self._is_performing and is_asking_airflow():
            # In a signal handler: Airflow can be asked only after the interrupted code continues.
            self._is_undecided = True
            return
        self._decide()

    def _decide(self) -> None:
        self._is_undecided = False
        timed_out = isinstance(sys.exception(), AirflowTaskTimeout)
        answer = TaskAnswer() if timed_out else ask_in_time(self._context)
        verdict, reason = judge_worker_kill(
            answer.state,
            timed_out=timed_out,
            frozen_for=self.watch.frozen_for(),
            is_stale=answer.is_stale,
            given_up_after=conf.getfloat("scheduler", "task_instance_heartbeat_timeout", fallback=math.inf),
        )
        record = self._start.record
        name = record.name if record else f"what this task may have started in {self._operator.system}"
        if verdict is not Verdict.CANCEL:
            self._operator.log_lines([not_canceled(verdict, name, reason)])
            return
        self._is_canceling.set()
        if record and record.is_over:
            return
        if record is None or record.ref is None:
            self._operator.log.warning("The task was ended, and %s may still take effect: %s", name, reason)
            return
        if timed_out and GUESS not in record.ref:
            # Airflow may retry this task, and the retry must know about the cancel before it begins.
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
            raise AttemptOver("the task was ended and its execution is being canceled, so nothing else is done")
        record, timeout = self._start.record, self._start.policy.timeout
        if record and timeout is not None:
            self._carrier.client.transport.give_up_at = record.started + timeout
        match command:
            case Prepare(after_failure):
                return self._prepare(after_failure)
            case Send(intent):
                return self._send(intent)
            case Find(intent):
                return self._carrier.client.waits.find_started(intent)
            case Forget():
                return self._carrier.forget()
            case Defer():
                # After this, nobody would notice what a person did in the last seconds.
                self._require_standing()
            case Ask() | TakeAnswer():
                self._require_standing()
                return self._operator.perform(self._context, self._carrier.client, self._start, command)
        return self._carrier.perform(command)

    def _trigger_arguments(self) -> dict[str, Any]:
        record = self._start.record
        is_guess = record is None or GUESS in (record.ref or {})
        arguments = self._operator.trigger_arguments(None if is_guess or record is None else record.marker)
        if record and (record.is_late or record.unanswered):
            # Only a worker searches for what an unanswered start may have started.
            arguments["finish"] = ""
        return arguments

    def _require_standing(self) -> None:
        """:raises AttemptOver: Airflow has given this attempt up; only its final cancel may be sent."""
        if self._is_by_canceler:
            return
        if not self._end_requested.is_set():
            require_standing(self._context)
        # The end may be requested while Airflow answers.
        if self._end_requested.is_set():
            raise AttemptOver("Airflow is ending the task, so nothing more is sent")

    @property
    def _is_by_canceler(self) -> bool:
        """Whether this thread carries out the final cancel."""
        return getattr(self._by_thread, "is_canceling", False)

    def _prepare(self, after_failure: bool) -> dict[str, Any]:
        client, failed = self._carrier.client, self._start.record
        intent = self._operator.continuation(client, failed.ref) if after_failure and failed and failed.ref else None
        intent = intent or self._operator.intent(client)
        by_vendor = client.transport.server_time()
        clock = "worker" if by_vendor is None else "vendor"
        marker = f"airflow-{uuid4().hex[:16]}"
        return {**intent, "marker": marker, "since": by_vendor or time.time(), "clock": clock}

    def _send(self, intent: dict[str, Any]) -> Execution:
        execution = self._operator.start(self._carrier.client, intent)
        if not execution.state.is_terminal:
            self._carrier.client.waits.note_unfinished(execution.ref)
        if self._is_undecided:
            self._decide()
        if self._is_canceling.is_set():
            reason = "the task was ended while it was starting the execution"
            self._cancel(execution.ref, reason)
            raise AttemptOver(reason)
        return execution

    def _cancel(self, ref: ExecutionRef, reason: str) -> None:
        log_lines, name = self._operator.log_lines, name_of(ref)
        clock = Clock()
        self._by_thread.is_canceling = True
        is_guess = GUESS in ref
        if not is_guess:
            # Logged first: the process may be killed before the answer arrives.
            log_lines([lines.canceling(name, reason)])
        program = cancel(clock, ref, CANCEL_REASON, DURATIONS.worker_kill_limit)
        if problem := carry_out(program, clock, self._perform):
            log_lines([lines.cancel_failed(name, problem)])
        elif not is_guess:
            log_lines([lines.cancel_taken(name)])
        if not is_guess:
            self._note_ending(ref)

    def _note_ending(self, ref: ExecutionRef) -> None:
        """Record it, so that another attempt neither takes this task's own cancel for a person's nor adopts it.

        Done after the cancel, because it may have to wait for the interrupted code's exchange with Airflow.
        """
        if record := self._start.record:
            record.phase, record.ref = Phase.ENDING, ref
            self._carrier.try_to_save(record)
