"""Executions as a vendor has them, with their gates; here called jobs: an ``Execution`` is what a client has observed.

Also holds what only the world knows: who really started each.
"""

from __future__ import annotations

import math
from typing import Any

from airflow_provider.exceptions import ConflictError
from airflow_provider.execution import ExecutionState
from tests.simulation.network import CALL
from tests.simulation.world import World

REVOKED_FOR = 60.0
"""Seconds for which an execution whose end was revoked continues."""


class Gate:
    """An approval that an execution reaches.

    :param asked_at: when the execution begins to wait for it.
    """

    def __init__(self, asked_at: float) -> None:
        self.asked_at = asked_at
        self.status = "active"


class Job:
    """One execution as the vendor has it, and what only the world knows: who really started it.

    :param owner: the task that started it; ``None`` for a colleague.
    :param generation: of the task then.
    :param was_late: whether it began so long after its start was sent that nobody could wait for it.
    """

    def __init__(self, world: World, number: int, owner: Any, generation: int, outcome: str, seconds: float) -> None:
        self.world = world
        self.id = str(number)
        self.owner = owner
        self.generation = generation
        self.begun = world.now
        self.marker = self.system = self.event = self.place = ""
        self.was_late = self.is_heard = False
        """Whether the answer to its start has reached its sender."""
        self.ended_by = ""
        """Who asked for its end: "us", "colleague", "act", "people" or "" for nobody."""
        self.acted_on_by: set[Any] = set()
        """Tasks whose act has arrived."""
        self.was_resumed = False
        """Whether a colleague resumed it after its end was asked for."""
        self.listed_from = self.seen_from = world.now
        self._outcome = outcome
        self._ends = world.now + seconds
        self._paused_since: float | None = None
        self._cancel_at: float | None = None
        self._stop_leaves = ExecutionState.CANCELED
        self._end: ExecutionState | None = None
        self.ends_for: float | None = None
        """Seconds after which the vendor takes back that it has failed, once."""
        self.gates: list[Gate] = []

    def __str__(self) -> str:
        return f"{self.id} of {self.owner or 'a colleague'}"

    @property
    def state(self) -> ExecutionState:
        now = self.world.now
        gate = self.open_gate
        stands = self._paused_since is not None or gate is not None
        is_canceled = self._end is None and self._cancel_at is not None and now >= self._cancel_at
        if is_canceled and (stands or (self._cancel_at or 0.0) < self._ends):
            self._end, self._cancel_at = self._stop_leaves, None
        if self._end is None and not stands and now >= self._ends:
            if self.ends_for is not None and self._outcome == "failed":
                if now < self._ends + self.ends_for:
                    return ExecutionState.FAILED
                self._ends += self.ends_for + REVOKED_FOR
                self.ends_for = None
                return self.state
            self._end, self._cancel_at = ExecutionState(self._outcome), None
        if self._end is not None:
            return self._end
        if self._paused_since is not None:
            return ExecutionState.PAUSED
        return ExecutionState.RUNNING if gate is None else ExecutionState.WAITING

    @property
    def open_gate(self) -> int | None:
        """The number of the gate that it waits at."""
        if self._end is not None:
            return None
        places = enumerate(self.gates)
        return next((n for n, each in places if each.status == "active" and self.world.now >= each.asked_at), None)

    def answer_gate(self, number: int, decision: str) -> bool:
        """Take an answer; returns whether it had an effect.

        :raises ConflictError: it was decided before, or is not waited for any more.
        """
        gate = self.gates[number]
        if self.state is not ExecutionState.WAITING or self.open_gate != number:
            if gate.status == decision:
                return False
            raise ConflictError(f"gate {number} is {gate.status}, and {self} is {self.state}", call=CALL)
        waited = self.world.now - gate.asked_at
        gate.status = decision
        self._ends += waited
        for later in self.gates[number + 1 :]:
            later.asked_at += waited
        if decision == "reject":
            self._end, self._cancel_at, self.ended_by = ExecutionState.FAILED, None, "people"
        return True

    @property
    def is_over(self) -> bool:
        return self.state.is_terminal

    @property
    def end_will_be_revoked(self) -> bool:
        """Whether it shows an end that the vendor will revoke."""
        return self.state is ExecutionState.FAILED and self._end is None

    @property
    def is_being_canceled(self) -> bool:
        return self._cancel_at is not None and not self.is_over

    @property
    def is_active(self) -> bool:
        """Whether it runs, or could be made to, and nobody has asked for its end."""
        state = self.state
        stopped = state is ExecutionState.PAUSED and self._end is not None
        return not state.is_terminal and not stopped and self._cancel_at is None

    def was_active_after(self, moment: float) -> bool:
        """Whether it is active, or was after that moment until it ended by itself."""
        return self.is_active or (not self.ended_by and not self.was_resumed and self._ends > moment)

    def cancel(self, after: float, leaves: ExecutionState, who: str) -> None:
        if self.is_active:
            self._cancel_at, self._stop_leaves, self.ended_by = self.world.now + after, leaves, who

    def pause(self) -> None:
        if self.is_active and self._paused_since is None:
            self._paused_since = self.world.now

    def resume(self) -> None:
        if self.state is not ExecutionState.PAUSED:
            return
        since = self.world.now if self._paused_since is None else self._paused_since
        self._ends += self.world.now - since
        if self._end is ExecutionState.PAUSED:
            self._ends = max(self._ends, self.world.now + 30.0)
            self.was_resumed = True
        self._end = self._paused_since = None

    def end_paused(self) -> None:
        for gate in self.gates:
            gate.asked_at = math.inf if gate.status == "active" else gate.asked_at
        if self.state is ExecutionState.PAUSED:
            self._end, self.ended_by = ExecutionState.CANCELED, self.ended_by or "colleague"

    def run_again(self, outcome: str, seconds: float, generation: int) -> None:
        """A failed one is continued."""
        self._end, self._outcome, self._ends = None, outcome, self.world.now + seconds
        self.generation, self.ended_by, self.was_resumed = generation, "", False
