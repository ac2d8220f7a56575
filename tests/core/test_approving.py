"""What answers mean: who may give them, how many it takes, and how they are read from what Airflow passes on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from airflow_provider.core.approving import (
    LONGEST_COMMENT,
    LONGEST_MESSAGE,
    Answer,
    Gate,
    GateQuestion,
    Question,
    Rules,
    decided_at_the_vendor,
    decided_elsewhere,
    is_open,
    read_answer,
)
from airflow_provider.core.waiting import Ending, Outcome
from airflow_provider.execution import ExecutionState

AT = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def event(chosen: Any = ("Approve",), **other: Any) -> dict[str, Any]:
    """What Airflow 3.3.2 passes on of an answer."""
    given = {
        "chosen_options": list(chosen),
        "params_input": {"comment": "looks good"},
        "responded_at": AT,
        "responded_by_user": {"id": "7", "name": "Ada"},
        "timedout": False,
    }
    return {**given, **other}


def answer(by: str, decision: str = "approve", at: str = "") -> Answer:
    return Answer(decision=decision, by=by, name=by.title(), at=at or f"2026-11-27T12:00:0{len(by)}+00:00")


def question(**given: Any) -> Question:
    return Question(ref={"system": "code_stream", "kind": "approval", "id": "1"}, **given)


# --- reading


@pytest.mark.parametrize(("chosen", "decision"), [("Approve", "approve"), ("Reject", "reject")])
def test_an_answer_says_who_gave_it_when_and_with_which_comment(chosen, decision):
    read = read_answer(event([chosen]))
    assert read == Answer(decision=decision, by="7", name="Ada", at=AT.isoformat(), comment="looks good")
    assert read_answer(event([chosen], responded_at=AT.isoformat())) == read


@pytest.mark.parametrize(
    ("form", "comment"),
    [
        (None, ""),
        ({}, ""),
        ({"comment": None}, ""),
        ({"comment": 5, "other": [1]}, "5"),
        ({"comment": {"a": "b"}}, "{'a': 'b'}"),
        (["comment"], ""),
        ({"comment": "a\0b "}, "a\ufffdb"),
        ({"comment": "x" * 5000}, "x" * LONGEST_COMMENT),
    ],
)
def test_a_form_that_airflow_has_not_checked_breaks_nothing(form, comment):
    read = read_answer(event(params_input=form))
    assert read is not None
    assert read.comment == comment


def test_what_no_person_has_answered_is_no_answer():
    assert read_answer(event(responded_by_user=None)) is None


@pytest.mark.parametrize("bad", [None, {}, "text", event([]), event(["Other"]), event(["Approve", "Reject"])])
def test_what_is_no_answer_to_our_question_is_refused(bad):
    with pytest.raises(ValueError, match=r"answer"):
        read_answer(bad)


# --- who may, and how many


def test_one_approval_decides_and_so_does_one_rejection():
    for decision in ("approve", "reject"):
        asked = question()
        asked.take(answer("ada", decision), Rules())
        assert asked.decision == decision


def test_two_different_people_must_approve():
    rules, asked = Rules(approvals=2), question()
    asked.take(answer("ada"), rules)
    assert asked.decision is None
    again = asked.take(answer("ada", at="later"), rules)
    assert again is not None
    assert "different people" in again.refused
    assert asked.decision is None
    asked.take(answer("bob"), rules)
    assert asked.decision == "approve"


@pytest.mark.parametrize(
    ("by", "name"),
    [("ADA", "Ada L."), (" ada ", "Ada L."), ("\uff41da", "Ada L."), ("8", "ADA"), ("8", "ada ")],
    ids=["case", "spaces", "another form of a letter", "another id", "another id and spaces"],
)
def test_one_person_under_two_spellings_is_not_two(by, name):
    rules, asked = Rules(approvals=2), question()
    asked.take(answer("ada"), rules)
    again = asked.take(Answer(decision="approve", by=by, name=name, at="later"), rules)
    assert again is not None
    assert "different people" in again.refused
    assert asked.decision is None


def test_two_people_of_whom_no_name_is_known_are_two():
    rules, asked = Rules(approvals=2), question()
    for by in ("7", "8"):
        asked.take(Answer(decision="approve", by=by, at=by), rules)
    assert asked.decision == "approve"


def test_whoever_approved_may_still_reject_before_the_second_approval():
    rules, asked = Rules(approvals=2), question()
    asked.take(answer("ada"), rules)
    second = asked.take(answer("ada", "reject", at="later"), rules)
    assert second is not None
    assert not second.refused
    assert asked.decision == "reject"


def test_the_second_person_may_still_reject():
    rules, asked = Rules(approvals=2), question()
    asked.take(answer("ada"), rules)
    asked.take(answer("bob", "reject"), rules)
    assert asked.decision == "reject"


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_an_answer_of_somebody_else_than_the_approvers_does_not_count(decision):
    rules, asked = Rules(approvers=("ada", "bob")), question()
    refused = asked.take(answer("eve", decision), rules)
    assert refused is not None
    assert "only ada, bob" in refused.refused
    assert asked.decision is None


@pytest.mark.parametrize(
    "requester", ["ada", "Ada", "ADA", "\uff21da "], ids=["by id", "by name", "by case", "by another form"]
)
def test_an_answer_of_the_requester_does_not_count(requester):
    rules, asked = Rules(requester=requester), question()
    refused = asked.take(answer("ada"), rules)
    assert refused is not None
    assert "triggered the run" in refused.refused
    assert asked.decision is None
    asked.take(answer("bob"), rules)
    assert asked.decision == "approve"


def test_an_answer_that_is_delivered_twice_counts_once():
    rules, asked = Rules(approvals=2), question()
    assert asked.take(answer("ada"), rules) is not None
    assert asked.take(answer("ada"), rules) is None
    assert len(asked.answers) == 1


def test_the_rules_are_shown_to_those_who_answer():
    lines = " ".join(Rules(approvers=("ada", "bob"), requester="eve", approvals=2).to_lines())
    for rule in ("Only ada, bob", "eve triggered", "2 different people"):
        assert rule in lines
    assert Rules().to_lines() == []


# --- what is remembered and sent


def test_a_question_is_asked_once_for_each_answer():
    asked = question()
    assert not asked.is_asked
    asked.asked = 1
    assert asked.is_asked
    asked.take(answer("ada"), Rules(approvals=2))
    assert not asked.is_asked


def test_what_is_remembered_survives_the_state_store():
    asked = question(task_name="apr0v1", deadline=5.0)
    asked.take(answer("ada"), Rules(requester="ada"))
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(asked)), Question) == asked


def test_the_system_gets_the_names_and_comments_of_those_who_decided():
    rules, asked = Rules(approvals=2, requester="eve"), question()
    asked.take(answer("eve"), rules)
    asked.take(msgspec.structs.replace(answer("ada"), comment="tests are green"), rules)
    asked.take(answer("bob"), rules)
    message = asked.message("release 1.4.2")
    assert message == "release 1.4.2; approved by Ada (ada): tests are green; approved by Bob (bob)"
    assert asked.message(None).startswith("approved by Ada")


@pytest.mark.parametrize("given", [None, "release 1.4.2", "x" * 5000])
def test_a_message_that_is_too_long_still_names_all_who_decided(given):
    rules, asked = Rules(approvals=4), question()
    for name in ("ada", "bob", "eve"):
        asked.take(msgspec.structs.replace(answer(name), comment=name[0] * LONGEST_COMMENT), rules)
    asked.take(answer("joe"), rules)
    message = asked.message(given)
    assert LONGEST_MESSAGE - 4 <= len(message) <= LONGEST_MESSAGE
    for who in ("Ada (ada): aaa", "Bob (bob): bbb", "Eve (eve): eee", "Joe (joe)"):
        assert f"; approved by {who}" in f"; {message}"
    assert given is None or message.startswith(given[:13])


# --- at the vendor


def test_what_was_decided_at_the_vendor_shows_by_the_state():
    decided = {state: decided_at_the_vendor(state) for state in ExecutionState}
    assert decided == {
        ExecutionState.QUEUED: None,
        ExecutionState.RUNNING: "approve",
        ExecutionState.WAITING: None,
        ExecutionState.PAUSED: None,
        ExecutionState.SUCCEEDED: "approve",
        ExecutionState.FAILED: "reject",
        ExecutionState.CANCELED: None,
        ExecutionState.UNKNOWN: None,
    }


@pytest.mark.parametrize(
    ("ending", "decision"),
    [(Ending.FINISHED, "approve"), (Ending.DEADLINE, None), (Ending.LOST, None)],
)
def test_only_a_wait_with_a_result_shows_a_decision(ending, decision):
    assert decided_elsewhere(Outcome(ending, {"state": "running"})) == decision
    assert decided_elsewhere(Outcome(Ending.LOST)) is None


def test_an_approval_is_open_until_its_execution_continues_or_ends():
    still_open = {state for state in ExecutionState if is_open(state)}
    assert still_open == {ExecutionState.QUEUED, ExecutionState.WAITING, ExecutionState.UNKNOWN}


# --- several gates


def gate(number: int, task_name: str = "") -> Gate:
    return Gate(ref={"kind": "answer", "id": str(number)}, name=f"gate {number}", task_name=task_name)


def test_each_gate_gets_a_question_of_its_own_and_its_answers_are_kept():
    asked = GateQuestion(ref={}, marker="m")
    asked.come_to(gate(1), 5.0)
    assert asked.is_about(gate(1))
    assert not asked.is_about(gate(2))
    asked.take(answer("ada"), Rules())
    asked.come_to(gate(2), None)
    assert (asked.decision, asked.deadline, asked.answers) == (None, None, [])
    asked.take(answer("bob"), Rules())
    assert [(each.by, each.about) for each in asked.all_answers] == [("ada", "gate 1"), ("bob", "gate 2")]


def test_whoever_approved_one_gate_may_approve_the_next():
    asked = GateQuestion(ref={}, marker="m")
    for number in (1, 2):
        asked.come_to(gate(number), None)
        asked.take(answer("ada", at=str(number)), Rules(approvals=1))
        assert asked.decision == "approve"


def test_the_answer_to_one_gate_is_none_to_the_next():
    asked = GateQuestion(ref={}, marker="m")
    asked.come_to(gate(1), None)
    asked.take(answer("ada"), Rules())
    asked.come_to(gate(2), None)
    assert asked.take(answer("ada"), Rules()) is None
    assert asked.decision is None


def test_no_two_questions_of_a_task_have_the_same_label():
    asked, labels = GateQuestion(ref={}, marker="m"), []
    for number in (1, 2):
        asked.come_to(gate(number), None)
        for person in ("ada", "bob"):
            asked.asked = len(asked.answers) + 1
            labels.append(asked.label)
            asked.take(answer(person, at=f"{number} {person}"), Rules(approvals=2))
    assert len(set(labels)) == len(labels) == 4


def test_what_was_asked_for_another_start_does_not_count():
    asked = GateQuestion(ref={}, marker="m")
    asked.come_to(gate(1), None)
    asked.take(answer("ada"), Rules())
    assert GateQuestion.from_json(asked.to_json(), "m") == asked
    for stored, marker in ((asked.to_json(), "other"), (None, "m"), ({"marker": "m"}, "m"), ("text", "m")):
        assert GateQuestion.from_json(stored, marker) == GateQuestion(ref={}, marker=marker)


def test_an_answer_that_came_too_late_decides_nothing():
    asked = GateQuestion(ref={}, marker="m")
    asked.come_to(gate(1), None)
    asked.take(answer("ada"), Rules())
    asked.refuse("too late")
    assert [each.refused for each in asked.all_answers] == ["too late"]
    assert asked.message(None) == ""
