"""The commands that a program of the core yields. The operators carry them out, and so does the simulator.

A program is a generator: it yields commands and is sent the result of each, or has its error thrown in. Whoever carries
out the commands sets the program's ``now`` (epoch seconds) before each result, so that the core needs no clock.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from airflow_provider.core.lines import LogLine
from airflow_provider.core.waiting import Begun, Wait
from airflow_provider.execution import Execution, ExecutionRef

Result = TypeVar("Result")


class Saved(Protocol):
    """What is saved in the task state store."""

    @property
    def is_over(self) -> bool:
        """Whether it may be deleted at some point."""

    def to_json(self) -> dict[str, Any]: ...


class Save(Struct, frozen=True):
    """Save the record. Airflow refuses this to an attempt whose task has continued elsewhere."""

    record: Saved


class Forget(Struct, frozen=True):
    """Delete the record, because it is certain that nothing was started."""


class Prepare(Struct, frozen=True):
    """Look up what must be known before a start; answered with an intent, a dict.

    It also holds ``marker`` (a text that no other start has), ``since`` (epoch seconds now) and ``clock`` (whose:
    ``vendor`` or ``worker``).

    :param after_failure: whether an execution of this start has failed; the author may prefer to continue it.
    """

    after_failure: bool = False


class Send(Struct, frozen=True):
    """Send the start request; answered with an :class:`Execution`. Refused to an attempt that is over."""

    intent: dict[str, Any]


class Choose(Struct, frozen=True):
    """Find the execution to act on; answered with an :class:`Execution`."""


class Act(Struct, frozen=True):
    """Send the request of an act on this execution; answered with its new state. Refused as ``Send`` is."""

    target: Execution


class Find(Struct, frozen=True):
    """Search for what a start with this intent has started; answered with a list of executions, oldest first."""

    intent: dict[str, Any]


class Observe(Struct, frozen=True):
    """Poll one execution; answered with an :class:`Execution`."""

    ref: ExecutionRef


class Cancel(Struct, frozen=True):
    """Ask the system once to cancel exactly this execution."""

    ref: ExecutionRef
    reason: str


class Publish(Struct, frozen=True):
    """Publish the id and URL of the execution, for people and other tasks."""

    execution: Execution


class Pause(Struct, frozen=True):
    """Wait; answered when the time has passed."""

    seconds: float


class Defer(Struct, frozen=True):
    """End this process and wait in the triggerer. Not answered: the task resumes in another process.

    :param begun: what the wait passes on.
    """

    ref: ExecutionRef
    deadline: float | None
    begun: Begun


class Ask(Struct, frozen=True):
    """Ask people in Airflow for the approval that an execution waits for, and end this process as ``Defer`` does.

    Answered only if nobody was asked: the approval is not visible yet, an earlier attempt got the decision, which is
    sent now, or the remaining time is too short.

    :param begun: what the wait passes on.
    :param is_patient: whether the approval may become visible later. If not, wait for a decision at the vendor.
    """

    waiting: Execution
    deadline: float | None
    begun: Begun
    is_patient: bool


class TakeAnswer(Struct, frozen=True):
    """Process a person's answer, or the end of the question without one, and send the resulting decision.

    Answered with the :class:`Outcome` of the wait for the execution, if that ended the question.
    """

    event: Any


class Log(Struct, frozen=True):
    """Write lines to the task's log."""

    lines: list[LogLine]


class ReadLog(Struct, frozen=True):
    """Copy the execution's own log to the task's log, from where it was last read, as far as that takes no longer than
    the wait may be held up.

    :param is_last: whether it is not read again.
    """

    wait: Wait
    is_last: bool = False


StartCommand = Prepare | Send | Find | Forget | Ask | TakeAnswer
ActCommand = Choose | Act
CommonCommand = Save | Observe | Cancel | Publish | Pause | Defer | Log | ReadLog
Command = StartCommand | ActCommand | CommonCommand

Program = Generator[Command, Any, Result]
