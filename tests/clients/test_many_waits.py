"""Many waits at once for ServiceStage, Cocktail and Quay, over HTTP: what they cost, and that none misses a state."""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pytest_mock import MockerFixture

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.clients.cocktail import CocktailClient
from airflow_provider.clients.quay import QuayClient
from airflow_provider.clients.service_stage import ServiceStageClient, release_waits
from airflow_provider.clients.waitable import PendingObservation
from airflow_provider.exceptions import ServerUnavailableError
from airflow_provider.execution import Execution, ExecutionRef
from tests.support.scripted import Received, Reply, Scripted
from tests.support.until import until

SHOP = "acme/shop"
STARTED = "Sat, 21 Nov 2026 00:18:17 -0000"


class Stand(ABC):
    """Executions that a test moves, in the vendor's own words; the first of ``going_on`` is that of a new one."""

    going_on: tuple[str, ...]
    ended: tuple[str, ...]
    most = 1000
    """Waits that one list answers for."""

    def __init__(self, scripted: Scripted) -> None:
        self.statuses: dict[int, str] = {}
        self.broken = False
        self.scripted = scripted
        scripted.always = self._answer
        self.client = self.connect(scripted.url)

    def start(self) -> ExecutionRef:
        number = len(self.statuses) + 1
        self.statuses[number] = self.going_on[0]
        return self.ref(number)

    def move(self, number: int, status: str) -> None:
        self.statuses[number] = status

    def asked(self) -> list[str]:
        asked, self.scripted.requests[:] = [each.path for each in self.scripted.requests], []
        return asked

    def _answer(self, request: Received) -> Reply:
        return (503, {}, None) if self.broken else (200, {}, self.answer(request))

    @abstractmethod
    def connect(self, url: str) -> ReleaseClient: ...

    @abstractmethod
    def ref(self, number: int) -> ExecutionRef: ...

    @abstractmethod
    def answer(self, request: Received) -> Any: ...


class Releases(Stand):
    going_on = ("4", "5", "7", "10", "13", "14", "99")
    ended = ("2", "3", "11", "12")
    record_has_status = True
    triggered = int(time.time() * 1000)

    def connect(self, url: str) -> ReleaseClient:
        return ServiceStageClient(url, project_id="p", access_key="AK", secret_key="SK", attempts=1)

    def ref(self, number: int) -> ExecutionRef:
        return {
            "system": "service_stage",
            "kind": "release",
            "id": str(number),
            "pipeline_id": f"release-{number}",
            "action": "start",
            "status_before": "2",
            "triggered_before": "1767323100000",
            "since": f"{time.time():.3f}",
        }

    def answer(self, request: Received) -> Any:
        if request.path.endswith("/pipelines"):
            return [
                {"id": f"release-{number}", "name": "n", "status": int(status), "last_trigger_at": self.triggered}
                for number, status in self.statuses.items()
            ]
        if request.path.endswith("/records"):
            number = int(request.path.split("/")[-2].removeprefix("release-"))
            record: dict[str, Any] = {"id": number}
            return {"records": [record | ({"status": self.statuses[number]} if self.record_has_status else {})]}
        return {"pipeline_declaration": {"stages": []}}


class ReleasesWithoutRecords(Releases):
    record_has_status = False


class Runs(Stand):
    going_on = ("CREATED", "RUNNING")
    ended = ("DONE", "ERROR")

    def connect(self, url: str) -> ReleaseClient:
        return CocktailClient(url, token="token", attempts=1)

    def ref(self, number: int) -> ExecutionRef:
        return {"system": "cocktail", "kind": "build_run", "id": str(number), "build_seq": "12", "tag": ""}

    def answer(self, request: Received) -> Any:
        if request.path.endswith("/run"):
            return {"status": "ok", "result": [self._run(number) for number in self.statuses]}
        return self._run(int(request.path.rpartition("/")[2]))

    def _run(self, number: int) -> dict[str, Any]:
        return {"buildRunSeq": number, "buildSeq": 12, "runType": "BUILD", "runState": self.statuses[number]}


