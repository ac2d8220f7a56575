"""How far one attempt of a start has come: its state and its record, and how its parts change them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from airflow_provider.core import lines
from airflow_provider.core.commands import Log, Program, Publish, Save
from airflow_provider.core.generation import Attempt, was_resolved
from airflow_provider.core.lines import LogLine
from airflow_provider.core.policy import Policy
from airflow_provider.core.record import End, Phase, StartRecord
from airflow_provider.core.states import TRANSITIONS, State
from airflow_provider.core.waiting import GUESS
from airflow_provider.exceptions import Call, ConflictError, ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionState


class Progress:
    """:param record: what earlier attempts have saved, if anything.
    :param attempt: Airflow's numbers for this attempt.
    :param now: epoch seconds; whoever carries out the commands sets it before each result.
    :param on_transition: called with the states before and after each transition.
    """

    def __init__(
        self,
        policy: Policy,
        record: StartRecord | None,
        attempt: Attempt,
        now: float,
        on_transition: Callable[[State, State], None] = lambda before, after: None,
    ) -> None:
        self.policy = policy
        self.record = record
        self.attempt = attempt
        self.now = now
        self.state = State.READING
        self._on_transition = on_transition

    def enter(self, state: State) -> None:
        if (self.state, state) not in TRANSITIONS:
            raise AssertionError(f"no such transition: {self.state} to {state}")
        self._on_transition(self.state, state)
        self.state = state

    def own_record(self) -> StartRecord:
        """The record of this task's start.

        :raises ConflictError: there is none, or it is of another operator.
        """
        if self.record is None:
            raise self.error(
                ConflictError, "the record of this task's start has disappeared from Airflow's task state store"
            )
        if self.record.system != self.policy.system:
            raise self.error(
                ConflictError, f"this task's operator was replaced while it waited: {self.record.name} is left alone"
            )
        return self.record

    def save(self, record: StartRecord) -> Program[None]:
        record.attempt = self.attempt
        self.record = record
        yield Save(record)

    def remember(
        self, record: StartRecord, execution: Execution, line: Callable[[Execution, str], LogLine] | None = None
    ) -> Program[Execution]:
        """Save and publish the execution of a start.

        :param line: makes the log line that says where it comes from.
        """
        execution.ref.setdefault("place", self.policy.place)
        record.ref = execution.ref
        record.phase = Phase.STARTED
        yield from self.save(record)
        if self.state is not State.WAITING:
            self.enter(State.WAITING)
        yield Publish(execution)
        # A guess is already logged where it is made.
        if line and not (line is lines.found and GUESS in execution.ref):
            yield Log([line(execution, self.policy.place)])
        return execution

    def note_end(self, record: StartRecord, seen: Execution | None) -> Program[None]:
        """Save how the execution ended; nothing if it is gone."""
        if seen is not None:
            record.phase, record.end, record.ref = Phase.ENDED, End(seen.state.value), seen.ref
            yield from self.save(record)

    def escalate(self, record: StartRecord, summary: str) -> Program[NoReturn]:
        """Fail, and let a person resolve it. The record notes that, so that a clear after it counts as the answer."""
        record.escalated_by = self.attempt
        # record.attempt stays that of the attempt that started.
        yield Save(record)
        raise self.error(ConflictError, summary)

    def was_resolved(self, record: StartRecord) -> bool:
        """Whether a person has cleared the task after an attempt asked for that."""
        return was_resolved(record.escalated_by, self.attempt)

    def deadline(self, record: StartRecord) -> float | None:
        return None if self.policy.timeout is None else record.started + self.policy.timeout

    def is_unfinished(self, execution: Execution) -> bool:
        """Whether it is running, still on its way to an end, or could be made to run."""
        is_moving = not execution.state.is_terminal and execution.state is not ExecutionState.PAUSED
        return self.policy.needs_cancel(execution) or is_moving

    def error(self, cls: type[ReleasePipelineError], summary: str) -> ReleasePipelineError:
        return cls(summary, call=Call(system=self.policy.system))
