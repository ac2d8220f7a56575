"""When a wait is over, and how long to pause until the next poll. Pure decisions: no clock, no sleep, no I/O.

The synchronous loop, the triggerer's poller and the sensors all use these: waiting means the same everywhere.
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
from airflow_provider.core.lines import LogLine, name_of
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    Call,
    ConflictError,
    ConnectionConfigError,
    Effect,
    ExecutionCanceled,
    ExecutionFailed,
    ExecutionRejected,
    ExecutionTimeout,
    ExecutionWaiting,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState
from airflow_provider.storable import storable, storable_text

SLOWING = 1.5
"""Factor by which an interval grows with each poll that finds nothing new, if the author allows it."""

WAITED_FOR = "waited_for"
"""What a resumed task has waited for: an argument of its deferral, and a part of the trigger's event."""

GUESS = "guess"
"""Key in the reference of an execution that is only guessed to be the task's own: it is never canceled."""

MOST_DOUBLINGS = 16
"""Of the pause between failing polls: far more than it takes to reach the ceiling, far fewer than overflow a float."""

REFUSALS = (BadRequestError, AuthenticationError, PermissionDeniedError)
"""Errors that can be temporary only if a poll has succeeded before."""
FINAL = (ConflictError, ConnectionConfigError)

MOST_STEPS = 4000
"""Steps whose status a wait remembers: a vendor may return other names in each poll."""
MOST_UNKNOWN = 10
"""Unknown words for a status that are warned about."""
MOST_CHANGES = 2000
"""Changes of an execution and its steps that are logged, in case they go back and forth; its end always is."""
MOST_STEPS_PASSED_ON = 100
"""Steps whose status a wait passes on when it moves to another process: they are stored in Airflow's database."""

POLLS_BEFORE_GONE = 2
"""One "not found" may come from a replica that lags."""


def guessed(execution: Execution) -> Execution:
    """The same execution, marked as a guess: it is waited for but never canceled."""
    return replace(execution, ref={**execution.ref, GUESS: "yes"})


def is_refusal(error: ReleasePipelineError) -> bool:
    """Whether it says that the request is wrong, not that the system is in trouble."""
    return isinstance(error, (*REFUSALS, *FINAL, NotFoundError))


def is_the_systems_own(error: NotFoundError) -> bool:
    """Whether it says that something does not exist, and not that a gateway did not find the system."""
    return error.effect is Effect.REFUSED


class Ending(enum.StrEnum):
    """How a wait ended."""

    FINISHED = "finished"
    """The execution has finished, in whatever way, or reached a state that was waited for."""
    NEEDS_PERSON = "needs_person"
    """It waits for a person, which ends this wait."""
    DEADLINE = "deadline"
    """Time is up; the execution continues."""
    LOST = "lost"
    """Its state is not known: it is gone, or polls failed for longer than the error budget."""


