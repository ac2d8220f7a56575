"""The base classes of sensors, which wait for what somebody else started: poke, reschedule and deferrable.

A subclass adds what is particular to its system: its arguments and ``ref``.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason
from airflow.sdk.bases.sensor import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException

from airflow_provider.exceptions import AuthenticationError, ReleasePipelineError
from airflow_provider.operators.arguments import Seconds, SecondsOrZero
from airflow_provider.operators.base import (
    DEFAULT_DEFERRABLE,
    DEFERRAL_MARGIN,
    ClientT,
    ReleaseOperator,
    event_or_mismatch,
    in_dag_test,
    noticed_within,
    waiting_for,
)

if TYPE_CHECKING:
    from typing import Unpack

    from airflow.sdk import Context
    from airflow.triggers.base import StartTriggerArgs

    from airflow_provider.core.waiting import Outcome, Wait
    from airflow_provider.execution import Execution, ExecutionRef
    from airflow_provider.operators.shared_arguments import PokingArguments, SensorArguments
    from airflow_provider.sensors.polls import SensorPolls


class ReleaseSensor(ReleaseOperator[ClientT], BaseSensorOperator):
    """Waits until something exists or has succeeded; never cancels it.

    :param deferrable: wait in the triggerer; default: ``[operators] default_deferrable``.
    :param poke_interval: seconds or timedelta between polls (default 60 seconds).
    :param timeout: seconds or timedelta, after which the task fails with ``AirflowSensorTimeout``.
    :param soft_fail: skip on a timeout. A failed execution still fails the task, in every mode.
    :param mode: ``poke`` or ``reschedule``, unless deferrable.
    :param exponential_backoff: poll less often while nothing changes, at least every ``max_wait``.
    :param finish_in_triggerer: when deferrable, let the triggerer end the task, which saves a second process but calls
        no task listeners. A failure still returns to the worker, and so does the success of a task with outlets or
        ``multiple_outputs``, or one over whose result another task is expanded.
    """

    def __init__(
        self,
        *,
        deferrable: bool = DEFAULT_DEFERRABLE,
        finish_in_triggerer: bool = False,
        poke_interval: Seconds = 60.0,
        timeout: SecondsOrZero | None = None,
        max_wait: Seconds | None = None,
        **kwargs: Unpack[PokingArguments],
    ) -> None:
        # One base class does not know the arguments of the other.
        shared: dict[str, Any] = {"poke_interval": poke_interval, "timeout": timeout, "max_wait": max_wait, **kwargs}
        super().__init__(**shared)
        self.deferrable = deferrable
        self.finish_in_triggerer = finish_in_triggerer
        self._client: ClientT | None = None
        self._wait: Wait | None = None
        self._polls: SensorPolls | None = None
        self._trouble: str | None = None
        self._was_rescheduled = False
        self._is_published = False

    @abstractmethod
    def reference(self, client: ClientT) -> ExecutionRef:
        """What the sensor waits for. Resolves names to ids, and refuses what does not exist."""

    def execute(self, context: Context) -> Any:
        from airflow_provider.sensors.polls import SensorPolls

        with self._never_failing(), self.logging_failure():
            self.check_arguments()
        with self._never_failing(), self.get_client(context) as self._client:
            self._client.transport.give_up_at = time.time() + self.timeout
            self._polls = SensorPolls(context, is_continued=self.reschedule or self.deferrable)
            if not self._polls.is_known:
                self.log_beginning(self._client)
            # A deferral could not return in time.
            if not self.deferrable or self.timeout <= noticed_within():
                try:
                    return super().execute(context)
                except AirflowSensorTimeout:
                    self._time_out(self._last_seen, self._trouble)
            deadline = time.time() + self.timeout
            wait = self._wait_of(context)
            while not (result := self.poke(context)).is_done and not wait.ref:
                # A trigger must know what to wait for, and an outage of the system must not end the wait.
                if time.time() >= deadline:
                    self._time_out(None, self._trouble)
                time.sleep(min(self.poke_interval, max(0.0, deadline - time.time())))
        if result.is_done:
            return result.xcom_value
        return self.defer_to_triggerer(wait, deadline)

    def poke(self, context: Context) -> PokeReturnValue:
        """Poll once. Failed polls are ignored until the error budget is spent."""
        client, now = self._connected(), time.time()
        wait, polls = self._wait_of(context), self._polls_of(context)
        seen = self._observe(client, wait, polls)
        self._trouble = str(seen) if isinstance(seen, ReleasePipelineError) else None
        outcome = wait.update(seen, now)
        self.log_lines(wait.new_lines())
        is_believed = self._is_believed(seen, wait, polls, now)
        polls.keep(wait)
        if outcome and is_believed:
            waited = outcome._replace(seconds=now - (wait.since or now))
            return PokeReturnValue(True, self._finish(context, waited))
        if wait.last and wait.last.id and not self._is_published:
            self.publish(context, wait.last.to_result())
            self._is_published = True
        return PokeReturnValue(False)

    def _connected(self) -> ClientT:
        if self._client is None:
            raise RuntimeError("a sensor polls only while it is executed")
        return self._client

    def _polls_of(self, context: Context) -> SensorPolls:
        from airflow_provider.sensors.polls import SensorPolls

        self._polls = self._polls or SensorPolls(context, is_continued=False)
        return self._polls

    def _wait_of(self, context: Context) -> Wait:
        from airflow_provider.core.waiting import Wait

        if self._wait is None:
            polls = self._polls_of(context)
            self._was_rescheduled = self.reschedule and context["ti"].get_first_reschedule_date(context) is not None
            self._wait = Wait(
                {},
                self.poke_interval,
                failing_since=polls.failing_since,
                proven=self._was_rescheduled,
                begun=polls.begun,
            )
        return self._wait

    def _is_believed(self, seen: Execution | ReleasePipelineError, wait: Wait, polls: SensorPolls, now: float) -> bool:
        """Whether an end that the vendor may revoke has lasted long enough.

        In reschedule mode every poll has a new client, which has not observed the execution running.
        """
        if isinstance(seen, ReleasePipelineError) or not self._was_rescheduled:
            return True
        settling = self._connected().waits.settling_of(seen)
        if not settling:
            polls.ended = None
            return True
        polls.ended = polls.ended or now
        if now - polls.ended >= settling:
            return True
        self.log.info("%s %s may still continue, polling once more", wait.ref.get("kind"), wait.ref.get("id"))
        return False

    def _get_next_poke_interval(self, started_at: Any, run_duration: Callable[[], float], poke_count: int) -> float:
        from airflow_provider.core.waiting import MOST_DOUBLINGS

        # With `exponential_backoff` Airflow 3.3.2 doubles it without limit, until a float overflows.
        return float(super()._get_next_poke_interval(started_at, run_duration, min(poke_count, MOST_DOUBLINGS)))

    def _observe(self, client: ClientT, wait: Wait, polls: SensorPolls) -> Execution | ReleasePipelineError:
        """Poll once, after resolving what to wait for if that is not known yet."""
        from airflow_provider.core.waiting import is_refusal
        from airflow_provider.unforeseen import unforeseen

        try:
            if not wait.ref:
                # Names and numbers mean something else on another system, where the connection may lead to meanwhile.
                client.waits.check_place(polls.about)
                place = {"place": polls.about["place"]} if polls.about else {}
                wait.ref = {**self.reference(client), **place}
            seen: Execution = client.observe(wait.ref)
            return seen
        except ReleasePipelineError as error:
            if isinstance(error, AuthenticationError):
                self._client = self.renew(client)
            if not wait.ref and not wait.proven and is_refusal(error):
                raise
            return error
        except Exception as error:
            return unforeseen(error, "A poll", self.system)

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        """Called when the trigger has fired."""
        from airflow_provider.core.waiting import Ending, Outcome

        outcome = Outcome.from_event(event)
        with self._never_failing():
            if outcome.ending is Ending.DEADLINE:
                self._time_out(outcome.execution, outcome.error)
            return self._finish(context, outcome)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Poll once more after a deferral that ended without an event; only a timeout may skip.

        After the event of another wait, wait again.
        """
        arguments, mismatch = event_or_mismatch(next_kwargs)
        if mismatch:
            self.log.warning("The wait ended without an event: %s", mismatch)
            return self.execute(context)
        if next_method != TRIGGER_FAIL_REPR:
            return getattr(self, next_method)(context, **arguments)
        error = arguments.get("error")
        self.log.warning("The wait ended without an event: %s", error)
        self.check_arguments()
        with self._never_failing(), self.get_client(context) as self._client:
            result = self.poke(context)
            if result.is_done:
                return result.xcom_value
            if error == TriggerFailureReason.TRIGGER_TIMEOUT:
                self._time_out(self._last_seen, self._trouble)
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)

    def trigger_arguments(self) -> dict[str, Any]:
        """The arguments of the trigger, except for the reference."""
        slowest = None
        if self.exponential_backoff:
            slowest = self.max_wait.total_seconds() if self.max_wait else self.timeout
        return {
            "system": self.system,
            "conn_id": self.conn_id,
            "poll_interval": self.poke_interval,
            "slowest": slowest,
            "finish": self.how_to_finish(),
        }

    def defer_to_triggerer(self, wait: Wait, deadline: float) -> NoReturn:
        from airflow_provider.triggers.execution import ExecutionTrigger

        self.log_who_finishes()
        self.defer(
            trigger=ExecutionTrigger(
                ref=wait.ref,
                deadline=deadline,
                hold_back=noticed_within(),
                begun=wait.begun.to_json(),
                **self.trigger_arguments(),
            ),
            method_name="execute_complete",
            kwargs=waiting_for(wait.ref),
            timeout=timedelta(seconds=self.timeout + self.poke_interval + DEFERRAL_MARGIN),
        )

    def _finish(self, context: Context, outcome: Outcome) -> dict[str, Any]:
        from airflow_provider.core.waiting import result_of

        if outcome.execution:
            self.publish(context, outcome.execution)
        with self.logging_failure(outcome.seconds):
            result = result_of(outcome, self.system)
        self.log_lines([self.lines.ended(result, outcome.seconds)])
        return result

    @property
    def _last_seen(self) -> dict[str, Any] | None:
        return self._wait.last.to_result() if self._wait and self._wait.last else None

    def _time_out(self, seen: Mapping[str, Any] | None, trouble: str | None) -> NoReturn:
        """Fail or skip, and say what was observed last.

        :param seen: the result of the last successful poll.
        :param trouble: the error of the last poll, if it failed.
        """
        summary = f"timed out after {self.timeout:g} s"
        if seen:
            summary += f"; last observed: {_described(seen)}"
        if trouble:
            summary += f"; the last poll failed: {trouble}"
        self.log_lines([self.lines.timed_out(summary, is_skipped=self.soft_fail)])
        if self.soft_fail:
            raise AirflowSkipException(summary)
        raise AirflowSensorTimeout(summary)

    @contextmanager
    def _never_failing(self) -> Iterator[None]:
        """Skip instead of failing if ``never_fail`` is set, as Airflow's own sensors do, in all modes."""
        try:
            yield
        except (ReleasePipelineError, AirflowSensorTimeout) as error:
            if self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise

    def began(self, now: Callable[[], float]) -> float:
        """When this wait began: the same for its polls and retries, another moment after a clear.

        :param now: returns the present by the clock that counts; called unless this is known already. It may fail for
            a while: the wait has begun nevertheless.
        """
        if self._polls is None:
            raise RuntimeError("a sensor polls only while it is executed")
        first_poll = self._wait.since if self._wait else None
        waited = 0.0 if first_poll is None else max(0.0, time.time() - first_poll)
        return self._polls.began(lambda: now() - waited)


