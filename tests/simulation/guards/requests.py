"""Acts, answers to approvals and triggers by hand: requests that are sent once."""

from __future__ import annotations

from tests.simulation.guards.guard import HERE, Change, Guard, act, carrier, notes

GUARDS = (
    # Acts
    act(
        "an act saves what it acts on before it is sent",
        "execute",
        "yield Save(record)\n            seen = yield from self._act(record, seen)",
        "seen = yield from self._act(record, seen)",
    ),
    act(
        "an act saves what it is about even if its effect already shows",
        "execute",
        "if not record.is_taken:",
        "if not record.is_taken and not self.policy.shows_effect(seen):",
    ),
    act("an act that was accepted is not sent again", "execute", "if not record.is_taken:", "if True:"),
    act("a retry of an act is about the same execution", "_own_record", "if related is Relation.CLEARED:", "if True:"),
    act("after a clear an act acts anew", "_own_record", "if related is Relation.CLEARED:", "if False:"),
    act("an act that may be of before a clear fails loudly", "_own_record", "is Relation.AMBIGUOUS:", "is None:"),
    act(
        "after a success of an act, numbers that look alike are ambiguous",
        "_own_record",
        "had_succeeded=record.is_done",
        "had_succeeded=False",
    ),
    carrier(
        "an act asks Airflow before it is sent",
        "3, 8",
        "acting:ActCarrier._act",
        "yield from self.require_standing()",
        "pass",
    ),
    # Answers to approvals
    notes("after a clear an answer is sent anew", "if related is Relation.CLEARED:", "if False:"),
    notes("a retry of an answer is about the same approval", "if related is Relation.CLEARED:", "if True:"),
    notes("an answer that may be of before a clear fails loudly", "if related is Relation.AMBIGUOUS:", "if False:"),
    notes(
        "after a success of an answer, numbers that look alike are ambiguous",
        "had_succeeded=stored.is_done",
        "had_succeeded=False",
    ),
    notes("an answer goes to the system that it was meant for", 'if stored.place not in ("", place):', "if False:"),
    carrier(
        "an answer is noted before it is sent",
        "6",
        "answering:AnswerCarrier.answer",
        "yield from self._note(notes)",
        "pass",
    ),
    carrier(
        "an answer asks Airflow before it is sent",
        "8",
        "answering:AnswerCarrier.send",
        "yield from self.require_standing()",
        "pass",
    ),
    # Answers to approvals of a release
    carrier(
        "an answer to a release is noted before it is sent",
        "18",
        "releasing:ReleaseCarrier._note_and_send",
        "yield from self._note(notes)\n    yield from self._send",
        "yield from self._send",
    ),
    carrier(
        "an answer that a release has taken is not sent again",
        "18",
        "releasing:ReleaseCarrier._answer_once",
        'if notes.get("is_taken"):',
        "if False:",
    ),
    carrier(
        "an answer is not sent to a younger release",
        "18",
        "releasing:ReleaseCarrier._answer_once",
        "if (yield from self._is_waiting_for(notes)) is not False:",
        "if True:",
    ),
    Guard(
        "what somebody else has answered is not taken for an answer of ours",
        "18",
        (
            Change(f"{HERE}.releasing:ReleaseCarrier._answer_once", "yield from self._check_decision(notes)", "pass"),
            Change(f"{HERE}.releasing:ReleaseCarrier._wait_until_taken", "if self._is_inferred:", "if False:"),
        ),
    ),
    carrier(
        "what somebody else has answered at a gate is not taken for an answer of ours",
        "18",
        "gates:GateCarrier._is_decided_by_name",
        "if shown != decision:",
        "if False:",
    ),
    carrier(
        "an answer that was certainly not taken is forgotten",
        "18",
        "releasing:ReleaseCarrier._answer_now",
        "if not error.effect.is_open:",
        "if False:",
    ),
    carrier(
        "a refusal of a second answer does not mean that the first one was refused",
        "",
        "releasing:ReleaseCarrier._answer_once",
        "yield from self._note_and_send(notes)",
        "yield from self._answer_now(notes)",
    ),
    carrier(
        "an answer that seemed to be taken is checked once the release goes on",
        "",
        "releasing:ReleaseCarrier._wait_until_taken",
        "if self._is_inferred:",
        "if False:",
    ),
    carrier(
        "a poll that fails after an answer does not mean that it was refused",
        "18",
        "releasing:ReleaseCarrier._send",
        "not (yield from self._was_taken(notes))",
        "(yield from self._is_waiting_for(notes)) is not False",
    ),
    carrier(
        "an answer to a release asks Airflow before it is sent",
        "8",
        "releasing:ReleaseCarrier._send",
        "yield from self.require_standing()",
        "pass",
    ),
    # Triggers by hand
    carrier(
        "a trigger is noted before it is sent",
        "6",
        "triggering:TriggerCarrier.answer",
        "yield from self._note(notes)",
        "pass",
    ),
    carrier(
        "a retry of a trigger searches for its result, and sends nothing",
        "6",
        "triggering:TriggerCarrier.answer",
        "if notes:",
        "if False:",
    ),
    carrier(
        "the result of a trigger without an answer is searched for",
        "6",
        "triggering:TriggerCarrier._trigger",
        "if not error.effect.is_open:",
        "if True:",
    ),
    carrier(
        "a trigger asks Airflow before it is sent",
        "8",
        "triggering:TriggerCarrier._trigger",
        "yield from self.require_standing()",
        "pass",
    ),
)
