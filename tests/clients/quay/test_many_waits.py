"""Many waits on one repository cost few requests."""

from __future__ import annotations

import pytest

from airflow_provider.clients.quay import QuayClient
from airflow_provider.exceptions import (
    AuthenticationError,
    NotFoundError,
)
from airflow_provider.execution import Execution
from tests.support.quay_client import (
    ARCHIVE,
    DIGEST,
    OTHER_DIGEST,
    SHOP,
    SINCE,
    UUID,
    Stand,
    build_json,
    build_ref,
    ended,
    scan_ref,
    scripted_client,
    tag_json,
    tag_ref,
    tags,
)
from tests.support.scripted import Scripted


def test_many_builds_of_one_repository_cost_one_request(stand: Stand, client: QuayClient) -> None:
    stand.post("reset", speed=0.01)
    builds = [client.builds.start(SHOP, archive_url=ARCHIVE, tags=[str(number)]) for number in range(7)]
    before = len(stand.requests())
    seen = client.waits.fetch([*(build.ref for build in builds), builds[0].ref, build_ref(UUID)])
    assert [each.id for each in seen[:-1] if isinstance(each, Execution)] == [*(b.id for b in builds), builds[0].id]
    assert isinstance(seen[-1], NotFoundError)
    assert stand.requests()[before:] == ["GET /build/", f"GET /build/{UUID}"]


def test_a_build_seen_in_a_list_says_as_much_as_one_looked_up_alone(client: QuayClient) -> None:
    builds = [ended(client, client.builds.start(SHOP, archive_url=ARCHIVE, tags=[tag])) for tag in ("1", "2")]
    seen = client.waits.fetch([build.ref for build in builds])
    assert [each.to_result() for each in seen if isinstance(each, Execution)] == [b.to_result() for b in builds]


def test_many_builds_that_end_together_read_the_tags_in_one_piece(stand: Stand, client: QuayClient) -> None:
    builds = [client.builds.start(SHOP, archive_url=ARCHIVE, tags=[f"{n}", "latest"]) for n in range(7)]
    done = [ended(client, build) for build in builds]
    before = len(stand.requests())
    seen = client.waits.fetch([build.ref for build in builds])
    assert [each.to_result() for each in seen if isinstance(each, Execution)] == [each.to_result() for each in done]
    assert stand.requests()[before:] == ["GET /build/", "GET /tag/"]


def test_a_long_history_of_tags_is_not_read_for_few_builds(scripted: Scripted) -> None:
    since = int(SINCE)
    listed = {"builds": [build_json(id=name, phase="complete", tags=[name]) for name in ("b1", "b2")]}
    noise = tags(*(tag_json(f"n{n}", OTHER_DIGEST, since + 9) for n in range(100)), more=True)
    each = [tags(tag_json("b1", DIGEST, since + 5)), tags(tag_json("b2", OTHER_DIGEST, since + 6))]
    client = scripted_client(scripted, listed, noise, noise, *each)
    seen = client.waits.fetch([build_ref("b1"), build_ref("b2")])
    assert [e.outputs["digest"] for e in seen if isinstance(e, Execution)] == [DIGEST, OTHER_DIGEST]
    assert scripted.unexpected == []


@pytest.mark.parametrize("together", [1, 3])
def test_no_log_of_a_build_is_read_in_a_poll_of_many(stand: Stand, client: QuayClient, together: int) -> None:
    stand.switch(build_outcome="error")
    builds = [client.builds.start(SHOP, archive_url=ARCHIVE, tags=[str(number)]) for number in range(together)]
    for build in builds:
        assert str(ended(client, build).message).endswith("in phase error: The Dockerfile could not be built")
    before = len(stand.requests())
    seen = client.waits.fetch([build.ref for build in builds])
    assert {each.message for each in seen if isinstance(each, Execution)} == {"the image build ended in phase error"}
    assert len(stand.requests()) - before == 1


def test_many_tags_of_one_repository_cost_one_request(stand: Stand, client: QuayClient) -> None:
    stand.push("1.4.2")
    before = len(stand.requests())
    seen = client.waits.fetch(
        [tag_ref("1.4.2"), tag_ref("1.5"), tag_ref("1.6"), tag_ref("1.4.2"), tag_ref("1.4.2", DIGEST)]
    )
    states = [each.status for each in seen if isinstance(each, Execution)]
    assert states == ["present", "missing", "missing", "present", "other_digest"]
    assert stand.requests()[before:] == ["GET /tag/"]


def test_equal_waits_cost_one_request(stand: Stand, client: QuayClient) -> None:
    digest = stand.push("1.4.2")
    before = len(stand.requests())
    assert len(client.waits.fetch([scan_ref(digest)] * 5)) == 5
    assert len(stand.requests()) - before == 1


def test_a_missing_repository_is_each_ones_own_error(client: QuayClient) -> None:
    gone = {"repository": "acme/missing"}
    seen = client.waits.fetch([tag_ref("1") | gone, tag_ref("2") | gone, tag_ref("stable")])
    assert [type(each) for each in seen] == [NotFoundError, NotFoundError, Execution]


def test_a_bad_token_concerns_all_of_them(stand: Stand) -> None:
    with pytest.raises(AuthenticationError):
        stand.client(token="garbage").waits.fetch([tag_ref("1"), scan_ref(DIGEST)])
