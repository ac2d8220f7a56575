"""Asset events by polling, through Airflow's own triggerer and shared streams, against the sandbox over HTTP."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from airflow.serialization.encoders import encode_trigger
from airflow.triggers.base import BaseEventTrigger
from pytest_mock import MockerFixture

from airflow_provider.exceptions import BadRequestError
from airflow_provider.triggers import event_stream, events, watcher
from airflow_provider.triggers.code_stream import CodeStreamEventTrigger
from airflow_provider.triggers.quay import QuayTagEventTrigger
from tests.support.systems import LOGINS, Systems
from tests.support.until import until
from tests.triggers.watching import Triggerer, Watched, forget_watchers, parse

SHOP = "acme/shop"
ROUNDS = 3
"""Looks after which nothing more is expected."""


@pytest.fixture(autouse=True)
def _quick(mocker: MockerFixture) -> Iterator[None]:
    mocker.patch.object(event_stream, "MIN_INTERVAL", 0.1)
    mocker.patch.object(event_stream, "CANCELED_WITHIN", 0.3)
    mocker.patch.object(events, "RUN_MADE_WITHIN", 0.1)
    yield
    forget_watchers()


def of_tags(pattern: str = "*", repository: str = SHOP, **arguments: Any) -> Callable[[], QuayTagEventTrigger]:
    return functools.partial(QuayTagEventTrigger, repository, pattern, **{"poll_interval": 0.2, **arguments})


def of_events(event_type: Any = "docker", **filters: Any) -> Callable[[], CodeStreamEventTrigger]:
    return functools.partial(CodeStreamEventTrigger, event_type, filters, poll_interval=0.2)


def push(systems: Systems, tag: str, repository: str = SHOP) -> str:
    return str(systems.act("quay", "push_image", repository=repository, tag=tag)["digest"])


def polls(systems: Systems, repository: str = SHOP) -> int:
    return len(systems.requests("quay", "GET", f"/repository/{repository}/tag/"))


def rounds_pass(systems: Systems) -> None:
    seen = polls(systems)
    until(lambda: polls(systems) >= seen + ROUNDS)


def has_kept(watched: Watched, before: dict[str, str]) -> bool:
    return watched.cursors() != before


# What is reported


def test_a_tag_that_is_pushed_is_reported_once_and_starts_a_run(systems: Systems) -> None:
    watched = Watched(of_tags("v*"))
    parse(watched)
    with Triggerer():
        until(watched.has_begun)
        assert (watched.events(), watched.is_queued()) == ([], False)
        push(systems, "nightly")
        digest = push(systems, "v1")
        (event,) = until(watched.events)
        rounds_pass(systems)
        assert watched.events() == [event]
    assert watched.is_queued()
    host = systems.url.removeprefix("http://")
    extra = {name: value for name, value in event.items() if name not in ("id", "time")}
    assert extra == {
        "system": "quay",
        "kind": "created",
        "repository": SHOP,
        "tag": "v1",
        "digest": digest,
        "previous_digest": None,
        "image_ref": f"{host}/{SHOP}@{digest}",
    }
    assert event["id"].startswith(f"{SHOP}:v1@{digest}#")
    assert event["time"].endswith("+00:00")


def test_two_moves_between_two_polls_are_reported_both_and_a_deletion_too(systems: Systems) -> None:
    first = push(systems, "prod")
    watched = Watched(of_tags("prod"))
    parse(watched)
    with Triggerer() as triggerer:
        until(watched.has_begun)
        triggerer.stand_still()
        second, third = push(systems, "prod"), push(systems, "prod")
        triggerer.go_on()
        until(lambda: len(watched.events()) == 2)
        with_client(lambda client: client.tags.delete(SHOP, "prod"))
        until(lambda: len(watched.events()) == 3)
    changes = [(each["kind"], each["digest"], each["previous_digest"]) for each in watched.events()]
    assert changes == [("moved", second, first), ("moved", third, second), ("deleted", None, third)]
    assert len(set(watched.ids())) == 3


def test_an_event_of_code_stream_that_matches_is_reported_once(systems: Systems) -> None:
    watched = Watched(of_events(repo="shop", tag="1.4"))
    parse(watched)
    with Triggerer():
        until(watched.has_begun)
        deliver(systems, tag="1.3")
        event_id = deliver(systems, tag="1.4")
        (event,) = until(watched.events)
        seen = len(systems.requests("code_stream", "GET", "/registry-events"))
        until(lambda: len(systems.requests("code_stream", "GET", "/registry-events")) >= seen + ROUNDS)
    assert watched.ids() == [event_id]
    assert (event["system"], event["event_type"], event["event"]["tag"]) == ("code_stream", "docker", "1.4")
    assert event["execution_id"]
    assert event["url"].endswith(event["execution_id"])


def test_what_no_database_can_store_is_reported_all_the_same(systems: Systems) -> None:
    watched = Watched(of_events(tag="1.4"))
    parse(watched)
    with Triggerer():
        until(watched.has_begun)
        deliver(systems, tag="1.4", owner="some\0body")
        (event,) = until(watched.events)
    assert event["event"]["owner"] == "some\ufffdbody"


def test_very_many_at_once_are_reported_round_by_round(systems: Systems, mocker: MockerFixture) -> None:
    mocker.patch.object(watcher, "MOST_AT_ONCE", 2)
    watched = Watched(of_tags("v*"))
    parse(watched)
    with Triggerer() as triggerer:
        until(watched.has_begun)
        triggerer.stand_still()
        for number in range(7):
            push(systems, f"v{number}")
        triggerer.go_on()
        until(lambda: len(watched.events()) == 7)
        rounds_pass(systems)
    assert sorted(watched.tags()) == [f"v{number}" for number in range(7)]


@pytest.mark.parametrize("at_once", [True, False], ids=["in one round", "in two"])
def test_no_event_waits_for_a_later_one_to_start_its_run(
    systems: Systems, mocker: MockerFixture, at_once: bool
) -> None:
    mocker.patch.object(events, "RUN_MADE_WITHIN", 5.0)
    watched = Watched(of_tags("v*"))
    parse(watched)
    with Triggerer() as triggerer:
        until(watched.has_begun)
        triggerer.stand_still()
        push(systems, "v1")
        if not at_once:
            triggerer.go_on()
            until(watched.events)
            triggerer.stand_still()
        # Of the second round, this is the only one, and so the last.
        pushed = ["v1", "v2"]
        push(systems, "v2")
        if at_once:
            pushed.append("v3")
            push(systems, "v3")
        seen = polls(systems)
        triggerer.go_on()
        until(lambda: polls(systems) > seen)
        # The scheduler takes a moment to make the first run.
        time.sleep(0.5)
        until(lambda: sorted(each["tag"] for run in watched.runs() for each in run) == pushed)


def test_no_event_of_one_watcher_waits_for_a_later_one_to_start_its_run_because_of_another_watcher(
    systems: Systems, mocker: MockerFixture
) -> None:
    mocker.patch.object(events, "RUN_MADE_WITHIN", 5.0)
    watched = Watched(of_tags("v*"), of_tags("release-*"))
    parse(watched)
    with Triggerer() as triggerer:
        until(lambda: len(watched.cursors()) == 2)
        triggerer.stand_still()
        push(systems, "v1"), push(systems, "release-1")
        triggerer.go_on()
        until(watched.events)
        # The scheduler takes a moment to make the first run.
        time.sleep(0.5)
        until(lambda: sorted(each["tag"] for run in watched.runs() for each in run) == ["release-1", "v1"])


def test_an_event_waits_for_its_turn_no_longer_than_airflow_gives_a_round() -> None:
    """Each of forty watchers of one asset has an event at once, as when one release tags forty repositories."""

    async def pauses() -> list[float]:
        return [watcher.EventTurns(["asset"], 10.0).take(after_all=True) for _ in range(40)]

    assert max(asyncio.run(pauses())) <= watcher.LONGEST_TURN


# Who watches


def test_two_assets_on_one_thing_share_the_polls_and_each_gets_its_own(systems: Systems) -> None:
    releases, all_tags = Watched(of_tags("v*")), Watched(of_tags("*", poll_interval=3600))
    parse(releases, all_tags)
    with Triggerer() as triggerer:
        until(lambda: releases.has_begun() and all_tags.has_begun())
        assert len(triggerer.streams) == 1
        push(systems, "nightly")
        push(systems, "v1")
        # The one that polls seldom is informed as soon as the other one.
        until(lambda: len(all_tags.events()) == 2 and len(releases.events()) == 1)
        rounds_pass(systems)
    assert (releases.tags(), sorted(all_tags.tags())) == (["v1"], ["nightly", "v1"])


def test_two_assets_with_equal_watchers_are_reported_both(systems: Systems) -> None:
    one, other = Watched(of_tags()), Watched(of_tags())
    parse(one, other)
    assert one.trigger_ids() == other.trigger_ids()
    with Triggerer() as triggerer:
        until(lambda: one.has_begun() and other.has_begun())
        before = one.cursors(), other.cursors()
        push(systems, "v1")
        until(lambda: one.events() and other.events())
        until(lambda: has_kept(one, before[0]) and has_kept(other, before[1]))
        triggerer.die()
    with Triggerer():
        push(systems, "v2")
        until(lambda: len(one.events()) == len(other.events()) == 2)
    assert one.tags() == other.tags() == ["v1", "v2"]


@pytest.mark.parametrize("has_left", [0, 1])
def test_an_asset_that_no_dag_uses_any_more_keeps_no_cursor_from_another_with_an_equal_watcher(
    systems: Systems, has_left: int
) -> None:
    watched = [Watched(of_tags()), Watched(of_tags())]
    left = watched[1 - has_left]
    parse(*watched)
    with Triggerer() as triggerer:
        until(lambda: all(each.has_begun() for each in watched))
        before = left.cursors()
        watched[has_left].leave()
        push(systems, "v1")
        until(left.events)
        until(lambda: has_kept(left, before))
        triggerer.die()
    assert left.tags() == ["v1"]


def test_a_late_subscriber_gets_what_comes_from_then_on_and_disturbs_nobody(systems: Systems) -> None:
    first, late = Watched(of_tags()), Watched(of_tags("v*"))
    parse(first)
    with Triggerer() as triggerer:
        until(first.has_begun)
        push(systems, "v1")
        until(first.events)
        parse(late)
        until(late.has_begun)
        assert len(triggerer.streams) == 1
        push(systems, "v2")
        until(lambda: len(first.events()) == 2 and late.events())
        rounds_pass(systems)
    assert (first.tags(), late.tags()) == (["v1", "v2"], ["v2"])


def test_a_paused_dag_gets_the_events_of_the_meantime_once_it_continues(systems: Systems) -> None:
    watched, other = Watched(of_tags("v*")), Watched(of_tags())
    parse(watched, other)
    with Triggerer():
        until(lambda: watched.has_begun() and other.has_begun())
        watched.pause()
        parse(watched, other)
        push(systems, "v1")
        until(other.events)
        assert (watched.trigger_ids(), watched.events()) == (set(), [])
        watched.pause(False)
        parse(watched, other)
        until(watched.events)
        rounds_pass(systems)
    assert (watched.tags(), other.tags()) == (["v1"], ["v1"])


@pytest.mark.parametrize("is_alone", [True, False], ids=["alone", "beside another watcher"])
def test_what_a_watcher_sends_before_it_learns_that_its_dag_is_paused_is_sent_again_once_it_continues(
    systems: Systems, is_alone: bool
) -> None:
    watched, other = Watched(of_tags("v*")), Watched(of_tags())
    all_watched = [watched] if is_alone else [watched, other]
    parse(*all_watched)
    with Triggerer() as triggerer:
        until(lambda: all(each.has_begun() for each in all_watched))
        supervisor = triggerer.supervisor
        # It learns of the removal with the news that the events are stored, as late as Airflow's own one may.
        load = supervisor.load_triggers
        supervisor.load_triggers = lambda: load() if supervisor.persisted_event_seqs else None
        watched.pause()
        parse(*all_watched)
        push(systems, "v1")
        until(lambda: len(triggerer.runner.triggers) == len(all_watched) - 1)
        # By then it would have saved its cursor.
        time.sleep(3 * event_stream.CANCELED_WITHIN)
        assert watched.events() == []
        supervisor.load_triggers = load
        watched.pause(False)
        parse(*all_watched)
        until(watched.events)
        rounds_pass(systems)
    assert watched.tags() == ["v1"]


# Restarts


def test_what_happens_while_no_triggerer_runs_is_reported_and_nothing_else(systems: Systems) -> None:
    tags, events = Watched(of_tags()), Watched(of_events())
    parse(tags, events)
    with Triggerer() as triggerer:
        until(lambda: tags.has_begun() and events.has_begun())
        before = tags.cursors(), events.cursors()
        push(systems, "v1")
        first = deliver(systems)
        until(lambda: tags.events() and events.events())
        until(lambda: has_kept(tags, before[0]) and has_kept(events, before[1]))
        triggerer.die()
    push(systems, "v2")
    second = deliver(systems)
    with Triggerer():
        until(lambda: len(tags.events()) == 2 and second in events.ids())
        rounds_pass(systems)
    assert tags.tags() == ["v1", "v2"]
    # The sandbox's Quay sends its Code Stream a webhook for each push, too.
    assert [each for each in events.ids() if each in (first, second)] == [first, second]
    assert len(set(events.ids())) == len(events.ids())


def test_what_was_reported_but_not_stored_when_a_triggerer_dies_is_reported_by_the_next_one(systems: Systems) -> None:
    watched = Watched(of_tags())
    parse(watched)
    with Triggerer() as triggerer:
        until(watched.has_begun)
        triggerer.supervisor.stores_events = False
        push(systems, "v1")
        until(lambda: [each["events"] for each in triggerer.runner.triggers.values()] == [1])
        rounds_pass(systems)
        triggerer.die()
    assert watched.events() == []
    with Triggerer():
        until(watched.events)
        rounds_pass(systems)
    assert watched.tags() == ["v1"]


def test_what_was_stored_while_its_cursor_was_not_kept_is_reported_again_with_the_same_id(systems: Systems) -> None:
    watched = Watched(of_tags())
    parse(watched)
    with Triggerer() as triggerer:
        until(watched.has_begun)
        triggerer.supervisor.keeps_cursors = False
        push(systems, "v1")
        until(watched.events)
        rounds_pass(systems)
        assert watched.tags() == ["v1"]
        triggerer.die()
    with Triggerer():
        until(lambda: len(watched.events()) == 2)
        rounds_pass(systems)
    assert len(watched.events()) == 2
    assert len(set(watched.ids())) == 1


def test_a_cursor_that_cannot_be_kept_is_kept_when_airflow_takes_it_again(systems: Systems) -> None:
    watched = Watched(of_tags())
    parse(watched)
    with Triggerer() as triggerer:
        until(watched.has_begun)
        before = watched.cursors()
        triggerer.supervisor.keeps_cursors = False
        push(systems, "v1")
        until(watched.events)
        rounds_pass(systems)
        assert watched.cursors() == before
        triggerer.supervisor.keeps_cursors = True
        until(lambda: has_kept(watched, before))
        triggerer.die()
    with Triggerer():
        rounds_pass(systems)
    assert watched.tags() == ["v1"]


def test_nothing_is_reported_before_its_beginning_is_kept(systems: Systems) -> None:
    watched = Watched(of_tags())
    parse(watched)
    triggerer = Triggerer()
    triggerer.supervisor.keeps_cursors = False
    with triggerer:
        rounds_pass(systems)
        push(systems, "v1")
        rounds_pass(systems)
        assert watched.events() == []
        triggerer.supervisor.keeps_cursors = True
        until(watched.events)
    assert watched.tags() == ["v1"]


def test_a_cursor_is_saved_as_soon_as_its_event_is_stored_and_not_at_the_next_poll(systems: Systems) -> None:
    watched = Watched(of_tags(poll_interval=5.0))
    parse(watched)
    with Triggerer():
        until(watched.has_begun)
        before = watched.cursors()
        push(systems, "v1")
        until(watched.events)
        seen = polls(systems)
        until(lambda: has_kept(watched, before))
        assert polls(systems) == seen


def test_what_only_passed_by_is_kept_now_and_then_and_not_each_time(systems: Systems, mocker: MockerFixture) -> None:
    watched = Watched(of_tags("v*"))
    parse(watched)
    with Triggerer():
        until(watched.has_begun)
        before = watched.cursors()
        systems.advance(3600)
        push(systems, "nightly")
        rounds_pass(systems)
        assert watched.cursors() == before
        mocker.patch.object(watcher, "SAVE_EVERY", 0.0)
        until(lambda: has_kept(watched, before))
    assert watched.events() == []


def test_a_cursor_that_nobody_can_read_is_begun_anew(systems: Systems) -> None:
    watched = Watched(of_tags())
    parse(watched)
    with Triggerer():
        until(watched.has_begun)
    watched.spoil_cursors()
    spoilt = watched.cursors()
    with Triggerer():
        until(lambda: has_kept(watched, spoilt))
        push(systems, "v1")
        until(watched.events)
    assert watched.tags() == ["v1"]


def test_a_connection_that_leads_to_another_quay_begins_there_and_keeps_that(
    systems: Systems, elsewhere: Systems
) -> None:
    push(elsewhere, "theirs")
    watched = Watched(of_tags())
    parse(watched)
    with Triggerer():
        until(watched.has_begun)
        assert systems.url in str(watched.cursors())
        push(systems, "v1")
        until(watched.events)
    elsewhere.connect()
    with Triggerer():
        until(lambda: elsewhere.url in str(watched.cursors()))
        push(elsewhere, "v2")
        until(lambda: len(watched.events()) == 2)
    assert watched.tags() == ["v1", "v2"]


def test_a_connection_that_leads_back_continues_where_it_left(systems: Systems, elsewhere: Systems) -> None:
    watched = Watched(of_tags())
    parse(watched)
    for where in (systems, elsewhere):
        where.connect()
        with Triggerer():
            until(lambda where=where: where.url in str(watched.cursors()))
    push(systems, "v1")
    systems.connect()
    with Triggerer():
        until(watched.events)
    assert watched.tags() == ["v1"]


def test_two_watchers_of_one_asset_over_connections_to_two_quays_both_continue(
    systems: Systems, elsewhere: Systems, mocker: MockerFixture
) -> None:
    east = json.dumps({"conn_type": "quay", **LOGINS["quay"], "host": f"{elsewhere.url}/quay"})
    mocker.patch.dict(os.environ, {"AIRFLOW_CONN_QUAY_EAST": east})
    watched = Watched(of_tags(), of_tags(quay_conn_id="quay_east"))
    parse(watched)
    for _ in range(2):
        with Triggerer():
            until(lambda: all(each.url in str(watched.cursors()) for each in (systems, elsewhere)))
        push(systems, "v1"), push(elsewhere, "v2")
    with Triggerer():
        until(lambda: len(watched.events()) == 4)
    assert sorted(watched.tags()) == ["v1", "v1", "v2", "v2"]


def test_an_airflow_that_does_not_keep_a_cursor_for_long_holds_up_no_event(
    systems: Systems, mocker: MockerFixture
) -> None:
    mocker.patch.object(watcher, "LONGEST_SAVE", 0.2)
    watched = Watched(of_tags())
    parse(watched)
    with Triggerer() as triggerer:
        until(watched.has_begun)
        triggerer.supervisor.answers_about_cursors = False
        push(systems, "v1")
        until(watched.events)
        push(systems, "v2")
        until(lambda: len(watched.events()) == 2)
    assert watched.tags() == ["v1", "v2"]


def test_two_triggerers_share_out_the_watchers_and_each_is_reported_once(systems: Systems) -> None:
    watched = [Watched(of_tags(pattern)) for pattern in ("v*", "*")]
    for each in watched:
        parse(each)
    with Triggerer(capacity=1) as one, Triggerer(capacity=1) as other:
        until(lambda: all(each.has_begun() for each in watched))
        assert (len(one.streams), len(other.streams)) == (1, 1)
        push(systems, "v1")
        until(lambda: all(each.events() for each in watched))
        rounds_pass(systems)
    assert [each.tags() for each in watched] == [["v1"], ["v1"]]


def test_a_triggerer_that_has_lost_its_watchers_while_it_stood_still_reports_nothing_twice(systems: Systems) -> None:
    watched = Watched(of_tags())
    parse(watched)
    with Triggerer() as stalled:
        until(watched.has_begun)
        before = watched.cursors()
        stalled.stand_still()
        stalled.is_given_up()
        with Triggerer() as other:
            until(lambda: other.streams)
            push(systems, "v1")
            until(watched.events)
            until(lambda: has_kept(watched, before))
            # It goes on with what it knew, until its supervisor has heard of the other one.
            stalled.supervisor.load_triggers = lambda: None
            stalled.go_on()
            rounds_pass(systems)
            rounds_pass(systems)
    assert watched.tags() == ["v1"]


# What is polled


class Reader:
    """Sees nothing, and notes what it is asked for: how far back, and whether for the whole."""

    def __init__(self) -> None:
        self.asked: list[tuple[float | None, bool]] = []

    def read(self, client: Any, since: float | None, whole: bool) -> dict[str, Any]:
        self.asked.append((since, whole))
        return {}


@pytest.mark.parametrize(
    ("whole_every", "whole"),
    [(600.0, [True, False, False, True, False]), (0.0, [True] * 5)],
    ids=["seldom", "each time"],
)
def test_a_list_is_read_to_its_end_for_who_joins_and_now_and_then(
    systems: Systems, mocker: MockerFixture, whole_every: float, whole: list[bool]
) -> None:
    mocker.patch.object(event_stream, "WHOLE_EVERY", whole_every)
    reader = Reader()

    async def scenario() -> None:
        stream = event_stream.Stream("quay", "quay_default", "tags", reader)
        rounds = stream.rounds()
        with stream.seat(0.1):
            for _ in range(3):
                await anext(rounds)
            with stream.seat(0.1):
                for _ in range(2):
                    await anext(rounds)
        await rounds.aclose()

    asyncio.run(scenario())
    assert [each for _, each in reader.asked] == whole


def test_a_poll_reaches_back_as_far_as_the_watcher_that_knows_least_needs(systems: Systems) -> None:
    reader = Reader()

    async def scenario() -> None:
        stream = event_stream.Stream("quay", "quay_default", "tags", reader)
        rounds = stream.rounds()
        with stream.seat(0.1) as one, stream.seat(0.1) as other, stream.seat(0.1):
            one.since, other.since = 100.0, 50.0
            await anext(rounds)
        await rounds.aclose()

    asyncio.run(scenario())
    assert [since for since, _ in reader.asked] == [50.0]


# Trouble


@pytest.mark.parametrize(
    "fault",
    [{"fault": "status", "status": 503}, {"fault": "html"}, {"fault": "truncate"}, {"fault": "reset_before"}],
    ids=["5xx", "html", "truncated", "reset"],
)
def test_an_outage_ends_no_watcher_and_loses_nothing(systems: Systems, fault: dict[str, Any]) -> None:
    watched = Watched(of_tags())
    parse(watched)
    with Triggerer() as triggerer:
        until(watched.has_begun)
        running = dict(triggerer.runner.triggers)
        systems.fault("quay", method="GET", path="/tag/", times=3, **fault)
        push(systems, "v1")
        until(watched.events)
        assert {name: each["task"] for name, each in triggerer.runner.triggers.items()} == {
            name: each["task"] for name, each in running.items()
        }
    assert watched.tags() == ["v1"]


def test_a_repository_that_is_not_there_yet_is_waited_for(systems: Systems) -> None:
    watched = Watched(of_tags(repository="acme/new"))
    parse(watched)
    with Triggerer():
        until(lambda: polls(systems, "acme/new") >= ROUNDS)
        with_client(lambda client: client.repositories.create("acme/new"))
        until(watched.has_begun)
        push(systems, "v1", "acme/new")
        until(watched.events)
    assert watched.tags() == ["v1"]


def test_a_retry_after_holds_back_all_who_poll_over_the_connection(systems: Systems) -> None:
    with_client(lambda client: client.repositories.create("acme/other"))
    watched = [Watched(of_tags()), Watched(of_tags(repository="acme/other"))]
    parse(*watched)
    with Triggerer():
        until(lambda: all(each.has_begun() for each in watched))
        systems.fault("quay", "status", method="GET", path="/tag/", status=429, headers={"Retry-After": "3"})
        asked = systems.requests("quay", "GET", "/tag/")
        throttled = until(lambda: next((e for e in systems.requests("quay", "GET", "/tag/") if e["status"] == 429), 0))
        after = until(lambda: later(systems, throttled, at_least=2))
        assert len(asked) > 0
    # One request of each may have been on its way already.
    assert [each for each in after[1:] if each["time"] - throttled["time"] < 2.9] == []


def later(systems: Systems, throttled: dict[str, Any], at_least: int) -> list[dict[str, Any]]:
    found = [each for each in systems.requests("quay", "GET", "/tag/") if each["time"] > throttled["time"]]
    return found if len(found) >= at_least else []


# Arguments


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: QuayTagEventTrigger("shop"), "repository must be 'namespace/name', got 'shop'"),
        (lambda: QuayTagEventTrigger(SHOP, "v 1"), "tag_pattern must be the characters of a tag"),
        (lambda: QuayTagEventTrigger(SHOP, None), "tag_pattern must be"),  # type: ignore[arg-type]
        (lambda: QuayTagEventTrigger(SHOP, quay_conn_id=""), "quay_conn_id must be a text"),
        (lambda: QuayTagEventTrigger(SHOP, poll_interval=0), "poll_interval must be more than 0"),
        (lambda: QuayTagEventTrigger(SHOP, poll_interval=float("inf")), "poll_interval must be more than 0"),
        (lambda: QuayTagEventTrigger(SHOP, poll_interval="60"), "poll_interval must be seconds or a timedelta"),  # type: ignore[arg-type]
        (lambda: CodeStreamEventTrigger("svn"), "event_type must be docker, git or gerrit, got 'svn'"),  # type: ignore[arg-type]
        (lambda: CodeStreamEventTrigger("git", ["repo"]), "filters must be a mapping, got a list"),  # type: ignore[arg-type]
        (lambda: CodeStreamEventTrigger("git", {"": "x"}), "filters must name fields of the event"),
        (lambda: CodeStreamEventTrigger("git", {"repo": None}), "filters must give 'repo' a text"),  # type: ignore[dict-item]
        (lambda: CodeStreamEventTrigger("git", {"executionStatus": "FAILED"}), "changes after an event arrives"),
    ],
)
def test_a_wrong_argument_is_refused_when_the_dag_is_parsed(make: Callable[[], Any], text: str) -> None:
    with pytest.raises(BadRequestError, match=text) as refused:
        make()
    # All that a triggerer survives in a constructor.
    assert isinstance(refused.value, TypeError)


@pytest.mark.parametrize(
    "trigger",
    [
        QuayTagEventTrigger(SHOP, "v*", "other_quay", timedelta(minutes=2)),
        CodeStreamEventTrigger("git", {"repo": "shop", "private": True, "number": 7}),
    ],
    ids=["quay", "code_stream"],
)
def test_a_trigger_is_the_same_after_it_was_stored(trigger: BaseEventTrigger) -> None:
    from airflow.models.trigger import Trigger
    from airflow.serialization.decoders import smart_decode_trigger_kwargs

    stored = json.loads(json.dumps(encode_trigger(trigger)))
    kept = Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(stored["kwargs"]))  # noqa: SLF001 - Airflow's
    again = type(trigger)(**{name: smart_decode_trigger_kwargs(value) for name, value in kept.items()})
    assert again.serialize() == trigger.serialize()
    assert again.shared_stream_key() == trigger.shared_stream_key()


def test_filters_in_another_order_are_the_same_watcher() -> None:
    one = CodeStreamEventTrigger("git", {"repo": "shop", "branch": "main"})
    other = CodeStreamEventTrigger("git", {"branch": "main", "repo": "shop"})
    assert BaseEventTrigger.hash(*one.serialize()) == BaseEventTrigger.hash(*other.serialize())


def deliver(systems: Systems, **fields: Any) -> str:
    """A push of a Docker image arrives at Code Stream."""
    fields = {"repo": "shop", "imageName": "shop", "tag": "1.4", **fields}
    return str(systems.act("code_stream", "deliver", kind="docker", fields=fields)["id"])


def with_client(act: Callable[[Any], Any]) -> Any:
    from airflow_provider.hooks.quay import QuayHook

    with QuayHook().get_conn() as client:
        return act(client)
