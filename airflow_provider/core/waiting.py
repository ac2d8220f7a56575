"""When a wait is over, and how long to pause until the next look. Pure decisions: no clock, no sleep, no I/O.

The synchronous loop, the poller of the triggerer and the sensors all ask these: waiting means the same everywhere.
"""

from __future__ import annotations

import enum
import random
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from airflow_provider import exceptions
from airflow_provider.core import lines
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.lines import News, name_of
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    Call,
    ConflictError,
    ConnectionConfigError,
    ExecutionCanceled,
    ExecutionFailed,
    ExecutionRejected,
    ExecutionTimeout,
    ExecutionWaiting,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
)
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState
from airflow_provider.storable import storable, storable_text

SLOWING = 1.5
"""By how much an interval grows with each look that finds nothing new, where the author allows it."""

WAITED_FOR = "waited_for"
"""What a task that resumes has waited for: an argument of its deferral, and a part of the trigger's event."""

GUESS = "guess"
"""Key of a reference that was only guessed to be what was started: such an execution is never canceled."""

MOST_DOUBLINGS = 16
"""Of the pause between failing looks: far more than reach its ceiling, far fewer than a float can hold."""

REFUSALS = (BadRequestError, AuthenticationError, PermissionDeniedError)
"""Errors that pass by themselves only where a look has succeeded before."""
FINAL = (ConflictError, ConnectionConfigError)

MOST_TOLD = 4000
"""Steps whose status is remembered: a vendor may name others with each look."""
MOST_TAKEN_ALONG = 100
"""Steps whose status a wait takes along when it moves: they are kept in Airflow's database."""

LOOKS_BEFORE_GONE = 2
"""One "not found" may be a replica that lags."""


def guessed(execution: Execution) -> Execution:
    """The same execution, as one that is followed but never canceled."""
    return replace(execution, ref={**execution.ref, GUESS: "yes"})


def is_refusal(error: ReleasePipelineError) -> bool:
    """Whether it says that what was asked for is wrong, and not that the system is in trouble."""
    return isinstance(error, (*REFUSALS, *FINAL, NotFoundError))


class Ending(enum.StrEnum):
    """How a wait ended."""

    FINISHED = "finished"
    """The execution is over, well or badly, or in a state that was waited for."""
    NEEDS_PERSON = "needs_person"
    """It waits for a person, and the wait was told not to."""
    DEADLINE = "deadline"
    """Time is up; the execution goes on."""
    LOST = "lost"
    """Nothing is known of it: it is gone, or looks failed for longer than the error budget."""


class Outcome(NamedTuple):
    """The end of a wait; JSON on its way from the triggerer to the worker.

    :param execution: as :meth:`Execution.to_result`, the last that was seen, if any was.
    :param cause: for ``LOST``, the name of the error class.
    :param error: for ``LOST``, its text.
    :param seconds: how long it was waited for, where that is known.
    :param waited_for: see :func:`named_exactly`: whose end this is.
    """

    ending: Ending
    execution: dict[str, Any] | None = None
    rejected: bool = False
    cause: str | None = None
    error: str | None = None
    seconds: float | None = None
    waited_for: str | None = None

    @property
    def is_success(self) -> bool:
        return bool(
            self.ending is Ending.FINISHED and self.execution and self.execution["state"] == ExecutionState.SUCCEEDED
        )

    def to_event(self) -> dict[str, Any]:
        event: dict[str, Any] = storable({**self._asdict(), "ending": self.ending.value, "execution": None})
        # A result is clean already.
        return event | {"execution": self.execution}

    @classmethod
    def from_event(cls, event: Any) -> Outcome:
        """:raises ValueError: the event is not one of ours."""
        try:
            outcome = cls(**{**event, "ending": Ending(event["ending"])})
        except (KeyError, TypeError, ValueError):
            outcome = None
        if outcome is None or (outcome.ending in (Ending.FINISHED, Ending.NEEDS_PERSON) and not outcome.execution):
            raise ValueError(f"not an event of this provider's trigger: {event!r:.200}")
        return outcome


