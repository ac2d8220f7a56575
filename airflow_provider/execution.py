"""The vocabulary of all layers: an execution, its state, its steps and the reference to it.

No I/O, and nothing specific to a system; each client translates its system's words into these.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct, field
from msgspec.json import Encoder
from msgspec.structs import replace

from airflow_provider.storable import Kept, storable

ExecutionRef = dict[str, str]
"""Identifies an execution. Text only, so that it goes into XCom, a trigger and the state store unchanged.

Always has ``system``, ``kind`` (what the client looks up) and ``id``; ``place`` (which installation and project of the
system) once the client has observed it; ``guess`` if it was only guessed to be what was started; the rest is up to the
client of ``system``.
"""


class ExecutionState(enum.StrEnum):
    """What an execution is doing, the same words for all systems. Only ``SUCCEEDED`` is success."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    """A person must act before it continues."""
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    UNKNOWN = "unknown"
    """The vendor used a word that the client does not know. Never terminal: waits continue."""

    @property
    def is_terminal(self) -> bool:
        return self in _TERMINAL

    @property
    def needs_a_person(self) -> bool:
        return self in (ExecutionState.WAITING, ExecutionState.PAUSED)


_REVISION_BYTES = 12
_JSON = Encoder(enc_hook=repr)
_TERMINAL = frozenset({ExecutionState.SUCCEEDED, ExecutionState.FAILED, ExecutionState.CANCELED})


class Step(NamedTuple):
    """One stage, task or build step of an execution, in the vendor's own words.

    :param state: its meaning, in the common words.
    """

    name: str
    status: str
    message: str | None = None
    state: ExecutionState = ExecutionState.UNKNOWN


class Execution(Struct):
    """What a system reported about one execution at one moment.

    :param ref: identifies it; may hold more than the one polled (a rerun event that now has its execution).
    :param state: one of the common words.
    :param status: the vendor's own word or number, as text.
    :param url: its page for people, if the system has one.
    :param message: the vendor's message about it, such as the reason of a failure.
    :param outputs: what the next task needs.
    :param started_at: aware; ``None`` while unknown.
    :param finished_at: aware; ``None`` until it has ended.
    :param steps: its parts, in order, if the API lists them.
    :param rejected: whether an approval was rejected or expired; ``None`` if the system does not report it.
    :param revision: changes whenever anything else in the execution changes; "" until a client returns it.
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
    revision: str = ""

    @property
    def id(self) -> str:
        return self.ref["id"]

    @property
    def system(self) -> str:
        return self.ref["system"]

    def failed(self, message: str) -> Execution:
        """The same execution as a failure, for a reason that the vendor does not know."""
        return replace(self, state=ExecutionState.FAILED, message=message)

    def revised(self) -> Execution:
        """This execution, with the ``revision`` of its current content."""
        self.revision = ""
        try:
            content = _JSON.encode(self)
        except (ValueError, TypeError, OverflowError, RecursionError):
            # For example lone surrogates. Ten times as slow.
            content = repr(self).encode()
        self.revision = hashlib.blake2b(content, digest_size=_REVISION_BYTES).hexdigest()
        return self

    def to_result(self) -> dict[str, Any]:
        """The JSON object that operators and sensors return; Airflow can store it, whatever the system answered."""
        duration = None
        if self.started_at and self.finished_at:
            duration = round((self.finished_at - self.started_at).total_seconds(), 3)
        result: dict[str, Any] = storable(self._to_json(duration))
        # A client's outputs were cleaned in a thread: they may be large, and this runs in event loops.
        result["outputs"] = dict(self.outputs) if isinstance(self.outputs, Kept) else storable(self.outputs)
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
        }
