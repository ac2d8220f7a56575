"""Tags: promoted, restored, protected, listed, waited for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider.clients.quay import QuayClient
from airflow_provider.clients.quay.tag_changes import TagChanges
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    ReleasePipelineError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionState
from tests.support.quay_client import (
    DIGEST,
    OTHER_DIGEST,
    SHOP,
    Stand,
    scan_ref,
    scripted_client,
    tag_json,
    tag_ref,
    tags,
)
from tests.support.scripted import Scripted


def test_a_tag_is_promoted_by_digest_or_from_another_tag(stand: Stand, client: QuayClient) -> None:
    digest = stand.push("1.4.2")
    assert client.tags.promote(SHOP, "candidate", digest=digest)["manifest_digest"] == digest
    assert client.tags.promote(SHOP, "stable", source_tag="candidate")["manifest_digest"] == digest
    assert client.tags.promote(SHOP, "stable", digest=digest)["manifest_digest"] == digest
    assert stand.requests("PUT") == ["PUT /tag/candidate", "PUT /tag/stable"]


@pytest.mark.parametrize("codes", ["server", "swagger"])
def test_a_tag_is_deleted_and_restored(stand: Stand, client: QuayClient, codes: str) -> None:
    stand.switch(codes=codes)
    digest = stand.push("1.4.2")
    assert client.tags.delete(SHOP, "1.4.2") is True
    assert client.tags.find(SHOP, "1.4.2") is None
    assert client.tags.delete(SHOP, "1.4.2", missing_ok=True) is False
    with pytest.raises(NotFoundError):
        client.tags.delete(SHOP, "1.4.2")
    assert client.tags.restore(SHOP, "1.4.2", digest=digest)["manifest_digest"] == digest


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ({"digest": OTHER_DIGEST}, NotFoundError),
        ({"source_tag": "nowhere"}, NotFoundError),
        ({}, BadRequestError),
        ({"digest": DIGEST, "source_tag": "x"}, BadRequestError),
        ({"digest": "latest"}, BadRequestError),
    ],
)
def test_a_promotion_that_cannot_be_is_refused(
    client: QuayClient, arguments: dict[str, str], cause: type[ReleasePipelineError]
) -> None:
    with pytest.raises(cause):
        client.tags.promote(SHOP, "stable", **arguments)


def test_a_digest_that_the_repository_does_not_have_is_named(client: QuayClient) -> None:
    for point in (client.tags.promote, client.tags.restore):
        with pytest.raises(NotFoundError, match=f"acme/shop has no .*{OTHER_DIGEST}"):
            point(SHOP, "stable", digest=OTHER_DIGEST)


def test_an_expiration_in_the_past_is_refused_by_name(stand: Stand, client: QuayClient) -> None:
    with pytest.raises(BadRequestError, match="expiration must be in the future"):
        client.tags.set_expiration(SHOP, "stable", datetime.now(UTC) - timedelta(minutes=1))
    assert stand.requests("PUT") == []


def test_an_immutable_tag_is_a_conflict_however_quay_says_it(stand: Stand, client: QuayClient) -> None:
    stand.switch(immutable_tags=True)
    digest = stand.push("v1")
    assert client.tags.set_immutable(SHOP, "v1", True)["immutable"] is True
    other = stand.push("v2")
    for write in (
        lambda: client.tags.delete(SHOP, "v1"),
        lambda: client.tags.promote(SHOP, "v1", digest=other),
        lambda: client.tags.restore(SHOP, "v1", digest=other),
        lambda: client.tags.set_expiration(SHOP, "v1", datetime.now(UTC) + timedelta(days=7)),
    ):
        with pytest.raises(ConflictError, match="immutable"):
            write()
    assert (client.tags.find(SHOP, "v1") or {})["manifest_digest"] == digest


def test_immutability_that_quay_ignores_is_a_conflict(stand: Stand, client: QuayClient) -> None:
    stand.push("v1")
    with pytest.raises(ConflictError, match="did not change the tag"):
        client.tags.set_immutable(SHOP, "v1", True)


def test_a_tag_is_given_an_end(stand: Stand, client: QuayClient) -> None:
    stand.push("v1")
    assert client.tags.set_expiration(SHOP, "v1", datetime.now(UTC) + timedelta(days=7))["expiration"]
    assert "expiration" not in client.tags.set_expiration(SHOP, "v1", None)
    with pytest.raises(BadRequestError, match="aware"):
        client.tags.set_expiration(SHOP, "v1", datetime.now() + timedelta(days=7))


def test_a_tag_that_somebody_else_moved_meanwhile_is_a_conflict(scripted: Scripted) -> None:
    moved = tags(tag_json("stable", OTHER_DIGEST))
    client = scripted_client(scripted, tags(), (201, {}, '"Updated"'), moved)
    with pytest.raises(ConflictError, match="by somebody else"):
        client.tags.promote(SHOP, "stable", digest=DIGEST)


def test_tags_are_listed_over_all_pages(stand: Stand, client: QuayClient) -> None:
    digest = stand.push("v0")
    for number in range(1, 105):
        client.tags.promote(SHOP, f"v{number}", digest=digest)
    client.tags.delete(SHOP, "v7")
    names = {tag["name"] for tag in client.tags.list(SHOP)}
    assert {"v0", "v104", "stable", "vulnerable"} <= names
    assert "v7" not in names
    assert len(names) == 106
    assert "v7" in {tag["name"] for tag in client.tags.list(SHOP, only_active=False)}
    assert [tag["name"] for tag in client.tags.list(SHOP, name_filter="eq:v104")] == ["v104"]
    assert [tag["name"] for tag in client.tags.list(SHOP, tag="v103")] == ["v103"]
    with pytest.raises(BadRequestError, match="name_filter"):
        client.tags.list(SHOP, name_filter="v1")


def test_a_list_whose_pages_repeat_is_never_taken_for_a_whole_one(scripted: Scripted) -> None:
    scripted.always = (200, {}, tags(tag_json("v1"), more=True))
    with pytest.raises(UnexpectedResponseError, match="the same page of tags again"):
        scripted_client(scripted).tags.list(SHOP)
    assert len(scripted.requests) == 2


def test_a_tag_is_waited_for_until_it_points_to_the_digest(stand: Stand, client: QuayClient) -> None:
    assert client.observe(tag_ref("1.4.2")).state is ExecutionState.RUNNING
    first = stand.push("1.4.2")
    waiting = client.observe(tag_ref("1.4.2", DIGEST))
    assert (waiting.state, waiting.status) == (ExecutionState.RUNNING, "other_digest")
    seen = client.observe(tag_ref("1.4.2", first))
    assert seen.state is ExecutionState.SUCCEEDED
    assert set(seen.outputs) == {"repository", "tag", "digest", "image_ref", "last_modified", "size"}
    assert seen.outputs["digest"] == first
    assert datetime.fromisoformat(seen.outputs["last_modified"]).tzinfo


@pytest.mark.parametrize("together", [False, True])
def test_a_digest_in_capitals_is_the_same_one(stand: Stand, client: QuayClient, together: bool) -> None:
    digest = stand.push("1.4.2")
    wanted = tag_ref("1.4.2", digest.upper())
    seen = client.waits.fetch([wanted, tag_ref("stable")])[0] if together else client.observe(wanted)
    assert isinstance(seen, Execution)
    assert (seen.state, seen.ref["digest"]) == (ExecutionState.SUCCEEDED, digest)
    assert client.tags.promote(SHOP, "candidate", digest=digest.upper())["manifest_digest"] == digest
    assert client.tags.restore(SHOP, "candidate", digest=digest.upper())["manifest_digest"] == digest
    assert client.observe(scan_ref(digest.upper())).outputs["digest"] == digest


def test_a_digest_that_is_none_is_one_waits_own_error(client: QuayClient) -> None:
    seen = client.waits.fetch([tag_ref("stable", "latest"), tag_ref("stable")])
    assert [type(each) for each in seen] == [BadRequestError, Execution]


@pytest.mark.parametrize("tag", [tag_json("t" * 301), tag_json("t", "sha256:" + "a" * 300)], ids=["name", "digest"])
def test_a_tag_that_no_quay_has_reaches_no_event_and_no_result(scripted: Scripted, tag: dict[str, Any]) -> None:
    client = scripted_client(scripted)
    scripted.always = (200, {}, tags(tag))
    with pytest.raises(UnexpectedResponseError, match="without a possible name and manifest_digest"):
        TagChanges(SHOP).read(client, None, whole=True)
