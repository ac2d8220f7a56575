"""The words that every floor above speaks: an execution, its state, its steps and the reference to it.

No I/O and nothing of any one system lives here; each client turns its system's words into these.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from airflow_provider.storable import storable

ExecutionRef = dict[str, str]
"""What finds an execution again. Text only, so that it goes into XCom, a trigger and the state store as it is.

Always holds ``system``, ``kind`` (what sort of thing the client looks up) and ``id``; ``place`` (which installation and
project of the system) once the client has seen it; ``guess`` where it was only guessed to be what was started; the rest
belongs to the client of ``system``.
"""


class ExecutionState(enum.StrEnum):
    """What an execution is doing, the same words for all systems. Only ``SUCCEEDED`` is success."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    """A person must act before it goes on."""
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    UNKNOWN = "unknown"
    """The vendor used a word that the client does not know. Never terminal: it is waited for."""

    @property
    def is_terminal(self) -> bool:
        return self in _TERMINAL

    @property
    def needs_a_person(self) -> bool:
        return self in (ExecutionState.WAITING, ExecutionState.PAUSED)


_TERMINAL = frozenset({ExecutionState.SUCCEEDED, ExecutionState.FAILED, ExecutionState.CANCELED})


class Step(NamedTuple):
    """One stage, task or build step of an execution, in the vendor's own words.

    :param state: what they mean, in the common words.
    """

    name: str
    status: str
    message: str | None = None
    state: ExecutionState = ExecutionState.UNKNOWN


class Execution(Struct):
    """What a system said of one execution at one moment.

    :param ref: finds it again; may say more than the one asked for (a rerun event that now has its execution).
    :param state: one of the common words.
    :param status: the vendor's own word or number, as text.
    :param url: where a person can look at it, if the system has such a page.
    :param message: the vendor's words about it, for a failure the reason.
    :param outputs: what the next task needs.
    :param started_at: aware; ``None`` while unknown.
    :param finished_at: aware; ``None`` until it ended.
    :param steps: its parts, in order, where the API tells them.
    :param rejected: whether an approval was refused or expired; ``None`` where the system does not say.
    """

    ref: ExecutionRef
    state: ExecutionState
    status: str
    url: str | None = None
    message: str | None = None
    outputs: Mapping[str, Any] = field(default_factory=dict)
    started_at: datetime | None = None
    finished_at: datetime | None = None
    steps: tuple[Step, ...] = ()
    rejected: bool | None = None

    @property
    def id(self) -> str:
        return self.ref["id"]

    @property
    def system(self) -> str:
        return self.ref["system"]

    def failed(self, message: str) -> Execution:
        """The same execution, judged a failure for a reason that the vendor does not see."""
        return replace(self, state=ExecutionState.FAILED, message=message)

    def to_result(self) -> dict[str, Any]:
        """The JSON object that operators and sensors return; Airflow can keep it, whatever the system said."""
        duration = None
        if self.started_at and self.finished_at:
            duration = round((self.finished_at - self.started_at).total_seconds(), 3)
        result: dict[str, Any] = storable(self._to_json(duration))
        return result

    def _to_json(self, duration: float | None) -> dict[str, Any]:
        return {
            "system": self.system,
            "id": self.id,
            "ref": dict(self.ref),
            "state": self.state.value,
            "status": self.status,
            "url": self.url,
            "message": self.message,
            "started_at": self.started_at.isoformat() if self.started_at else None,
            "finished_at": self.finished_at.isoformat() if self.finished_at else None,
            "duration": duration,
            "outputs": dict(self.outputs),
        }
