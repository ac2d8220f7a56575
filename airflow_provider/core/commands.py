"""What a program of the core asks its surroundings to do. The operators carry these out, and so does the simulator.

A program is a generator: it yields commands and is sent what came of each, or has the error of it thrown in. Before it
goes on, whoever carries it out sets its ``now`` (epoch seconds), so that the core needs no clock.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from airflow_provider.core.lines import News
from airflow_provider.core.waiting import Begun, Wait
from airflow_provider.execution import Execution, ExecutionRef

Result = TypeVar("Result")


class Record(Protocol):
    """Something that a task remembers."""

    @property
    def is_over(self) -> bool:
        """Whether it may be forgotten some day."""

    def to_json(self) -> dict[str, Any]: ...


class Save(Struct, frozen=True):
    """Write the record down. Airflow refuses that to an attempt whose task has gone on elsewhere."""

    record: Record


class Forget(Struct, frozen=True):
    """Delete the record: certainly nothing was started."""


class Prepare(Struct, frozen=True):
    """Look up what must be known before a start; answered with an intent, a dict.

    It also holds ``marker`` (a text that no other start has), ``since`` (epoch seconds now) and ``clock`` (whose:
    ``vendor`` or ``worker``).

    :param going_on: an execution of this start has failed; the author may want it to go on rather than start another.
    """

    going_on: bool = False


class Send(Struct, frozen=True):
    """Send the one request that starts it; answered with an :class:`Execution`. Refused to an attempt that is over."""

    intent: dict[str, Any]


class Choose(Struct, frozen=True):
    """Find out which execution an act is about; answered with an :class:`Execution`."""


class Act(Struct, frozen=True):
    """Send the one request of an act about this execution; answered with it as it is then. Refused as ``Send`` is."""

    target: Execution


class Find(Struct, frozen=True):
    """Look for what a start with this intent led to; answered with a list of executions, oldest first."""

    intent: dict[str, Any]


class Observe(Struct, frozen=True):
    """Look at one execution; answered with an :class:`Execution`."""

    ref: ExecutionRef


class Cancel(Struct, frozen=True):
    """Ask the system once to end exactly this execution."""

    ref: ExecutionRef
    reason: str


class Publish(Struct, frozen=True):
    """Show people and other tasks what is known of the execution."""

    execution: Execution


class Pause(Struct, frozen=True):
    """Wait; answered when the time has passed."""

    seconds: float


class Defer(Struct, frozen=True):
    """End the attempt here and wait in the triggerer. Not answered: another attempt's process resumes.

    :param begun: what the wait takes along.
    """

    ref: ExecutionRef
    deadline: float | None
    begun: Begun


class Ask(Struct, frozen=True):
    """Ask people in Airflow for the approval that an execution waits for, and end the attempt as ``Defer`` does.

    Answered only where nobody was asked: its approval does not show yet, an earlier attempt was told the decision,
    which is sent now, or the time left is too short.

    :param begun: what the wait takes along.
    :param is_patient: whether its approval may show later. If not, it is waited for a decision at the vendor.
    """

    waiting: Execution
    deadline: float | None
    begun: Begun
    is_patient: bool


class TakeAnswer(Struct, frozen=True):
    """Take in a person's answer, or how the question ended without one, and send what is decided by it.

    Answered with the :class:`Outcome` of the wait for the execution, if that has ended the question.
    """

    event: Any


class Tell(Struct, frozen=True):
    """Lines for the task's log."""

    news: list[News]


class ReadLog(Struct, frozen=True):
    """Pass the execution's own log on to the task's log, from where it was read last."""

    wait: Wait


StartCommand = Prepare | Send | Find | Forget | Ask | TakeAnswer
ActCommand = Choose | Act
CommonCommand = Save | Observe | Cancel | Publish | Pause | Defer | Tell | ReadLog
Command = StartCommand | ActCommand | CommonCommand

Program = Generator[Command, Any, Result]