class _HowToStart:
    """Evaluated when Airflow serializes the DAG, once all downstream tasks are known; ``None`` on the class."""

    def __get__(self, sensor: KnownSensor[Any] | None, owner: type[KnownSensor[Any]]) -> StartTriggerArgs | None:
        return sensor.how_to_start() if sensor else None


class KnownSensor(ReleaseSensor[ClientT]):
    """A sensor that knows what it waits for without a request; a subclass sets it with :meth:`watch`.

    :param start_from_trigger: start in the triggerer, without a process before. Then the connection id must not be
        templated, and Airflow's scheduler enforces ``timeout``.
    """

    start_trigger_args = _HowToStart()

    def __init__(self, *, start_from_trigger: bool = False, **kwargs: Unpack[SensorArguments]) -> None:
        super().__init__(**kwargs)
        self.start_from_trigger = start_from_trigger
        self.deferrable = self.deferrable or start_from_trigger
        self.ref: dict[str, Any] = {}

    def watch(self, **ref: Any) -> None:
        """Set what the sensor waits for; call it at the end of ``__init__``. ``ref`` is a template field."""
        self.ref = {"system": self.system, **ref}

    def how_to_start(self) -> StartTriggerArgs | None:
        """What the scheduler needs to start in the triggerer; ``None``: start in a worker."""
        if not self.start_from_trigger or not self.ref or self.get_closest_mapped_task_group():
            # In a mapped task group, only a worker can resolve the group's arguments and results of its other tasks.
            return None
        from airflow.triggers.base import StartTriggerArgs

        return StartTriggerArgs(
            trigger_cls="airflow_provider.triggers.execution.ExecutionTrigger",
            trigger_kwargs={"ref": self.reference(None), **self.trigger_arguments()},
            next_method="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Also after a start in the triggerer, where the scheduler passes on nothing to compare the event with."""
        expected = waiting_for(self.reference(None)) if self.start_from_trigger and not in_dag_test() else {}
        return super().resume_execution(next_method, {**expected, **(next_kwargs or {})}, context)

    def reference(self, client: Any) -> ExecutionRef:
        return {name: "" if value is None else str(value) for name, value in self.ref.items()}


def _described(execution: Mapping[str, Any]) -> str:
    name = " ".join(filter(None, (execution["ref"].get("kind"), execution["id"])))
    reason = f": {execution['message']}" if execution["message"] else ""
    return f"{name} is {execution['state']} ({execution['status']}){reason}"
