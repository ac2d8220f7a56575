"""Start -> remember -> wait -> result, once for all operators, synchronous and deferrable.

A leaf operator says what is particular to its system: its arguments, ``intent``, ``start``.
"""

from __future__ import annotations

import sys
import time
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR

from airflow_provider.exceptions import (
    Call,
    Effect,
    ExecutionCanceled,
    ExecutionTimeout,
    NotFoundError,
    ReleasePipelineError,
    ServerUnavailableError,
)
from airflow_provider.execution import Execution, ExecutionState
from airflow_provider.killing import CANCEL_REASON, a_person_ended, cancel_surely
from airflow_provider.operators.connected import WaitingOperator
from airflow_provider.operators.start_record import StartRecord
from airflow_provider.core.waiting import GONE_AFTER, Ending, Outcome, Wait, result_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.clients.base import Intent, ReleaseClient
    from airflow_provider.execution import ExecutionRef

SETTLING = 20.0
"""Seconds after a start within which an execution may still show up in the system's lists."""

MOST_STARTS = 3
"""Start requests of one attempt, each sent only after the one before certainly did not take effect."""

BUSY_LIMIT = 300.0
"""Seconds after which a system may tell to come again; beyond that Airflow's own retries are for it."""

MOST_CRASHES = 3
"""Deferrals that may end without an event before the task waits in the worker instead."""

CLEARED_GRACE = 5.0
"""Seconds that the next attempt gives the worker or triggerer that waited to cancel, before it does so itself."""

CLEARED_LIMIT = 60.0
"""Seconds for which a new start waits for the end of what a cleared task had started, and looks for it if unknown."""

NOT_FOUND_PAUSE = 2.0
"""Seconds between looks before "not found" is believed: a replica may lag, a gateway may be in the way."""

DEADLINE_CANCEL_LIMIT = 60.0
"""Seconds for which a cancel at the deadline is tried."""

CANCEL_LIMIT = 4.0
"""Seconds: the supervisor sends SIGKILL five seconds after SIGTERM."""