class Builds(Stand):
    going_on = ("waiting", "building", "pushing", "internalerror", "cannot_load")
    ended = ("complete", "error", "cancelled")
    most = 100

    def connect(self, url: str) -> ReleaseClient:
        return QuayClient(url, token="token", attempts=1)

    def ref(self, number: int) -> ExecutionRef:
        return {"system": "quay", "kind": "build", "id": f"b{number}", "repository": SHOP}

    def answer(self, request: Received) -> Any:
        if request.path.endswith("/build/"):
            return {"builds": [self._build(number) for number in self.statuses]}
        if request.path.endswith("/tag/"):
            return {"tags": [], "has_additional": False}
        return self._build(int(request.path.rpartition("/b")[2]))

    def _build(self, number: int) -> dict[str, Any]:
        return {"id": f"b{number}", "phase": self.statuses[number], "started": STARTED, "tags": ["1"]}


class Waits:
    """Waits as the poller keeps them: each hands in what it saw last, or its reference while it has seen nothing."""

    def __init__(self, stand: Stand, count: int) -> None:
        self.stand = stand
        self.known: dict[int, ExecutionRef | Execution] = {number: stand.start() for number in range(1, count + 1)}
        self.last: dict[int, str] = {}
        assert len({stand.client.waits.shared_request(ref_of(each)) for each in self.known.values()}) == 1

    def fetch(self) -> dict[int, Execution]:
        """What is new."""
        seen = self.stand.client.waits.fetch(list(self.known.values()))
        news = {
            number: each for number, each in zip(list(self.known), seen, strict=True) if each is not self.known[number]
        }
        for number, each in news.items():
            assert isinstance(each, Execution), each
            self.last[number], self.known[number] = each.status, each
            if each.state.is_terminal:
                del self.known[number]
        return news  # type: ignore[return-value]


def ref_of(known: ExecutionRef | Execution) -> ExecutionRef:
    return known.ref if isinstance(known, Execution) else known


ALL = [Releases, ReleasesWithoutRecords, Runs, Builds]


@pytest.mark.parametrize("count", [1, 2, 100, 1000])
@pytest.mark.parametrize("kind", ALL)
def test_while_nothing_happens_any_number_of_waits_costs_one_request(
    scripted: Scripted, kind: type[Stand], count: int
) -> None:
    stand = kind(scripted)
    waits = Waits(stand, min(count, stand.most))
    assert len(waits.fetch()) == min(count, stand.most)
    for _ in range(3):
        stand.asked()
        assert waits.fetch() == {}
        # A single release whose record has no status needs the list as well.
        assert len(stand.asked()) == (2 if kind is ReleasesWithoutRecords and count == 1 else 1)
    stand.move(1, stand.ended[0])
    assert {number: each.status for number, each in waits.fetch().items()} == {1: stand.ended[0]}
    assert len(stand.asked()) <= 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ALL)
def test_every_wait_learns_every_state(scripted: Scripted, kind: type[Stand], seed: int) -> None:
    dice = random.Random(seed)
    stand = kind(scripted)
    waits = Waits(stand, dice.choice([1, 2, 40]))
    waits.fetch()
    for _ in range(30):
        if dice.random() < 0.2:
            ref = stand.start()
            waits.known[len(stand.statuses)] = ref
        for number in dice.sample(list(waits.known), min(len(waits.known), dice.choice([0, 0, 1, 5]))):
            stand.move(number, dice.choice(stand.going_on * 3 + stand.ended))
        if waits.known and dice.random() < 0.1:
            stand.broken = True
            with pytest.raises(ServerUnavailableError):
                waits.fetch()
            stand.broken = False
        waits.fetch()
        assert waits.last == stand.statuses


@pytest.mark.parametrize("kind", [Releases, Runs])
def test_what_a_list_does_not_show_is_polled_whenever_the_caller_likes(scripted: Scripted, kind: type[Stand]) -> None:
    stand = kind(scripted)
    waits = Waits(stand, 20)
    waits.fetch()
    before = list(waits.known.values())
    for number in range(1, 11):
        stand.move(number, stand.ended[-1])
    stand.asked()
    found = stand.client.waits.fetch_shared(before)
    assert len(stand.asked()) == 1
    assert [callable(each) for each in found] == [True] * 10 + [False] * 10
    assert all(now is known for now, known in zip(found[10:], before[10:], strict=True))
    pending: list[PendingObservation] = [each for each in found if callable(each)]
    assert stand.asked() == [], "nothing is requested before it is polled"
    stand.broken = True
    with pytest.raises(ServerUnavailableError):
        pending[0]()
    stand.broken = False
    with ThreadPoolExecutor(4) as threads:
        seen = list(threads.map(lambda each: each(), pending))
    assert [each.id for each in seen if isinstance(each, Execution)] == [ref_of(each)["id"] for each in before[:10]]
    rest = [*(each for each in seen if isinstance(each, Execution) and not each.state.is_terminal), *before[10:]]
    stand.asked()
    assert all(now is known for now, known in zip(stand.client.waits.fetch(rest), rest, strict=True))


