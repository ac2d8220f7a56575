"""A cancel is tried again for as long as it has time, and as the system asks for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider.core.canceling import TaskSeen, Verdict, cancel, judge_trigger_kill
from airflow_provider.core.commands import Cancel, Log, Pause
from airflow_provider.core.durations import DURATIONS
from airflow_provider.core.waiting import GUESS
from airflow_provider.exceptions import (
    ConflictError,
    Effect,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
)

REF = {"system": "quay", "kind": "build", "id": "7"}
LIMIT = 20.0


class Run:
    """What a cancel does while the system answers so, each answer the last one once there is no other."""

    def __init__(self, *answers: ReleasePipelineError | None, ref: dict[str, Any] | None = None) -> None:
        self.cancels, self.warnings, self.pauses = 0, 0, []
        clock, left = SimpleNamespace(now=0.0), list(answers)
        program = cancel(clock, ref or REF, "why", LIMIT)
        self.problem = None
        try:
            command = next(program)
            while True:
                answer = None
                match command:
                    case Cancel():
                        self.cancels += 1
                        answer = left.pop(0) if len(left) > 1 else left[0]
                    case Log(lines):
                        self.warnings += len(lines)
                    case Pause(seconds):
                        self.pauses.append(seconds)
                        clock.now += seconds
                command = program.throw(answer) if answer else program.send(None)
        except StopIteration as stop:
            self.problem = stop.value
        self.took = clock.now


def test_a_cancel_that_is_taken_is_sent_once() -> None:
    run = Run(None)
    assert (run.cancels, run.warnings, run.pauses, run.problem) == (1, 0, [], None)


def test_a_cancel_waits_as_long_as_the_system_asks_for() -> None:
    run = Run(ThrottledError("slower", retry_after=7.0, effect=Effect.NONE), None)
    assert (run.cancels, run.warnings, run.pauses, run.problem) == (2, 1, [7.0], None)


def test_a_cancel_has_no_time_for_a_longer_pause() -> None:
    error = ThrottledError("slower", retry_after=LIMIT + 1, effect=Effect.NONE)
    run = Run(error)
    assert (run.cancels, run.pauses, run.problem) == (1, [], error)


def test_a_cancel_that_gets_no_answer_is_tried_again_ever_slower_and_logged_once() -> None:
    error = ServerUnavailableError("down", effect=Effect.UNKNOWN)
    run = Run(error)
    assert (run.warnings, run.problem) == (1, error)
    assert run.pauses == sorted(run.pauses)
    assert run.pauses[0] == DURATIONS.search_pause
    assert max(run.pauses) == DURATIONS.longest_search_pause
    assert LIMIT - DURATIONS.longest_search_pause <= run.took <= LIMIT


def test_a_cancel_that_is_refused_is_not_sent_again() -> None:
    run = Run(ConflictError("over"))
    assert (run.cancels, run.pauses) == (1, [])
    assert isinstance(run.problem, ConflictError)


def test_a_guess_is_not_canceled() -> None:
    run = Run(None, ref={**REF, GUESS: "yes"})
    assert (run.cancels, run.warnings) == (0, 1)


@pytest.mark.parametrize(
    ("state", "was_retrying", "verdict"),
    [
        ("running", False, Verdict.CANCEL),
        ("running", True, Verdict.LEAVE),
        ("failed", False, Verdict.CANCEL),
        ("failed", True, Verdict.LEAVE_UNSURE),
    ],
)
def test_a_retry_is_not_taken_for_what_a_person_did(state: str, was_retrying: bool, verdict: Verdict) -> None:
    """Its task resumed without the trigger, and the process ended before it could say so."""
    seen = TaskSeen(state, waits_as=None, was_retrying=was_retrying)
    assert judge_trigger_kill(seen, "airflow-1", waited=1.0)[0] is verdict
