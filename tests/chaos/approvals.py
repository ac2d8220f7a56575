"""What people said about the gates of a release, what took effect there, and what is wrong with that. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

APPROVE, REJECT = "approve", "reject"
IN_AIRFLOW, AT_THE_VENDOR = "in Airflow", "at the vendor"
REVIEWER = "admin"
"""Who answers in Airflow."""


@dataclass(frozen=True)
class Said:
    """What a person decided, once.

    :param at: epoch seconds, just before they said it.
    :param words: other ones each time.
    :param place: where they said it.
    :param is_taken: whether it was accepted there; ``None``: no reply came.
    """

    at: float
    decision: str
    words: str
    place: str = IN_AIRFLOW
    is_taken: bool | None = True

    @property
    def as_sent(self) -> str:
        """What the system must get with the decision."""
        if self.place == AT_THE_VENDOR:
            return self.words
        return f"{'approved' if self.decision == APPROVE else 'rejected'} by {REVIEWER}: {self.words}"


@dataclass(frozen=True)
class Gate:
    """An approval that an execution has reached.

    :param opened: epoch seconds.
    :param decision: that took effect; ``None``: none did.
    :param message: that came with it.
    """

    execution_id: str
    opened: float
    decision: str | None = None
    message: str = ""

    def decided_by(self, said: Sequence[Said]) -> Said | None:
        """Whose decision it was."""
        return next((each for each in said if each.words in self.message), None) if self.decision else None


def wrong_decisions(
    gates: Sequence[Gate], said: Sequence[Said], *, is_touched_after: Callable[[float], bool]
) -> list[str]:
    """Each way in which what took effect is not what people said, once and after they were asked.

    :param is_touched_after: whether somebody ended or cleared the task after a moment, or about then.
    """
    wrong, unheard = [], list(said)
    for gate in sorted(gates, key=lambda each: each.opened):
        what = f"{gate.decision} of {gate.execution_id} ({gate.message})"
        by = gate.decided_by(unheard)
        if by:
            unheard.remove(by)
        if gate.decision is None:
            if not is_touched_after(gate.opened):
                wrong.append(f"no decision about {gate.execution_id}, open since {gate.opened:.1f}")
        elif by is None:
            wrong.append(f"{what}: nobody said that, or it has decided about another gate")
        elif (by.decision, by.as_sent) != (gate.decision, gate.message):
            wrong.append(f"{what}: they said {by.decision}")
        elif by.is_taken is False:
            wrong.append(f"{what}: this answer was refused {by.place}")
        elif by.at < gate.opened:
            wrong.append(f"{what}: said at {by.at:.1f}, before it was asked at {gate.opened:.1f}")
    # Next to a decision at the vendor, an answer in Airflow may come too late.
    is_decided_there = any(each.place == AT_THE_VENDOR and each.is_taken is not False for each in said)
    wrong += [
        f"in vain at {each.at:.1f}: {each.as_sent}"
        for each in unheard
        if each.is_taken and each.place == IN_AIRFLOW and not is_decided_there and not is_touched_after(each.at)
    ]
    return wrong
