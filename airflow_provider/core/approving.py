"""What an answer in Airflow means for an approval: who may give it, how many it takes, what nobody's silence means.

Pure decisions: no Airflow, clock or I/O.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from airflow_provider.execution import ExecutionRef, ExecutionState
from airflow_provider.storable import storable, storable_text

APPROVE, REJECT = "approve", "reject"
OPTIONS = {APPROVE: "Approve", REJECT: "Reject"}
"""What people choose from. Airflow's UI has buttons of its own for exactly these."""

COMMENT = "comment"
"""The one field of the form beside the choice."""
LONGEST_COMMENT = 1000
LONGEST_MESSAGE = 2000
"""Characters of what the system is told with the answer."""

ASKED_AS = "asked_as"
"""Key in the event of a trigger: the question that it is of. What Airflow itself hands on of an answer has none."""

CLOSED_WHEN = ("running", "paused")
"""States, beside those of an end, of an execution that waits for nobody's answer any more."""


class Ended(enum.StrEnum):
    """How a question ended that nobody answered in Airflow; as ``ended`` in a trigger's event."""

    ELSEWHERE = "elsewhere"
    """Nothing waits for an answer any more: decided at the vendor, expired there, or nothing is known of it."""
    NO_RESPONSE = "no_response"
    """The deadline has passed."""
    UNASKED = "unasked"
    """Airflow knows of no question: it must be asked first."""


class Answer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An answer, or what stands for one.

    :param decision: ``approve`` or ``reject``.
    :param by: id of the user who gave it in Airflow; "" where nobody did.
    :param name: for people.
    :param at: ISO 8601.
    :param refused: why it does not count; "" where it does.
    :param about: which approval, where a task asks about several.
    """

    decision: str
    by: str = ""
    name: str = ""
    at: str = ""
    comment: str = ""
    refused: str = ""
    about: str = ""

    @property
    def who(self) -> str:
        if not self.by or self.by == self.name:
            return self.name or self.by
        return f"{self.name} ({self.by})"

    def to_text(self) -> str:
        said = f": {self.comment}" if self.comment else ""
        return f"{'approved' if self.decision == APPROVE else 'rejected'} by {self.who}{said}"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Who may answer, and what it takes.

    :param approvers: ids of the only users who may; anybody with the right in Airflow where it is empty.
    :param requester: who triggered the run, and may not; ``None``: that does not matter.
    :param approvals: how many people must approve. One rejection is enough.
    :param on_no_response: what follows when nobody has decided in time: ``approve``, ``reject`` or ``fail``.
    """

    approvers: tuple[str, ...] = ()
    requester: str | None = None
    approvals: int = 1
    on_no_response: str = REJECT

    def judge(self, answer: Answer, before: Sequence[Answer]) -> Answer:
        """The answer, with the reason if it does not count."""
        reason = ""
        if self.approvers and answer.by not in self.approvers:
            reason = f"only {', '.join(self.approvers)} may answer"
        elif self.requester and self.requester in (answer.by, answer.name):
            reason = "whoever triggered the run may not answer"
        elif any(each.by == answer.by for each in before if not each.refused):
            reason = "it takes different people, and this one has answered"
        return msgspec.structs.replace(answer, refused=reason)

    def decision(self, answers: Sequence[Answer]) -> str | None:
        """What the answers that count decide; ``None``: others must answer, too."""
        counting = [each.decision for each in answers if not each.refused]
        if REJECT in counting:
            return REJECT
        return APPROVE if len(counting) >= self.approvals else None

    def to_lines(self) -> list[str]:
        """The rules for those who are to answer."""
        lines = []
        if self.approvers:
            lines.append(f"Only {', '.join(self.approvers)} may answer.")
        if self.requester:
            lines.append(f"{self.requester} has triggered the run and may not answer.")
        if self.approvals > 1:
            lines.append(f"{self.approvals} different people must approve, one after another; one rejection is enough.")
        return lines


class Question(msgspec.Struct, kw_only=True):
    """What a task remembers of the question that it asks.

    :param ref: by which the approval is watched.
    :param task_name: which approval of an execution it is, where the answer must say so.
    :param deadline: epoch seconds until which people may answer; ``None``: as long as the system waits.
    :param answers: so far, oldest first, those included that do not count.
    :param asked: how many answers have been asked for, the one that is awaited included.
    :param crashes: how many waits have ended without an event.
    :param decision: what was decided, before it is sent.
    """

    ref: ExecutionRef
    task_name: str = ""
    deadline: float | None = None
    answers: list[Answer] = []
    asked: int = 0
    crashes: int = 0
    decision: str | None = None

    @property
    def told(self) -> list[Answer]:
        """All answers that the task knows."""
        return self.answers

    @property
    def label(self) -> str:
        """Names the answer that is awaited now, among those of the task."""
        return str(self.asked)

    @property
    def is_asked(self) -> bool:
        """Whether people have been asked for the answer that is awaited now."""
        return self.asked > len(self.answers)

    def take(self, answer: Answer, rules: Rules) -> Answer | None:
        """Take an answer in; returns it as it counts, or ``None`` for one that is known already."""
        if any(each.at == answer.at and each.by == answer.by for each in self.told):
            return None
        judged = rules.judge(answer, self.answers)
        self.answers.append(judged)
        self.decision = rules.decision(self.answers)
        return judged

    def refuse(self, reason: str) -> None:
        """None of its answers counts."""
        self.answers = [msgspec.structs.replace(each, refused=each.refused or reason) for each in self.answers]

    def message(self, given: str | None) -> str:
        """What the system is told with the answer: the author's message, and who has decided."""
        told = [each.to_text() for each in self.answers if not each.refused]
        return "; ".join(filter(None, (given, *told)))[:LONGEST_MESSAGE]


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """An approval that an execution of ours has come to.

    :param ref: by which it is watched; the execution's own where the system has none for it.
    :param name: for people.
    :param task_name: which approval of the execution it is, where the answer must say so.
    :param details: what a person must know to decide, by names for people.
    """

    ref: ExecutionRef
    name: str
    task_name: str = ""
    details: dict[str, Any] = {}


