"""Many executions watched at once, over HTTP: what it costs, and that nothing is missed whatever the server does."""

from __future__ import annotations

import random
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients import memory, retries
from airflow_provider.clients.code_stream import CodeStreamClient, execution_updates, execution_watch
from airflow_provider.clients.code_stream.execution_document import STATES
from airflow_provider.clients.waitable import Observation
from airflow_provider.exceptions import NotFoundError, ReleasePipelineError, ServerUnavailableError
from airflow_provider.execution import Execution, ExecutionRef
from airflow_provider.sandbox import seed
from tests.support.code_stream_server import SECOND, Clock, Server, of
from tests.support.control import Control
from tests.support.scripted import Scripted
from tests.support.until import until

GOING_ON = ["NOT_STARTED", "RUNNING", "WAITING", "PAUSED", "CANCELING"]
ENDED = ["COMPLETED", "FAILED", "CANCELED"]


@pytest.fixture(autouse=True)
def _short_times(mocker: MockerFixture) -> None:
    mocker.patch.object(retries, "FIRST_PAUSE", 0.01)


@pytest.fixture
def clock(mocker: MockerFixture) -> Clock:
    clock = Clock()
    for module in (execution_updates, memory, execution_watch):
        mocker.patch.object(module, "time", clock)
    return clock


class Followed:
    """Followed as the poller keeps them: each hands in what it saw last, or its reference while it has seen nothing."""

    def __init__(self, client: CodeStreamClient, refs: list[ExecutionRef]) -> None:
        self.client = client
        self.known: dict[int, ExecutionRef | Execution] = dict(enumerate(refs))
        self.last: dict[int, Observation] = {}
        self.ended: dict[int, str] = {}

    def add(self, ref: ExecutionRef) -> int:
        number = max(self.known.keys() | self.ended.keys(), default=-1) + 1
        self.known[number] = ref
        return number

    def fetch(self, *some: int) -> dict[int, Observation]:
        """Fetch for all, or for some; returns what is new."""
        numbers = list(some) or list(self.known)
        seen = self.client.waits.fetch([self.known[number] for number in numbers])
        news = {number: each for number, each in zip(numbers, seen, strict=True) if each is not self.known[number]}
        for number, each in news.items():
            self.last[number] = each
            if isinstance(each, Execution):
                self.known[number] = each
                if each.state.is_terminal:
                    assert number not in self.ended
                    self.ended[number] = each.status
                    del self.known[number]
        return news

    def statuses(self) -> dict[str, str]:
        return {each.id: each.status for each in self.last.values() if isinstance(each, Execution)}


# --- what it costs