# --- ServiceStage


def test_a_release_that_the_list_still_shows_as_before_is_asked_for_again_soon(
    scripted: Scripted, mocker: MockerFixture
) -> None:
    mocker.patch.object(release_waits, "UNCERTAIN", 0.05)
    stand = ReleasesWithoutRecords(scripted)
    waits = Waits(stand, 2)
    stand.move(1, "2")
    assert [each.state for each in waits.fetch().values()] == ["queued", "running"]
    stand.asked()
    assert waits.fetch() == {}
    assert len(stand.asked()) == 1

    def fetch() -> int:
        assert waits.fetch() == {}
        return len(stand.asked())

    until(fetch, lambda asked: asked == 2)


def test_a_sensor_that_does_not_know_when_a_release_began_costs_no_more(scripted: Scripted) -> None:
    stand = Releases(scripted)
    waits = Waits(stand, 50)
    waits.known = {number: {**stand.ref(number), "since": "", "status_before": ""} for number in waits.known}
    waits.fetch()
    assert len(stand.asked()) == 51
    assert waits.fetch() == {}
    assert len(stand.asked()) == 1


def test_a_release_triggered_again_is_polled_although_its_status_is_the_same(scripted: Scripted) -> None:
    stand = Releases(scripted)
    waits = Waits(stand, 2)
    waits.known = {number: {**stand.ref(number), "since": ""} for number in waits.known}
    waits.fetch()
    stand.asked()
    stand.triggered += 1
    waits.fetch()
    assert len(stand.asked()) == 3


# --- Quay


class TagPages:
    """Tags of one repository, the newest first, a hundred a page."""

    def __init__(self, scripted: Scripted, count: int) -> None:
        self.now = 1_767_323_045
        self.tags: list[dict[str, Any]] = []
        self.scripted = scripted
        for number in range(count):
            self.push(f"old{number}")
        scripted.always = self._answer
        self.client = QuayClient(scripted.url, token="token", attempts=1)

    def push(self, name: str) -> None:
        self.now += 100
        self.tags = [{"name": name, "manifest_digest": "sha256:" + "a" * 64, "start_ts": self.now}] + [
            tag for tag in self.tags if tag["name"] != name
        ]

    def asked(self) -> int:
        asked, self.scripted.requests[:] = len(self.scripted.requests), []
        return asked

    def _answer(self, request: Received) -> Reply:
        page = int(request.query["page"])
        found = [tag for tag in self.tags if request.query.get("specificTag", tag["name"]) == tag["name"]]
        rows = found[100 * (page - 1) : 100 * page]
        return 200, {}, {"tags": rows, "page": page, "has_additional": len(found) > 100 * page}


def news(client: ReleaseClient, known: list[Execution]) -> list[Execution]:
    """What a poll of those that were seen finds changed."""
    found = zip(client.waits.fetch(known), known, strict=True)
    return [now for now, before in found if now is not before and isinstance(now, Execution)]


def tag(name: str) -> ExecutionRef:
    return {"system": "quay", "kind": "tag", "id": name, "repository": SHOP, "tag": name, "digest": ""}


@pytest.mark.parametrize("count", [2, 100, 1000])
def test_waits_for_tags_cost_one_page_of_a_long_list(scripted: Scripted, count: int) -> None:
    pages = TagPages(scripted, 450)
    refs = [tag(f"new{number}") for number in range(count)]
    known = [each for each in pages.client.waits.fetch(refs) if isinstance(each, Execution)]
    assert len(known) == count
    for _ in range(3):
        pages.asked()
        assert news(pages.client, known) == []
        assert pages.asked() == 1
    for number in range(150):
        pages.push(f"other{number}")
        if number == 10:
            pages.push("new1")
    pages.asked()
    assert [each.id for each in news(pages.client, known)] == ["new1"]
    assert pages.asked() == 2


def test_a_tag_that_points_elsewhere_is_reported_once(scripted: Scripted) -> None:
    pages = TagPages(scripted, 5)
    refs = [{**tag("old1"), "digest": "sha256:" + "b" * 64}, tag("new")]
    seen = [each for each in pages.client.waits.fetch(refs) if isinstance(each, Execution)]
    assert [each.status for each in seen] == ["other_digest", "missing"]
    assert news(pages.client, seen) == []


