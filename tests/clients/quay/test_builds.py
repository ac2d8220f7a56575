"""A build from its start to its end, with its digest, its reason and its cancel."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider.clients.quay import QuayClient
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ThrottledError,
)
from airflow_provider.execution import Execution, ExecutionState
from tests.support.quay_client import (
    ARCHIVE,
    DIGEST,
    OTHER_DIGEST,
    SHOP,
    TOKEN,
    UUID,
    Stand,
    build_json,
    build_ref,
    ended,
    intent,
    scan_ref,
    scripted_client,
    tag_json,
    tag_ref,
    tags,
)
from tests.support.scripted import Scripted


def test_a_build_ends_with_the_digest_that_its_tags_were_given(stand: Stand, client: QuayClient) -> None:
    started = client.builds.start(
        SHOP, archive_url=ARCHIVE, tags=["1.4.2", "latest"], dockerfile_path="/app/Dockerfile"
    )
    assert started.state is ExecutionState.QUEUED
    assert started.outputs == {"repository": SHOP, "tags": ["1.4.2", "latest"], "digest": None, "image_ref": None}
    done = ended(client, started)
    assert done.state is ExecutionState.SUCCEEDED
    assert done.ref == started.ref
    assert done.url == f"{stand.url}/quay/repository/acme/shop/build/{done.id}"
    assert done.outputs["digest"] == (client.tags.find(SHOP, "1.4.2") or {})["manifest_digest"]
    assert done.outputs["image_ref"] == f"{stand.url.removeprefix('http://')}/acme/shop@{done.outputs['digest']}"
    assert done.started_at


def test_a_digest_that_may_be_another_ones_is_not_given(scripted: Scripted) -> None:
    since = 1795220297
    both = tags(tag_json("1.0", DIGEST, since + 5), tag_json("1.0", OTHER_DIGEST, since + 1))
    client = scripted_client(scripted, build_json(phase="complete"), both)
    seen = client.observe(build_ref())
    assert (seen.state, seen.outputs["digest"]) == (ExecutionState.SUCCEEDED, None)
    assert "pushed several times" in str(seen.message)


@pytest.mark.parametrize(
    ("history", "digest"),
    [
        ([tags(tag_json("1.0", DIGEST, 1795220299), tag_json("1.0", OTHER_DIGEST, 1795220296))], DIGEST),
        ([tags(tag_json("1.0", OTHER_DIGEST, 1795220296))], None),
        ([tags(tag_json("1.0x", DIGEST, 1795220299))], None),
        (
            [
                tags(tag_json("1.0", DIGEST, 1795220299), tag_json("1.0", OTHER_DIGEST, 1795220300)),
                tags(tag_json("latest", DIGEST, 1795220299)),
            ],
            DIGEST,
        ),
    ],
)
def test_only_what_was_pushed_since_the_start_can_be_the_result(
    scripted: Scripted, history: list[Any], digest: str | None
) -> None:
    names = ["1.0", "latest"][: len(history)]
    client = scripted_client(scripted, build_json(phase="complete", tags=names), *history)
    assert client.observe(build_ref()).outputs["digest"] == digest


def test_a_failed_build_says_why(stand: Stand, client: QuayClient) -> None:
    stand.switch(build_outcome="error")
    failed = ended(client, client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"]))
    assert failed.state is ExecutionState.FAILED
    assert "The Dockerfile could not be built" in str(failed.message)


@pytest.mark.parametrize(
    ("logs", "reason"),
    [
        ((403, {}, {"error_type": "insufficient_scope"}), ""),
        ({"logs_url": "/buildlogs/b1"}, ": its log is archived, see the page of the build"),
        ({"logs_url": "https://storage.example.com/b1"}, ": its log is archived, see the page of the build"),
    ],
)
def test_a_failed_build_is_a_failure_also_without_its_log(scripted: Scripted, logs: Any, reason: str) -> None:
    seen = scripted_client(scripted, build_json(phase="error"), logs).observe(build_ref())
    assert (seen.state, seen.message) == (ExecutionState.FAILED, f"the image build ended in phase error{reason}")


def test_the_last_error_of_the_log_is_the_reason(scripted: Scripted) -> None:
    entries = [{"message": "Step 1", "type": "command"}, {"message": "no such file", "type": "error"}]
    client = scripted_client(scripted, build_json(phase="error"), {"start": 0, "total": 2, "logs": entries})
    assert str(client.observe(build_ref()).message).endswith("no such file")


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        ("waiting", ExecutionState.QUEUED),
        ("build-scheduled", ExecutionState.QUEUED),
        ("pushing", ExecutionState.RUNNING),
        ("internalerror", ExecutionState.RUNNING),
        ("cannot_load", ExecutionState.UNKNOWN),
        ("dreaming", ExecutionState.UNKNOWN),
        ("cancelled", ExecutionState.CANCELED),
    ],
)
def test_every_phase_has_a_state(scripted: Scripted, phase: str, state: ExecutionState) -> None:
    seen = scripted_client(scripted, build_json(phase=phase)).observe(build_ref())
    assert (seen.state, seen.status) == (state, phase)


@pytest.mark.parametrize(
    ("second", "state"), [("expired", ExecutionState.FAILED), ("building", ExecutionState.RUNNING)]
)
def test_expired_is_believed_only_when_seen_twice(scripted: Scripted, second: str, state: ExecutionState) -> None:
    logs = {"start": 0, "total": 0, "logs": []}
    client = scripted_client(scripted, build_json(phase="expired"), build_json(phase=second), logs)
    assert client.observe(build_ref()).state is state


def test_an_unknown_build_is_not_found(client: QuayClient) -> None:
    for read in (client.builds.get, client.builds.get_status, client.builds.get_log):
        with pytest.raises(NotFoundError):
            read(SHOP, UUID)
    with pytest.raises(NotFoundError):
        client.observe(build_ref(UUID))


def test_a_waiting_build_is_canceled(stand: Stand, client: QuayClient) -> None:
    stand.post("reset", speed=1)
    build = client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"])
    client.cancel(build.ref, "no longer wanted")
    assert client.observe(build.ref).state is ExecutionState.CANCELED
    client.cancel(build.ref, "twice is fine")
    assert len(stand.requests("DELETE")) == 1


def test_a_pushing_build_is_not_asked_to_cancel(stand: Stand, client: QuayClient) -> None:
    stand.post("reset", speed=1)
    build = client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"])
    stand.force(build.id, "pushing")
    with pytest.raises(ConflictError, match="phase pushing"):
        client.cancel(build.ref, "")
    assert stand.requests("DELETE") == []


def test_a_refused_cancel_says_so(stand: Stand, client: QuayClient) -> None:
    stand.post("reset", speed=1)
    stand.switch(ephemeral_build_manager=False)
    build = client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"])
    stand.force(build.id, "building")
    with pytest.raises(ConflictError, match="it will not retry the build"):
        client.cancel(build.ref, "")


def test_a_cancel_that_comes_too_late_is_fine(scripted: Scripted) -> None:
    refused = (400, {}, {"detail": "Build is currently running or has finished", "error_type": "invalid_request"})
    client = scripted_client(scripted, build_json(), refused, build_json(phase="complete"))
    client.cancel(build_ref(), "")
    assert [each.method for each in scripted.requests] == ["GET", "DELETE", "GET"]


def test_the_error_of_a_token_that_may_not_cancel_says_what_it_lacks(stand: Stand, client: QuayClient) -> None:
    stand.post("reset", speed=1)
    writer = stand.client(token=stand.act("issue_token", user="admin", scopes=["repo:write"])["token"])
    build = writer.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"])
    with pytest.raises(PermissionDeniedError, match="repo:admin, of a user who may administer") as caught:
        writer.cancel(build.ref, "")
    assert caught.value.effect is Effect.REFUSED
    assert client.observe(build.ref).state is ExecutionState.QUEUED


@pytest.mark.parametrize("ref", [tag_ref("1"), scan_ref(tag="1")])
def test_what_is_no_build_cannot_be_canceled(scripted: Scripted, ref: dict[str, str]) -> None:
    with pytest.raises(BadRequestError, match="cannot be canceled"):
        scripted_client(scripted).cancel(ref, "")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"repository": "shop"}, "repository"),
        ({"archive_url": ""}, "archive_url"),
        ({"archive_url": "git@example.com:shop"}, "archive_url"),
        ({"archive_url": "https://ü..example.com/"}, "archive_url must name a host"),
        ({"tags": []}, "tags"),
        ({"tags": "latest"}, "tags"),
        ({"tags": ["1", "1"]}, "tags"),
        ({"tags": ["a/b"]}, "tags"),
        ({"tags": ["-bad tag"]}, "'-bad tag'"),
        ({"tags": ["t" * 128]}, "at most 127 characters"),
        ({"subdirectory": "/a", "dockerfile_path": "/a/Dockerfile"}, "subdirectory"),
    ],
)
def test_a_wrong_build_is_refused_before_anything_is_sent(
    scripted: Scripted, change: dict[str, Any], named: str
) -> None:
    arguments: dict[str, Any] = {"repository": SHOP, "archive_url": ARCHIVE, "tags": ["1"], **change}
    with pytest.raises(BadRequestError, match=named):
        scripted_client(scripted).builds.start(**arguments)
    assert scripted.requests == []


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (
            "https://bücher.example/größe v1.tar.gz?was=é#ü",
            "https://xn--bcher-kva.example/gr%C3%B6%C3%9Fe v1.tar.gz?was=%C3%A9#%C3%BC",
        ),
        ("https://nä:me@Bücher.example:8443/a%20b/", "https://n%C3%A4:me@xn--bcher-kva.example:8443/a%20b/"),
        ("http://例え.jp/", "http://xn--r8jz45g.jp/"),
    ],
)
def test_an_archive_url_beyond_ascii_is_sent_as_a_browser_does(
    stand: Stand, client: QuayClient, given: str, sent: str
) -> None:
    wanted = intent(client, archive_url=given)
    build = client.builds.start(SHOP, archive_url=given, tags=["1.4.2", "latest"])
    assert client.builds.get(SHOP, build.id)["archive_url"] == sent
    assert [each.id for each in client.waits.find_started(wanted)] == [build.id]


def test_a_started_build_has_its_place_and_shows_no_secret(scripted: Scripted) -> None:
    scripted.always = (201, {}, {"id": "b1", "phase": "error", "error": f"cannot log in with {TOKEN}", "tags": ["1"]})
    client = scripted_client(scripted)
    started = client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"])
    assert started.ref["place"] == client.place
    assert started.message == "cannot log in with ***"
    assert started.revision


def test_a_start_is_sent_once_whatever_the_answer(scripted: Scripted) -> None:
    scripted.always = (429, {"Retry-After": "0"}, {"message": "Maximum queued build rate exceeded."})
    with pytest.raises(ThrottledError):
        scripted_client(scripted, attempts=3).builds.start(SHOP, archive_url=ARCHIVE, tags=["1"])
    assert len(scripted.requests) == 1


@pytest.mark.parametrize(
    ("status", "state", "needed"),
    [
        ("building", "running", True),
        ("pushing", "running", True),
        ("cannot_load", "unknown", True),
        ("expired", "running", False),
        ("complete", "succeeded", False),
        ("cancelled", "canceled", False),
        ("error", "failed", False),
    ],
)
def test_a_build_needs_a_cancel_until_it_is_over(scripted: Scripted, status: str, state: str, needed: bool) -> None:
    with scripted_client(scripted) as client:
        assert client.waits.needs_cancel(Execution(build_ref(), ExecutionState(state), status)) is needed


@pytest.mark.parametrize("ref", [tag_ref("1"), scan_ref(tag="1")])
def test_what_is_no_build_needs_no_cancel(scripted: Scripted, ref: dict[str, str]) -> None:
    with scripted_client(scripted) as client:
        assert not client.waits.needs_cancel(Execution(ref, ExecutionState.RUNNING, "missing"))


SIGNED = "https://sources.example.com/shop.tar.gz?hm=known-word-of-a-signature&name=shop"


def test_a_wait_that_knows_no_argument_shows_no_signature_of_the_archive(scripted: Scripted) -> None:
    said = f"could not fetch {SIGNED}: 403"
    build = build_json(archive_url=SIGNED, phase="error", error=said)
    entries = [{"type": "error", "message": said}, {"message": json.dumps({"fetch": SIGNED})}, {"message": "shop"}]
    log = {"start": 0, "total": 3, "logs": entries}
    client = scripted_client(scripted, build, log, {"builds": [build]}, log)
    seen = client.observe(build_ref())
    listed = client.waits.fetch_shared([build_ref(), build_ref("b2")])[0]
    assert isinstance(listed, Execution)
    lines, _ = client.waits.read_log(build_ref(), 0)
    texts = [str(seen.message), str(listed.message), *lines]
    assert not any("known-word" in text for text in texts)
    assert seen.message == "could not fetch ***: 403: could not fetch ***: 403"
    assert lines == ["could not fetch ***: 403", '{"fetch": "***"}', "shop"]