@pytest.mark.parametrize("count", [1, 2, 100, 1000])
def test_while_nothing_happens_any_number_of_waits_costs_one_request(scripted: Scripted, count: int) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(count))
    server.idle()
    assert len(waits.fetch()) == count
    assert len(server.asked()) <= 1 + -(-count // 50)
    for _ in range(3):
        assert waits.fetch() == {}
        assert len(server.asked()) == 1
    server.move("e0", "COMPLETED")
    news = waits.fetch()
    assert [(each.id, each.status, each.outputs) for each in news.values()] == [("e0", "COMPLETED", {"id": "e0"})]  # type: ignore[union-attr]
    assert server.asked() == (["e0"] if count == 1 else ["updates", "e0"])


def test_the_sandbox_is_watched_at_the_same_price(control: Control, mocker: MockerFixture) -> None:
    mocker.patch.object(execution_updates, "CLOCK_SKEW", SECOND // 10)
    control.post("reset", speed=0.001)
    client = CodeStreamClient(f"{control.url}/code_stream", refresh_token=seed.CODE_STREAM_REFRESH_TOKEN)
    pipeline = client.pipelines.find("Deploy shop", "retail")["id"]
    with ThreadPoolExecutor(4) as threads:
        refs = list(threads.map(lambda _: client.pipelines.run(pipeline).ref, range(120)))
    waits = Followed(client, refs)
    waits.fetch()
    costs: list[int] = []

    def fetch() -> list[int]:
        before = len(control.get("requests", system="code_stream"))
        assert waits.fetch() == {}
        costs.append(len(control.get("requests", system="code_stream")) - before)
        return costs[-3:]

    until(fetch, lambda last: last == [1, 1, 1])
    control.post(f"executions/code_stream/{refs[7]['id']}", state="FAILED")
    assert {number: each.status for number, each in waits.fetch().items()} == {7: "FAILED"}  # type: ignore[union-attr]
    assert waits.fetch() == {}


def test_every_end_of_living_executions_is_reported_once_and_right(control: Control) -> None:
    control.post("reset", speed=60)
    client = CodeStreamClient(f"{control.url}/code_stream", refresh_token=seed.CODE_STREAM_REFRESH_TOKEN)
    dice = random.Random(7)
    pipelines = [client.pipelines.find(name, "retail")["id"] for name in ("Deploy shop", "Always fails")]
    waits = Followed(client, [])

    def start_and_fetch() -> int:
        if len(waits.ended) + len(waits.known) < 60:
            started = [client.pipelines.run(dice.choice(pipelines)).ref for _ in range(5)]
            waits.fetch(*map(waits.add, started))
            client.cancel(started[0], "not wanted")
        if waits.known:
            waits.fetch()
        return len(waits.ended)

    until(start_and_fetch, lambda ended: ended >= 60)
    news = {each.id: (each.status, each.outputs) for each in waits.last.values() if isinstance(each, Execution)}
    truth = {each: client.observe(of(each)) for each in news}
    assert news == {each: (execution.status, execution.outputs) for each, execution in truth.items()}
    assert {status for status, _ in news.values()} == {"COMPLETED", "FAILED", "CANCELED"}


def test_what_is_remembered_of_executions_is_small_whatever_they_say(scripted: Scripted) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(3))
    server.idle()
    for row in server.rows.values():
        row["statusMessage"] = "x" * 2_000_000
    tracemalloc.start()
    try:
        assert len(waits.fetch()) == 3
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
    assert waits.fetch() == {}
    server.move("e1", "WAITING")
    server.move("e2", "COMPLETED")
    waits.fetch()
    assert waits.statuses() == {"e0": "RUNNING", "e1": "WAITING", "e2": "COMPLETED"}


def test_a_list_of_updates_whose_number_of_rows_is_a_text_is_read_like_any_other(scripted: Scripted) -> None:
    server = Server(scripted)
    server.total = str
    waits = Followed(server.client, server.start_many(3))
    waits.fetch()
    server.asked()
    server.move("e1", "WAITING")
    assert [seen.status for seen in waits.fetch().values() if isinstance(seen, Execution)] == ["WAITING"]
    assert server.asked() == ["updates"]


def test_a_page_full_of_changes_is_read_on(scripted: Scripted) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(400))
    server.idle()
    waits.fetch()
    for number in range(300):
        server.move(f"e{number}", "WAITING", later=1)
    server.asked()
    assert len(waits.fetch()) == 300
    assert server.asked() == ["updates"] * 4
    assert set(waits.statuses().values()) == {"WAITING", "RUNNING"}


def test_what_changed_in_a_burst_is_not_read_again_and_again(scripted: Scripted, clock: Clock) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(1))
    for number in range(1, 200):
        waits.add(server.start(f"e{number}", "RUNNING"))
        server.now -= SECOND - 1
    waits.fetch()
    server.asked()
    costs = []
    for _ in range(4):
        clock.now += 5
        waits.fetch()
        costs.append(len(server.asked()))
    assert costs[2:] == [1, 1]


def test_a_list_of_updates_with_more_changes_than_waits_is_left_for_reads_by_id(scripted: Scripted) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(2))
    server.idle()
    waits.fetch()
    for number in range(1000):
        server.start(f"other{number}")
    server.move("e1", "PAUSED")
    for number in range(1000):
        server.start(f"another{number}")
    server.asked()
    assert [each.status for each in waits.fetch().values()] == ["PAUSED"]  # type: ignore[union-attr]
    assert server.asked() == ["updates", "updates", "filter"]


