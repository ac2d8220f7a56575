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
from airflow_provider.triggers.polls import Batch, Poll, Polls, SinglePoll


class Vendor:
    """A client, as far as a poll uses it; answers one request after the other."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.waits = self

    def fetch(self, refs: Any) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    fetch_shared = fetch


def batch_of(*sizes: int) -> Batch:
    asked = []
    for size in sizes:
        poll = Poll(None, 0.0)
        asked.append((poll, [Wait({}, 1.0) for _ in range(size)]))
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


def test_what_a_thread_has_not_come_to_can_be_taken_from_it_and_every_answer_is_reported_once() -> None:
    batch = batch_of(1, 1, 1)
    withdrawn: list[Poll] = []

    class Slow(Vendor):
        def fetch(self, refs: Any) -> Any:
            if len(self.answers) == 1:
                withdrawn.extend(batch.withdraw())
                assert [answer for _, _, answer in batch.answers()] == [["first"]]
            return super().fetch(refs)

    assert made(batch, Slow(["first"], ["second"])) == [["second"]]
    assert withdrawn == [batch.polls[2][0]]
    assert batch.answers() == []


def test_waits_of_one_name_share_a_request_and_the_others_have_their_own() -> None:
    polls, waits = Polls(), [Wait({}, 5.0) for _ in range(5)]
    a, b = polls.join(waits[0], "a", 0.0), polls.join(waits[1], "b", 0.0)
    assert polls.join(waits[2], "a", 9.0) is a
    alone, other = polls.join(waits[3], None, 0.0), polls.join(waits[4], None, 0.0)
    assert len({a, b, alone, other}) == len(polls) == 4
    assert list(a.waits) == [waits[0], waits[2]]
    assert polls.leave(waits[0]) == []
    assert polls.leave(waits[2]) == [a]
    assert polls.leave(waits[2]) == []
    assert polls.leave(waits[3]) == [alone]
    assert len(polls) == 2
    assert polls.join(waits[0], "a", 0.0) is not a


def test_newcomers_are_polled_out_of_turn_and_the_others_keep_their_rhythm() -> None:
    polls, old, new = Polls(), Wait({}, 10.0), Wait({}, 10.0)
    poll = polls.join(old, "a", 0.0)
    assert poll.take(0.0, 10.0, 0.5) == [old]
    due = poll.due
    assert 2.0 <= due <= 10.0
    polls.join(new, "a", 0.0)
    poll.fresh[new] = None
    assert poll.next_at(1.0, None) == 1.0
    assert poll.take(1.0, 10.0, 0.5) == [new]
    assert poll.next_at(1.0, None) == poll.due == due
    assert poll.take(due, 10.0, 0.5) == [old, new]
    assert due + 9.0 <= poll.due <= due + 11.0


def test_what_is_polled_alone_is_left_out_of_lists_meanwhile_and_forgotten_with_its_wait() -> None:
    polls, moved, other = Polls(), Wait({}, 1.0, deadline=50.0), Wait({}, 1.0, deadline=90.0)
    poll = polls.join(moved, "a", 0.0)
    polls.join(other, "a", 0.0)
    assert (poll.deadline, poll.weight) == (50.0, 2)
    single = SinglePoll(moved, lambda: None, 0.0)
    poll.leave_out(moved, single)
    assert poll.deadline == 90.0
    poll.back(moved)
    assert poll.deadline == 50.0
    poll.leave_out(moved, single)
    assert poll.take(0.0, 1.0, 0.5) == [other]
    assert single.weight > 2
    assert polls.leave(moved) == [single]
    assert poll.deadline == 90.0
    assert polls.leave(other) == [poll]
