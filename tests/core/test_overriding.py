"""Who may release although no window is open, and which earlier answers still count."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.core.generation import Attempt
from airflow_provider.core.overriding import LONGEST_REASON, REASON, Overriding, override_of

FIRST = Attempt(try_number=1, max_tries=3, clear_number=0, retries=3)
RETRY = FIRST._replace(try_number=2)
CLEARED = FIRST._replace(try_number=2, max_tries=4, clear_number=1)
UNCERTAIN = FIRST._replace(try_number=2, clear_number=1)
"""Another task of the run was cleared, or this one."""


def answer(by: str | None = "ada", reason: Any = "an outage") -> dict[str, Any]:
    person = None if by is None else {"id": by, "name": by.title()}
    return {
        "chosen_options": ["Release now"],
        "params_input": {REASON: reason},
        "responded_at": "2026-11-28T10:00:00+00:00",
        "responded_by_user": person,
    }


def asked(attempt: Attempt = FIRST) -> Overriding:
    known = Overriding(attempt=attempt)
    known.ask()
    return known


def test_an_approver_with_a_reason_overrides():
    known = asked()
    assert known.take(answer(), ["ada"]) is known.override
    assert override_of(known.override) == {
        "by": "ada",
        "name": "Ada",
        "at": "2026-11-28T10:00:00+00:00",
        "reason": "an outage",
    }
    assert (known.is_over, known.is_open) == (True, False)


@pytest.mark.parametrize("reason", [None, "", "  \n"])
def test_without_a_reason_nothing_is_overridden(reason):
    known = asked()
    assert "reason" in known.take(answer(reason=reason), ["ada"]).refused
    assert known.override is None
    assert not known.is_asked


def test_a_form_that_is_no_form_gives_no_reason():
    known = asked()
    assert "reason" in known.take({**answer(), "params_input": ["an outage"]}, ["ada"]).refused


def test_nobody_else_overrides():
    known = asked()
    assert known.take(answer(by="eve"), ["ada", "bob"]).refused == "only ada, bob may answer"
    assert known.override is None


def test_a_question_that_a_machine_has_closed_overrides_nothing():
    known = asked()
    assert known.take(answer(by=None), ["ada"]) is None
    assert known.override is None


def test_a_reason_is_kept_up_to_a_length():
    known = asked()
    assert len(known.take(answer(reason="x" * 10_000), ["ada"]).comment) == LONGEST_REASON


@pytest.mark.parametrize(("now", "counts"), [(FIRST, True), (RETRY, True), (CLEARED, False), (UNCERTAIN, False)])
def test_only_an_attempt_that_surely_continues_the_wait_releases_by_an_earlier_answer(now, counts):
    known = asked()
    known.take(answer(), ["ada"])
    again = Overriding.from_json(known.to_json(), now)
    assert (again.override is not None) is counts
    assert again.attempt == now


@pytest.mark.parametrize(("now", "counts"), [(RETRY, True), (CLEARED, False), (UNCERTAIN, False)])
def test_what_was_asked_before_a_clear_is_asked_anew_and_must_still_be_closed(now, counts):
    again = Overriding.from_json(asked().to_json(), now)
    assert (again.is_asked, again.is_open) == (counts, True)


@pytest.mark.parametrize("stored", [None, "nonsense", {"asked": 1}, {"attempt": [1, 3, 0, 3], "asked": "often"}])
def test_notes_that_cannot_be_read_say_that_nothing_was_asked(stored):
    assert Overriding.from_json(stored, FIRST) == Overriding(attempt=FIRST)