@pytest.mark.parametrize("filter_", ["ignored", "first term", "400", "500"])
def test_that_a_filter_is_not_understood_is_learned_once(scripted: Scripted, filter_: str) -> None:
    server = Server(scripted, filter_=filter_)
    strangers = [server.start(f"stranger{number}") for number in range(30)]
    waits = Followed(server.client, server.start_many(60))
    waits.fetch()
    first = server.asked()
    assert (first.count("filter"), len(first)) == (1, 2 + 60 - execution_updates.FIRST_PAGE)
    newcomers = [waits.add(server.start(f"late{number}")) for number in range(5)]
    for stranger in strangers:
        server.move(stranger["id"], "PAUSED")
    waits.fetch(*newcomers)
    assert server.asked() == ["updates"] + [f"late{number}" for number in range(5)]


# --- that nothing is missed


@pytest.mark.parametrize("seed_", range(4))
@pytest.mark.parametrize(
    ("order", "filter_"),
    [
        ("kept", "kept"),
        ("kept", "ignored"),
        ("kept", "400"),
        ("kept", "first term"),
        ("ignored", "kept"),
        ("400", "500"),
        ("500", "500"),
    ],
)
def test_every_wait_learns_every_state_whatever_the_server_understands(
    scripted: Scripted, order: str, filter_: str, seed_: int, mocker: MockerFixture
) -> None:
    dice = random.Random(f"{order} {filter_} {seed_}")
    mocker.patch.object(execution_watch, "SWEEP", dice.choice([0.0, 540.0]))
    server = Server(scripted, order=order, filter_=filter_)
    waits = Followed(server.client, server.start_many(dice.choice([2, 30, 60])))
    for step in range(25):
        if dice.random() < 0.2:
            waits.add(server.start(f"late{step}"))
        if dice.random() < 0.1:
            known = dice.choice([*waits.known.values(), of("e0")])
            waits.add(dict(known.ref if isinstance(known, Execution) else known))
        going_on = [each for each, row in server.rows.items() if row["status"] not in ENDED]
        for execution_id in dice.sample(going_on, min(len(going_on), dice.choice([0, 0, 1, 3, 20]))):
            server.move(execution_id, dice.choice(GOING_ON * 2 + ENDED), later=dice.choice([0, 0, 1, SECOND]))
        if waits.known and dice.random() < 0.15:
            server.refuse = (dice.choice([429, 502, 503]), {}, None)
            with pytest.raises(ReleasePipelineError):
                waits.fetch()
            server.refuse = None
        newcomers = [number for number in waits.known if number not in waits.last]
        if newcomers and dice.random() < 0.5:
            waits.fetch(*newcomers)
        if dice.random() < 0.3:
            server.idle(dice.choice([1, 30]))
        news = waits.fetch() if waits.known else {}
        for number, each in news.items():
            assert isinstance(each, Execution), each
            assert each.state is STATES[each.status], number
        assert {number: each.status for number, each in waits.last.items() if isinstance(each, Execution)} == {
            number: server.rows[each.id]["status"] for number, each in waits.last.items() if isinstance(each, Execution)
        }
        assert waits.last.keys() >= waits.known.keys()
    assert {each.outputs["id"] for each in waits.last.values() if isinstance(each, Execution) and each.finished_at} <= (
        server.rows.keys()
    )


def test_what_changes_with_the_very_time_of_the_last_known_change_is_seen(scripted: Scripted) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(30))
    waits.fetch()
    server.move("e3", "PAUSED", later=0)
    server.move("e4", "COMPLETED", later=0)
    assert {each.id for each in waits.fetch().values()} == {"e3", "e4"}  # type: ignore[union-attr]


