"""What a program of the core asks its surroundings to do. The operators carry these out, and so does the simulator.

A program is a generator: it yields commands and is sent what came of each, or has the error of it thrown in. Before it
goes on, whoever carries it out sets its ``now`` (epoch seconds), so that the core needs no clock.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple, TypeVar

from airflow_provider.core.record import StartRecord
from airflow_provider.core.waiting import News, Wait
from airflow_provider.execution import Execution, ExecutionRef

Result = TypeVar("Result")


class Save(NamedTuple):
    """Write the record down. Airflow refuses that to an attempt whose task has gone on elsewhere."""

    record: StartRecord


class Forget(NamedTuple):
    """Delete the record: certainly nothing was started."""


class Prepare(NamedTuple):
    """Look up what must be known before a start; answered with an intent, a dict.

    :param going_on: an execution of this start has failed; the author may want it to go on rather than start another.
    """

    going_on: bool = False


class Send(NamedTuple):
    """Send the one request that starts it; answered with an :class:`Execution`. Refused to an attempt that is over."""

    intent: dict[str, Any]


class Find(NamedTuple):
    """Look for what a start with this intent led to; answered with a list of executions, oldest first."""

    intent: dict[str, Any]


class Observe(NamedTuple):
    """Look at one execution; answered with an :class:`Execution`."""

    ref: ExecutionRef


class Cancel(NamedTuple):
    """Ask the system once to end exactly this execution."""

    ref: ExecutionRef
    reason: str


class Publish(NamedTuple):
    """Show people and other tasks what is known of the execution."""

    execution: Execution
    marker: str


class Pause(NamedTuple):
    """Wait; answered when the time has passed."""

    seconds: float


class Defer(NamedTuple):
    """End the attempt here and wait in the triggerer. Not answered: another attempt's process resumes."""

    ref: ExecutionRef
    deadline: float | None


class Tell(NamedTuple):
    """Lines for the task's log."""

    news: list[News]


class ReadLog(NamedTuple):
    """Pass the execution's own log on to the task's log, from where it was read last."""

    wait: Wait


Command = Save | Forget | Prepare | Send | Find | Observe | Cancel | Publish | Pause | Defer | Tell | ReadLog

Program = Generator[Command, Any, Result]
