"""The bookkeeping that every execution has, whatever the system: who started it, its states with times, its cancels."""

from __future__ import annotations

from typing import Any


class Track:
    """The life of one execution as ``GET /_sandbox/executions`` shows it; times are epoch seconds."""

    def __init__(self, execution_id: str, kind: str, started_by: str, state: str, at: float) -> None:
        self.id = execution_id
        self.kind = kind
        self.started_by = started_by
        self.states: list[tuple[str, float]] = [(state, at)]
        self.cancels: list[float] = []

    @property
    def state(self) -> str:
        return self.states[-1][0]

    @property
    def since(self) -> float:
        """When the current state began."""
        return self.states[-1][1]

    @property
    def started_at(self) -> float:
        return self.states[0][1]

    def enter(self, state: str, at: float) -> None:
        """Notes a change of state; entering the current state again changes nothing."""
        if state != self.state:
            self.states.append((state, at))

    def cancel_received(self, at: float) -> None:
        self.cancels.append(at)

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "kind": self.kind,
            "started_by": self.started_by,
            "state": self.state,
            "states": [{"state": state, "at": at} for state, at in self.states],
            "cancels": list(self.cancels),
        }