def test_a_change_that_another_node_wrote_with_a_slower_clock_is_seen(scripted: Scripted) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(60))
    for number in range(40):
        server.start(f"other{number}")
        server.now -= SECOND - SECOND // 10
    waits.fetch()
    server.move("e3", "PAUSED", later=-8 * SECOND)
    assert [each.id for each in waits.fetch().values()] == ["e3"]  # type: ignore[union-attr]


def test_what_moves_up_while_pages_are_read_is_seen_by_the_next_fetch(scripted: Scripted) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(200))
    server.idle()
    waits.fetch()
    for number in range(60):
        server.move(f"e{number}", "WAITING", later=1)

    def move_up(skip: int) -> None:
        if skip:
            server.before_page = lambda skip: None
            server.move("e5", "PAUSED")

    server.before_page = move_up
    waits.fetch()
    waits.fetch()
    assert waits.statuses() == {each: row["status"] for each, row in server.rows.items() if each != "nobody"}


def test_what_moves_up_because_others_were_deleted_while_pages_are_read_is_not_missed(scripted: Scripted) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(200))
    server.idle()
    waits.fetch()
    for number in range(120):
        server.move(f"e{number}", "COMPLETED" if number == 80 else "WAITING")

    def delete(skip: int) -> None:
        if skip:
            server.before_page = lambda skip: None
            for number in range(100, 119):
                del server.rows[f"e{number}"]

    server.before_page = delete
    waits.fetch()
    for number in range(221):
        # A page of the list now ends just below what the first fetch saw, and above what it may have missed.
        server.start(f"other{number}")
    waits.fetch()
    assert waits.ended == {80: "COMPLETED"}
    assert {number for number, each in waits.last.items() if isinstance(each, NotFoundError)} <= set(range(100, 119))


def test_a_server_that_was_set_back_is_asked_by_id(scripted: Scripted) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(60))
    server.idle()
    waits.fetch()
    del server.rows["nobody"]
    for row in server.rows.values():
        row["_updateTimeInMicros"] -= 3600 * SECOND
    server.now -= 3600 * SECOND
    server.move("e40", "COMPLETED")
    server.move("e41", "PAUSED", later=-100 * SECOND)
    assert {each.id: each.status for each in waits.fetch().values()} == {"e40": "COMPLETED", "e41": "PAUSED"}  # type: ignore[union-attr]
    server.now += 600 * SECOND
    server.move("e42", "WAITING")
    server.asked()
    assert [each.id for each in waits.fetch().values()] == ["e42"]  # type: ignore[union-attr]
    assert server.asked() == ["updates"]


def test_the_sweep_finds_what_the_list_of_updates_hides_and_that_is_not_trusted_again(
    scripted: Scripted, mocker: MockerFixture
) -> None:
    mocker.patch.object(execution_watch, "SWEEP", 0.0)
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(60))
    server.idle()
    waits.fetch()
    server.rows["e3"]["status"] = "COMPLETED"
    assert {each.id: each.status for each in waits.fetch().values()} == {"e3": "COMPLETED"}  # type: ignore[union-attr]
    server.asked()
    waits.fetch()
    assert "updates" not in server.asked()


def test_every_execution_is_read_by_its_id_at_times_spread_evenly(scripted: Scripted, clock: Clock) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(200))
    server.idle()
    waits.fetch()
    swept: list[int] = []
    for _ in range(120):
        clock.now += 10
        server.asked()
        assert waits.fetch() == {}
        polls = server.asked()
        assert polls.count("updates") == 1
        swept.append(len(polls) - 1)
    assert max(swept) <= 2, "not all at once"
    assert 4 * 2 <= sum(swept) <= 4 * 8, "each two to four times in twenty minutes, fifty with a request"