class StartOperator(WaitingOperator):
    """Starts an execution exactly once and waits for its end.

    Takes the arguments of :class:`~airflow_provider.operators.connected.WaitingOperator`, where ``timeout`` counts over
    retries and deferrals: after it the execution is canceled and the task fails with ``ExecutionTimeout``.

    :param finish_in_triggerer: when deferrable, let the triggerer end the task: spares a second process. Its price: no
        task listeners, no outlets. An execution that fails comes back to the worker all the same.
    """

    def __init__(self, *, finish_in_triggerer: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.finish_in_triggerer = finish_in_triggerer
        self._in_flight: _InFlight | None = None

    @abstractmethod
    def intent(self, client: Any) -> dict[str, Any]:
        """Look up what must be known before the start; refuse what cannot work.

        :return: JSON by which ``client.find_started`` recognises the execution later; holds ``kind``.
        """

    @abstractmethod
    def start(self, client: Any, intent: Intent) -> Execution:
        """Send the one request that starts it, with ``intent["marker"]`` in a free-text field, where there is one."""

    def continuation(self, client: Any) -> dict[str, Any] | None:
        """The intent of going on with an execution that failed in an earlier attempt; ``None``: start another one."""
        return None

    def has_more_to_do(self) -> bool:
        """Whether a success must come back to the worker: to be verified, or because Airflow does more there."""
        return bool(self.outlets or self.multiple_outputs)

    def is_known(self, ref: ExecutionRef) -> bool:
        """Whether the execution itself is known; if not, the worker looks for it for a while before it defers."""
        return True

    def verify(self, result: Mapping[str, Any]) -> None:
        """Refuse a success that is none; raises ``ExecutionFailed``."""

    def execute(self, context: Context) -> dict[str, Any]:
        self.check()
        if self.deferrable and self.wait_for_completion:
            self.rehearse_deferral(**self._trigger_arguments("marker"))
        with self.get_client() as client:
            self._in_flight = _InFlight(client, context)
            execution, record = self._adopt_or_start(context, client)
            self._remember(context, record, execution)
            if not self.wait_for_completion:
                return self._leave(context, record, execution)
            return self._wait(context, client, record, execution)

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """Called when the trigger has fired."""
        record = StartRecord.load(context)
        outcome = Outcome.from_event(event)
        if outcome.execution:
            self.publish(context, outcome.execution)
        if outcome.ending is Ending.DEADLINE and record:
            with self.get_client() as client:
                self._in_flight = _InFlight(client, context, record)
                outcome = self._end_at_deadline(context, client, record, outcome)
        return self._finish(outcome)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Also handles a deferral that ended without an event: the trigger crashed, or Airflow timed it out."""
        record = StartRecord.load(context)
        if next_method != TRIGGER_FAIL_REPR or record is None or record.ref is None:
            return super().resume_execution(next_method, next_kwargs, context)
        self.log.warning("The wait ended without an event: %s", (next_kwargs or {}).get("error", "unknown reason"))
        for line in (next_kwargs or {}).get("traceback") or ():
            self.log.warning("%s", line.rstrip())
        record.crashes += 1
        record.save(context)
        with self.get_client() as client:
            self._in_flight = _InFlight(client, context, record)
            seen = self._look_again(client, record.ref)
            if seen is None:
                raise NotFoundError(f"{record.ref['id']} is gone", call=Call(system=self.system))
            return self._wait(context, client, record, seen)

    def on_kill(self) -> None:
        """Cancel our execution, once, if a person ended the task, or its ``execution_timeout`` did; else leave it be.

        A drained worker, a lost heartbeat or an unreachable API server end tasks too: then the next attempt adopts.
        """
        from airflow.sdk.exceptions import AirflowTaskTimeout

        flight = self._in_flight
        if flight is None:
            return
        flight.told_to_end.set()
        if not self.cancel_on_kill:
            return
        timed_out = isinstance(sys.exception(), AirflowTaskTimeout)
        if not timed_out and not a_person_ended(**flight.task_instance):
            self.log.info("Not canceling: no person ended this task; the next attempt goes on with the execution")
            return
        flight.ended_by_a_person.set()
        if flight.record and flight.record.ref:
            flight.canceling = True
            # In a thread: the interrupted code may hold a lock that the request needs.
            thread = Thread(target=self._cancel_quietly, args=(flight.client, flight.record), daemon=True)
            thread.start()
            thread.join(CANCEL_LIMIT)

    def _adopt_or_start(self, context: Context, client: ReleaseClient) -> tuple[Execution, StartRecord]:
        """Go on with what an earlier attempt of this generation started, unless it ended badly; else start."""
        record = StartRecord.load(context)
        if record and record.canceled:
            self._let_end(client, record)
            record = None
        if record and record.ref and self._in_flight:
            self._in_flight.record = record
        found = self._find_again(client, record) if record else None
        if record and found and found.state not in (ExecutionState.FAILED, ExecutionState.CANCELED):
            self.log.info("Going on with %s, which an earlier attempt started", found.id)
            return found, record
        intent = None
        if found and found.state is ExecutionState.FAILED:
            intent = self.continuation(client)
        if self.cancel_on_kill and (cleared := StartRecord.before_clear(context)) and not cleared.left:
            self._let_end(client, cleared)
        return self._start(context, client, intent or self.intent(client))

    def _find_again(self, client: ReleaseClient, record: StartRecord) -> Execution | None:
        if record.ref is None:
            return self._find_started(client, record.intent, since=record.started)
        return self._look_again(client, record.ref)

    def _let_end(self, client: ReleaseClient, cleared: StartRecord) -> None:
        """Wait for the end of what was started before a clear or canceled at the deadline: some systems refuse a start
        while that runs.

        After a clear, whoever waited for it cancels it, but may have died before.
        """
        begun, canceled = time.time(), cleared.canceled
        # Long after a start, what looks like its execution may be somebody else's, unless it bears a marker.
        is_told_apart = client.is_marked(cleared.intent) or begun < cleared.started + CLEARED_LIMIT
        if cleared.ref is None and is_told_apart:
            try:
                found = self._find_started(client, cleared.intent, since=cleared.started)
            except ReleasePipelineError as error:
                if error.effect is not Effect.REFUSED or isinstance(error, ServerUnavailableError):
                    raise
                self.log.warning("Cannot tell whether the cleared task had started anything: %s", error)
                return
            cleared.ref = found.ref if found else None
            begun = time.time()
        while cleared.ref and time.time() < begun + CLEARED_LIMIT:
            seen = self._look_again(client, cleared.ref)
            if seen is None or seen.state.is_terminal or seen.state is ExecutionState.PAUSED:
                return
            if not canceled and time.time() > begun + CLEARED_GRACE:
                canceled = self._cancel_quietly(client, cleared)
            time.sleep(1.0)

    def _look_again(self, client: ReleaseClient, ref: ExecutionRef) -> Execution | None:
        try:
            end = time.monotonic() + GONE_AFTER
            while time.monotonic() < end:
                with suppress(NotFoundError):
                    return client.look(ref)
                time.sleep(NOT_FOUND_PAUSE)
            return client.look(ref)
        except NotFoundError as error:
            self.log.warning("What this task started is gone: %s", error)
            return None
        except ReleasePipelineError as error:
            if error.effect is Effect.REFUSED:
                raise
            self.log.warning("Cannot look at what this task started, waiting on: %s", error)
            return Execution(ref, ExecutionState.UNKNOWN, "not seen yet")

    def _start(self, context: Context, client: ReleaseClient, intent: dict[str, Any]) -> tuple[Execution, StartRecord]:
        marker = f"airflow-{uuid4().hex[:16]}"
        record = StartRecord.begin(context, {**intent, "marker": marker, "since": time.time()})
        for attempt in range(1, MOST_STARTS + 1):
            if self._in_flight and self._in_flight.told_to_end.is_set():
                # Airflow lets this code run on for some seconds, while the next attempt may have begun already.
                raise ExecutionCanceled("the task was told to end: nothing is started", call=Call(system=self.system))
            try:
                return self.start(client, record.intent), record
            except ReleasePipelineError as error:
                pause = error.retry_after or 0.0
                if error.effect is Effect.NONE and 0 < pause <= BUSY_LIMIT and attempt < MOST_STARTS:
                    self.log.warning("Starting it in %.0f s, as told: %s", pause, error)
                    time.sleep(pause)
                    continue
                if not error.effect.is_open and attempt == 1:
                    StartRecord.forget(context)
                    raise
                # A refusal after a lost answer ("already running") can mean that the lost request took effect.
                self.log.warning("The answer to the start is not known, looking for the execution: %s", error)
                if found := self._find_started(client, record.intent, since=time.time()):
                    return found, record
                if attempt == MOST_STARTS:
                    raise
                # Refused to a task that is no longer Airflow's: the next attempt may have begun already.
                record.save(context)
        raise AssertionError("unreachable")

    def _find_started(self, client: ReleaseClient, intent: Intent, since: float) -> Execution | None:
        """Look with patience: a record may show up late, a look may fail.

        :param since: epoch seconds of the request whose effect is looked for.
        :raises ReleasePipelineError: the last look failed too; nothing may be started then.
        """
        pause = 0.5
        while True:
            error = None
            try:
                if found := client.find_started(intent):
                    self.log.info("Found it: %s", found[0].id)
                    return found[0]
            except ReleasePipelineError as failure:
                if failure.effect is Effect.REFUSED:
                    raise
                error = failure
            if time.time() + pause > since + SETTLING:
                if error:
                    raise error
                return None
            time.sleep(pause)
            pause = min(2 * pause, 5.0)

    def _remember(self, context: Context, record: StartRecord, execution: Execution) -> None:
        record.ref = execution.ref
        record.save(context)
        flight = self._in_flight
        if flight:
            flight.record = record
        self.publish(context, execution.to_result(), record.marker)
        self.log.info("%s %s %s: %s", self.system, execution.ref["kind"], execution.id, execution.url or "no page")
        if flight and flight.ended_by_a_person.is_set():
            # The task was ended while its start was on the way.
            if not flight.canceling:
                self._cancel_quietly(flight.client, record)
            raise ExecutionCanceled("the task was ended while it started the execution", call=Call(system=self.system))

    def _leave(self, context: Context, record: StartRecord, execution: Execution) -> dict[str, Any]:
        """Success of a task that does not wait: what it started is not its own any more, unless it failed at once."""
        if execution.state in (ExecutionState.FAILED, ExecutionState.CANCELED):
            return self._finish(Outcome(Ending.FINISHED, execution.to_result()))
        record.left = True
        record.save(context)
        return execution.to_result()

    def _wait(
        self, context: Context, client: ReleaseClient, record: StartRecord, execution: Execution
    ) -> dict[str, Any]:
        deadline = self.deadline_from(record.started)
        may_defer = self.deferrable and record.crashes <= MOST_CRASHES
        wait = Wait(execution.ref, self.poll_interval, deadline, self.on_waiting == "fail")
        for _, outcome in self.looks(client, wait, execution):
            if outcome:
                break
            if wait.last and wait.ref != record.ref:
                self._remember(context, record, wait.last)
            if may_defer and (self.is_known(wait.ref) or time.time() > record.started + SETTLING):
                self.defer_wait(wait.ref, deadline, **self._trigger_arguments(record.marker))
        if outcome.execution:
            self.publish(context, outcome.execution)
        if outcome.ending is Ending.DEADLINE:
            outcome = self._end_at_deadline(context, client, record, outcome)
        return self._finish(outcome)

    def _trigger_arguments(self, marker: str) -> dict[str, Any]:
        return {
            "finish": self.how_to_finish() if self.finish_in_triggerer and not self.has_more_to_do() else "",
            "marker": marker if self.cancel_on_kill else None,
        }

    def _end_at_deadline(
        self, context: Context, client: ReleaseClient, record: StartRecord, outcome: Outcome
    ) -> Outcome:
        """One last look, then cancel. Returns the outcome of an execution that ended just in time."""
        last = Wait(outcome.execution["ref"] if outcome.execution else record.ref or {}, self.poll_interval)
        summary = f"{last.ref['id']} is not finished within {self.timeout_seconds:g} s"
        try:
            if ended := last.saw(client.look(last.ref), time.time()):
                return ended
        except ReleasePipelineError as error:
            self.log.warning("The last look failed: %s", error)
        if last.last and last.last.message:
            summary += f" ({last.last.message})"
        try:
            cancel_surely(client, last.ref, f"canceled by Airflow: {summary}", DEADLINE_CANCEL_LIMIT)
        except ReleasePipelineError as error:
            raise ExecutionTimeout(
                f"{summary}, and it could not be canceled: {error}", call=Call(system=self.system)
            ) from error
        record.canceled = True
        record.save(context)
        raise ExecutionTimeout(f"{summary}; canceled it", call=Call(system=self.system))

    def _finish(self, outcome: Outcome) -> dict[str, Any]:
        result = result_of(outcome, self.system)
        self.verify(result)
        return result

    def _cancel_quietly(self, client: ReleaseClient, record: StartRecord) -> bool:
        """Returns whether it is canceled."""
        try:
            cancel_surely(client, record.ref or {}, CANCEL_REASON, CANCEL_LIMIT)
        except ReleasePipelineError as error:
            self.log.error("Could not cancel %s: %s", record.ref, error)
            return False
        self.log.info("Canceled %s", record.ref)
        return True


class _InFlight:
    """What :meth:`StartOperator.on_kill` needs to know while the task runs."""

    def __init__(self, client: ReleaseClient, context: Context, record: StartRecord | None = None) -> None:
        ti = context["ti"]
        self.client = client
        self.record = record
        self.told_to_end = Event()
        self.ended_by_a_person = Event()
        self.canceling = False
        self.task_instance = {
            "dag_id": ti.dag_id,
            "task_id": ti.task_id,
            "run_id": ti.run_id,
            "map_index": ti.map_index if ti.map_index is not None else -1,
        }
