"""What ServiceStage's status integers mean for one release, and when an old status is not believed. No I/O.

https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0248.html
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

GRACE = 60.0
"""Seconds after an action in which the status from before it may be an old one."""
TRIGGERED_LATER = 120.0
"""Seconds after an action from which on a trigger time is of somebody else's action; leaves room for two clocks."""

STOPPING = "13"

WORDS = {
    "1": "never executed",
    "2": "released",
    "3": "release failed",
    "4": "releasing",
    "5": "to be approved",
    "7": "paused",
    "9": "skipped",
    "10": "rolling back",
    "11": "rolled back",
    "12": "rollback failed",
    STOPPING: "stopping",
    "14": "restarting",
}
ALLOWED_WHEN = {
    "stop": ("4", "5"),
    "continue": ("7",),
    "retry": ("3",),
    "rollback": ("2", "3"),
    "approval": ("5",),
}
"""The statuses in which an action that goes on with an execution is taken; afterwards the status is another one."""
IN_PROGRESS = frozenset({"4", "5", "10", STOPPING, "14"})
_STATES = {
    "1": ExecutionState.QUEUED,
    "2": ExecutionState.SUCCEEDED,
    "3": ExecutionState.FAILED,
    "4": ExecutionState.RUNNING,
    "5": ExecutionState.WAITING,
    "7": ExecutionState.PAUSED,
    "9": ExecutionState.SUCCEEDED,
    "10": ExecutionState.RUNNING,
    "11": ExecutionState.FAILED,
    "12": ExecutionState.FAILED,
    STOPPING: ExecutionState.RUNNING,
    "14": ExecutionState.RUNNING,
}
_STATES_OF_A_ROLLBACK = {"2": ExecutionState.FAILED, "11": ExecutionState.SUCCEEDED}
_STATES_OF_A_STOP = {
    "5": ExecutionState.RUNNING,
    **dict.fromkeys(("2", "3", "7", "9", "11", "12"), ExecutionState.SUCCEEDED),
}
_AFTER = {"rollback": _STATES | _STATES_OF_A_ROLLBACK, "stop": _STATES | _STATES_OF_A_STOP}


def text_of(body: Mapping[str, Any], *names: str) -> str:
    """The first of these fields that is filled, as text: ids and numbers come as integers or as texts."""
    return next((str(body[name]).strip() for name in names if body.get(name) not in (None, "")), "")


def status_of(body: Mapping[str, Any]) -> str:
    """The status of a list item, a record or a reply; "" where it has none."""
    return text_of(body, "status")


def triggered_at(body: Mapping[str, Any]) -> str:
    """Epoch milliseconds, as text, when a list item or a record was last triggered; "" where it does not say."""
    return text_of(body, "last_trigger_at", "lastTriggerAt", "trigger_at", "triggerAt")


def newest(records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The record of the last execution: execution ids grow."""
    return max(records, key=_number, default=None)


def newer_than(records: Sequence[Mapping[str, Any]], execution_id: str) -> list[Mapping[str, Any]]:
    """The records of executions that came after this one; all of them after "" (there was none)."""
    limit = _number({"id": execution_id})
    return [record for record in records if _number(record) > limit]


def _number(record: Mapping[str, Any]) -> int:
    text = text_of(record, "id")
    return int(text) if text.isdecimal() else -1


@dataclass(frozen=True, slots=True)
class Sighting:
    """A status that was seen somewhere.

    :param about: the record, list item or reply that told it: the ``outputs`` of the execution.
    :param certain: whether it is of this very execution; a list item's may be that of the execution before.
    """

    about: Mapping[str, Any]
    certain: bool

    @property
    def status(self) -> str:
        return status_of(self.about)


def is_old(ref: ExecutionRef, sighting: Sighting, now: float) -> bool:
    """Whether a status may still be the one from before the action.

    That the trigger time moved proves nothing: a list may show the new time with the old status.
    """
    before = ref.get("status_before", "")
    if not before or sighting.status != before or sighting.status in IN_PROGRESS - {"5"}:
        return False
    if sighting.certain and ref.get("action") == "start":
        # A start makes a new record; the other actions may go on with the old one.
        return False
    return now < _seconds(ref.get("since", "")) + GRACE


def speaks_for(ref: ExecutionRef, item: Mapping[str, Any]) -> bool:
    """Whether a list item that is in progress is about this execution, and not about a later one of somebody else."""
    triggered, since = triggered_at(item), _seconds(ref.get("since", ""))
    if status_of(item) not in IN_PROGRESS or not since or not triggered.isdecimal():
        return False
    return int(triggered) / 1000 <= since + TRIGGERED_LATER


def execution(
    ref: ExecutionRef, sighting: Sighting, *, has_changed: bool = False, approvals: Sequence[str] = ()
) -> Execution:
    """One release as an execution.

    :param has_changed: whether another status than that from before the action was seen since.
    :param approvals: names of the tasks that an approval may be for.
    """
    status = sighting.status
    if not has_changed and is_old(ref, sighting, time.time()):
        return Execution(ref, ExecutionState.QUEUED, status, message="still shows the status from before the action")
    state = _AFTER.get(ref.get("action", ""), _STATES).get(status, ExecutionState.UNKNOWN)
    return Execution(
        ref,
        state,
        status,
        message=_message(ref, state, status, approvals),
        outputs=dict(sighting.about),
        started_at=_moment(triggered_at(sighting.about)),
    )


def _message(ref: ExecutionRef, state: ExecutionState, status: str, approvals: Sequence[str]) -> str | None:
    word = WORDS.get(status)
    if state is ExecutionState.UNKNOWN:
        return f"unknown status {status}" if status else "no status"
    if state is ExecutionState.WAITING:
        return f"{word}: {', '.join(approvals)}" if approvals else word
    if ref.get("action") == "stop" and state is ExecutionState.SUCCEEDED and status != "7":
        return f"{word} before it could be stopped"
    return word if state in (ExecutionState.FAILED, ExecutionState.PAUSED) or status == "9" else None


def _seconds(text: str) -> float:
    return float(text) if text else 0.0


def _moment(milliseconds: str) -> datetime | None:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC) if milliseconds.isdecimal() else None
