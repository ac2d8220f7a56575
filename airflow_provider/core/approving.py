"""What answers in Airflow mean for an approval: who may give them, how many it takes, and what happens without one.

Pure decisions: no Airflow, clock or I/O.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from airflow_provider.core.waiting import Ending, Outcome
from airflow_provider.execution import ExecutionRef, ExecutionState
from airflow_provider.identifiers import same_spelling
from airflow_provider.storable import storable, storable_text

APPROVE, REJECT = "approve", "reject"
OPTIONS = {APPROVE: "Approve", REJECT: "Reject"}
"""The choices. Airflow's UI has special buttons for exactly these texts."""

COMMENT = "comment"
"""The only other field of the form."""
LONGEST_COMMENT = 1000
LONGEST_MESSAGE = 2000
"""Characters of the message that the system gets with the answer."""

BETWEEN = "; "
"""Between the texts of that message."""

ASKED_AS = "asked_as"
"""Key in a trigger's event: the question that it is for. Events in which Airflow itself passes an answer have none."""

OF_NO_QUESTION = frozenset({"chosen_options", "ended", "deadline"})
"""Parts of events that need not name a question: those in which Airflow itself passes an answer, and our own."""

CLOSED_WHEN = ("running", "paused")
"""States, besides terminal ones, in which an execution no longer waits for an answer."""


class Ended(enum.StrEnum):
    """How a question ended without an answer in Airflow; the value of ``ended`` in a trigger's event."""

    ELSEWHERE = "elsewhere"
    """An answer is no longer needed: decided at the vendor, expired there, or its state is not known."""
    NO_RESPONSE = "no_response"
    """The deadline has passed."""
    UNASKED = "unasked"
    """Airflow has no such question: it must be asked first."""
    UNHEARD = "unheard"
    """It may still be open, but no trigger listens any more; only its deadline applies."""


class Answer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An answer, or the default that takes its place.

    :param decision: ``approve`` or ``reject``.
    :param by: id of the user who gave it in Airflow; "" if nobody did.
    :param name: the user's name, for people.
    :param at: ISO 8601.
    :param refused: why it does not count; "" if it does.
    :param about: which approval, if a task asks about several.
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

    def is_by_same_person(self, other: Answer) -> bool:
        """Whether one person gave both, perhaps under another spelling of the id or as a re-created user."""
        return any(
            mine and same_spelling(mine) == same_spelling(its)
            for mine, its in ((self.by, other.by), (self.name, other.name))
        )

    def to_text(self) -> str:
        comment = f": {self.comment}" if self.comment else ""
        return f"{'approved' if self.decision == APPROVE else 'rejected'} by {self.who}{comment}"


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Who may answer, and how many must.

    :param approvers: ids of the only users who may answer; empty: everybody with the permission in Airflow.
    :param requester: who triggered the run, and therefore may not answer; ``None``: no such rule.
    :param approvals: how many people must approve. One rejection is enough.
    :param on_no_response: what happens without a decision in time: ``approve``, ``reject`` or ``fail``.
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
        elif self.requester and same_spelling(self.requester) in map(same_spelling, (answer.by, answer.name)):
            reason = "the person who triggered the run may not answer"
        elif answer.decision == APPROVE and any(answer.is_by_same_person(each) for each in before if not each.refused):
            # Whoever approved may still reject: one rejection is enough.
            reason = "different people must approve, and this person already has"
        return msgspec.structs.replace(answer, refused=reason)

    def decision(self, answers: Sequence[Answer]) -> str | None:
        """The decision of the answers that count; ``None`` if more are needed."""
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
            lines.append(f"{self.requester} triggered the run and may not answer.")
        if self.approvals > 1:
            lines.append(f"{self.approvals} different people must approve, one after another; one rejection is enough.")
        return lines


class Question(msgspec.Struct, kw_only=True):
    """What a task remembers about the question that it asks.

    :param ref: reference with which the approval is polled.
    :param task_name: which approval of an execution it is, if the answer must name it.
    :param arguments: those by which the task named the approval.
    :param deadline: epoch seconds until which people may answer; ``None``: as long as the system waits.
    :param answers: the answers so far, oldest first, including those that do not count.
    :param asked: how many answers were asked for, including the pending one.
    :param crashes: how many waits ended without an event.
    :param is_late: whether nobody decided in time, and the task failed: its retry gives people that time again.
    :param decision: the decision, saved before it is sent.
    :param is_decided_elsewhere: whether the last answer is what was decided at the vendor: nothing is sent then.
    """

    ref: ExecutionRef
    task_name: str = ""
    arguments: dict[str, str | None] = {}
    deadline: float | None = None
    answers: list[Answer] = []
    asked: int = 0
    crashes: int = 0
    is_late: bool = False
    decision: str | None = None
    is_decided_elsewhere: bool = False

    @property
    def all_answers(self) -> list[Answer]:
        """All answers that the task knows of."""
        return self.answers

    @property
    def label(self) -> str:
        """Names the pending answer, among those of the task."""
        return str(self.asked)

    @property
    def is_asked(self) -> bool:
        """Whether people have been asked for the pending answer."""
        return self.asked > len(self.answers)

    def take(self, answer: Answer, rules: Rules) -> Answer | None:
        """Take an answer and judge it; returns the judged answer, or ``None`` if it is already known."""
        if any(each.at == answer.at and each.by == answer.by for each in self.all_answers):
            return None
        judged = rules.judge(answer, self.answers)
        self.answers.append(judged)
        self.decision = rules.decision(self.answers)
        return judged

    def end_late(self) -> None:
        """Nobody has decided in time, and the task fails."""
        self.is_late = True
        self.asked = min(self.asked, len(self.answers))

    def renew(self, deadline: float | None) -> None:
        """Give people more time if the attempt before has failed because nobody decided."""
        if self.is_late:
            self.is_late, self.deadline = False, deadline

    def refuse(self, reason: str) -> None:
        """Let none of its answers count."""
        self.answers = [msgspec.structs.replace(each, refused=each.refused or reason) for each in self.answers]

    def message(self, given: str | None) -> str:
        """The message that the system gets with the answer: the author's text, and who decided.

        If that is too long, the longest texts are cut: each still begins with who decided.
        """
        deciders = [each.to_text() for each in self.answers if not each.refused]
        texts = [each for each in (given, *deciders) if each]
        return BETWEEN.join(_fitting(texts, LONGEST_MESSAGE - len(BETWEEN) * (len(texts) - 1)))


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """An approval that an execution of ours has reached.

    :param ref: reference with which it is polled; the execution's own if approvals have none in this system.
    :param name: its name, for people.
    :param task_name: which approval of the execution it is, if the answer must name it.
    :param details: what a person must know to decide, by names for people.
    """

    ref: ExecutionRef
    name: str
    task_name: str = ""
    details: dict[str, Any] = {}


