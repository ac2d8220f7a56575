"""The states of an attempt to start something and wait for it, and the transitions between them, with their reasons.

docs/start.md draws the same table, and the simulator counts how often each transition is made.
"""

from __future__ import annotations

import enum


class State(enum.StrEnum):
    """What an attempt is doing."""

    READING = "reading"
    """It reads the record of earlier attempts."""
    OBSERVING = "observing"
    """It polls the execution that an earlier attempt started."""
    SEARCHING = "searching"
    """It searches for an execution whose start got no answer."""
    ENDING = "ending"
    """It waits for an earlier execution to end, and cancels it if nobody else does."""
    PREPARING = "preparing"
    """It looks up what must be known before a start, and saves the intent."""
    SENDING = "sending"
    """It sends the start request."""
    HOLDING = "holding"
    """The system accepts no start now; it is sent again later."""
    WAITING = "waiting"
    """The execution is known and saved; the attempt waits for its end, here or in the triggerer."""
    CANCELING = "canceling"
    """Time is up: it polls once more, then cancels."""
    LEFT = "left"
    """It succeeded without waiting."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"


TRANSITIONS: dict[tuple[State, State], str] = {
    (State.READING, State.PREPARING): "nothing was started, or it has finished",
    (State.READING, State.OBSERVING): "this start's execution is known",
    (State.READING, State.SEARCHING): "this start was intended, perhaps sent",
    (State.READING, State.ENDING): "a person cleared the task, or the execution was to be canceled",
    (State.READING, State.WAITING): "resumed after a deferral",
    (State.READING, State.CANCELING): "the triggerer reports that time is up",
    (State.READING, State.SUCCEEDED): "the triggerer reports that it succeeded",
    (
        State.READING,
        State.FAILED,
    ): "it failed in the triggerer, is of another system, or it is uncertain whose start it is",
    (State.OBSERVING, State.WAITING): "it is running, or succeeded: adopted",
    (State.OBSERVING, State.PREPARING): "it failed or is gone: start another one",
    (State.OBSERVING, State.FAILED): "somebody canceled or rejected it, or a person may have cleared this task",
    (State.SEARCHING, State.WAITING): "found: adopted",
    (State.SEARCHING, State.SENDING): "certainly not there: sent again",
    (State.SEARCHING, State.PREPARING): "not there: start anew",
    (State.SEARCHING, State.ENDING): "found what a cleared task had started",
    (State.SEARCHING, State.FAILED): "the search failed, it may still begin, or there are several candidates",
    (State.ENDING, State.PREPARING): "it has ended",
    (State.ENDING, State.FAILED): "it could not be canceled, or people have rejected it: nothing else is started",
    (State.PREPARING, State.SENDING): "the intent is saved",
    (State.PREPARING, State.FAILED): "something that it needs is missing",
    (State.SENDING, State.WAITING): "started and saved",
    (State.SENDING, State.HOLDING): "it certainly had no effect, and may be sent again",
    (State.SENDING, State.SEARCHING): "its answer was lost",
    (State.SENDING, State.FAILED): "refused",
    (State.SEARCHING, State.HOLDING): "not there, and refused by a busy system: sent again later",
    (State.HOLDING, State.SENDING): "the pause is over",
    (State.HOLDING, State.SEARCHING): "the pause is over, and an earlier request may have taken effect",
    (State.WAITING, State.LEFT): "the author does not want to wait",
    (State.WAITING, State.SUCCEEDED): "it succeeded",
    (State.WAITING, State.FAILED): "it failed, needs a person, or its state is not known",
    (State.WAITING, State.CANCELING): "time is up",
    (State.CANCELING, State.SUCCEEDED): "it succeeded just in time",
    (State.CANCELING, State.FAILED): "canceled, or not: the error says which",
}
"""Every transition that an attempt may make."""