def test_less_detail_in_a_list_is_no_news(scripted: Scripted) -> None:
    server = Server(scripted)
    first = server.start("a")
    server.rows["a"]["stages"] = {"Build": {"status": "RUNNING", "tasks": {"Unit": {"status": "RUNNING"}}}}
    waits = Followed(server.client, [first])
    assert [step.name for step in waits.fetch()[0].steps] == ["Build.Unit"]  # type: ignore[union-attr]
    server.rows["a"]["stages"] = {"Build": {"status": "RUNNING"}}
    waits.add(server.start("b"))
    assert list(waits.fetch()) == [1]
    assert waits.fetch() == {}


# --- what is new


def test_a_second_wait_for_the_same_execution_is_reported_in_full(scripted: Scripted) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(3))
    waits.fetch()
    late = waits.add(of("e1"))
    assert list(waits.fetch(late)) == [late]
    later = waits.add(of("e1"))
    assert list(waits.fetch()) == [later]
    assert waits.fetch() == {}


def test_what_was_seen_before_others_saw_more_is_not_taken_for_the_latest(scripted: Scripted) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(3))
    server.idle()
    waits.fetch()
    server.move("e1", "PAUSED")
    other = waits.add(of("e1"))
    assert [each.status for each in waits.fetch(other, 0).values()] == ["PAUSED"]  # type: ignore[union-attr]
    server.idle()
    assert [(number, each.status) for number, each in waits.fetch().items()] == [(1, "PAUSED")]  # type: ignore[union-attr]
    assert waits.fetch() == {}


def test_an_error_of_the_connection_costs_no_more_requests_and_loses_nothing(scripted: Scripted) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(60))
    server.idle()
    waits.fetch()
    server.refuse = (503, {}, None)
    with pytest.raises(ServerUnavailableError):
        waits.fetch()
    server.refuse = None
    server.move("e7", "PAUSED")
    server.asked()
    assert list(waits.fetch()) == [7]
    assert server.asked() == ["updates"]
    assert waits.fetch() == {}


def test_one_that_disappears_and_returns_is_reported_again(scripted: Scripted, clock: Clock) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(60))
    server.idle()
    waits.fetch()
    row = server.rows.pop("e1")
    clock.now += 601
    assert [type(each) for each in waits.fetch().values()] == [NotFoundError], (
        "the sweep sees what the list cannot show"
    )
    server.rows["e1"] = row
    server.asked()
    assert [each.id for each in waits.fetch().values()] == ["e1"], "a single poll tells more than a list"  # type: ignore[union-attr]
    assert server.asked() == ["updates", "e1"]
    assert waits.fetch() == {}


def test_one_that_was_deleted_is_missed_in_a_list_that_was_read_whole(scripted: Scripted, clock: Clock) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(3))
    server.idle()
    waits.fetch()
    del server.rows["e1"]
    server.asked()
    assert [(number, type(each)) for number, each in waits.fetch().items()] == [(1, NotFoundError)]
    assert server.asked() == ["updates", "e1"]


def test_executions_that_nobody_waits_for_are_forgotten(scripted: Scripted, clock: Clock) -> None:
    server = Server(scripted)
    waits = Followed(server.client, server.start_many(50))
    waits.fetch()
    for _ in range(4):
        clock.now += memory.LIFETIME / 2 + 1
        assert waits.fetch(*range(20)) == {}
    server.asked()
    waits.fetch()
    assert server.asked() == ["updates", "filter"], "those that were forgotten are looked at anew"


def test_threads_may_fetch_at_once(scripted: Scripted) -> None:
    server = Server(scripted)
    server.start_many(200)
    server.idle()
    shares = [Followed(server.client, [of(f"e{number}") for number in range(start, 200, 4)]) for start in range(4)]
    with ThreadPoolExecutor(4) as threads:
        for round_ in range(10):
            list(threads.map(Followed.fetch, shares))
            for number in range(20):
                server.move(f"e{round_ * 20 + number}", "COMPLETED" if number % 2 else "PAUSED")
        list(threads.map(Followed.fetch, shares))
    seen = {each: status for share in shares for each, status in share.statuses().items()}
    assert seen == {each: row["status"] for each, row in server.rows.items() if each != "nobody"}
