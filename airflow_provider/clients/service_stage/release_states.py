"""What ServiceStage's status integers mean for a release, and when a status may be outdated. No I/O, no clock.

https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0248.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from airflow_provider.clients.times import from_epoch
from airflow_provider.core.durations import DURATIONS
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

GRACE = 60.0
"""Seconds after an action in which a status may be outdated, from before the action."""
UNTRIGGERED_GRACE = 300.0
"""The same for a list whose trigger time is from before a start; limited, in case starts do not change that time."""
TRIGGERED_LATER = 120.0
"""Seconds after an action after which a trigger time is from somebody else's action; allows for two clocks."""

LONGEST_ID = 200
"""Characters of an id, a status or a time."""

TO_BE_APPROVED, PAUSED, STOPPING = "5", "7", "13"

ActionProgress = Literal["left", "begun"]
"""Since an action: ``left`` if another status than before was observed, ``begun`` if one that can only be its own."""

WORDS = {
    "1": "never executed",
    "2": "released",
    "3": "release failed",
    "4": "releasing",
    TO_BE_APPROVED: "to be approved",
    PAUSED: "paused",
    "9": "skipped",
    "10": "rolling back",
    "11": "rolled back",
    "12": "rollback failed",
    STOPPING: "stopping",
    "14": "restarting",
}
ALLOWED_WHEN = {
    "stop": ("4", TO_BE_APPROVED),
    "continue": (PAUSED,),
    "retry": ("3",),
    "rollback": ("2", "3"),
    "approval": (TO_BE_APPROVED,),
}
"""The statuses in which an action that continues an execution is accepted; afterwards the status is another one."""
IN_PROGRESS = frozenset({"4", TO_BE_APPROVED, "10", STOPPING, "14"})
_LONGEST_NUMBER = 20
_STATES = {
    "1": ExecutionState.QUEUED,
    "2": ExecutionState.SUCCEEDED,
    "3": ExecutionState.FAILED,
    "4": ExecutionState.RUNNING,
    TO_BE_APPROVED: ExecutionState.WAITING,
    PAUSED: ExecutionState.PAUSED,
    "9": ExecutionState.SUCCEEDED,
    "10": ExecutionState.RUNNING,
    "11": ExecutionState.FAILED,
    "12": ExecutionState.FAILED,
    STOPPING: ExecutionState.RUNNING,
    "14": ExecutionState.RUNNING,
}
_STATES_OF_A_ROLLBACK = {"2": ExecutionState.FAILED, "11": ExecutionState.SUCCEEDED}
_STATES_OF_A_STOP = {
    TO_BE_APPROVED: ExecutionState.RUNNING,
    **dict.fromkeys(("2", "3", PAUSED, "9", "11", "12"), ExecutionState.SUCCEEDED),
}
_AFTER = {"rollback": _STATES | _STATES_OF_A_ROLLBACK, "stop": _STATES | _STATES_OF_A_STOP}


def text_of(body: Mapping[str, Any], *names: str) -> str:
    """The first of these fields with a value, as text: ids and numbers may be integers or texts.

    A text longer than any id counts as none: it goes into references, which Airflow stores.
    """
    texts = (str(body[name]).strip() for name in names if _is_scalar(body.get(name)))
    return next((text for text in texts if len(text) <= LONGEST_ID), "")


def _is_scalar(value: object) -> bool:
    return value not in (None, "") and not isinstance(value, (dict, list))


def status_of(body: Mapping[str, Any]) -> str:
    """The status of a list item, a record or a reply; "" where it has none."""
    return text_of(body, "status")


def triggered_at(body: Mapping[str, Any]) -> str:
    """Epoch milliseconds, as text, when a list item or a record was last triggered; "" if not known."""
    return text_of(body, "last_trigger_at", "lastTriggerAt", "trigger_at", "triggerAt")


