"""An attempt's decisions about a start in virtual time: what takes too long for a test with real servers.

The simulator tries the same against everything else that goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from airflow_provider.clients.waitable import start_window
from airflow_provider.core.commands import Command, Find, Log, Observe, Pause, Prepare, Publish, Save, Send
from airflow_provider.core.generation import Attempt
from airflow_provider.core.policy import Policy
from airflow_provider.core.record import Phase, StartRecord, read_record
from airflow_provider.core.starting import Start
from airflow_provider.exceptions import (
    Effect,
    ExecutionRejected,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
)
from airflow_provider.execution import Execution, ExecutionState

UNMARKED = Policy(system="quay", place="here", request_timeout=30.0)
MARKED = Policy(system="code_stream", place="here", is_marked=lambda intent: True)

HELD_BACK = ThrottledError("HTTP 429", effect=Effect.NONE, retry_after=290.0)
LOST = ServerUnavailableError("connection reset", effect=Effect.UNKNOWN)


class Ends(Exception):  # noqa: N818 - no error
    """The process of an attempt dies."""


class Life:
    """The attempts of one start, and what they remember; ``now`` is the same for all machines.

    :param send: what the system does with each request; called with its number, from 1 on.
    :param find: what a search finds.
    """

    def __init__(
        self,
        policy: Policy,
        send: Callable[[int], Execution | ReleasePipelineError],
        find: Callable[[], list[Execution]] = list,
    ) -> None:
        self.now = 1_000_000.0
        self.stored: dict[str, Any] | None = None
        self.intents: list[dict[str, Any]] = []
        """Those that were sent."""
        self.commands: list[Command] = []
        """Of the last attempt."""
        self.tries = 0
        self._policy, self._send, self._find = policy, send, find

    @property
    def record(self) -> StartRecord:
        record = read_record(self.stored, self._policy.system)
        assert record
        return record

    def attempt(self, until: Callable[[Command], bool] = lambda command: False) -> Any:
        """Run an attempt until its process dies at a command.

        :return: its result, or the error with which it ends.
        """
        self.tries += 1
        self.commands = []
        record = self.record if self.stored else None
        start = Start(self._policy, record, Attempt(self.tries, 9, 0, 9), self.now)
        program = start.execute()
        answer: Any = None
        try:
            while True:
                is_error = isinstance(answer, ReleasePipelineError)
                command = program.throw(answer) if is_error else program.send(answer)
                self.commands.append(command)
                if until(command):
                    raise Ends
                answer = self._carry_out(command)
                start.now = self.now
        except StopIteration as stop:
            return stop.value
        except (Ends, ReleasePipelineError) as error:
            return error

    def _carry_out(self, command: Command) -> Any:
        match command:
            case Prepare():
                marker = f"airflow-{len(self.intents)}"
                return {"kind": "build", "marker": marker, "since": self.now, "clock": "vendor"}
            case Save(record):
                self.stored = record.to_json()
            case Send(intent):
                self.intents.append(dict(intent))
                return self._send(len(self.intents))
            case Find():
                return self._find()
            case Observe(ref):
                return execution(ref["id"], ExecutionState.SUCCEEDED)
            case Pause(seconds):
                self.now += seconds
            case Log() | Publish():
                pass
            case _:
                raise AssertionError(command)
        return None


def execution(execution_id: str, state: ExecutionState) -> Execution:
    return Execution({"system": "quay", "kind": "build", "id": execution_id}, state, state.value)


def test_a_start_that_a_system_accepted_late_is_searched_for_as_long_as_any_after_its_worker_died():
    """The system accepts no start for ten minutes, and the worker dies while it sends the first one that it accepts."""
    life = Life(UNMARKED, lambda number: HELD_BACK)
    ended = life.attempt(until=lambda command: isinstance(command, Send) and len(life.intents) == 2)
    assert isinstance(ended, Ends)
    begun = life.now
    life.attempt(until=lambda command: isinstance(command, Prepare))
    assert life.now - begun >= 4 * UNMARKED.request_timeout - 10
    assert any(isinstance(each, Find) for each in life.commands)


def test_what_a_start_leads_to_that_a_system_accepted_late_counts_as_its_own():
    """One answer is lost, and then the system accepts no start for ten minutes; the last answer is lost, too."""
    life = Life(UNMARKED, lambda number: HELD_BACK if number in (2, 3) else LOST)
    life.attempt(until=lambda command: isinstance(command, Send) and len(life.intents) == 3)
    earliest, latest = start_window(life.record.intent)
    assert earliest < life.now - 500
    assert life.now < latest


def test_a_process_that_dies_while_a_system_accepts_no_start_has_started_nothing():
    life = Life(UNMARKED, lambda number: HELD_BACK if number == 1 else execution("ours", ExecutionState.SUCCEEDED))
    assert isinstance(life.attempt(until=lambda command: isinstance(command, Pause)), Ends)
    assert life.attempt()["id"] == "ours"
    # A search could only find what somebody else has started.
    assert not any(isinstance(each, Find) for each in life.commands)


def after_a_lost_answer(*found: Execution) -> Life:
    """The worker died as it searched for what it had started; the next attempt finds these."""
    shown: list[Execution] = []
    life = Life(MARKED, lambda number: LOST, find=lambda: shown)
    assert isinstance(life.attempt(until=lambda command: isinstance(command, Find)), Ends)
    shown += found
    return life


def test_of_two_executions_of_one_start_the_one_that_has_succeeded_counts():
    life = after_a_lost_answer(execution("first", ExecutionState.FAILED), execution("second", ExecutionState.SUCCEEDED))
    assert life.attempt()["id"] == "second"
    assert len(life.intents) == 1


def test_an_execution_that_has_succeeded_beside_the_one_that_is_followed_is_named():
    life = after_a_lost_answer(
        execution("first", ExecutionState.SUCCEEDED), execution("second", ExecutionState.RUNNING)
    )
    assert life.attempt()["id"] == "second"
    said = [line.text for each in life.commands if isinstance(each, Log) for line in each.lines]
    assert "build first came late from a start of this task, and succeeded as well as second" in said


def test_what_failed_while_its_start_got_no_answer_may_still_be_rolled_back():
    """Its failure counts if it is still there after some seconds."""
    policy = msgspec.structs.replace(
        MARKED, settling_of=lambda seen: 5.0 if seen.state is ExecutionState.FAILED else 0.0
    )
    life = Life(policy, lambda number: LOST, lambda: [execution("1", ExecutionState.FAILED)])
    begun = life.now
    assert life.attempt()["state"] == ExecutionState.SUCCEEDED
    assert life.now >= begun + 5.0


@pytest.mark.parametrize("is_rejected", [True, False])
def test_what_people_have_rejected_is_not_started_again_after_it_was_given_up_at_its_deadline(is_rejected):
    policy = msgspec.structs.replace(MARKED, is_rejected=lambda marker: is_rejected)
    life = Life(policy, lambda number: execution(str(number), ExecutionState.RUNNING))
    assert isinstance(life.attempt(until=lambda command: isinstance(command, Publish)), Ends)
    record = life.record
    record.phase = Phase.ENDING
    life.stored = record.to_json()
    ended = life.attempt(until=lambda command: isinstance(command, Publish))
    assert isinstance(ended, ExecutionRejected if is_rejected else Ends)
    assert len(life.intents) == (1 if is_rejected else 2)
