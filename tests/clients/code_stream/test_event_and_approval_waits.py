"""What waiting for trigger events and approvals costs, many at once, and that none of them is missed. Over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients import retries
from airflow_provider.clients.code_stream import event_waits, execution_updates, execution_watch
from airflow_provider.exceptions import UnexpectedResponseError
from airflow_provider.execution import Execution, ExecutionRef
from tests.support.code_stream_server import SECOND, Clock, Server
from tests.support.scripted import Scripted

EVENTS = "/git-events"
OPERATIONS = "/user-operations"


@pytest.fixture(autouse=True)
def _short_pauses(mocker: MockerFixture) -> None:
    mocker.patch.object(retries, "FIRST_PAUSE", 0.01)


@pytest.fixture
def clock(mocker: MockerFixture) -> Clock:
    clock = Clock()
    for module in (event_waits, execution_updates, execution_watch):
        mocker.patch.object(module, "time", clock)
    return clock


class Events:
    """Git events, the newest first, one a minute."""

    def __init__(self, server: Server, count: int) -> None:
        self.server = server
        self.rows = server.lists[EVENTS] = []
        for number in range(count):
            self.push(f"c{number}")

    def push(self, commit: str, **fields: Any) -> None:
        self.server.now += 60 * SECOND
        event = {"id": f"id-{commit}", "commitId": commit, "_createTimeInMicros": self.server.now, **fields}
        self.rows.insert(0, event)


def event(commit: str, **more: str) -> ExecutionRef:
    filters = f'{{"commitId": "{commit}"}}'
    ref = {"system": "code_stream", "kind": "event", "id": "", "event_type": "git", "since": "", "filters": filters}
    return ref | more


def approval(execution_id: str) -> ExecutionRef:
    return {"system": "code_stream", "kind": "approval", "id": "", "execution_id": execution_id, "pipeline": ""}


def executions_in(seen: list[Any]) -> list[Execution]:
    assert all(isinstance(each, Execution) for each in seen), seen
    return seen


def fetch(server: Server, known: list[ExecutionRef | Execution]) -> list[Execution | None]:
    """What is new of each; ``None`` for what is as it was handed in."""
    seen = executions_in(server.client.waits.fetch(known))
    return [None if now is before else now for now, before in zip(seen, known, strict=True)]


@pytest.mark.parametrize("count", [1, 2, 100, 1000])
def test_a_wait_for_an_event_reads_the_whole_list_once_and_then_its_newest_page(
    scripted: Scripted, clock: Clock, count: int
) -> None:
    server = Server(scripted)
    events = Events(server, 350)
    refs = [event(f"new{number}") for number in range(count)]
    assert len({server.client.waits.shared_request(ref) for ref in refs}) == 1
    known: list[ExecutionRef | Execution] = [*executions_in(server.client.waits.fetch(refs))]
    assert server.asked() == [EVENTS] * 4
    for _ in range(3):
        assert fetch(server, known) == [None] * count
        assert server.asked() == [EVENTS]
    for number in range(150):
        events.push("new0" if number == 20 else f"other{number}")
    seen = [each for each in fetch(server, known) if each is not None]
    assert [(each.id, each.state) for each in executions_in(seen)] == [("id-new0", "succeeded")]
    assert server.asked() == [EVENTS] * 2


def test_an_event_that_shows_late_is_found(scripted: Scripted, clock: Clock) -> None:
    server = Server(scripted)
    events = Events(server, 300)
    known: list[ExecutionRef | Execution] = [*executions_in(server.client.waits.fetch([event("late"), event("later")]))]
    late = {"id": "id-late", "commitId": "late", "_createTimeInMicros": server.now - 30 * SECOND}
    events.rows.insert(1, late)
    assert [each.id if each else None for each in fetch(server, known)] == ["id-late", None]


def test_an_old_event_that_comes_to_match_is_found_when_all_are_read_again(scripted: Scripted, clock: Clock) -> None:
    server = Server(scripted)
    events = Events(server, 300)
    refs = [event("c7", filters='{"executionStatus": "COMPLETED"}'), event("never")]
    known: list[ExecutionRef | Execution] = [*executions_in(server.client.waits.fetch(refs))]
    events.rows[290]["executionStatus"] = "COMPLETED"
    clock.now += event_waits.WHOLE_EVERY + 1
    seen = fetch(server, known)
    assert [each.id if each else None for each in seen] == ["id-c9", None]  # type: ignore[union-attr]


def test_a_new_wait_for_an_event_observes_the_old_ones(scripted: Scripted, clock: Clock) -> None:
    server = Server(scripted)
    Events(server, 300)
    known: list[ExecutionRef | Execution] = [*executions_in(server.client.waits.fetch([event("new"), event("newer")]))]
    seen = fetch(server, [*known, event("c3")])
    assert [each.id if each else None for each in seen] == [None, None, "id-c3"]  # type: ignore[union-attr]


@pytest.mark.parametrize("count", [2, 100, 1000])
def test_waits_for_approvals_cost_one_list_and_that_of_updates(scripted: Scripted, clock: Clock, count: int) -> None:
    server = Server(scripted)
    server.lists[OPERATIONS] = []
    executions = server.start_many(count)
    server.idle()
    refs = [approval(each["id"]) for each in executions]
    known: list[ExecutionRef | Execution] = [*executions_in(server.client.waits.fetch(refs))]
    for _ in range(3):
        server.asked()
        assert fetch(server, known) == [None] * count
        assert server.asked() == [OPERATIONS, "updates"]
    server.lists[OPERATIONS] = [{"id": "op", "status": "ACTIVE", "executionLink": "/codestream/api/executions/e0"}]
    server.move("e0", "WAITING")
    server.move("e1", "COMPLETED")
    seen = [each for each in fetch(server, known) if each is not None]
    assert [(each.id, each.state) for each in executions_in(seen)] == [("op", "succeeded"), ("", "failed")]


def asked(number: int, status: str = "ACTIVE") -> dict[str, Any]:
    return {"id": f"op{number}", "status": status, "executionLink": f"/codestream/api/executions/e{number}"}


def answer_to(number: int) -> ExecutionRef:
    return {"system": "code_stream", "kind": "answer", "id": f"op{number}"}


@pytest.mark.parametrize("count", [2, 100, 1000])
def test_waits_for_answers_cost_one_list(scripted: Scripted, clock: Clock, count: int) -> None:
    server = Server(scripted)
    server.lists[OPERATIONS] = [asked(number) for number in range(count)]
    seen = executions_in(server.client.waits.fetch([answer_to(number) for number in range(count)]))
    assert {each.state for each in seen} == {"waiting"}
    assert len({server.client.waits.shared_request(each.ref) for each in seen}) == 1
    known: list[ExecutionRef | Execution] = [*seen]
    for _ in range(3):
        server.asked()
        assert fetch(server, known) == [None] * count
        assert set(server.asked()) == {OPERATIONS}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("APPROVED", "succeeded"),
        ("Approved", "succeeded"),
        ("REJECTED", "failed"),
        ("EXPIRED", "canceled"),
        ("CANCELED", "canceled"),
        ("ESCALATED", "unknown"),
    ],
)
def test_an_answer_at_the_vendor_shows_by_the_state(scripted: Scripted, clock: Clock, status: str, state: str) -> None:
    server = Server(scripted)
    server.lists[OPERATIONS] = [asked(0), asked(1)]
    known: list[ExecutionRef | Execution] = [*executions_in(server.client.waits.fetch([answer_to(0), answer_to(1)]))]
    server.lists[OPERATIONS] = [asked(1)]
    server.rows["op0"] = asked(0, status)
    answered, waiting = fetch(server, known)
    assert isinstance(answered, Execution)
    assert (answered.state, answered.status) == (state, status)
    assert waiting is None


@pytest.mark.parametrize("kind", ["answer", "approval"])
@pytest.mark.parametrize("told", [{"id": "op1"}, {"id": None, "_link": None}])
def test_what_is_about_another_approval_or_none_decides_nothing(
    scripted: Scripted, kind: str, told: dict[str, Any]
) -> None:
    server = Server(scripted)
    server.rows["op0"] = asked(0, "APPROVED") | told
    with pytest.raises(UnexpectedResponseError, match=r"the answer must be approval op0, got (op1|none)"):
        server.client.observe({**answer_to(0), "kind": kind})


@pytest.mark.parametrize("said", [{"text": "no"}, ["no"], 5])
def test_a_message_that_is_no_text_ends_no_wait(scripted: Scripted, said: Any) -> None:
    server = Server(scripted)
    events = Events(server, 0)
    events.push("c1", message=said)
    server.lists[OPERATIONS] = [{"id": "op-1", "status": "ACTIVE", "executionId": "e1", "summary": said}]
    found = executions_in([server.client.observe(event("c1")), server.client.observe(approval("e1"))])
    assert [each.message for each in found] == [str(said)] * 2


def test_an_event_whose_time_stands_for_none_does_not_disturb_the_waits_for_others(
    scripted: Scripted, clock: Clock
) -> None:
    server = Server(scripted)
    rows = server.lists[EVENTS] = [{"id": "zero", "commitId": "zero", "createdAt": "0001-01-01 00:00:00+00"}]
    known: list[ExecutionRef | Execution] = [*executions_in(server.client.waits.fetch([event("c1"), event("c2")]))]
    assert fetch(server, known) == [None, None]
    rows.insert(0, {"id": "id-c1", "commitId": "c1", "createdAt": "9999-12-31 23:59:59+00"})
    assert [each.id if each else None for each in fetch(server, known)] == ["id-c1", None]
    assert fetch(server, known)[1] is None