def named_exactly(ref: ExecutionRef) -> str:
    """A text that no reference to another execution has."""
    return storable_text(" ".join(str(ref.get(part) or "-") for part in ("kind", "id", "place")))


class Pace:
    """How long to pause between looks at one connection, after what the last look said."""

    def __init__(self) -> None:
        self._failures = 0
        self._retry_after: float | None = None

    def note(self, error: ReleasePipelineError | None) -> None:
        """Take in how a look went: its error, if it failed."""
        self._failures = self._failures + 1 if error else 0
        self._retry_after = error.retry_after if error else None

    @property
    def is_slowed(self) -> bool:
        return self._failures > 0

    def pause(self, interval: float, until_deadline: float | None = None) -> float:
        """Seconds until the next look: spread around the interval, slower while looks fail, in time for a deadline."""
        seconds = interval * random.uniform(0.9, 1.1)  # noqa: S311 - spreads looks, protects nothing
        if self._failures:
            slowed = interval * 2 ** min(self._failures, MOST_DOUBLINGS)
            seconds = max(seconds, min(DURATIONS.slowest_after_errors, slowed))
        seconds = max(seconds, self._retry_after or 0.0)
        return seconds if until_deadline is None else min(seconds, max(0.0, until_deadline))


class Begun(Struct):
    """What a wait takes along to the process in which it goes on, so that the task's log tells nothing twice.

    :param since: epoch seconds of its beginning; ``None`` where nobody has told what the task is about.
    :param remind_at: epoch seconds at which it says next that it goes on; default: follows from ``since``.
    :param told: by name, the status of each step as the log tells it.
    :param status: what the log tells of the execution itself.
    :param log_offset: up to where the execution's own log is told.
    """

    since: float | None = None
    remind_at: float | None = None
    told: dict[str, str] = {}
    status: str = ""
    log_offset: int = 0

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = storable(msgspec.to_builtins(self))
        return body

    @classmethod
    def from_json(cls, body: object) -> Begun:
        """What is no such thing says only that nothing was told."""
        try:
            return msgspec.convert(body, cls)
        except msgspec.ValidationError:
            return cls()