class GateQuestion(Question, kw_only=True):
    """What a start remembers about the questions for its gates, one after another.

    :param marker: of the start; questions and answers of another start do not count.
    :param name: name of the current gate.
    :param gates: how many gates there were, including the current one.
    :param sends: how often the decision about the current one was about to be sent.
    :param before: the answers for earlier gates.
    :param is_over: whether the start has ended.
    """

    marker: str
    name: str = ""
    gates: int = 0
    sends: int = 0
    before: list[Answer] = []
    is_over: bool = False

    @classmethod
    def from_json(cls, stored: object, marker: str) -> GateQuestion:
        """Anything else, or a question of another start, counts as nothing asked yet."""
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
    def all_answers(self) -> list[Answer]:
        return [*self.before, *(msgspec.structs.replace(each, about=self.name) for each in self.answers)]

    @property
    def is_rejected(self) -> bool:
        """Whether people in Airflow have rejected the last gate that was reached."""
        last = self.all_answers[-1:]
        return any(each.decision == REJECT and each.by and not each.refused for each in last)

    def is_about(self, gate: Gate) -> bool:
        return bool(self.ref) and self.ref.get("id") == gate.ref.get("id") and self.task_name == gate.task_name

    def come_to(self, gate: Gate, deadline: float | None) -> None:
        """Ask about this gate next."""
        self.leave()
        self.ref, self.name, self.task_name, self.deadline = dict(gate.ref), gate.name, gate.task_name, deadline
        self.gates += 1

    def leave(self) -> None:
        """Leave the current gate behind: if the execution reaches it again, people are asked again."""
        self.before = self.all_answers
        self.ref, self.name, self.task_name, self.deadline = {}, "", "", None
        self.answers, self.asked, self.sends, self.is_late, self.decision = [], 0, 0, False, None


def _fitting(texts: Sequence[str], longest: int) -> list[str]:
    """The texts, of which the longest are cut to one length, so that all have at most so many characters together."""
    lengths = sorted(map(len, texts))
    for number, length in enumerate(lengths):
        share = longest // (len(lengths) - number)
        if length > share:
            return [text[:share] for text in texts]
        longest -= length
    return [*texts]


def is_of_another(event: Any, asked_as: str) -> bool:
    """Whether an event comes from the trigger of another question, or from one that waits for something else."""
    if not isinstance(event, Mapping):
        return True
    if ASKED_AS in event:
        return bool(event[ASKED_AS] != asked_as)
    return OF_NO_QUESTION.isdisjoint(event)


def read_answer(event: Any, options: Mapping[str, str] = OPTIONS, field: str = COMMENT) -> Answer | None:
    """Read an answer from the event in which Airflow passes it; ``None`` if no person gave one.

    Airflow checks the choice, but not the rest of the form.

    :param options: what people choose from, by decision.
    :param field: the form field with their own words.
    :raises ValueError: it is not an answer to one of our questions.
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
    """Whether an approval, or the execution that it belongs to, may still wait for an answer."""
    return not state.is_terminal and state not in CLOSED_WHEN


def decided_at_the_vendor(state: str) -> str | None:
    """The decision that follows from the state of an approval that was answered elsewhere, or of its execution.

    ``None``: nobody decided; it has expired or was withdrawn, or its execution was stopped.
    """
    if state in (ExecutionState.SUCCEEDED, ExecutionState.RUNNING):
        return APPROVE
    return REJECT if state == ExecutionState.FAILED else None


def decided_elsewhere(outcome: Outcome) -> str | None:
    """The decision that the end of a wait shows.

    ``None`` also for a wait that ended because time was up or polls failed: until then, an execution that has failed
    counts as running while it may be rolled back.
    """
    if outcome.ending is not Ending.FINISHED or not outcome.execution:
        return None
    return decided_at_the_vendor(outcome.execution["state"])
