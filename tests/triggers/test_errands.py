"""Which waits share a request, and what one error means for the other requests of a thread."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider.core.waiting import Wait
from airflow_provider.exceptions import (
    AuthenticationError,
    Call,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)
from airflow_provider.triggers.errands import Batch, Errand, Errands, MovedErrand


class Vendor:
    """Answers one request after the other."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def fetch(self, refs: Any) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    fetch_apart = fetch


def batch_of(*sizes: int) -> Batch:
    asked = []
    for size in sizes:
        errand = Errand(None, 0.0)
        asked.append((errand, [Wait({}, 1.0) for _ in range(size)]))
    return Batch(0.0, asked)


def made(batch: Batch, vendor: Vendor) -> list[Any]:
    batch.make(vendor)  # type: ignore[arg-type]
    return [answer for _, _, answer in batch.answers()]


@pytest.mark.parametrize(
    "error",
    [
        ServerUnavailableError("down", call=Call(status=503)),
        PermissionDeniedError("not this one", call=Call(status=403)),
        UnexpectedResponseError("HTML", call=Call(status=200)),
        KeyError("a client that stumbles"),
        [],
    ],
    ids=lambda error: type(error).__name__,
)
def test_after_an_error_of_one_request_the_others_are_made(error: Exception) -> None:
    seen, failed, more = made(batch_of(1, 1, 2), Vendor([None], error, [None, None]))
    assert (seen, more) == ([None], [None, None])
    assert isinstance(failed, ReleasePipelineError)


@pytest.mark.parametrize(
    "error",
    [
        ServerUnavailableError("no connection"),
        ServerUnavailableError("down", call=Call(status=503), retry_after=60.0),
        ThrottledError("slower", call=Call(status=429)),
        AuthenticationError("who?", call=Call(status=401)),
    ],
    ids=["no connection", "come again", "throttled", "credentials"],
)
def test_after_an_error_that_concerns_all_nothing_more_is_asked_and_nothing_is_lost(
    error: ReleasePipelineError,
) -> None:
    vendor = Vendor([None], error, [None])
    assert made(batch_of(1, 1, 1), vendor) == [[None], error, error]
    assert vendor.answers == [[None]]


def test_what_a_thread_has_not_come_to_can_be_taken_from_it_and_every_answer_is_told_once() -> None:
    batch = batch_of(1, 1, 1)
    given_back: list[Errand] = []

    class Slow(Vendor):
        def fetch(self, refs: Any) -> Any:
            if len(self.answers) == 1:
                given_back.extend(batch.give_back())
                assert [answer for _, _, answer in batch.answers()] == [["first"]]
            return super().fetch(refs)

    assert made(batch, Slow(["first"], ["second"])) == [["second"]]
    assert given_back == [batch.asked[2][0]]
    assert batch.answers() == []


def test_waits_of_one_name_share_a_request_and_the_others_have_their_own() -> None:
    errands, waits = Errands(), [Wait({}, 5.0) for _ in range(5)]
    a, b = errands.join(waits[0], "a", 0.0), errands.join(waits[1], "b", 0.0)
    assert errands.join(waits[2], "a", 9.0) is a
    alone, other = errands.join(waits[3], None, 0.0), errands.join(waits[4], None, 0.0)
    assert len({a, b, alone, other}) == len(errands) == 4
    assert list(a.waits) == [waits[0], waits[2]]
    assert errands.leave(waits[0]) == []
    assert errands.leave(waits[2]) == [a]
    assert errands.leave(waits[2]) == []
    assert errands.leave(waits[3]) == [alone]
    assert len(errands) == 2
    assert errands.join(waits[0], "a", 0.0) is not a


def test_newcomers_are_looked_at_out_of_turn_and_the_others_keep_their_rhythm() -> None:
    errands, old, new = Errands(), Wait({}, 10.0), Wait({}, 10.0)
    errand = errands.join(old, "a", 0.0)
    assert errand.take(0.0, 10.0) == [old]
    due = errand.due
    assert 2.0 <= due <= 10.0
    errands.join(new, "a", 0.0)
    errand.fresh[new] = None
    assert errand.next_at(1.0, None) == 1.0
    assert errand.take(1.0, 10.0) == [new]
    assert errand.next_at(1.0, None) == errand.due == due
    assert errand.take(due, 10.0) == [old, new]
    assert due + 9.0 <= errand.due <= due + 11.0


def test_what_is_looked_at_by_itself_is_left_out_meanwhile_and_gone_with_its_wait() -> None:
    errands, moved, other = Errands(), Wait({}, 1.0, deadline=50.0), Wait({}, 1.0, deadline=90.0)
    errand = errands.join(moved, "a", 0.0)
    errands.join(other, "a", 0.0)
    assert (errand.deadline, errand.weight) == (50.0, 2)
    look = MovedErrand(moved, lambda: None, 0.0)
    errand.set_apart(moved, look)
    assert errand.deadline == 90.0
    errand.back(moved)
    assert errand.deadline == 50.0
    errand.set_apart(moved, look)
    assert errand.take(0.0, 1.0) == [other]
    assert look.weight > 2
    assert errands.leave(moved) == [look]
    assert errand.deadline == 90.0
    assert errands.leave(other) == [errand]
