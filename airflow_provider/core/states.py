"""The states of one attempt to start something and wait for it, and the moves between them, each with its reason.

The one place to read them; docs/start.md draws the same table, and the simulator counts how often each move was made.
"""

from __future__ import annotations

import enum


class State(enum.StrEnum):
    """Where an attempt stands."""

    READING = "reading"
    """It reads what earlier attempts have written down."""
    OBSERVING = "observing"
    """It looks at the execution that an earlier attempt started."""
    SEARCHING = "searching"
    """It looks for an execution whose start got no answer."""
    ENDING = "ending"
    """It lets an execution of before end, and cancels it if nobody else does."""
    PREPARING = "preparing"
    """It looks up what must be known before a start, and writes the intent down."""
    SENDING = "sending"
    """The one request that starts something is on its way."""
    HOLDING = "holding"
    """The system takes no start now; it is sent again later."""
    WAITING = "waiting"
    """The execution is known and written down; its end is waited for, here or in the triggerer."""
    CANCELING = "canceling"
    """Its time is up: one last look, then a cancel."""
    LEFT = "left"
    """Success of a task that does not wait."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"


MOVES: dict[tuple[State, State], str] = {
    (State.READING, State.PREPARING): "nothing was started, or what was is over",
    (State.READING, State.OBSERVING): "this start's execution is known",
    (State.READING, State.SEARCHING): "this start was intended, perhaps sent",
    (State.READING, State.ENDING): "a person cleared the task, or the execution was to be canceled",
    (State.READING, State.WAITING): "resumed after a deferral",
    (State.READING, State.CANCELING): "the triggerer says that time is up",
    (State.READING, State.SUCCEEDED): "the triggerer saw it end well",
    (State.READING, State.FAILED): "it ended badly in the triggerer, another system, or not certain whose start it is",
    (State.OBSERVING, State.WAITING): "it goes on, or ended well: adopted",
    (State.OBSERVING, State.PREPARING): "it failed or is gone: start another one",
    (State.OBSERVING, State.FAILED): "somebody canceled it, or a person may have cleared this task",
    (State.SEARCHING, State.WAITING): "found: adopted",
    (State.SEARCHING, State.SENDING): "certainly not there: sent again",
    (State.SEARCHING, State.PREPARING): "not there: start anew",
    (State.SEARCHING, State.ENDING): "found what a cleared task had started",
    (State.SEARCHING, State.FAILED): "it cannot be looked for, may come late, or one of several candidates",
    (State.ENDING, State.PREPARING): "it is over",
    (State.ENDING, State.FAILED): "it cannot be canceled: nothing is started beside it",
    (State.PREPARING, State.SENDING): "the intent is written down",
    (State.PREPARING, State.FAILED): "what it needs is not there",
    (State.SENDING, State.WAITING): "started and written down",
    (State.SENDING, State.HOLDING): "it certainly had no effect, and may be sent again",
    (State.SENDING, State.SEARCHING): "its answer is not known",
    (State.SENDING, State.FAILED): "refused",
    (State.SEARCHING, State.HOLDING): "not there, and refused by a system that is busy: sent again later",
    (State.HOLDING, State.SENDING): "the time has passed",
    (State.HOLDING, State.SEARCHING): "the time has passed, and an earlier request may have taken effect",
    (State.WAITING, State.LEFT): "the author does not wait",
    (State.WAITING, State.SUCCEEDED): "it ended well",
    (State.WAITING, State.FAILED): "it ended badly, needs a person, or nothing is known of it",
    (State.WAITING, State.CANCELING): "time is up",
    (State.CANCELING, State.SUCCEEDED): "it ended well just in time",
    (State.CANCELING, State.FAILED): "canceled, or not: the error says which",
}
"""Every move that an attempt may make."""
