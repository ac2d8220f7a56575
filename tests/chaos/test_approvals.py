"""The account of ``make chaos`` sees each way in which a decision is not what people said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos.accounting import FAULTS, Account, Act, History
from tests.chaos.approvals import APPROVE, AT_THE_VENDOR, REJECT, Gate, Said
from tests.chaos.plan import Release
from tests.chaos.vendors import Seen

RELEASE = Release("w00-code-stream-gates-0", "code_stream_gates", "wave00", "code_stream_gates", 0)
ASKING = replace(RELEASE, kind="code_stream_approval")


def execution(number: int, state: str = "COMPLETED", *cancels: float) -> Seen:
    """The first goes on from 100 to 130, the next from 200 to 230, and so on."""
    return Seen("code_stream", str(number), state, 100.0 * number, 100.0 * number + 30, cancels)


def gate(number: int, by: Said | None = None) -> Gate:
    """The gate of an execution, opened 10 s after its start."""
    opened = 100.0 * number + 10
    return Gate(str(number), opened, by.decision, by.as_sent) if by else Gate(str(number), opened)


GOOD, REJECTED, AGAIN = execution(1), execution(1, "FAILED"), execution(2)
CANCELED = execution(1, "CANCELED", 111)
YES, NO, LATER = Said(115, APPROVE, "no. 1."), Said(115, REJECT, "no. 1."), Said(215, APPROVE, "no. 2.")
THERE, NOT_THERE = replace(YES, place=AT_THE_VENDOR), replace(NO, place=AT_THE_VENDOR)

CASES = {
    "approved": ([GOOD], [gate(1, YES)], [YES], [], "success", None),
    "approved, although the reply was lost": (
        [GOOD],
        [gate(1, YES)],
        [replace(YES, is_taken=None)],
        [],
        "success",
        None,
    ),
    "approved, and then rejected in vain": (
        [GOOD],
        [gate(1, YES)],
        [YES, Said(116, REJECT, "no. 2.", is_taken=False)],
        [],
        "success",
        None,
    ),
    "approved at the vendor": ([GOOD], [gate(1, THERE)], [THERE], [], "success", None),
    "approved at the vendor, and in Airflow too late": (
        [GOOD],
        [gate(1, THERE)],
        [THERE, Said(116, REJECT, "no. 2.")],
        [],
        "success",
        None,
    ),
    "rejected": ([REJECTED], [gate(1, NO)], [NO], [], "failed", None),
    "rejected at the vendor, and tried again": (
        [REJECTED, AGAIN],
        [gate(1, NOT_THERE), gate(2, LATER)],
        [NOT_THERE, LATER],
        [],
        "success",
        None,
    ),
    "cleared while it asked": (
        [CANCELED, AGAIN],
        [gate(1), gate(2, LATER)],
        [LATER],
        [Act(110, "clear")],
        "success",
        None,
    ),
    "marked just after the answer": (
        [execution(1, "CANCELED", 117)],
        [gate(1)],
        [YES],
        [Act(116, "failed")],
        "failed",
        None,
    ),
    "nobody said that": ([GOOD], [gate(1, YES)], [], [], "success", "wrongly decided"),
    "the contrary": (
        [GOOD],
        [replace(gate(1, NO), decision=APPROVE)],
        [NO],
        [],
        "success",
        "wrongly decided",
    ),
    "an answer that Airflow refused": (
        [GOOD],
        [gate(1, YES)],
        [replace(YES, is_taken=False)],
        [],
        "success",
        "wrongly decided",
    ),
    "the answer about an earlier execution": (
        [CANCELED, AGAIN],
        [gate(1), gate(2, YES)],
        [YES],
        [Act(110, "clear")],
        "success",
        "wrongly decided",
    ),
    "one answer for two gates": ([GOOD], [gate(1, YES), gate(1, YES)], [YES], [], "success", "wrongly decided"),
    "an answer in vain": (
        [GOOD],
        [gate(1, YES)],
        [YES, Said(116, APPROVE, "no. 2.")],
        [],
        "success",
        "wrongly decided",
    ),
    "no decision": ([GOOD], [gate(1)], [], [], "success", "wrongly decided"),
    "an answer that cancels": (
        [replace(CANCELED, state="COMPLETED")],
        [gate(1, YES)],
        [YES],
        [],
        "success",
        "wrongly cancelled",
    ),
    "rejected, and started again": (
        [REJECTED, execution(2, "FAILED")],
        [gate(1, NO), gate(2, replace(LATER, decision=REJECT))],
        [NO, replace(LATER, decision=REJECT)],
        [],
        "failed",
        "doubled",
    ),
    "rejected, and a success": ([REJECTED], [gate(1, NO)], [NO], [], "success", "lost"),
    "approved, and a failure": ([GOOD], [gate(1, YES)], [YES], [], "failed", "lost"),
}


@pytest.mark.parametrize(("executions", "gates", "said", "acts", "state", "fault"), CASES.values(), ids=CASES)
def test_each_wrong_decision_is_counted_in_its_column(
    executions: list[Seen], gates: list[Gate], said: list[Said], acts: list[Act], state: str, fault: str | None
) -> None:
    result = executions[-1].id if state == "success" else None
    history = History(RELEASE, executions, acts, state, result, gates=gates, said=said)
    assert history.faults() == {name: int(name == fault) for name in FAULTS}
    account = Account([history])
    assert account.is_clean == (fault is None)
    assert all(each in account.complaints() for each in history.wrong_decisions())


@pytest.mark.parametrize(
    ("state", "said", "fault"),
    [
        ("success", [NO], 0),
        ("failed", [NO], 1),
        ("deferred", [], 1),
        ("failed", [NOT_THERE, Said(116, APPROVE, "no. 2.")], 0),
    ],
)
def test_a_task_that_only_asks_succeeds_whatever_people_decide(state: str, said: list[Said], fault: int) -> None:
    history = History(ASKING, [], [], state, gates=[gate(1, NO)], said=said)
    assert history.faults()["lost"] == fault


def test_what_people_decided_is_counted() -> None:
    history = History(RELEASE, gates=[gate(1, YES), gate(2)], said=[YES], executions=[GOOD])
    assert Account([history]).decisions.startswith("1 approved in Airflow, 0 rejected in Airflow, 0 decided")
