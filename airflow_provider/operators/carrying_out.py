"""Carries out what the programs of the core ask for, with Airflow's state store, the client, the clock and the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

from airflow_provider.core.commands import (
    Act,
    Ask,
    Cancel,
    Choose,
    Command,
    Defer,
    Find,
    Log,
    Observe,
    Pause,
    Prepare,
    Program,
    Publish,
    ReadLog,
    Save,
    Saved,
    Send,
    TakeAnswer,
)
from airflow_provider.exceptions import AuthenticationError, ReleasePipelineError
from airflow_provider.links import MARKER_XCOM, QUESTION_XCOM
from airflow_provider.operators.attempt import AttemptOver, push_if_standing
from airflow_provider.operators.base import ClientT, WaitingOperator, noticed_within
from airflow_provider.operators.execution_log import ExecutionLog
from airflow_provider.unforeseen import unforeseen

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider.core.canceling import Timed

ASKS_THE_SYSTEM = (Prepare, Send, Find, Choose, Act, Observe, Cancel, Ask, TakeAnswer)
"""Commands that call the client, whose errors go to the program; errors of the others come from Airflow."""


Result = TypeVar("Result")


class Clock:
    """The time of a program that has no other owner."""

    def __init__(self) -> None:
        self.now = time.time()


def carry_out(program: Program[Result], timed: Timed, perform: Callable[[Command], Any]) -> Result:
    """Run a program to its end, setting its time before each answer.

    :raises AttemptOver: without passing it to the program: nothing more must be done.
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
                is_from_airflow = isinstance(error, (AirflowException, AirflowRuntimeError))
                if is_from_airflow or not isinstance(command, ASKS_THE_SYSTEM):
                    raise
                timed.now = time.time()
                command = program.throw(unforeseen(error, type(command).__name__))
            else:
                timed.now = time.time()
                command = program.send(answer)
    except StopIteration as stop:
        result: Result = stop.value
        return result


def save_record(context: Context, key: str, record: Saved) -> None:
    """Save the record of a task."""
    from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]

    # What is running must be remembered however long it takes; by default Airflow deletes keys after 30 days.
    context["task_state_store"].set(key, record.to_json(), retention=None if record.is_over else NEVER_EXPIRE)


class Carrier(Generic[ClientT]):
    """Carries out the commands that all programs share.

    :param key: of the record in the task state store.
    :param trigger_arguments: returns the arguments of the trigger at the moment of a deferral.
    """

    def __init__(
        self,
        operator: WaitingOperator[ClientT],
        context: Context,
        client: ClientT,
        key: str,
        trigger_arguments: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self.client = client
        self.operator = operator
        self._context = context
        self._key = key
        self._trigger_arguments = trigger_arguments
        self._log = ExecutionLog(operator.log_lines)

    def perform(self, command: Command) -> Any:
        match command:
            case Save(record):
                save_record(self._context, self._key, record)
            case Observe(ref):
                return self.ask(lambda client: client.observe(ref))
            case Cancel(ref, reason):
                self.ask(lambda client: client.cancel(ref, reason))
            case Publish(execution):
                self.operator.publish(self._context, execution.to_result())
            case Pause(seconds):
                time.sleep(seconds)
            case Defer():
                self._defer(command)
            case Log(lines):
                self.operator.log_lines(lines)
            case ReadLog(wait, is_last):
                self._log.copy(self.client, wait, is_last=is_last)
            case _:
                raise ValueError(f"this operator does not support {type(command).__name__}")
        return None

    def ask(self, request: Callable[[ClientT], Result]) -> Result:
        """Let the client make a request; if its credentials are refused, the next one is made with the connection as it
        is then.
        """
        try:
            return request(self.client)
        except AuthenticationError:
            self.client = self.operator.renew(self.client)
            raise

    def forget(self) -> None:
        self._context["task_state_store"].delete(self._key)

    def try_to_save(self, record: Saved) -> None:
        with suppress(Exception):
            save_record(self._context, self._key, record)

    def _defer(self, wait: Defer) -> None:
        """Defer, unless the deadline comes before Airflow would let the task resume."""
        held_back = noticed_within()
        if wait.deadline is not None and held_back and time.time() + held_back >= wait.deadline:
            return
        arguments = self._trigger_arguments()
        if marker := arguments.get("marker"):
            # A trigger that is killed reads it, to see whether the task is still waiting for this start.
            push_if_standing(self._context, MARKER_XCOM, marker)
        if arguments.get("has_asked"):
            push_if_standing(self._context, QUESTION_XCOM, "")
        self.operator.defer_wait(wait.ref, wait.deadline, begun=wait.begun.to_json(), **arguments)