def newest(records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The record of the last execution: execution ids grow."""
    return max(records, key=_number, default=None)


def newer_than(records: Sequence[Mapping[str, Any]], execution_id: str) -> list[Mapping[str, Any]]:
    """The records of executions after this one, oldest first; all records if the id is "" (there was none)."""
    limit = _number({"id": execution_id})
    return sorted((record for record in records if _number(record) > limit), key=_number)


def _number(record: Mapping[str, Any]) -> int:
    text = text_of(record, "id")
    return int(text) if is_number(text) else -1


def is_number(text: str) -> bool:
    """Whether a text is an id or a time in milliseconds, and not longer than those."""
    return text.isdecimal() and len(text) < _LONGEST_NUMBER


class Sighting(msgspec.Struct, frozen=True):
    """An observed status.

    :param about: the record, list item or reply that it is from: the ``outputs`` of the execution.
    :param certain: whether it is of this execution; that of a list item may be of the previous one.
    :param triggered: epoch milliseconds, as text, of the last trigger that the record or the list item shows.
    """

    about: Mapping[str, Any]
    certain: bool
    triggered: str = ""

    @property
    def status(self) -> str:
        return status_of(self.about)


def is_old(ref: ExecutionRef, sighting: Sighting, now: float) -> bool:
    """Whether a status may still be from before the action.

    :param now: epoch seconds, by the clock of ``ref``'s ``since``, or else the vendor's.
    """
    action, status, before = ref.get("action", ""), sighting.status, ref.get("status_before", "")
    if status in IN_PROGRESS - {TO_BE_APPROVED}:
        return False
    if not ref.get("since"):
        # What somebody else has started: only its trigger time shows how long ago that was.
        may_lag = not sighting.certain and action == "start" and _state_of(ref, status).is_terminal
        return may_lag and is_number(sighting.triggered) and abs(now - int(sighting.triggered) / 1000) < GRACE
    passed = now - _seconds(ref["since"])
    if sighting.certain:
        if action == "start":
            # A start creates a new record, which may begin with the status of the previous one, as the answer did.
            return status == ref.get("answered_with") and passed < GRACE
        # The other actions may continue with the old record.
        return status in (before, *ALLOWED_WHEN.get(action, ())) and passed < GRACE
    if action == "start" and _was_triggered_before(ref, sighting.about):
        return passed < UNTRIGGERED_GRACE
    # A list that lags may have shown an even older status just before the action, and now show the one after that.
    is_end = action != "stop" and _state_of(ref, status).is_terminal
    return (status == before or is_end) and passed < GRACE


def progress_of(ref: ExecutionRef, sighting: Sighting, progress: ActionProgress | None) -> ActionProgress | None:
    """The progress of an action after an observation: once it has begun, every later status is its own.

    A new trigger time does not show that it has begun: a list may show the new time with the old status.

    :param progress: its progress before, as observed in the same place.
    """
    if progress == "begun":
        return progress
    has_left = sighting.status != ref.get("status_before")
    is_own = sighting.certain or ref.get("action") != "start" or not _was_triggered_before(ref, sighting.about)
    if sighting.status in IN_PROGRESS and is_own and (has_left or progress == "left"):
        return "begun"
    return "left" if has_left else progress


def _was_triggered_before(ref: ExecutionRef, item: Mapping[str, Any]) -> bool:
    """Whether a list item is still from before a start."""
    triggered = triggered_at(item)
    if triggered and triggered == ref.get("triggered_before"):
        return True
    is_comparable = is_number(triggered) and ref.get("clock") == "vendor"
    return is_comparable and int(triggered) / 1000 < _seconds(ref["since"]) - DURATIONS.same_clock


def speaks_for(ref: ExecutionRef, item: Mapping[str, Any]) -> bool:
    """Whether a list item that is in progress is about this execution, and not about a later one of somebody else."""
    is_in_progress = status_of(item) in IN_PROGRESS and ref.get("since") and is_number(triggered_at(item))
    return bool(is_in_progress) and not is_triggered_later(ref, item)


def is_triggered_later(ref: ExecutionRef, item: Mapping[str, Any]) -> bool:
    """Whether a release task was triggered so long after this action that somebody else did it."""
    triggered = triggered_at(item)
    if not ref.get("since") or not is_number(triggered):
        return False
    return int(triggered) / 1000 > _seconds(ref["since"]) + TRIGGERED_LATER


def is_of_another(record: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Whether a list item is about an execution in progress that is later than the last one among the records."""
    if status_of(item) not in IN_PROGRESS or status_of(record) in IN_PROGRESS:
        return False
    there, here = triggered_at(item), triggered_at(record)
    if not is_number(there) or not is_number(here):
        return True
    return int(there) / 1000 > int(here) / 1000 + DURATIONS.same_clock


def overtaken(ref: ExecutionRef, later: str) -> Execution:
    """An execution that must have ended, because a later one was started, although nothing shows how."""
    if ref.get("action") == "stop":
        return Execution(ref, ExecutionState.SUCCEEDED, "", message=f"ended: superseded by {later}")
    summary = f"ended before {later}; the records do not show how"
    return Execution(ref, ExecutionState.FAILED, "", message=summary)


def accepted(ref: ExecutionRef, reply: Mapping[str, Any]) -> Execution:
    """The execution after an accepted action. If the answer has a terminal status, it is of an earlier execution."""
    seen = execution(ref, Sighting(reply, certain=True))
    if ref.get("action") == "start" and seen.state.is_terminal:
        seen = replace(seen, ref={**ref, "answered_with": seen.status})
    if seen.status in IN_PROGRESS and seen.status != ref.get("status_before"):
        return seen
    return replace(seen, state=ExecutionState.QUEUED, message="accepted")


def execution(
    ref: ExecutionRef, sighting: Sighting, *, may_be_old: bool = False, approvals: Sequence[str] = ()
) -> Execution:
    """One release as an execution.

    :param may_be_old: see :func:`is_old`.
    :param approvals: names of the tasks that may wait for an approval.
    """
    status = sighting.status
    if may_be_old:
        return Execution(ref, ExecutionState.QUEUED, status, message="still shows the status from before the action")
    state = _state_of(ref, status)
    return Execution(
        ref,
        state,
        status,
        message=_message(ref, state, status, approvals),
        outputs=dict(sighting.about),
        started_at=_moment(triggered_at(sighting.about)),
    )


def _state_of(ref: ExecutionRef, status: str) -> ExecutionState:
    return _AFTER.get(ref.get("action", ""), _STATES).get(status, ExecutionState.UNKNOWN)


def _message(ref: ExecutionRef, state: ExecutionState, status: str, approvals: Sequence[str]) -> str | None:
    word = WORDS.get(status)
    if state is ExecutionState.UNKNOWN:
        return f"unknown status {status}" if status else "no status"
    if state is ExecutionState.WAITING:
        return f"{word}: {', '.join(approvals)}" if approvals else word
    if ref.get("action") == "stop" and state is ExecutionState.SUCCEEDED and status != PAUSED:
        return f"{word} before it could be stopped"
    return word if state in (ExecutionState.FAILED, ExecutionState.PAUSED) or status == "9" else None


def is_stopped(seen: Execution) -> bool:
    """Whether it has ended, or is stopped or stopping: a stop would be refused, or stop a later one."""
    return seen.state.is_terminal or seen.state is ExecutionState.PAUSED or seen.status == STOPPING


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _moment(milliseconds: str) -> datetime | None:
    return from_epoch(int(milliseconds)) if is_number(milliseconds) else None