def test_equal_scans_share_a_request_and_are_reported_once(scripted: Scripted) -> None:
    scripted.always = (200, {}, {"status": "queued", "data": None})
    client = QuayClient(scripted.url, token="token", attempts=1)
    digest = "sha256:" + "a" * 64
    ref = {"system": "quay", "kind": "scan", "id": digest, "repository": SHOP, "tag": "", "digest": digest}
    refs = [{**ref, "max_severity": "High"} for _ in range(20)]
    assert len({client.waits.shared_request(each) for each in refs}) == 1
    seen = [each for each in client.waits.fetch(refs) if isinstance(each, Execution)]
    assert (len(seen), len(scripted.requests)) == (20, 1)
    assert news(client, seen) == []
    assert len(scripted.requests) == 2


# --- logs


def test_a_build_log_of_quay_is_read_from_where_it_was_left(scripted: Scripted) -> None:
    entries = [{"message": "Step 1\n", "type": "command"}, {"message": "one\ntwo\n\n"}, {"message": "three"}]
    total = 2

    def answer(request: Received) -> Reply:
        start = int(request.query["start"])
        return 200, {}, {"start": start, "total": total, "logs": entries[start:total]}

    scripted.always = answer
    client = QuayClient(scripted.url, token="token", attempts=1)
    ref = {"system": "quay", "kind": "build", "id": "b1", "repository": SHOP}
    assert client.waits.has_log(ref)
    assert client.waits.read_log(ref, 0) == (["Step 1", "one", "two"], 2)
    total = 3
    assert client.waits.read_log(ref, 2) == (["three"], 3)
    assert client.waits.read_log(ref, 3) == ([], 3)
    assert not client.waits.has_log(tag("1"))
    assert client.waits.read_log(tag("1"), 0) == ([], 0)


@pytest.mark.parametrize(
    "reply",
    [
        (403, {}, {"error_type": "insufficient_scope"}),
        (400, {}, {"message": "Unable to locate a build by id: b1"}),
        (404, {}, None),
        (200, {}, {"logs_url": "https://archive.example.com/log"}),
        (200, {}, {"start": 0, "total": 0, "logs": []}),
    ],
)
def test_a_build_log_of_quay_that_is_not_there_has_no_lines(scripted: Scripted, reply: Reply) -> None:
    scripted.always = reply
    client = QuayClient(scripted.url, token="token", attempts=1)
    ref = {"system": "quay", "kind": "build", "id": "b1", "repository": SHOP}
    assert client.waits.read_log(ref, 7) == ([], 7)


def test_the_log_of_a_build_run_is_reported_step_by_step_whenever_its_text_comes(scripted: Scripted) -> None:
    steps = [
        {"stepOrder": 2, "stepType": "CREATE_IMAGE", "stepState": "RUNNING", "log": "half"},
        {"stepOrder": 1, "stepType": "CODE_DOWN", "stepState": "DONE", "log": None},
        {"stepOrder": 0, "stepType": "INIT", "stepState": "DONE", "log": "ready\n"},
    ]
    scripted.always = lambda request: (200, {}, {"buildRunSeq": 3, "buildRunLogs": steps})
    client = CocktailClient(scripted.url, token="token", attempts=1)
    ref = {"system": "cocktail", "kind": "build_run", "id": "3", "build_seq": "12", "tag": ""}
    assert client.waits.has_log(ref)
    lines, offset = client.waits.read_log(ref, 0)
    assert lines == ["INIT:", "ready"]
    steps[0] |= {"stepState": "ERROR", "log": "one\ntwo"}
    lines, offset = client.waits.read_log(ref, offset)
    assert lines == ["CREATE_IMAGE:", "one", "two"]
    steps[1]["log"] = "late"
    lines, offset = client.waits.read_log(ref, offset)
    assert lines == ["CODE_DOWN:", "late"]
    assert client.waits.read_log(ref, offset) == ([], offset)


@pytest.mark.parametrize("reply", [(404, {}, None), (403, {}, None), (200, {}, {"result": None})])
def test_a_log_that_an_installation_does_not_publish_has_no_lines(scripted: Scripted, reply: Reply) -> None:
    scripted.always = reply
    client = CocktailClient(scripted.url, token="token", attempts=1)
    ref = {"system": "cocktail", "kind": "build_run", "id": "3", "build_seq": "12", "tag": ""}
    assert client.waits.read_log(ref, 5) == ([], 5)
