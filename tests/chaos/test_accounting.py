"""The account of ``make chaos`` sees each thing that must not happen, and nothing where all went as it should."""

from __future__ import annotations

import pytest

from tests.chaos.accounting import FAULTS, Account, Act, History
from tests.chaos.plan import Release
from tests.chaos.vendors import Seen

RELEASE = Release("w00-quay-d0", "quay", "wave00", "quay_deferrable", 0)


def execution(number: int, started: float, ended: float | None, state: str = "complete", *cancels: float) -> Seen:
    return Seen("quay", str(number), state, started, ended, cancels)


GOOD = execution(1, 100, 120)
CANCELED = execution(1, 100, 112, "cancelled", 111)
FAILED = execution(1, 100, 110, "error")

CASES = {
    "one start, one result": ([GOOD], [], "success", "1", None),
    "a new start after a failure": ([FAILED, execution(2, 115, 130)], [], "success", "2", None),
    "a new start after a clear": ([CANCELED, execution(2, 115, 130)], [Act(110, "clear")], "success", "2", None),
    "a clear after the end": ([GOOD, execution(2, 140, 160)], [Act(130, "clear")], "success", "2", None),
    "a mark that cancels": ([CANCELED], [Act(110, "failed")], "failed", None, None),
    "a mark just before the end": ([GOOD], [Act(115, "success")], "success", None, None),
    "a mark before the start": ([], [Act(90, "failed")], "failed", None, None),
    "two starts for one reason": ([GOOD, execution(2, 105, 125)], [], "success", "2", "doubled"),
    "two starts after one clear": (
        [CANCELED, execution(2, 115, 130), execution(3, 116, 131)],
        [Act(110, "clear")],
        "success",
        "3",
        "doubled",
    ),
    "no start": ([], [], "failed", None, "lost"),
    "a task that failed although its build was good": ([GOOD], [], "failed", None, "lost"),
    "a result of another execution": ([GOOD], [], "success", "7", "lost"),
    "a task that never ended": ([GOOD], [], "deferred", None, "lost"),
    "a cancel that nobody asked for": (
        [CANCELED, execution(2, 115, 130)],
        [],
        "success",
        "2",
        "wrongly cancelled",
    ),
    "a cancel of the newer one": (
        [CANCELED, execution(2, 115, 118, "cancelled", 117), execution(3, 125, 140)],
        [Act(110, "clear")],
        "success",
        "3",
        "wrongly cancelled",
    ),
    "a clear that does not end what it had started": (
        [execution(1, 100, 150), execution(2, 115, 130)],
        [Act(110, "clear")],
        "success",
        "2",
        "doubled",
    ),
    "a mark that does not cancel": ([execution(1, 100, 150)], [Act(110, "failed")], "failed", None, "left running"),
    "a build that never ends": (
        [execution(1, 100, None, "building")],
        [Act(110, "failed")],
        "failed",
        None,
        "left running",
    ),
    "a start that arrives after the mark": ([GOOD], [Act(99, "failed")], "failed", None, "left running"),
}


@pytest.mark.parametrize(("executions", "acts", "state", "result_id", "fault"), CASES.values(), ids=CASES)
def test_each_fault_is_counted_in_its_column(
    executions: list[Seen], acts: list[Act], state: str, result_id: str | None, fault: str | None
) -> None:
    history = History(RELEASE, executions, acts, state, result_id)
    assert history.faults() == {name: int(name == fault) for name in FAULTS}
    account = Account([history])
    assert account.is_clean == (fault is None)
    assert (RELEASE.name in account.complaints()) == (fault is not None)


def test_a_guess_that_continues_is_counted_but_no_fault() -> None:
    first = execution(1, 100, 150)
    marked = History(RELEASE, [first], [Act(110, "failed")], "failed", named=frozenset("1"))
    cleared = History(
        RELEASE, [first, execution(2, 120, 140)], [Act(110, "clear")], "success", "2", named=frozenset("1")
    )
    for history in (marked, cleared):
        assert not any(history.faults().values())
        assert history.went_on == 1


def test_a_cancel_of_what_is_somebody_elses_is_a_fault() -> None:
    good = History(RELEASE, [GOOD], [], "success", "1")
    assert Account([good], [GOOD]).is_clean
    account = Account([good], [CANCELED])
    assert not account.is_clean
    assert "somebody else's" in account.complaints()
    assert account.table().splitlines()[-1].split()[-1] == "1"


def test_the_table_adds_up() -> None:
    account = Account([History(RELEASE, [GOOD], [], "success", "1"), History(RELEASE, [], [], "failed", None)])
    assert account.table().splitlines()[-1].split() == ["all", "2", "1", *"0000", "0", "1", "0", "0", "0", "0"]


def test_nothing_is_proven_of_what_did_not_happen() -> None:
    resumed = Seen("quay", "1", "complete", 100, 120, (), resumed=1)
    assert len(Account([History(RELEASE, [GOOD])]).lacking) == 2
    assert Account([History(RELEASE, [resumed], ended_in_triggerer=True)]).lacking == []