class Wait:
    """One wait: is told what each look saw, and says when it is over.

    :param ref: what is waited for; becomes more exact when a look knows more.
    :param interval: seconds between looks.
    :param deadline: epoch seconds, ``None`` for no limit.
    :param fail_on_waiting: whether waiting for a person ends the wait.
    :param until: states that end the wait although the execution goes on.
    :param proven: whether a look has succeeded before. If not, missing rights are no passing trouble.
    :param slowest: seconds to which the interval may grow while nothing changes; ``None``: it stays as it is.
    :param net: seconds between looks from ``net_from`` (epoch seconds) on, while none fails, because the system tells
        the end by itself; ``None``: it does not.
    :param failing_since: epoch seconds of the first of the looks that have failed up to now.
    :param begun: what another process has told of it, as :attr:`begun` gave it there.
    """

    def __init__(
        self,
        ref: ExecutionRef,
        interval: float,
        deadline: float | None = None,
        fail_on_waiting: bool = False,
        until: frozenset[str] = frozenset(),
        slowest: float | None = None,
        proven: bool = True,
        failing_since: float | None = None,
        begun: Begun | None = None,
        net: float | None = None,
        net_from: float = 0.0,
    ) -> None:
        self.ref = ref
        self.interval = self.interval_now = interval
        self.deadline = deadline
        self.fail_on_waiting = fail_on_waiting
        self.until = until
        self.slowest = slowest
        self.net, self.net_from = net, net_from
        self.proven = proven
        self.failing_since = failing_since
        begun = begun or Begun()
        self.since, self._remind_at = begun.since, begun.remind_at
        self.last: Execution | None = None
        self.log_offset = begun.log_offset
        self._not_found = 0
        self._missing_since = 0.0
        self._told: dict[str, str] = dict(begun.told)
        self._told_status = begun.status
        self._news: list[News] = []

    def saw(self, seen: Execution | ReleasePipelineError, now: float) -> Outcome | None:
        """Take in one look; returns how the wait ended, or ``None`` if it goes on.

        :param seen: the very object that :attr:`last` is where nothing has changed.
        """
        if seen is self.last:
            return self.saw_no_change(now)
        self._begin(now)
        if isinstance(seen, ReleasePipelineError):
            return self._saw_error(seen, now)
        if GUESS in self.ref and GUESS not in seen.ref:
            # No client knows that; and what a client has seen may be told to other waits, too.
            seen = guessed(seen)
        known, before = self.ref, self.last
        self.last, self.ref, self.proven = seen, seen.ref, True
        if before and before.status != seen.status:
            self.interval_now = self.interval
        elif before:
            self._slow_down()
        self._rely_on_push(now)
        self._note_answer(now)
        self._tell_changes(known, seen)
        if seen.state.is_terminal or seen.state in self.until:
            return Outcome(Ending.FINISHED, seen.to_result(), rejected=_was_rejected(before, seen))
        if self._is_late(now):
            return Outcome(Ending.DEADLINE, seen.to_result())
        if self.fail_on_waiting and seen.state.needs_a_person:
            return Outcome(Ending.NEEDS_PERSON, seen.to_result())
        self._remind(now)
        return None

    def saw_no_change(self, now: float) -> Outcome | None:
        """Take in a look that found everything as it was."""
        self._begin(now)
        self._note_answer(now)
        self._slow_down()
        self._rely_on_push(now)
        if self._is_late(now):
            return Outcome(Ending.DEADLINE, self.last.to_result() if self.last else None)
        self._remind(now)
        return None

    @property
    def interval_in_trouble(self) -> float:
        """Seconds between looks while they fail: two in twenty minutes must not spend the error budget."""
        return self.interval_now if self.net is None else self.interval

    def until_deadline(self, now: float) -> float | None:
        return None if self.deadline is None else self.deadline - now

    def news(self) -> list[News]:
        """What changed since this was last asked; each change is told once."""
        news = self._news
        self._news = []
        return news

    @property
    def begun(self) -> Begun:
        """For the process in which the wait goes on."""
        told = dict(list(self._told.items())[-MOST_TAKEN_ALONG:])
        return Begun(self.since, self._remind_at, told, self._told_status, self.log_offset)

    def _begin(self, now: float) -> None:
        if self.since is None:
            self.since = now
        if self._remind_at is None:
            self._remind_at = self.since + lines.next_reminder(now - self.since)

    def _note_answer(self, now: float) -> None:
        if self.failing_since is not None:
            self._news.append(lines.answers_again(self.ref.get("system", ""), now - self.failing_since))
        self.failing_since, self._not_found = None, 0

    def _tell_changes(self, known: ExecutionRef, seen: Execution) -> None:
        if known.get("id") and name_of(known) != name_of(seen.ref):
            self._news.append(lines.led_to(seen))
        for step in seen.steps:
            # What has not begun says nothing.
            if step.state is not ExecutionState.QUEUED and self._told.get(step.name) != step.status:
                self._told.pop(step.name, None)
                self._told[step.name] = step.status
                self._news.append(lines.step_changed(step))
        while len(self._told) > MOST_TOLD:
            del self._told[next(iter(self._told))]
        told = f"{name_of(seen.ref)} {seen.state} {seen.status}"
        if self._told_status != told:
            self._told_status = told
            # That a start was taken is told already.
            if seen.status or seen.state is not ExecutionState.QUEUED:
                self._news.append(lines.changed(seen))

    def _remind(self, now: float, problem: ReleasePipelineError | None = None) -> None:
        """Say that the wait goes on, unless something new was to tell."""
        if self.since is None or self._remind_at is None or now < self._remind_at:
            return
        self._remind_at = self.since + lines.next_reminder(now - self.since)
        if self._news:
            return
        if problem and self.failing_since is not None:
            self._news.append(lines.still_no_answer(problem, now - self.failing_since))
        elif self.last:
            self._news.append(lines.still(self.last, now - self.since))

    def _saw_error(self, error: ReleasePipelineError, now: float) -> Outcome | None:
        self._not_found = self._not_found + 1 if isinstance(error, NotFoundError) else 0
        if self._not_found == 1:
            self._missing_since = now
        is_old = now >= self._missing_since + DURATIONS.gone_after
        gone = self._not_found >= LOOKS_BEFORE_GONE and (is_old or not self.proven)
        if self.failing_since is None:
            self.failing_since = now
            self._news.append(lines.look_failed(error))
        self.interval_now = self.interval_in_trouble
        known = self.last.to_result() if self.last else None
        refused = isinstance(error, REFUSALS)
        # A conflict is about whose execution it is: another system, or one of several. No later look settles that.
        # What a vendor answers to a look says nothing of that: a gateway may say 409, too.
        is_final = isinstance(error, FINAL) and error.status is None
        if gone or is_final or (refused and not self.proven):
            return Outcome(Ending.LOST, known, cause=type(error).__name__, error=str(error))
        if self._is_late(now):
            return Outcome(Ending.DEADLINE, known, cause=type(error).__name__, error=str(error))
        if now - self.failing_since >= DURATIONS.error_budget:
            summary = f"no look succeeded for {DURATIONS.error_budget:.0f} s, the last one said: {error}"
            return Outcome(Ending.LOST, known, cause=type(error).__name__, error=summary)
        self._remind(now, error)
        return None

    def _slow_down(self) -> None:
        if self.slowest is not None:
            self.interval_now = min(self.interval_now * SLOWING, max(self.slowest, self.interval))

    def _rely_on_push(self, now: float) -> None:
        if self.net is not None and now >= self.net_from:
            self.interval_now = max(self.net, self.interval)

    def _is_late(self, now: float) -> bool:
        return self.deadline is not None and now >= self.deadline


