"""Which build belongs to a start whose answer was lost."""

from __future__ import annotations

import time
from typing import Any

import pytest

from airflow_provider.clients.quay import QuayClient
from airflow_provider.exceptions import (
    ConflictError,
    Effect,
    ServerUnavailableError,
    UnexpectedResponseError,
)
from airflow_provider.execution import ExecutionState
from tests.support.quay_client import (
    ARCHIVE,
    SHOP,
    SINCE,
    Stand,
    build_json,
    ended,
    found,
    intent,
    scripted_client,
)
from tests.support.scripted import Scripted


def test_a_start_whose_answer_was_lost_is_found_again(stand: Stand, client: QuayClient) -> None:
    wanted, other = intent(client), intent(client, archive_url="https://git.example.com/other.tar.gz")
    client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1.4.1", "latest"])
    assert client.waits.find_started(wanted) == []
    stand.fault(method="POST", fault="reset_after")
    with pytest.raises(ServerUnavailableError) as caught:
        client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1.4.2", "latest"])
    assert caught.value.effect is Effect.UNKNOWN
    (build,) = client.waits.find_started(wanted)
    assert build.outputs["tags"] == ["1.4.2", "latest"]
    assert build.ref["place"] == client.place
    assert ended(client, build).state is ExecutionState.SUCCEEDED
    assert client.waits.find_started(other) == client.waits.find_started(intent(client)) == []


@pytest.mark.parametrize(
    ("clock", "since", "is_ours"),
    [
        ("vendor", 0, True),
        ("vendor", +4, False),
        ("vendor", -449, True),
        ("vendor", -454, False),
        ("worker", +290, True),
        ("worker", +310, False),
        ("worker", -740, True),
        ("worker", -760, False),
    ],
)
def test_only_a_build_that_began_about_when_the_start_was_sent_may_be_ours(
    client: QuayClient, clock: str, since: float, is_ours: bool
) -> None:
    wanted = intent(client, clock=clock)
    build = client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1.4.2", "latest"])
    assert found(client, wanted | {"since": time.time() + since}) == ([build.id] if is_ours else [])


def test_a_build_from_before_the_start_is_not_ours_whatever_the_clocks_say(client: QuayClient) -> None:
    first = client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1.4.2", "latest"])
    wanted = intent(client)
    assert found(client, wanted) == []
    second = client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1.4.2", "latest"])
    assert found(client, wanted) == [second.id] != [first.id]


@pytest.mark.parametrize(
    ("place", "path"),
    [
        ({}, "/Dockerfile"),
        ({"subdirectory": "shop"}, "shop/Dockerfile"),
        ({"subdirectory": "shop/"}, "shop/Dockerfile"),
        ({"subdirectory": "/"}, "/Dockerfile"),
        ({"dockerfile_path": "shop/Dockerfile.prod"}, "shop/Dockerfile.prod"),
    ],
)
def test_a_build_of_another_dockerfile_is_not_ours(client: QuayClient, place: dict[str, str], path: str) -> None:
    wanted, other = intent(client, **place), intent(client, dockerfile_path="other/Dockerfile")
    build = client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1.4.2", "latest"], **place)
    assert client.builds.get(SHOP, build.id)["dockerfile_path"] == path
    assert (found(client, wanted), found(client, other)) == ([build.id], [])


@pytest.mark.parametrize("path", [None, "", "Dockerfile", "/Dockerfile"])
def test_a_build_that_shows_its_dockerfile_in_another_way_or_not_at_all_may_be_ours(
    scripted: Scripted, path: str | None
) -> None:
    build = build_json(dockerfile_path=path)
    client = scripted_client(scripted, {"builds": [build]}, build)
    assert found(client, scripted_intent(dockerfile_path="/Dockerfile")) == ["b1"]


def test_the_longest_tag_that_quay_keeps_of_a_build_is_found_again(client: QuayClient) -> None:
    tags = ["t" * 127]
    wanted = intent(client, tags=tags)
    build = client.builds.start(SHOP, archive_url=ARCHIVE, tags=tags)
    assert found(client, wanted) == [build.id]
    assert ended(client, build).outputs["digest"] == (client.tags.find(SHOP, tags[0]) or {})["manifest_digest"]


def test_a_build_that_is_over_when_it_is_found_again_shows_as_much_as_one_that_was_polled(client: QuayClient) -> None:
    wanted = intent(client)
    build = ended(client, client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1.4.2", "latest"]))
    assert client.waits.find_started(wanted) == [build]
    assert build.outputs["image_ref"]


def test_equal_builds_are_all_returned_the_oldest_first(client: QuayClient) -> None:
    wanted = intent(client, tags=["1"])
    builds = [client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"]) for _ in range(2)]
    assert found(client, wanted) == [build.id for build in builds]
    assert not client.waits.is_marked(wanted)


def scripted_intent(**fields: Any) -> dict[str, Any]:
    base = {"kind": "build", "repository": SHOP, "archive_url": ARCHIVE, "tags": ["1.0"], "builds_before": ["b0"]}
    return base | {"marker": "m", "since": SINCE, "clock": "vendor", **fields}


def test_a_build_of_a_trigger_is_not_ours(scripted: Scripted) -> None:
    client = scripted_client(scripted, {"builds": [build_json(trigger={"id": "t1", "service": "github"})]})
    assert client.waits.find_started(scripted_intent()) == []


def test_only_builds_since_the_start_are_asked_for(scripted: Scripted) -> None:
    client = scripted_client(scripted, {"builds": []})
    assert client.waits.find_started(scripted_intent(since=SINCE + 0.7)) == []
    assert scripted.requests[0].query == {"limit": "1000", "since": "1795220295"}


def test_too_many_builds_to_distinguish_are_not_taken_for_none(scripted: Scripted) -> None:
    client = scripted_client(scripted, {"builds": [build_json(tags=["other"])] * 1000})
    with pytest.raises(ConflictError, match="too many to find out"):
        client.waits.find_started(scripted_intent())


def test_a_build_that_does_not_show_its_time_is_not_taken_for_none(scripted: Scripted) -> None:
    client = scripted_client(scripted, {"builds": [build_json(started=None)]})
    with pytest.raises(UnexpectedResponseError, match="build b1 has no time"):
        client.waits.find_started(scripted_intent())
