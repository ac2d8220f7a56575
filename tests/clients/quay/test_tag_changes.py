"""What the history of Quay's tags tells of what happened to them: against the stand-in, and over random histories."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from airflow_provider.clients import listing
from airflow_provider.clients.quay import QuayClient, tag_list, tags
from airflow_provider.clients.quay.tag_changes import TagChanges, deletions_of
from airflow_provider.clients.quay.tag_history import PAGE, History, read_history
from airflow_provider.core.changes import GONE, NEW, Change
from airflow_provider.core.durations import DURATIONS
from airflow_provider.sandbox import seed
from airflow_provider.sandbox.app import SandboxServer
from tests.support.control import SystemControl
from tests.support.examples import PATIENT

SHOP = "acme/shop"


class Stand(SystemControl):
    system = "quay"

    def push(self, tag: str, **values: Any) -> str:
        return str(self.act("push_image", repository=SHOP, tag=tag, **values)["digest"])

    def fill_a_page(self) -> None:
        """With tags that are no older than a list may lag."""
        for number in range(PAGE + 5):
            self.push(f"t{number}", digest="sha256:" + "c" * 64)

    def let_pass(self, seconds: float) -> None:
        self.post("clock", advance=seconds)


@pytest.fixture
def stand(sandbox: SandboxServer) -> Stand:
    return Stand(sandbox.url)


@pytest.fixture
def client(stand: Stand) -> Iterator[QuayClient]:
    with QuayClient(f"{stand.url}/quay", token=seed.QUAY_TOKEN, attempts=1) as client:
        yield client


def seen(changes: list[Change] | Any, tag: str) -> list[tuple[str, str | None, str | None]]:
    of_tag = [each.payload for each in changes if each.payload["tag"] == tag]
    return [(each["kind"], each["previous_digest"], each["digest"]) for each in of_tag]


def test_a_tag_is_created_moved_deleted_and_created_again(stand: Stand, client: QuayClient) -> None:
    first, second = stand.push("prod"), stand.push("prod")
    client.tags.delete(SHOP, "prod")
    stand.let_pass(5)
    third = stand.push("prod")
    reading = TagChanges(SHOP).read(client, None, True)
    begun = [("created", None, first), ("moved", first, second), ("created", None, third)]
    assert (seen(reading[NEW].changes, "prod"), seen(reading[GONE].changes, "prod")) == (
        begun,
        [("deleted", second, None)],
    )


def test_a_tag_that_is_pushed_again_with_the_same_image_has_moved_each_time(stand: Stand, client: QuayClient) -> None:
    digest = "sha256:" + "d" * 64
    for _ in range(3):
        stand.push("again", digest=digest)
        stand.let_pass(1)
    changes = TagChanges(SHOP).read(client, None, True)[NEW].changes
    assert seen(changes, "again") == [("created", None, digest), *[("moved", digest, digest)] * 2]
    assert len({each.id for each in changes}) == len(changes)


def test_a_tag_that_lives_or_was_moved_is_not_deleted(stand: Stand, client: QuayClient) -> None:
    stand.push("prod"), stand.push("prod")
    client.tags.delete(SHOP, "stable")
    reading = TagChanges(SHOP).read(client, None, True)
    assert [each.payload["tag"] for each in reading[GONE].changes] == ["stable"]


def test_an_id_is_the_same_whenever_it_is_read(stand: Stand, client: QuayClient) -> None:
    stand.push("prod")
    ids = [[each.id for each in TagChanges(SHOP).read(client, None, True)[NEW].changes] for _ in range(2)]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == len(ids[0])


def test_only_what_happened_of_late_is_read_of_a_long_history(stand: Stand, client: QuayClient) -> None:
    stand.fill_a_page()
    stand.let_pass(2 * DURATIONS.late_change)
    digest = stand.push("t0")
    changes = TagChanges(SHOP)
    since = max(float(each["start_ts"]) for each in client.tags.list(SHOP)) - DURATIONS.late_change
    before = len(stand.requests("GET"))
    reading = changes.read(client, since, False)
    # The list, and what the tag pointed to before.
    assert len(stand.requests("GET")) - before == 2
    assert seen(reading[NEW].changes, "t0") == [("moved", "sha256:" + "c" * 64, digest)]
    assert (len(reading[NEW].changes), reading[NEW].since, GONE in reading) == (1, since, False)
    changes.read(client, since, False)
    assert len(stand.requests("GET")) - before == 3


def test_a_tag_with_letters_that_quay_alone_allows_stops_no_other(stand: Stand, client: QuayClient) -> None:
    stand.fill_a_page()
    stand.let_pass(2 * DURATIONS.late_change)
    stand.push("v1"), stand.push("версия")
    since = max(float(each["start_ts"]) for each in client.tags.list(SHOP)) - 60
    reading = TagChanges(SHOP).read(client, since, False)
    assert {each.payload["tag"] for each in reading[NEW].changes} == {"v1", "версия"}


def test_a_history_that_is_too_long_is_read_as_far_as_needed_and_tried_once(
    stand: Stand, client: QuayClient, mocker: MockerFixture
) -> None:
    stand.fill_a_page()
    stand.let_pass(2 * DURATIONS.late_change)
    stand.push("t7")
    mocker.patch.object(listing, "MOST_PAGES", 1)
    changes = TagChanges(SHOP)
    assert GONE not in changes.read(client, None, True)
    assert changes.is_too_long
    before = len(stand.requests("GET"))
    changes.read(client, None, True)
    assert len(stand.requests("GET")) - before == 1


def test_a_tag_that_moves_while_a_long_history_is_read_is_not_deleted(
    stand: Stand, client: QuayClient, mocker: MockerFixture
) -> None:
    stand.push("stable")
    stand.let_pass(60)
    stand.fill_a_page()
    pages = tag_list.tag_pages
    reads = 0

    def tag_pages(*given: Any, **options: Any) -> Iterator[list[dict[str, Any]]]:
        nonlocal reads
        reads += 1
        for number, page in enumerate(pages(*given, **options), 1):
            yield page
            if (reads, number) == (2, 1):
                stand.push("stable")

    mocker.patch.object(tags, "tag_pages", tag_pages)
    deleted = [TagChanges(SHOP).read(client, None, True)[GONE].changes for _ in range(2)]
    assert (reads, deleted) == (4, [[], []])


def test_a_deletion_that_a_long_history_shows_too_late_is_reported_by_the_next_reading(
    stand: Stand, client: QuayClient
) -> None:
    digest = stand.push("old")
    stand.let_pass(60)
    stand.fill_a_page()
    client.tags.delete(SHOP, "old")
    changes = TagChanges(SHOP)
    assert changes.read(client, None, True)[GONE].changes == []
    stand.let_pass(60)
    assert seen(changes.read(client, None, True)[GONE].changes, "old") == [("deleted", digest, None)]


# Pages


def entry(name: str, start: int, digest: str = "sha256:a", end: int | None = None) -> dict[str, Any]:
    return {"name": name, "start_ts": start, "manifest_digest": digest, **({"end_ts": end} if end else {})}


def paged(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    return [rows[place : place + PAGE] for place in range(0, max(1, len(rows)), PAGE)]


def test_a_row_that_moves_between_two_pages_is_not_passed_over() -> None:
    rows = [entry(f"t{number}", 10_000 - number) for number in range(3 * PAGE)]
    reads = 0

    def pages() -> Iterator[list[dict[str, Any]]]:
        nonlocal reads
        reads += 1
        yield rows[:PAGE]
        if reads == 1:
            del rows[0]
        yield from paged(rows)[1:]

    history = read_history(pages, None)
    assert {each["name"] for each in history.entries} == {f"t{number}" for number in range(3 * PAGE)}


def test_one_page_is_read_once_and_no_further_than_asked() -> None:
    rows = [entry(f"t{number}", 10_000 - number) for number in range(3 * PAGE)]
    asked: list[int] = []

    def pages() -> Iterator[list[dict[str, Any]]]:
        for number, page in enumerate(paged(rows)):
            asked.append(number)
            yield page

    assert read_history(pages, 9_950.0).since == 9_950.0
    assert asked == [0]


@pytest.mark.parametrize("count", [0, 3])
def test_a_short_page_is_the_whole_history(count: int) -> None:
    rows = [entry(f"t{number}", 100 - number) for number in range(count)]
    assert read_history(lambda: paged(rows), 99.0).since == -math.inf


def test_a_history_in_another_order_is_read_to_its_end() -> None:
    rows = [entry(f"t{number}", 1 + number) for number in range(3 * PAGE)]
    assert read_history(lambda: paged(rows), 250.0).is_whole


@pytest.mark.parametrize(
    "before",
    [
        [entry("v1", 10, "sha256:a", end=10)],
        [entry("v1", 10, "sha256:b", end=10), entry("v1", 10, "sha256:a", end=10)],
    ],
    ids=["pushed twice", "moved back"],
)
def test_a_tag_that_comes_back_to_an_image_within_a_second_is_not_deleted(before: list[dict[str, Any]]) -> None:
    history = read_history(lambda: paged([entry("v1", 10, "sha256:a"), *before]), None)
    assert deletions_of(SHOP, history, until=100) == []


# Random histories


class Registry:
    """A history of tags that is made up; speaks as a client does."""

    registry = "quay.example.com"

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.done: list[tuple[str, str, str | None, str | None, int]] = []
        self.now = 1000
        self.tags = self.transport = self

    def act(self, tag: str, digest: str | None, pause: int) -> None:
        self.now += pause
        living = next((each for each in reversed(self.rows) if each["name"] == tag and "end_ts" not in each), None)
        if living:
            living["end_ts"] = self.now
        before = living["manifest_digest"] if living else None
        if digest:
            self.rows.append(entry(tag, self.now, digest))
            self.done.append(("moved" if living else "created", tag, before, digest, self.now))
        elif living:
            self.done.append(("deleted", tag, before, None, self.now))

    def whole_history(self, repository: str, *, since: float | None = None) -> History:
        newest_first = self.rows[::-1]
        if since is None:
            return read_history(lambda: paged(newest_first), None)
        return History([each for each in newest_first if each["start_ts"] >= since], since)

    def find_before(self, repository: str, tag: str, moment: int) -> dict[str, Any] | None:
        earlier = [each for each in self.rows if each["name"] == tag and each["start_ts"] < moment]
        return earlier[-1] if earlier else None

    def server_time(self) -> float:
        return float(self.now)


@settings(PATIENT, max_examples=300)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["sha256:1", "sha256:2", None]), st.integers(1, 500)),
        max_size=25,
    ),
    st.integers(0, 12_000),
)
def test_whatever_happened_is_reported_and_a_part_of_the_history_shows_the_same_of_its_part(
    acts: list[tuple[str, str | None, int]], since: int
) -> None:
    registry, changes = Registry(), TagChanges(SHOP)
    for act in acts:
        registry.act(*act)
    whole: Any = changes.read(registry, None, True)  # type: ignore[arg-type]
    reported = [*whole[NEW].changes, *whole[GONE].changes]
    assert sorted(_done(reported), key=str) == sorted(registry.done, key=str)
    part: Any = TagChanges(SHOP).read(registry, float(since), False)  # type: ignore[arg-type]
    of_part = [each for each in _done(whole[NEW].changes) if each[-1] >= since]
    assert sorted(_done(part[NEW].changes), key=str) == sorted(of_part, key=str)


@settings(PATIENT, max_examples=300)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["sha256:1", "sha256:2", None]), st.integers(0, 1)),
        max_size=12,
    )
)
def test_a_tag_is_reported_last_as_it_stands_however_often_it_changes_within_a_second(
    acts: list[tuple[str, str | None, int]],
) -> None:
    registry = Registry()
    for act in acts:
        registry.act(*act)
    reading: Any = TagChanges(SHOP).read(registry, None, True)  # type: ignore[arg-type]
    last: dict[str, str | None] = {}
    for change in sorted([*reading[NEW].changes, *reading[GONE].changes], key=lambda each: each.at):
        last[change.payload["tag"]] = change.payload["digest"]
    assert last == {tag: digest for _, tag, _, digest, _ in registry.done}


def _done(changes: list[Change]) -> list[tuple[Any, ...]]:
    fields = ("kind", "tag", "previous_digest", "digest")
    return [(*(each.payload[field] for field in fields), int(each.at)) for each in changes]