def _was_rejected(before: Execution | None, seen: Execution) -> bool:
    """Where a system does not say so itself: a failure straight after waiting for a person is a refusal."""
    if seen.state is not ExecutionState.FAILED:
        return False
    if seen.rejected is not None:
        return seen.rejected
    return before is not None and before.state is ExecutionState.WAITING


def result_of(outcome: Outcome, system: str) -> dict[str, Any]:
    """The result of a wait that ended well.

    :raises ReleasePipelineError: it ended in any other way; the class says in which.
    """
    execution = outcome.execution
    call = Call(system=system)
    if outcome.ending is Ending.LOST:
        cause = getattr(exceptions, outcome.cause or "", ReleasePipelineError)
        raise cause(f"the wait ended without an answer, nothing was canceled: {outcome.error}", call=call)
    if execution is None:
        raise ExecutionTimeout(f"time is up, and no look succeeded: {outcome.error}", call=call)
    name = name_of(execution["ref"])
    details = f"{name} {lines.doing(ExecutionState(execution['state']), execution['status'])}"
    details += "".join(f": {text}" for text in (execution["message"], execution["url"]) if text)
    if outcome.ending is Ending.DEADLINE:
        raise ExecutionTimeout(f"time is up: {details}", call=call)
    if outcome.ending is Ending.NEEDS_PERSON:
        raise ExecutionWaiting(details, call=call)
    if outcome.rejected:
        raise ExecutionRejected(f"an approval was refused or expired: {details}", call=call)
    if execution["state"] == ExecutionState.CANCELED:
        raise ExecutionCanceled(details, call=call)
    if execution["state"] != ExecutionState.SUCCEEDED:
        raise ExecutionFailed(details, call=call)
    return execution
