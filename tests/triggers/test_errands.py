"""What one error means for the other requests of a look."""

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
from airflow_provider.triggers.errands import ask, plan_errands


class Vendor:
    """Answers one request after the other."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def fetch(self, refs: Any) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def shared_request(self, ref: dict[str, str]) -> str | None:
        return ref.get("list")


@pytest.mark.parametrize(
    "error",
    [
        ServerUnavailableError("down", call=Call(status=503)),
        PermissionDeniedError("not this one", call=Call(status=403)),
        UnexpectedResponseError("HTML", call=Call(status=200)),
        KeyError("a client that stumbles"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_after_an_error_of_one_request_the_others_are_made(error):
    seen, failed, more = ask(Vendor([None], error, [None, None]), [[{}], [{}], [{}, {}]])
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
def test_after_an_error_that_concerns_all_nothing_more_is_asked_and_nothing_is_lost(error):
    vendor = Vendor([None], error, [None])
    assert ask(vendor, [[{}], [{}], [{}]]) == [[None], error, error]
    assert vendor.answers == [[None]]


def test_what_one_request_answers_stays_together_and_another_one_comes_first_each_time():
    waits = [Wait({"list": name} if name else {}, 1.0) for name in ["a", "b", "", "a", "c", "", "d"]]
    a, b, alone, c, d = [waits[0], waits[3]], [waits[1]], [waits[2], waits[5]], [waits[4]], [waits[6]]
    assert plan_errands(Vendor(), waits, 0) == [[a, b, c], [d, alone]]
    assert plan_errands(Vendor(), waits, 1) == [[b, c, d], [alone, a]]
    assert plan_errands(Vendor(), waits, 5) == plan_errands(Vendor(), waits, 0)