class Outcome(NamedTuple):
    """How a wait ended; JSON on its way from the triggerer to the worker.

    :param execution: the last observation, as :meth:`Execution.to_result`, if there was one.
    :param cause: for ``LOST``, the name of the error class.
    :param error: for ``LOST``, its text.
    :param seconds: how long the wait took, if known.
    :param waited_for: the execution that was waited for, see :func:`named_exactly`.
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
        # A result is storable already.
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
    """A text that identifies an execution: no reference to another one has it."""
    return storable_text(" ".join(str(ref.get(part) or "-") for part in ("kind", "id", "place")))


class Pace:
    """How long to pause between polls over one connection, given how the last poll went."""

    def __init__(self) -> None:
        self._failures = 0
        self._retry_after: float | None = None

    def note(self, error: ReleasePipelineError | None) -> None:
        """Note how a poll went: its error, if it failed."""
        self._failures = self._failures + 1 if error else 0
        self._retry_after = error.retry_after if error else None

    @property
    def is_slowed(self) -> bool:
        return self._failures > 0

    def pause(self, interval: float, until_deadline: float | None = None) -> float:
        """Seconds until the next poll: the interval with jitter, longer while polls fail, in time for a deadline."""
        seconds = interval * random.uniform(0.9, 1.1)  # noqa: S311 - jitter, not security
        if self._failures:
            slowed = interval * 2 ** min(self._failures, MOST_DOUBLINGS)
            seconds = max(seconds, min(DURATIONS.slowest_after_errors, slowed))
        seconds = max(seconds, self._retry_after or 0.0)
        return seconds if until_deadline is None else min(seconds, max(0.0, until_deadline))


class Patience:
    """How long a call for which people wait is retried while the system cannot take it: as long as failing polls are.

    :param interval: seconds between two polls.
    :param now: epoch seconds.
    """

    def __init__(self, interval: float, now: float) -> None:
        self._interval = min(interval, DURATIONS.slowest_after_errors)
        self._end = now + DURATIONS.error_budget
        self._pace = Pace()

    def pause(self, error: ReleasePipelineError) -> float:
        """Seconds until the next try.

        :raises ReleasePipelineError: the error itself, because another try would fail like this one.
        """
        if not _is_passing(error):
            raise error
        self._pace.note(error)
        return self._pace.pause(self._interval)

    def is_over(self, moment: float) -> bool:
        return moment >= self._end


def _is_passing(error: ReleasePipelineError) -> bool:
    """Whether it is about the way to the system, or its state, not about the request."""
    if isinstance(error, NotFoundError):
        return not is_the_systems_own(error)
    # With a code of the vendor's, it is an answer that we do not know.
    is_unreadable = isinstance(error, UnexpectedResponseError) and not error.code
    return is_unreadable or isinstance(error, (ServerUnavailableError, ThrottledError))


class Begun(Struct):
    """What a wait passes on to the process in which it continues, so that the task's log repeats nothing.

    :param since: epoch seconds of its beginning; ``None`` if no first line has been logged yet.
    :param remind_at: epoch seconds at which to log next that the wait continues; default: follows from ``since``.
    :param steps: by name, the status of each step as last logged.
    :param status: the execution's own status as last logged.
    :param log_offset: how far the execution's own log has been copied.
    """

    since: float | None = None
    remind_at: float | None = None
    steps: dict[str, str] = msgspec.field(name="told", default_factory=dict)
    status: str = ""
    log_offset: int = 0

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = storable(msgspec.to_builtins(self))
        return body

    @classmethod
    def from_json(cls, body: object) -> Begun:
        """Anything else counts as a wait that has not begun."""
        try:
            return msgspec.convert(body, cls)
        except msgspec.ValidationError:
            return cls()


class Wait:
    """One wait for an execution: takes each observation, and decides when the wait is over.

    :param ref: the execution to wait for; becomes more exact when a poll returns more.
    :param interval: seconds between polls.
    :param deadline: epoch seconds, ``None`` for no limit.
    :param fail_on_waiting: whether the wait ends if the execution waits for a person.
    :param until: states that end the wait although the execution continues.
    :param proven: whether a poll has succeeded before. If not, a missing permission is not temporary.
    :param slowest: seconds to which the interval may grow while nothing changes; ``None``: it does not grow.
    :param net: seconds between polls from ``net_from`` (epoch seconds) on, unless they fail, because the system reports
        the end by itself; ``None``: it does not.
    :param failing_since: epoch seconds at which polls began to fail, if they do.
    :param begun: what the process in which the wait began has passed on, see :attr:`begun`.
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
        self._logged_steps: dict[str, str] = dict(begun.steps)
        self._logged_status = begun.status
        self._unknown: tuple[str, ...] = ()
        self._changes = 0
        self._lines: list[LogLine] = []

    def update(self, seen: Execution | ReleasePipelineError, now: float) -> Outcome | None:
        """Take one observation; returns how the wait ended, or ``None`` if it continues.

        :param seen: the same object as :attr:`last` if nothing has changed.
        """
        if seen is self.last:
            return self.update_unchanged(now)
        self._begin(now)
        if isinstance(seen, ReleasePipelineError):
            return self._take_error(seen, now)
        if GUESS in self.ref and GUESS not in seen.ref:
            # Clients know nothing of guesses, and may give the same object to other waits: so it is copied.
            seen = guessed(seen)
        known, before = self.ref, self.last
        self.last, self.ref, self.proven = seen, seen.ref, True
        if before and before.status != seen.status:
            self.interval_now = self.interval
        elif before:
            self._slow_down()
        self._relax(now)
        self._note_answer(now)
        self._log_changes(known, seen)
        if seen.state.is_terminal or seen.state in self.until:
            return Outcome(Ending.FINISHED, seen.to_result(), rejected=_was_rejected(before, seen))
        if self._is_late(now):
            return Outcome(Ending.DEADLINE, seen.to_result())
        if self.fail_on_waiting and seen.state.needs_a_person:
            return Outcome(Ending.NEEDS_PERSON, seen.to_result())
        self._remind(now)
        return None

    def update_unchanged(self, now: float) -> Outcome | None:
        """Take a poll that found nothing new."""
        self._begin(now)
        self._note_answer(now)
        self._slow_down()
        self._relax(now)
        if self._is_late(now):
            return Outcome(Ending.DEADLINE, self.last.to_result() if self.last else None)
        self._remind(now)
        return None

    @property
    def interval_in_trouble(self) -> float:
        """Seconds between polls while they fail: two in twenty minutes must not exhaust the error budget."""
        return self.interval_now if self.net is None else self.interval

    def until_deadline(self, now: float) -> float | None:
        return None if self.deadline is None else self.deadline - now

    def new_lines(self) -> list[LogLine]:
        """The log lines about what changed since the last call."""
        new = self._lines
        self._lines = []
        return new

    @property
    def begun(self) -> Begun:
        """What the process needs in which the wait continues."""
        steps = dict(list(self._logged_steps.items())[-MOST_STEPS_PASSED_ON:])
        return Begun(self.since, self._remind_at, steps, self._logged_status, self.log_offset)

    def _begin(self, now: float) -> None:
        if self.since is None:
            self.since = now
        if self._remind_at is None:
            self._remind_at = self.since + lines.next_reminder(now - self.since)

    def _note_answer(self, now: float) -> None:
        if self.failing_since is not None:
            self._lines.append(lines.answers_again(self.ref.get("system", ""), now - self.failing_since))
        self.failing_since, self._not_found = None, 0

    def _log_changes(self, known: ExecutionRef, seen: Execution) -> None:
        if known.get("id") and name_of(known) != name_of(seen.ref):
            self._lines.append(lines.led_to(seen))
        logged = self._logged_steps
        for step in seen.steps:
            # Steps that have not begun are not logged.
            if step.state is not ExecutionState.QUEUED and logged.get(step.name) != step.status:
                logged.pop(step.name, None)
                logged[step.name] = step.status
                self._log_change(lines.step_changed(step))
        while len(logged) > MOST_STEPS:
            del logged[next(iter(logged))]
        status = f"{name_of(seen.ref)} {seen.state} {seen.status}"
        if self._logged_status != status:
            self._logged_status = status
            # It is already logged that the start was accepted.
            if seen.state.is_terminal:
                self._lines.append(lines.changed(seen))
            elif (seen.status or seen.state is not ExecutionState.QUEUED) and not self._was_warned_about(seen):
                self._log_change(lines.changed(seen))

    def _log_change(self, line: LogLine) -> None:
        self._changes += 1
        if self._changes < MOST_CHANGES:
            self._lines.append(line)
        elif self._changes == MOST_CHANGES:
            self._lines.append(lines.changes_too_often(self.ref))

    def _was_warned_about(self, seen: Execution) -> bool:
        """Whether it is in an unknown state by a word that was logged already."""
        if seen.state is not ExecutionState.UNKNOWN:
            return False
        is_logged = seen.status in self._unknown or len(self._unknown) >= MOST_UNKNOWN
        if not is_logged:
            self._unknown += (seen.status,)
        return is_logged

    def _remind(self, now: float, problem: ReleasePipelineError | None = None) -> None:
        """Log that the wait continues, if it is time to and nothing else was logged."""
        if self.since is None or self._remind_at is None or now < self._remind_at:
            return
        self._remind_at = self.since + lines.next_reminder(now - self.since)
        if self._lines:
            return
        if problem and self.failing_since is not None:
            self._lines.append(lines.still_no_answer(problem, now - self.failing_since))
        elif self.last:
            self._lines.append(lines.still(self.last, now - self.since))

    def _take_error(self, error: ReleasePipelineError, now: float) -> Outcome | None:
        is_missing = isinstance(error, NotFoundError) and is_the_systems_own(error)
        self._not_found = self._not_found + 1 if is_missing else 0
        if self._not_found == 1:
            self._missing_since = now
        is_old = now >= self._missing_since + DURATIONS.gone_after
        gone = self._not_found >= POLLS_BEFORE_GONE and (is_old or not self.proven)
        if self.failing_since is None:
            self.failing_since = now
            self._lines.append(lines.poll_failed(error))
        self.interval_now = self.interval_in_trouble
        known = self.last.to_result() if self.last else None
        refused = isinstance(error, REFUSALS)
        # Our own conflicts are about whose execution it is, which no later poll changes. A conflict in a vendor's
        # answer to a poll is something else: even a gateway may answer 409.
        is_final = isinstance(error, FINAL) and error.status is None
        if gone or is_final or (refused and not self.proven):
            return Outcome(Ending.LOST, known, cause=type(error).__name__, error=str(error))
        if self._is_late(now):
            return Outcome(Ending.DEADLINE, known, cause=type(error).__name__, error=str(error))
        if now - self.failing_since >= DURATIONS.error_budget:
            summary = f"all polls failed for {DURATIONS.error_budget:.0f} s, the last one with: {error}"
            # A gateway that does not find the system says nothing about the execution.
            is_outage = isinstance(error, NotFoundError) and not is_missing
            cause = ServerUnavailableError if is_outage else type(error)
            return Outcome(Ending.LOST, known, cause=cause.__name__, error=summary)
        self._remind(now, error)
        return None

    def _slow_down(self) -> None:
        if self.slowest is not None:
            self.interval_now = min(self.interval_now * SLOWING, max(self.slowest, self.interval))

    def _relax(self, now: float) -> None:
        if self.net is not None and now >= self.net_from:
            self.interval_now = max(self.net, self.interval)

    def _is_late(self, now: float) -> bool:
        return self.deadline is not None and now >= self.deadline


def _was_rejected(before: Execution | None, seen: Execution) -> bool:
    """If the system does not say so itself, a failure right after waiting for a person counts as a rejection."""
    if seen.state is not ExecutionState.FAILED:
        return False
    if seen.rejected is not None:
        return seen.rejected
    return before is not None and before.state is ExecutionState.WAITING


def result_of(outcome: Outcome, system: str) -> dict[str, Any]:
    """The result of a wait that ended in success.

    :raises ReleasePipelineError: it ended in any other way, which the class of the error names.
    """
    execution = outcome.execution
    call = Call(system=system)
    if outcome.ending is Ending.LOST:
        cause = getattr(exceptions, outcome.cause or "", ReleasePipelineError)
        raise cause(f"the wait failed before the outcome was known; nothing was canceled: {outcome.error}", call=call)
    if execution is None:
        raise ExecutionTimeout(f"time is up, and no poll succeeded: {outcome.error}", call=call)
    name = name_of(execution["ref"])
    details = f"{name} {lines.doing(ExecutionState(execution['state']), execution['status'])}"
    details += "".join(f": {text}" for text in ((execution["message"] or "").rstrip("."), execution["url"]) if text)
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
