"""When a connection is in trouble, and when that is over."""

from __future__ import annotations

import pytest

from airflow_provider.core.trouble import Trouble
from airflow_provider.exceptions import ServerUnavailableError, ThrottledError

DOWN = ServerUnavailableError("down")


def test_each_failure_doubles_the_pause_up_to_a_minute_and_an_answer_ends_it() -> None:
    trouble, now, pauses = Trouble(), 0.0, []
    for _ in range(8):
        assert trouble.note_error(DOWN, now, now, 5.0, None)
        pauses.append(trouble.until - now)
        now = trouble.until + 0.1
    assert pauses[:3] == pytest.approx([10.0, 20.0, 40.0])
    assert pauses[3:] == pytest.approx([60.0] * 5)
    assert trouble.is_on
    assert trouble.note_answer(now, now)
    assert not trouble.is_on
    assert trouble.until <= now
    assert not trouble.note_answer(now, now)


def test_what_was_on_its_way_reports_nothing_new() -> None:
    trouble = Trouble()
    trouble.note_error(DOWN, 0.0, 1.0, 5.0, None)
    until = trouble.until
    assert not trouble.note_error(DOWN, 0.5, 1.2, 5.0, None)
    assert not trouble.note_answer(0.9, 1.3)
    assert (trouble.is_on, trouble.until) == (True, until)


def test_the_longest_pause_that_the_vendor_asks_for_is_kept() -> None:
    trouble = Trouble()
    trouble.note_error(DOWN, 0.0, 1.0, 5.0, None)
    trouble.note_error(ThrottledError("slower", retry_after=300.0), 0.0, 1.0, 5.0, None)
    assert trouble.until == 301.0
    trouble.note_error(ThrottledError("slower", retry_after=2.0), 0.0, 1.0, 5.0, None)
    assert trouble.until == 301.0


def test_no_deadline_is_slept_through_whatever_the_vendor_asks_for() -> None:
    trouble = Trouble()
    trouble.note_error(DOWN, 0.0, 1.0, 30.0, 4.0)
    assert trouble.until == 5.0
    trouble.note_error(ThrottledError("slower", retry_after=60.0), 6.0, 6.0, 30.0, 4.0)
    assert trouble.until == 10.0
