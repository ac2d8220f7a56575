"""What tasks remember in Airflow's task state store: it survives retries, clears and killed workers.

A start of an execution has a :class:`StartRecord`, an act on an existing one an :class:`ActRecord`, and any other
request a :class:`RequestRecord`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import msgspec

from airflow_provider.core.generation import Attempt
from airflow_provider.core.lines import name_of
from airflow_provider.exceptions import ConflictError
from airflow_provider.execution import ExecutionRef
from airflow_provider.storable import storable

VERSION = 2


class Phase(enum.StrEnum):
    """How far a start has come."""

    INTENDED = "intended"
    """About to be sent, or sent: it is not known whether it took effect."""
    STARTED = "started"
    """The execution is known, and this task is responsible for it."""
    ENDING = "ending"
    """It is to be canceled, at its deadline or because Airflow ended the task: it is never adopted again."""
    ENDED = "ended"
    """It has finished, and the result was reported; see ``end``."""
    LEFT = "left"
    """The task succeeded without waiting: the execution continues on its own, whatever happens to the task."""


class End(enum.StrEnum):
    """How a start ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class Record(msgspec.Struct, kw_only=True):
    """What every record has.

    :param attempt: the attempt that last wrote this.
    :param place: which installation of the system it is about, see ``ReleaseClient.place``; "" in old records.
    :param escalated_by: the attempt that failed and asked a person to resolve something; a clear after it means that
        this was done.
    """

    attempt: Attempt
    place: str
    escalated_by: Attempt | None = msgspec.field(default=None, name="told")

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = storable(msgspec.to_builtins(self))
        return body


class StartRecord(Record, kw_only=True):
    """One start.

    :param system: which of the four systems; if a task's operator is replaced, its record may be of another one.
    :param intent: identifies the execution of this start; written before the start.
    :param asked: ``Policy.asked`` of the attempt that started it; "" if that was not recorded.
    :param started: epoch seconds; deadlines count from here, over retries and deferrals.
    :param sent: epoch seconds at which the last start request was about to be sent: long after ``started`` if the
        system accepted none for a while; 0 if that was not recorded.
    :param ref: the execution, once it is known.
    :param sends: how many start requests were about to be sent; reset to 0 if they certainly had no effect.
    :param is_late: whether one of them may take effect after its answer.
    :param unanswered: intents of earlier starts that got no answer and were not found: their executions may have begun
        since, or may begin yet. Only those with a marker, by which they can be recognized.
    :param crashes: how many deferrals ended without an event.
    """

    system: str
    intent: dict[str, Any]
    started: float
    phase: Phase = Phase.INTENDED
    end: End | None = None
    ref: ExecutionRef | None = None
    asked: str = ""
    sent: float = 0.0
    sends: int = 0
    is_late: bool = False
    unanswered: list[dict[str, Any]] = []
    crashes: int = 0
    version: int = VERSION

    @property
    def marker(self) -> str:
        return str(self.intent.get("marker") or "")

    @property
    def had_succeeded(self) -> bool:
        return self.phase is Phase.LEFT or (self.phase is Phase.ENDED and self.end is End.SUCCEEDED)

    @property
    def is_over(self) -> bool:
        """Whether the task no longer waits for anything that this start has started."""
        return self.phase in (Phase.ENDED, Phase.LEFT)

    @property
    def name(self) -> str:
        """What it started, and where, as text for people."""
        what = name_of(self.ref) if self.ref else f"a start of {self.system} that got no answer"
        return f"{what} at {self.place}" if self.place else what


class ActRecord(Record, kw_only=True):
    """An act.

    :param ref: the execution that it acts on.
    :param wanted: ``ActPolicy.wanted`` of the attempt that wrote this.
    :param is_taken: whether the system has accepted the request, or shows its effect anyway: it is not sent again.
    :param is_done: whether the task has succeeded with its result.
    """

    ref: ExecutionRef
    wanted: str = ""
    is_taken: bool = False
    is_done: bool = False

    @property
    def is_over(self) -> bool:
        return self.is_done

    @property
    def name(self) -> str:
        """What it acts on, and where, as text for people."""
        return f"{name_of(self.ref)} at {self.place}"

    def note_done(self, attempt: Attempt) -> None:
        """Note that the task succeeds: another attempt means a clear, unless this one dies at the very end."""
        self.is_taken = self.is_done = True
        self.attempt = attempt


class RequestRecord(Record, kw_only=True):
    """A single request, such as an answer to an approval or a manual trigger.

    :param notes: the operator's own.
    :param is_done: whether the task has succeeded with the result of the request.
    """

    notes: dict[str, Any]
    place: str = ""
    is_done: bool = False

    @property
    def is_over(self) -> bool:
        return self.is_done


def read_record(stored: object, system: str) -> StartRecord | None:
    """Read a record from the state store's value; ``None`` if there is none.

    :param system: of the operator that reads it: records of the first version do not contain it.
    :raises ConflictError: the value is not a valid record: a newer version of this provider or something else wrote it.
    """
    if stored is None:
        return None
    if isinstance(stored, Mapping) and "version" not in stored and "generation" in stored:
        stored = _from_first_version(stored, system)
    try:
        return msgspec.convert(stored, StartRecord)
    except msgspec.ValidationError as error:
        raise _unreadable("start", error) from None


def read_act(stored: object) -> ActRecord | None:
    """As :func:`read_record`, of an act: a retry that did not know its execution could act on a younger one."""
    if stored is None:
        return None
    try:
        return msgspec.convert(stored, ActRecord)
    except msgspec.ValidationError as error:
        raise _unreadable("act", error) from None


def _unreadable(what: str, error: msgspec.ValidationError) -> ConflictError:
    return ConflictError(
        f"could not read the record of an earlier attempt's {what}; a newer version of this provider may have written "
        f"it: {error}. Install that version, or resolve the {what} manually and run the task in a new DAG run"
    )


def _from_first_version(stored: Mapping[str, Any], system: str) -> dict[str, Any]:
    """Convert a record of version 1, which had ``max_tries`` only, and neither place nor system."""
    ref = stored.get("ref")
    phase = (
        Phase.ENDING
        if stored.get("canceled")
        else Phase.LEFT
        if stored.get("left")
        else Phase.STARTED
        if ref
        else Phase.INTENDED
    )
    return {
        "system": str((ref or {}).get("system") or system),
        "place": str((ref or {}).get("place") or ""),
        "attempt": [0, int(stored["generation"]), -1, 0],
        "intent": dict(stored.get("intent") or {}),
        "started": float(stored.get("started") or 0.0),
        "phase": phase.value,
        "ref": ref,
        "sends": 1,
        "crashes": int(stored.get("crashes") or 0),
    }