class GateQuestion(Question, kw_only=True):
    """What a start remembers of the questions about its gates, one after another.

    :param marker: of the start; what was asked and said of another one does not count.
    :param name: of the gate.
    :param gates: how many there were, the one that is asked about included.
    :param before: the answers about the gates before this one.
    :param is_over: whether the start has ended.
    """

    marker: str
    name: str = ""
    gates: int = 0
    before: list[Answer] = []
    is_over: bool = False

    @classmethod
    def from_json(cls, stored: object, marker: str) -> GateQuestion:
        """What is no such thing, or of another start, says only that nothing was asked yet."""
        try:
            known = msgspec.convert(stored, cls)
        except msgspec.ValidationError:
            known = None
        return known if known and known.marker == marker else cls(ref={}, marker=marker)

    def to_json(self) -> dict[str, Any]:
        body: dict[str, Any] = storable(msgspec.to_builtins(self))
        return body

    @property
    def label(self) -> str:
        return f"{self.gates}.{self.asked}"

    @property
    def told(self) -> list[Answer]:
        return [*self.before, *(msgspec.structs.replace(each, about=self.name) for each in self.answers)]

    def is_about(self, gate: Gate) -> bool:
        return bool(self.ref) and self.ref.get("id") == gate.ref.get("id") and self.task_name == gate.task_name

    def come_to(self, gate: Gate, deadline: float | None) -> None:
        """The next question is about this gate."""
        self.leave()
        self.ref, self.name, self.task_name, self.deadline = dict(gate.ref), gate.name, gate.task_name, deadline
        self.gates += 1

    def leave(self) -> None:
        """The gate is behind: should it come again, it is asked about anew."""
        self.before = self.told
        self.ref, self.name, self.task_name, self.deadline = {}, "", "", None
        self.answers, self.asked, self.decision = [], 0, None


def is_of_another(event: Any, asked_as: str) -> bool:
    """Whether an event is of the trigger of another question."""
    return isinstance(event, Mapping) and event.get(ASKED_AS, asked_as) != asked_as


def read_answer(event: Any, options: Mapping[str, str] = OPTIONS, field: str = COMMENT) -> Answer | None:
    """An answer out of what Airflow hands on of it; ``None`` where no person gave one.

    Airflow checks the choice, but nothing of the rest of the form.

    :param options: what people choose from, by decision.
    :param field: of the form, for words of their own.
    :raises ValueError: it is no answer to a question of ours.
    """
    if not isinstance(event, Mapping) or "chosen_options" not in event:
        raise ValueError(f"not an answer to a required action: {event!r:.200}")
    person = event.get("responded_by_user")
    if not person:
        return None
    chosen = event["chosen_options"]
    decision = next((name for name, option in options.items() if chosen == [option]), None)
    if decision is None:
        raise ValueError(f"the answer must be one of {', '.join(options.values())}, got {chosen!r:.200}")
    form = event.get("params_input")
    comment = form.get(field) if isinstance(form, Mapping) else None
    at: Any = event.get("responded_at")
    return Answer(
        decision=decision,
        by=storable_text(str(person["id"])),
        name=storable_text(str(person["name"])),
        at=at.isoformat() if hasattr(at, "isoformat") else str(at or ""),
        comment=storable_text(str(comment)).strip()[:LONGEST_COMMENT] if comment not in (None, "") else "",
    )


def is_open(state: ExecutionState) -> bool:
    """Whether an approval, or the execution that asked, may still wait for an answer."""
    return not state.is_terminal and state not in CLOSED_WHEN


def decided_at_the_vendor(state: str) -> str | None:
    """What an approval that was answered elsewhere, or the execution that asked, says by its state.

    ``None``: nobody decided; it has expired, was withdrawn, or its execution was stopped.
    """
    if state in (ExecutionState.SUCCEEDED, ExecutionState.RUNNING):
        return APPROVE
    return REJECT if state == ExecutionState.FAILED else None
