"""What a task remembers of its start. It outlives retries, clears and killed workers in Airflow's task state store."""

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
    """About to be sent, or sent: whether it took effect is not known."""
    STARTED = "started"
    """The execution is known and ours to follow."""
    ENDING = "ending"
    """It is to be canceled, at its deadline or because Airflow ended the task: never adopted again."""
    ENDED = "ended"
    """It is over, and what came of it was told; see ``end``."""
    LEFT = "left"
    """The task succeeded without waiting: it goes on by itself, whatever becomes of the task."""


class End(enum.StrEnum):
    """How a start ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class StartRecord(msgspec.Struct, kw_only=True):
    """One start.

    :param system: which of the four systems; a task whose operator was replaced has a record of another one.
    :param place: which installation of it, see ``ReleaseClient.place``.
    :param attempt: the attempt that wrote this last.
    :param intent: what recognises the execution of this start; written before the start.
    :param asked: as ``Policy.asked``, of the attempt that started it; "" where that was not written down.
    :param started: epoch seconds; deadlines count from here, over retries and deferrals.
    :param ref: the execution, once it is known.
    :param sends: start requests that were about to be sent; none, if they certainly had no effect.
    :param is_late: whether one of them may take effect later than it was answered.
    :param unanswered: intents of starts before this one that got no answer and were not found: what they led to may
        have begun since, or begin yet. Only those with a marker, which tells.
    :param crashes: how many deferrals ended without an event.
    :param told: the attempt that has failed with words on what a person must resolve; a clear after it is the answer.
    """

    system: str
    place: str
    attempt: Attempt
    intent: dict[str, Any]
    started: float
    phase: Phase = Phase.INTENDED
    end: End | None = None
    ref: ExecutionRef | None = None
    asked: str = ""
    sends: int = 0
    is_late: bool = False
    unanswered: list[dict[str, Any]] = []
    crashes: int = 0
    told: Attempt | None = None
    version: int = VERSION

    @property
    def marker(self) -> str:
        return str(self.intent.get("marker") or "")

    @property
    def had_succeeded(self) -> bool:
        return self.phase is Phase.LEFT or (self.phase is Phase.ENDED and self.end is End.SUCCEEDED)

    @property
    def is_over(self) -> bool:
        """Whether nothing that this start led to is waited for any more."""
        return self.phase in (Phase.ENDED, Phase.LEFT)

    @property
    def name(self) -> str:
        """For people: what it started, and where."""
        what = name_of(self.ref) if self.ref else f"a start of {self.system} that got no answer"
        return f"{what} at {self.place}" if self.place else what

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = storable(msgspec.to_builtins(self))
        return body


def read_record(stored: object, system: str) -> StartRecord | None:
    """The record out of the state store; ``None`` if there is none.

    :param system: of the operator that reads it: records of the first version did not say.
    :raises ConflictError: it cannot be read: a newer version of this provider wrote it, or somebody else.
    """
    if stored is None:
        return None
    if isinstance(stored, Mapping) and "version" not in stored and "generation" in stored:
        stored = _from_first_version(stored, system)
    try:
        return msgspec.convert(stored, StartRecord)
    except msgspec.ValidationError as error:
        raise ConflictError(
            "cannot read what an earlier attempt has written about its start; a newer version of this provider may "
            f"have written it: {error}. Install that version, or resolve the start manually and run the task in a new "
            "DAG run"
        ) from None


def _from_first_version(stored: Mapping[str, Any], system: str) -> dict[str, Any]:
    """Version 1 knew ``max_tries`` only, and neither place nor system."""
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
