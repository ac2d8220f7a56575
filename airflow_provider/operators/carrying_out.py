"""Carries out for real what the programs of the core ask for: Airflow's state store, the client, the clock, the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

from airflow_provider.core.commands import (
    Act,
    Ask,
    Cancel,
    Choose,
    Command,
    CommonCommand,
    Defer,
    Find,
    Observe,
    Pause,
    Prepare,
    Program,
    Publish,
    ReadLog,
    Record,
    Save,
    Send,
    TakeAnswer,
    Tell,
)
from airflow_provider.exceptions import AuthenticationError, ReleasePipelineError
from airflow_provider.links import MARKER_XCOM
from airflow_provider.operators.attempt import AttemptOver
from airflow_provider.operators.base import WaitingOperator, noticed_within
from airflow_provider.progress import log_news
from airflow_provider.unforeseen import unforeseen

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.clients.base import ReleaseClient
    from airflow_provider.core.canceling import Timed
    from airflow_provider.execution import Execution, ExecutionRef


ASKS_THE_SYSTEM = (Prepare, Send, Find, Choose, Act, Observe, Cancel, Ask, TakeAnswer)
"""Commands whose errors are the client's, foreseen or not; those of the others are Airflow's."""


class Clock:
    """The time that a program is told, for one that belongs to nothing else."""

    def __init__(self) -> None:
        self.now = time.time()


def carry_out(program: Program[Any], timed: Timed, perform: Callable[[Command], Any]) -> Any:
    """Run a program to its end; it is told the time before each answer.

    :raises AttemptOver: not told to the program: nothing more is to be done.
    """
    try:
        command = next(program)
        while True:
            try:
                answer = perform(command)
            except AttemptOver:
                raise
            except ReleasePipelineError as error:
                timed.now = time.time()
                command = program.throw(error)
            except Exception as error:
                is_airflows = isinstance(error, (AirflowException, AirflowRuntimeError))
                if is_airflows or not isinstance(command, ASKS_THE_SYSTEM):
                    raise
                timed.now = time.time()
                command = program.throw(unforeseen(error, type(command).__name__))
            else:
                timed.now = time.time()
                command = program.send(answer)
    except StopIteration as stop:
        return stop.value


def save_record(context: Context, key: str, record: Record) -> None:
    """Write down what a task remembers."""
    from airflow.sdk import NEVER_EXPIRE

    # What is under way must be known for as long as it takes; Airflow forgets keys after 30 days otherwise.
    context["task_state_store"].set(key, record.to_json(), retention=None if record.is_over else NEVER_EXPIRE)


class Carrier:
    """What all programs ask for.

    :param key: of the record in the task state store.
    :param trigger_arguments: of a deferral, at the moment it happens.
    """

    def __init__(
        self,
        operator: WaitingOperator,
        context: Context,
        client: ReleaseClient,
        key: str,
        trigger_arguments: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self.client = client
        self.operator = operator
        self._context = context
        self._key = key
        self._trigger_arguments = trigger_arguments

    def perform(self, command: CommonCommand) -> Any:
        match command:
            case Save(record):
                save_record(self._context, self._key, record)
            case Observe(ref):
                return self._look(ref)
            case Cancel(ref, reason):
                self.client.cancel(ref, reason)
            case Publish(execution):
                self.operator.publish(self._context, execution.to_result())
            case Pause(seconds):
                time.sleep(seconds)
            case Defer():
                self._defer(command)
            case Tell(news):
                self.operator.log_lines(news)
            case ReadLog(wait):
                self.operator.log_lines(log_news(self.client, wait))
        return None

    def _look(self, ref: ExecutionRef) -> Execution:
        try:
            return self.client.look(ref)
        except AuthenticationError:
            self.client = self.operator.renew(self.client)
            raise

    def forget(self) -> None:
        self._context["task_state_store"].delete(self._key)

    def try_to_save(self, record: Any) -> None:
        with suppress(Exception):
            save_record(self._context, self._key, record)

    def _defer(self, wait: Defer) -> None:
        """Ends the attempt here, unless the deadline comes before Airflow would let the task resume."""
        held_back = noticed_within()
        if wait.deadline is not None and held_back and time.time() + held_back >= wait.deadline:
            return
        arguments = self._trigger_arguments()
        if marker := arguments.get("marker"):
            # A trigger that is told to end compares: does the task still wait for this start?
            self._context["ti"].xcom_push(MARKER_XCOM, marker)
        self.operator.defer_wait(wait.ref, wait.deadline, begun=wait.begun.to_json(), **arguments)
