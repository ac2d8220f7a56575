"""What the Quay client promises, over real HTTP: against the stand-in, and against scripted answers for odd shapes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import pytest

from airflow_provider.clients.quay import QuayClient
from airflow_provider.exceptions import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ConnectionConfigError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionState
from airflow_provider.sandbox import seed
from airflow_provider.sandbox.app import SandboxServer
from tests.clients.conftest import Scripted
from tests.support.control import SystemControl

SHOP = "acme/shop"
ARCHIVE = "https://git.example.com/shop/1.4.2.tar.gz"
UUID = "11111111-2222-3333-4444-555555555555"
DIGEST, OTHER_DIGEST = "sha256:" + "a" * 64, "sha256:" + "b" * 64
TOKEN = "scripted-token-of-forty-characters-000000"
HOOK: dict[str, Any] = {"event": "repo_push", "method": "webhook", "config": {"url": "http://127.1:9/hook"}}


class Stand(SystemControl):
    """The stand-in, fresh, and clients for it."""

    system = "quay"

    def client(self, **options: Any) -> QuayClient:
        return QuayClient(f"{self.url}/quay", **{"token": seed.QUAY_TOKEN, "attempts": 1, **options})

    def push(self, tag: str, **values: Any) -> str:
        return str(self.act("push_image", repository=SHOP, tag=tag, **values)["digest"])

    def force(self, build_id: str, phase: str) -> None:
        self.post(f"executions/quay/{build_id}", state=phase)

    def requests(self, method: str | None = None) -> list[str]:
        """Without what all paths begin with."""
        return [each.replace("/quay/api/v1/repository/acme/shop", "", 1) for each in super().requests(method)]


@pytest.fixture
def stand(sandbox: SandboxServer) -> Stand:
    return Stand(sandbox.url)


@pytest.fixture
def client(stand: Stand) -> Iterator[QuayClient]:
    with stand.client() as client:
        yield client


def scripted_client(scripted: Scripted, *script: Any, **options: Any) -> QuayClient:
    scripted.script = [step if isinstance(step, tuple) or callable(step) else (200, {}, step) for step in script]
    return QuayClient(scripted.url, **{"token": TOKEN, "attempts": 1, **options})


def ended(client: QuayClient, execution: Execution) -> Execution:
    deadline = time.monotonic() + 60
    while not (seen := client.look(execution.ref)).state.is_terminal:
        assert time.monotonic() < deadline, seen
        time.sleep(0.01)
    return seen


def build_ref(build_id: str = "b1") -> dict[str, str]:
    return {"system": "quay", "kind": "build", "id": build_id, "repository": SHOP}


def tag_ref(tag: str, digest: str = "") -> dict[str, str]:
    return {"system": "quay", "kind": "tag", "id": tag, "repository": SHOP, "tag": tag, "digest": digest}


def scan_ref(digest: str = "", tag: str = "", max_severity: str = "High") -> dict[str, str]:
    identity = {"system": "quay", "kind": "scan", "id": digest or tag, "repository": SHOP}
    return identity | {"tag": tag, "digest": digest, "max_severity": max_severity}


def build_json(**fields: Any) -> dict[str, Any]:
    started = "Sat, 21 Nov 2026 00:18:17 -0000"
    return {"id": "b1", "phase": "building", "started": started, "tags": ["1.0"], "archive_url": ARCHIVE, **fields}


def tag_json(name: str, digest: str = DIGEST, start: int = 0) -> dict[str, Any]:
    return {"name": name, "manifest_digest": digest, "start_ts": start, "size": 5}


def tags(*entries: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"tags": list(entries), "page": 1, "has_additional": more}


# --- notifications: create


def test_a_notification_is_created_once_however_often_it_is_asked_for(stand: Stand, client: QuayClient) -> None:
    first = client.notifications.create(SHOP, **HOOK, title="release")
    again = client.notifications.create(SHOP, **HOOK, title="release", event_config={})
    assert first["uuid"] == again["uuid"]
    assert first["title"] == "release"
    assert [each["uuid"] for each in client.notifications.list(SHOP)] == [first["uuid"]]
    assert len(stand.requests("POST")) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"event": "build_success"},
        {"method": "slack", "config": {"url": "http://127.1:9/hook"}},
        {"config": {"url": "http://127.1:9/other"}},
        {"config": {"url": "http://127.1:9/hook", "template": '{"event": "push"}'}},
        {"title": "other"},
        {"event": "build_success", "event_config": {"ref-regex": "refs/heads/main"}},
    ],
)
def test_a_notification_that_differs_is_another_one(client: QuayClient, change: dict[str, Any]) -> None:
    first = client.notifications.create(SHOP, **HOOK)
    other = client.notifications.create(SHOP, **{**HOOK, **change})
    assert first["uuid"] != other["uuid"]
    assert client.notifications.create(SHOP, **{**HOOK, **change})["uuid"] == other["uuid"]


@pytest.mark.parametrize(("failures", "returned"), [((3, 0), "2"), ((0, 3), "1"), ((2, 2), "1"), ((3, 4), "1")])
def test_of_equal_notifications_one_that_works_is_returned_and_none_is_reset(
    scripted: Scripted, failures: tuple[int, int], returned: str
) -> None:
    stored = [
        {**HOOK, "uuid": uuid, "title": None, "event_config": {}, "number_of_failures": number}
        for uuid, number in zip("12", failures, strict=True)
    ]
    client = scripted_client(scripted, {"notifications": stored})
    assert client.notifications.create(SHOP, **HOOK)["uuid"] == returned
    assert [each.method for each in scripted.requests] == ["GET"]


@pytest.mark.parametrize("fault", ["reset_after", "truncate"])
def test_a_create_whose_answer_is_lost_is_found_in_the_list(stand: Stand, client: QuayClient, fault: str) -> None:
    stand.fault(method="POST", fault=fault)
    created = client.notifications.create(SHOP, **HOOK)
    assert [each["uuid"] for each in client.notifications.list(SHOP)] == [created["uuid"]]
    assert len(stand.requests("POST")) == 1


def test_a_create_that_did_not_arrive_is_an_error_and_no_blind_repetition(stand: Stand) -> None:
    client = stand.client(attempts=3)
    stand.fault(method="POST", fault="reset_before", times=3)
    with pytest.raises(ServerUnavailableError):
        client.notifications.create(SHOP, **HOOK)
    assert len(stand.requests("POST")) == 1


def test_creators_at_once_end_up_with_one_and_the_same_notification(stand: Stand, client: QuayClient) -> None:
    stand.fault(method="POST", fault="latency", seconds=0.2, times=3)
    with ThreadPoolExecutor(3) as pool:
        uuids = {each["uuid"] for each in pool.map(lambda _: client.notifications.create(SHOP, **HOOK), range(3))}
    assert [each["uuid"] for each in client.notifications.list(SHOP)] in [[uuid] for uuid in uuids]


def test_the_wire_carries_event_config_always_and_a_title_only_if_there_is_one(scripted: Scripted) -> None:
    stored = {"uuid": UUID, "event": "repo_push", "method": "webhook", "config": HOOK["config"], "event_config": {}}
    empty: list[Any] = [{"notifications": []}, {"name": "shop"}]
    client = scripted_client(scripted, *empty, (201, {}, stored), {"notifications": [stored | {"title": None}]})
    client.notifications.create(SHOP, **HOOK)
    post = next(each for each in scripted.requests if each.method == "POST")
    assert post.target == "/api/v1/repository/acme/shop/notification/"
    assert post.json == {**HOOK, "eventConfig": {}}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"event": "push"}, "event 'push'"),
        ({"event": "Repo_Push"}, "event 'Repo_Push'"),
        ({"method": "sms"}, "method 'sms'"),
        ({"title": ""}, "title"),
        ({"title": "x" * 256}, "title"),
        ({"config": {}}, "'url'"),
        ({"config": {"url": 5}}, r"config\.url"),
        ({"config": {"url": "http://"}}, r"config\.url"),
        ({"config": {"url": "ftp://hooks.example.com"}}, r"config\.url"),
        ({"config": {"url": "http://[broken"}}, r"config\.url"),
        ({"config": {"url": "http://localhost:8080/x"}}, "localhost"),
        ({"config": {"url": "http://127.0.0.1/x"}}, r"127\.0\.0\.1"),
        ({"config": {"url": "http://hooks.example.com", "template": "{"}}, r"config\.template"),
        ({"config": {"url": "http://hooks.example.com", "template": '{"a": "${}"}'}}, r"config\.template"),
        ({"config": {"url": "http://hooks.example.com", "template": {"a": 1}}}, r"config\.template"),
        ({"method": "email", "config": {"email": "nobody"}}, r"config\.email"),
        ({"method": "flowdock", "config": {"flow_api_token": 5}}, r"config\.flow_api_token"),
        ({"method": "hipchat", "config": {"notification_token": "t"}}, "room_id"),
        ({"method": "quay_notification", "config": {"target": {"kind": "robot", "name": "x"}}}, r"config\.target"),
        ({"method": "quay_notification", "config": {"target": {"kind": "org", "name": "other"}}}, "'acme'"),
        ({"event_config": {"ref-regex": "x"}}, "'ref-regex'"),
        ({"event": "build_start", "event_config": {"ref-regex": "("}}, "ref-regex"),
        ({"event": "vulnerability_found", "event_config": {"level": "High"}}, "level"),
        ({"event": "vulnerability_found", "event_config": {"level": 6}}, "level"),
        ({"event": "vulnerability_found", "event_config": {"vulnerability": {"priority": "low"}}}, "vulnerability"),
        ({"event": "repo_image_expiry"}, "'days'"),
        ({"event": "repo_image_expiry", "event_config": {"days": "7"}}, "days"),
    ],
)
def test_what_quay_would_store_or_die_of_is_refused_before_anything_is_sent(
    scripted: Scripted, change: dict[str, Any], named: str
) -> None:
    with pytest.raises(BadRequestError, match=named):
        scripted_client(scripted).notifications.create(SHOP, **{**HOOK, **change})
    assert scripted.requests == []


@pytest.mark.parametrize(
    "fields",
    [
        {"event": "vulnerability_found", "event_config": {"level": "1", "vulnerability": {"priority": "Low"}}},
        {"event": "repo_image_expiry", "event_config": {"days": 7}},
        {"event": "build_failure", "event_config": {"ref-regex": "refs/tags/.*"}},
        {"config": {"url": "https://hooks.example.com/x", "template": '{"text": "${updated_tags}"}'}},
        {"method": "slack", "config": {"url": "https://hooks.example.com/x"}},
        {"method": "quay_notification", "config": {"target": {"kind": "org", "name": "acme"}}},
    ],
)
def test_what_quay_serves_passes(client: QuayClient, fields: dict[str, Any]) -> None:
    created = client.notifications.create(SHOP, **{**HOOK, **fields})
    assert created["event_config"] == fields.get("event_config", {})


# --- notifications: the others


@pytest.mark.parametrize("codes", ["server", "vendor_page", "swagger"])
def test_a_notification_is_read_tested_reset_and_deleted(stand: Stand, client: QuayClient, codes: str) -> None:
    # Slow, or the test's delivery fails, on a busy machine after the reset.
    stand.post("reset", speed=0.01)
    stand.switch(codes=codes)
    uuid = client.notifications.create(SHOP, **HOOK)["uuid"]
    assert client.notifications.get(SHOP, uuid)["uuid"] == uuid
    assert client.notifications.test(SHOP, uuid)["uuid"] == uuid
    assert client.notifications.reset(SHOP, uuid)["number_of_failures"] == 0
    assert client.notifications.delete(SHOP, uuid) is True
    assert client.notifications.delete(SHOP, uuid) is False
    with pytest.raises(NotFoundError):
        client.notifications.delete(SHOP, uuid, missing_ok=False)


@pytest.mark.parametrize("operation", ["notifications.get", "notifications.test", "notifications.reset"])
def test_a_missing_uuid_is_not_found_whatever_status_quay_gives_it(client: QuayClient, operation: str) -> None:
    with pytest.raises(NotFoundError):
        attrgetter(operation)(client)(SHOP, UUID)


@pytest.mark.parametrize("operation", ["notifications.get", "notifications.test", "notifications.reset"])
def test_a_notification_of_another_repository_is_not_found(stand: Stand, client: QuayClient, operation: str) -> None:
    stand.act("push_image", repository="acme/other", tag="1")
    uuid = client.notifications.create("acme/other", **HOOK)["uuid"]
    with pytest.raises(NotFoundError):
        attrgetter(operation)(client)(SHOP, uuid)
    assert client.notifications.delete(SHOP, uuid) is False
    assert client.notifications.get("acme/other", uuid)["uuid"] == uuid


def test_a_delete_whose_answer_was_lost_has_deleted(stand: Stand) -> None:
    client = stand.client(attempts=2)
    uuid = client.notifications.create(SHOP, **HOOK)["uuid"]
    stand.fault(method="DELETE", fault="reset_after")
    assert client.notifications.delete(SHOP, uuid, missing_ok=False) is True
    assert client.notifications.list(SHOP) == []


def test_a_disabled_notification_is_not_tested_but_said_to_be_disabled(scripted: Scripted) -> None:
    client = scripted_client(scripted, {"notifications": [{"uuid": UUID, "number_of_failures": 3}]})
    with pytest.raises(ConflictError, match="disabled after 3 failed deliveries"):
        client.notifications.test(SHOP, UUID)
    assert [each.method for each in scripted.requests] == ["GET"]


def test_an_empty_list_of_a_missing_repository_is_not_found(client: QuayClient) -> None:
    assert client.notifications.list(SHOP) == []
    with pytest.raises(NotFoundError):
        client.notifications.list("acme/missing")
    with pytest.raises(NotFoundError):
        client.notifications.create("acme/missing", **HOOK)


@pytest.mark.parametrize(
    ("repository", "uuid", "named"),
    [
        (SHOP, "", "uuid"),
        (SHOP, f"{UUID}/test", "uuid"),
        (SHOP, f"{UUID}/", "uuid"),
        (SHOP, "..", "uuid"),
        ("shop", UUID, "repository"),
        ("acme/", UUID, "repository"),
        ("acme/../shop", UUID, "repository"),
        ("", UUID, "repository"),
    ],
)
@pytest.mark.parametrize("operation", ["notifications.delete", "notifications.reset", "notifications.test"])
def test_a_path_that_would_reach_something_else_is_never_sent(
    scripted: Scripted, repository: str, uuid: str, named: str, operation: str
) -> None:
    with pytest.raises(BadRequestError, match=named):
        attrgetter(operation)(scripted_client(scripted))(repository, uuid)
    assert scripted.requests == []


# --- credentials and errors


@pytest.mark.parametrize("token", ["garbage", seed.QUAY_EXPIRED_TOKEN])
def test_a_bad_token_is_an_authentication_error_on_reads_and_on_writes(stand: Stand, token: str) -> None:
    client = stand.client(token=token)
    with pytest.raises(AuthenticationError) as read:
        client.repositories.get(SHOP)
    with pytest.raises(AuthenticationError, match="wrong or expired") as write:
        client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"])
    assert (read.value.status, write.value.status) == (401, 403)
    assert write.value.effect is Effect.NONE
    with pytest.raises(AuthenticationError):
        client.check()


def test_a_token_without_the_scope_is_a_missing_permission(stand: Stand) -> None:
    client = stand.client(token=seed.QUAY_READ_TOKEN)
    assert "accepts the token" in client.check()
    assert "accepts the token" in stand.client().check()
    with pytest.raises(PermissionDeniedError) as caught:
        client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"])
    assert caught.value.code == "insufficient_scope"


@pytest.mark.parametrize(
    ("reply", "cause", "effect"),
    [
        ((400, {}, {"detail": "'event' is a required property\n\nOn instance: secret"}), BadRequestError, "refused"),
        ((400, {"Content-Type": "text/html"}, '{"error": "API calls must be"}'), BadRequestError, "refused"),
        ((400, {}, {"message": "Cannot set expiration on immutable tag 'v1'"}), ConflictError, "refused"),
        ((409, {}, {"detail": "Cannot delete", "error_type": "tag_immutable"}), ConflictError, "refused"),
        ((429, {}, {"message": "Maximum build rate exceeded."}), ThrottledError, "none"),
        ((500, {"Content-Type": "text/html"}, "<html>Internal Server Error"), ServerUnavailableError, "unknown"),
        ((503, {}, {"message": "read only", "is_readonly": True}), ConflictError, "refused"),
        ((503, {}, {"message": "Repository is in read only or mirror mode: 2"}), ConflictError, "refused"),
        ((503, {}, "<html>bad gateway"), ServerUnavailableError, "unknown"),
        ((520, {}, {"detail": "scanner", "error_type": "downstream_issue"}), ServerUnavailableError, "unknown"),
        ((201, {}, {"id": ""}), UnexpectedResponseError, "unknown"),
        ((201, {}, None), UnexpectedResponseError, "unknown"),
        ((201, {}, '{"id": "b'), UnexpectedResponseError, "unknown"),
    ],
)
def test_errors_are_told_by_their_content(
    scripted: Scripted, reply: Any, cause: type[ReleasePipelineError], effect: str
) -> None:
    client = scripted_client(scripted, reply)
    with pytest.raises(cause) as caught:
        client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"])
    assert caught.value.effect == effect
    assert "secret" not in str(caught.value)
    assert len(scripted.requests) == 1


def test_a_token_and_a_webhook_never_show_in_an_error(scripted: Scripted) -> None:
    told: list[str] = []
    secret = "https://hooks.example.com/t0p-secret"
    problem = {"detail": f"{secret} is wrong, says {TOKEN}"}
    client = scripted_client(
        scripted, {"notifications": []}, {"name": "shop"}, (400, {}, problem), on_secret=told.append
    )
    with pytest.raises(BadRequestError) as caught:
        client.notifications.create(SHOP, event="repo_push", method="webhook", config={"url": secret})
    assert secret not in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert told == [TOKEN, secret]


@pytest.mark.parametrize("prefix", ["/api/v2", "/"])
def test_the_check_finds_a_wrong_url(stand: Stand, prefix: str) -> None:
    with pytest.raises((NotFoundError, UnexpectedResponseError)):
        stand.client(api_prefix=prefix).check()


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, {}),
        (200, {}, []),
        (200, {}, {"status": "ok"}),
        (200, {}, None),
        (200, {"Content-Type": "text/html"}, "<html>Welcome to nginx!"),
        (403, {}, {"message": "Forbidden"}),
        (403, {"Content-Type": "text/html"}, "<html>Forbidden"),
    ],
)
def test_the_check_does_not_take_any_web_server_for_a_quay(scripted: Scripted, answer: Any) -> None:
    with pytest.raises(UnexpectedResponseError, match=r"not as a Quay does.*api_prefix"):
        scripted_client(scripted, answer).check()


def test_the_check_knows_a_quay_whose_token_may_see_everything(scripted: Scripted) -> None:
    assert "accepts the token" in scripted_client(scripted, {"notifications": []}).check()


@pytest.mark.parametrize(
    "answer",
    [[], {}, {"tags": None}, {"tags": ["v1"]}, {"tags": [{"name": "v1"}]}, {"tags": [{"manifest_digest": "x"}]}],
)
def test_an_answer_of_another_form_is_an_error_by_its_own_name(scripted: Scripted, answer: Any) -> None:
    with pytest.raises(UnexpectedResponseError):
        scripted_client(scripted, answer).look(tag_ref("v1"))


def test_a_connection_without_a_token_is_refused() -> None:
    with pytest.raises(ConnectionConfigError, match="token"):
        QuayClient("https://quay.example.com", token="")


# --- builds


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
    seen = client.look(build_ref())
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
    assert client.look(build_ref()).outputs["digest"] == digest


def test_a_failed_build_says_why(stand: Stand, client: QuayClient) -> None:
    stand.switch(build_outcome="error")
    failed = ended(client, client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"]))
    assert failed.state is ExecutionState.FAILED
    assert "The Dockerfile could not be built" in str(failed.message)


@pytest.mark.parametrize("logs", [(403, {}, {"error_type": "insufficient_scope"}), {"logs_url": "/buildlogs/b1"}])
def test_a_failed_build_is_a_failure_also_without_its_log(scripted: Scripted, logs: Any) -> None:
    seen = scripted_client(scripted, build_json(phase="error"), logs).look(build_ref())
    assert (seen.state, seen.message) == (ExecutionState.FAILED, "the image build ended in phase error")


def test_the_last_error_of_the_log_is_the_reason(scripted: Scripted) -> None:
    entries = [{"message": "Step 1", "type": "command"}, {"message": "no such file", "type": "error"}]
    client = scripted_client(scripted, build_json(phase="error"), {"start": 0, "total": 2, "logs": entries})
    assert str(client.look(build_ref()).message).endswith("no such file")


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
    seen = scripted_client(scripted, build_json(phase=phase)).look(build_ref())
    assert (seen.state, seen.status) == (state, phase)


@pytest.mark.parametrize(
    ("second", "state"), [("expired", ExecutionState.FAILED), ("building", ExecutionState.RUNNING)]
)
def test_expired_is_believed_only_when_seen_twice(scripted: Scripted, second: str, state: ExecutionState) -> None:
    logs = {"start": 0, "total": 0, "logs": []}
    client = scripted_client(scripted, build_json(phase="expired"), build_json(phase=second), logs)
    assert client.look(build_ref()).state is state


def test_an_unknown_build_is_not_found(client: QuayClient) -> None:
    for read in (client.builds.get, client.builds.get_status, client.builds.get_log):
        with pytest.raises(NotFoundError):
            read(SHOP, UUID)
    with pytest.raises(NotFoundError):
        client.look(build_ref(UUID))


def test_a_waiting_build_is_canceled(stand: Stand, client: QuayClient) -> None:
    stand.post("reset", speed=1)
    build = client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"])
    client.cancel(build.ref, "no longer wanted")
    assert client.look(build.ref).state is ExecutionState.CANCELED
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
    with pytest.raises(ConflictError, match="will not be tried again"):
        client.cancel(build.ref, "")


def test_a_cancel_that_comes_too_late_is_fine(scripted: Scripted) -> None:
    refused = (400, {}, {"detail": "Build is currently running or has finished", "error_type": "invalid_request"})
    client = scripted_client(scripted, build_json(), refused, build_json(phase="complete"))
    client.cancel(build_ref(), "")
    assert [each.method for each in scripted.requests] == ["GET", "DELETE", "GET"]


def test_a_token_that_may_start_but_not_cancel_is_told_what_it_lacks(stand: Stand, client: QuayClient) -> None:
    stand.post("reset", speed=1)
    writer = stand.client(token=stand.act("issue_token", user="admin", scopes=["repo:write"])["token"])
    build = writer.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"])
    with pytest.raises(PermissionDeniedError, match="repo:admin, of a user who may administer") as caught:
        writer.cancel(build.ref, "")
    assert caught.value.effect is Effect.REFUSED
    assert client.look(build.ref).state is ExecutionState.QUEUED


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
    assert [each.id for each in client.find_started(wanted)] == [build.id]


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
        ("complete", "succeeded", False),
        ("cancelled", "canceled", False),
        ("error", "failed", False),
    ],
)
def test_a_build_needs_a_cancel_until_it_is_over(scripted: Scripted, status: str, state: str, needed: bool) -> None:
    with scripted_client(scripted) as client:
        assert client.needs_cancel(Execution(build_ref(), ExecutionState(state), status)) is needed


@pytest.mark.parametrize("ref", [tag_ref("1"), scan_ref(tag="1")])
def test_what_is_no_build_needs_no_cancel(scripted: Scripted, ref: dict[str, str]) -> None:
    with scripted_client(scripted) as client:
        assert not client.needs_cancel(Execution(ref, ExecutionState.RUNNING, "missing"))


# --- which build a start led to


def intent(client: QuayClient, **fields: Any) -> dict[str, Any]:
    build = {"archive_url": ARCHIVE, "tags": ["latest", "1.4.2"]}
    build |= {name: fields.pop(name) for name in (*build, "subdirectory", "dockerfile_path") if name in fields}
    return client.builds.intent(SHOP, **build) | {"marker": "m", "since": time.time(), "clock": "worker", **fields}


def found(client: QuayClient, wanted: dict[str, Any]) -> list[str]:
    return [each.id for each in client.find_started(wanted)]


def test_a_start_whose_answer_was_lost_is_found_again(stand: Stand, client: QuayClient) -> None:
    wanted, other = intent(client), intent(client, archive_url="https://git.example.com/other.tar.gz")
    client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1.4.1", "latest"])
    assert client.find_started(wanted) == []
    stand.fault(method="POST", fault="reset_after")
    with pytest.raises(ServerUnavailableError) as caught:
        client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1.4.2", "latest"])
    assert caught.value.effect is Effect.UNKNOWN
    (build,) = client.find_started(wanted)
    assert build.outputs["tags"] == ["1.4.2", "latest"]
    assert build.ref["place"] == client.place
    assert ended(client, build).state is ExecutionState.SUCCEEDED
    assert client.find_started(other) == client.find_started(intent(client)) == []


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


def test_the_longest_tag_that_quay_keeps_of_a_build_is_found_again(client: QuayClient) -> None:
    tags = ["t" * 127]
    wanted = intent(client, tags=tags)
    build = client.builds.start(SHOP, archive_url=ARCHIVE, tags=tags)
    assert found(client, wanted) == [build.id]
    assert ended(client, build).outputs["digest"] == (client.tags.find(SHOP, tags[0]) or {})["manifest_digest"]


def test_a_build_that_is_over_when_it_is_found_again_tells_as_much_as_one_looked_at(client: QuayClient) -> None:
    wanted = intent(client)
    build = ended(client, client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1.4.2", "latest"]))
    assert client.find_started(wanted) == [build]
    assert build.outputs["image_ref"]


def test_equal_builds_are_all_told_the_oldest_first(client: QuayClient) -> None:
    wanted = intent(client, tags=["1"])
    builds = [client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1"]) for _ in range(2)]
    assert found(client, wanted) == [build.id for build in builds]
    assert not client.is_marked(wanted)


SINCE = 1795220297.0
"""When the scripted build began."""


def scripted_intent(**fields: Any) -> dict[str, Any]:
    base = {"kind": "build", "repository": SHOP, "archive_url": ARCHIVE, "tags": ["1.0"], "builds_before": ["b0"]}
    return base | {"marker": "m", "since": SINCE, "clock": "vendor", **fields}


def test_a_build_of_a_trigger_is_not_ours(scripted: Scripted) -> None:
    client = scripted_client(scripted, {"builds": [build_json(trigger={"id": "t1", "service": "github"})]})
    assert client.find_started(scripted_intent()) == []


def test_only_builds_since_the_start_are_asked_for(scripted: Scripted) -> None:
    client = scripted_client(scripted, {"builds": []})
    assert client.find_started(scripted_intent(since=SINCE + 0.7)) == []
    assert scripted.requests[0].query == {"limit": "1000", "since": "1795220295"}


def test_too_many_builds_to_tell_is_not_taken_for_none(scripted: Scripted) -> None:
    client = scripted_client(scripted, {"builds": [build_json(tags=["other"])] * 1000})
    with pytest.raises(ConflictError, match="cannot be told"):
        client.find_started(scripted_intent())


def test_a_build_that_does_not_tell_its_time_is_not_taken_for_none(scripted: Scripted) -> None:
    client = scripted_client(scripted, {"builds": [build_json(started=None)]})
    with pytest.raises(UnexpectedResponseError, match="build b1 has no time"):
        client.find_started(scripted_intent())


# --- tags


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
    with pytest.raises(ConflictError, match="left the tag as it was"):
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
    with pytest.raises(UnexpectedResponseError, match="repeats a page"):
        scripted_client(scripted).tags.list(SHOP)
    assert len(scripted.requests) == 2


def test_a_tag_is_waited_for_until_it_points_to_the_digest(stand: Stand, client: QuayClient) -> None:
    assert client.look(tag_ref("1.4.2")).state is ExecutionState.RUNNING
    first = stand.push("1.4.2")
    waiting = client.look(tag_ref("1.4.2", DIGEST))
    assert (waiting.state, waiting.status) == (ExecutionState.RUNNING, "other_digest")
    seen = client.look(tag_ref("1.4.2", first))
    assert seen.state is ExecutionState.SUCCEEDED
    assert set(seen.outputs) == {"repository", "tag", "digest", "image_ref", "last_modified", "size"}
    assert seen.outputs["digest"] == first
    assert datetime.fromisoformat(seen.outputs["last_modified"]).tzinfo


@pytest.mark.parametrize("together", [False, True])
def test_a_digest_in_capitals_is_the_same_one(stand: Stand, client: QuayClient, together: bool) -> None:
    digest = stand.push("1.4.2")
    wanted = tag_ref("1.4.2", digest.upper())
    seen = client.fetch([wanted, tag_ref("stable")])[0] if together else client.look(wanted)
    assert isinstance(seen, Execution)
    assert (seen.state, seen.ref["digest"]) == (ExecutionState.SUCCEEDED, digest)
    assert client.tags.promote(SHOP, "candidate", digest=digest.upper())["manifest_digest"] == digest
    assert client.tags.restore(SHOP, "candidate", digest=digest.upper())["manifest_digest"] == digest
    assert client.look(scan_ref(digest.upper())).outputs["digest"] == digest


def test_a_digest_that_is_none_is_one_waits_own_error(client: QuayClient) -> None:
    seen = client.fetch([tag_ref("stable", "latest"), tag_ref("stable")])
    assert [type(each) for each in seen] == [BadRequestError, Execution]


# --- scans


def test_a_clean_image_passes_with_its_findings_counted(stand: Stand, client: QuayClient) -> None:
    digest = stand.push("1.4.2", severities=["High", "Low", "Low"])
    done = ended(client, client.look(scan_ref(digest)))
    assert done.state is ExecutionState.SUCCEEDED
    assert done.outputs["severities"] == {"High": 1, "Low": 2}
    assert list(done.outputs["severities"]) == ["High", "Low"]
    assert (done.outputs["highest"], done.outputs["max_severity"], done.outputs["tag"]) == ("High", "High", None)
    assert done.outputs["image_ref"].endswith(f"/acme/shop@{digest}")


def test_an_image_above_the_limit_fails_naming_the_worst(stand: Stand, client: QuayClient) -> None:
    stand.push("1.4.2", severities=["Critical", "Medium", "Low"])
    failed = ended(client, client.look(scan_ref(tag="1.4.2", max_severity="Low")))
    assert failed.state is ExecutionState.FAILED
    assert str(failed.message).startswith("2 findings above Low: ")
    assert str(failed.message).index("Critical") < str(failed.message).index("Medium")
    assert failed.outputs["highest"] == "Critical"


def test_a_scan_of_a_tag_tells_the_digest_that_it_was_of(stand: Stand, client: QuayClient) -> None:
    stand.post("reset", speed=1)
    assert client.look(scan_ref(tag="1.4.2")).status == "missing"
    digest = stand.push("1.4.2")
    seen = client.look(scan_ref(tag="1.4.2"))
    assert (seen.state, seen.status) == (ExecutionState.RUNNING, "queued")
    assert seen.ref == scan_ref(tag="1.4.2") | {"digest": digest, "place": f"{stand.url}/quay"}
    assert ended(client, seen).outputs["tag"] == "1.4.2"


def test_a_failed_scan_is_waited_for(stand: Stand, client: QuayClient) -> None:
    stand.post("reset", speed=1)
    stand.switch(scan_status="failed_then_scanned")
    seen = set()
    digest = stand.push("1.4.2")
    deadline = time.monotonic() + 60
    while not (scan := client.look(scan_ref(digest))).state.is_terminal and time.monotonic() < deadline:
        seen.add((scan.status, scan.state))
    assert ("failed", ExecutionState.RUNNING) in seen
    assert scan.state is ExecutionState.SUCCEEDED


def scanned(*findings: tuple[str, str]) -> dict[str, Any]:
    found = [{"Name": name, "Severity": severity, "FixedBy": ""} for name, severity in findings]
    features = [{"Name": "openssl", "Version": "3.0", "Vulnerabilities": found}, {"Name": "zlib", "Version": "1"}]
    return {"status": "scanned", "data": {"Layer": {"Features": features}}}


def manifest_list(*children: str) -> dict[str, Any]:
    entries: list[dict[str, Any]] = [{"digest": child} for child in children]
    entries.append({"digest": "sha256:" + "f" * 64, "annotations": {"vnd.docker.reference.type": "attestation"}})
    return {"digest": DIGEST, "is_manifest_list": True, "manifest_data": json.dumps({"manifests": entries})}


UNSUPPORTED = {"status": "unsupported", "data": None}
PLATFORMS = ("sha256:" + "1" * 64, "sha256:" + "2" * 64)
NO_MANIFEST = (404, {}, {"error_type": "not_found", "detail": "Not Found"})
ABSENT = (NO_MANIFEST, NO_MANIFEST)


@pytest.mark.parametrize(
    ("script", "state", "told"),
    [
        ([UNSUPPORTED, {"is_manifest_list": False}], "failed", "unsupported"),
        ([{"status": "manifest_layer_too_large", "data": None}], "failed", "manifest_layer_too_large"),
        ([{"status": "pondering", "data": None}], "unknown", ""),
        ([scanned(("CVE-1", "Defcon1"))], "failed", r"CVE-1 \(Defcon1, openssl 3.0, no fix\)"),
        ([scanned(*((f"CVE-{n}", "Critical") for n in range(7)))], "failed", "7 findings.*CVE-4.*and 2 more"),
        ([UNSUPPORTED, manifest_list(*PLATFORMS), scanned(), scanned()], "succeeded", ""),
        ([UNSUPPORTED, manifest_list(*PLATFORMS), scanned(), {"status": "queued"}], "running", ""),
        ([UNSUPPORTED, manifest_list(*PLATFORMS), scanned(), UNSUPPORTED], "failed", f"{PLATFORMS[1]} cannot be"),
        (
            [UNSUPPORTED, manifest_list(*PLATFORMS), scanned(("CVE-1", "Critical")), scanned(("CVE-1", "Critical"))],
            "failed",
            "1 findings above High: CVE-1",
        ),
        (
            [UNSUPPORTED, manifest_list(*PLATFORMS), scanned(), *ABSENT],
            "succeeded",
            f"not scanned, because this registry does not hold it: {PLATFORMS[1]}",
        ),
        ([UNSUPPORTED, manifest_list(*PLATFORMS), *ABSENT, {"status": "queued"}], "running", PLATFORMS[0]),
        (
            [UNSUPPORTED, manifest_list(*PLATFORMS), *ABSENT, scanned(("CVE-1", "Critical"))],
            "failed",
            f"CVE-1.*; not scanned.*{PLATFORMS[0]}",
        ),
        (
            [UNSUPPORTED, manifest_list(*PLATFORMS), *ABSENT, *ABSENT],
            "failed",
            f"holds none of its platforms.*{PLATFORMS[0]}, {PLATFORMS[1]}",
        ),
    ],
)
def test_a_scan_passes_only_if_everything_was_scanned_and_is_below_the_limit(
    scripted: Scripted, script: list[Any], state: str, told: str
) -> None:
    seen = scripted_client(scripted, *script).look(scan_ref(DIGEST))
    assert seen.state == state
    assert scripted.unexpected == []
    assert re.search(told, seen.message or "")


def test_a_platform_that_is_there_but_whose_scan_is_not_found_does_not_pass(scripted: Scripted) -> None:
    script = [UNSUPPORTED, manifest_list(*PLATFORMS), scanned(), NO_MANIFEST, {"is_manifest_list": False}]
    with pytest.raises(NotFoundError, match="scanner is switched off"):
        scripted_client(scripted, *script).look(scan_ref(DIGEST))


def test_a_report_that_cannot_be_read_does_not_pass(scripted: Scripted) -> None:
    with pytest.raises(UnexpectedResponseError, match="cannot be read"):
        scripted_client(scripted, {"status": "scanned", "data": None}).look(scan_ref(DIGEST))


def test_a_quay_without_a_scanner_says_so(stand: Stand, client: QuayClient) -> None:
    stand.switch(security_scanner=False)
    with pytest.raises(NotFoundError, match="scanner is switched off"):
        client.look(scan_ref(stand.push("1.4.2")))


def test_a_scanner_that_is_down_is_not_a_bad_image(stand: Stand, client: QuayClient) -> None:
    stand.switch(scanner_down=True)
    with pytest.raises(ServerUnavailableError) as caught:
        client.look(scan_ref(stand.push("1.4.2")))
    assert caught.value.status == 520


def test_an_unknown_limit_is_refused(scripted: Scripted) -> None:
    with pytest.raises(BadRequestError, match="max_severity"):
        scripted_client(scripted).look(scan_ref(DIGEST, max_severity="high"))
    assert scripted.requests == []


# --- manifests and repositories


def test_manifests_and_their_labels_are_read(stand: Stand, client: QuayClient) -> None:
    digest = stand.push("1.4.2")
    assert client.manifests.get(SHOP, digest)["digest"] == digest
    assert client.labels.list(SHOP, digest) == []
    with pytest.raises(BadRequestError, match="digest"):
        client.manifests.get(SHOP, "1.4.2")


def test_a_manifest_is_labeled(stand: Stand, client: QuayClient) -> None:
    digest = stand.push("1.4.2")
    label = client.labels.create(SHOP, digest, key="approved-by", value="ops")
    assert client.labels.list(SHOP, digest) == [label]
    assert client.labels.get(SHOP, digest, label["id"])["value"] == "ops"
    client.labels.delete(SHOP, digest, label["id"])
    with pytest.raises(NotFoundError):
        client.labels.delete(SHOP, digest, label["id"])
    with pytest.raises(BadRequestError, match="label_id"):
        client.labels.delete(SHOP, digest, "")


def test_a_repository_is_created_described_and_deleted(client: QuayClient) -> None:
    client.repositories.create("acme/new", description="a")
    with pytest.raises(ConflictError):
        client.repositories.create("acme/new")
    client.repositories.update("acme/new", "b")
    assert client.repositories.get("acme/new")["description"] == "b"
    client.repositories.delete("acme/new")
    with pytest.raises(NotFoundError):
        client.repositories.get("acme/new")
    for wrong in ("acme", "acme/", "", "acme/new/"):
        with pytest.raises(BadRequestError, match="repository"):
            client.repositories.delete(wrong)
    with pytest.raises(BadRequestError, match="visibility"):
        client.repositories.create("acme/new", visibility="secret")


def test_repositories_are_listed_over_all_pages(stand: Stand, client: QuayClient) -> None:
    for number in range(101):
        stand.act("push_image", repository=f"acme/app{number}", tag="1")
    names = {each["name"] for each in client.repositories.list("acme")}
    assert {"shop", "app0", "app100"} <= names
    assert set(client.repositories.get(SHOP)["tags"]) == {"stable", "vulnerable"}


def test_an_aged_page_token_does_not_lead_round_and_round(scripted: Scripted) -> None:
    scripted.always = (200, {}, {"repositories": [{"name": "shop"}], "next_page": "aged"})
    assert scripted_client(scripted).repositories.list("acme") == [{"name": "shop"}]
    assert len(scripted.requests) == 2


# --- many at once


def test_many_builds_of_one_repository_cost_one_request(stand: Stand, client: QuayClient) -> None:
    stand.post("reset", speed=0.01)
    builds = [client.builds.start(SHOP, archive_url=ARCHIVE, tags=[str(number)]) for number in range(7)]
    before = len(stand.requests())
    seen = client.fetch([*(build.ref for build in builds), builds[0].ref, build_ref(UUID)])
    assert [each.id for each in seen[:-1] if isinstance(each, Execution)] == [*(b.id for b in builds), builds[0].id]
    assert isinstance(seen[-1], NotFoundError)
    assert stand.requests()[before:] == ["GET /build/", f"GET /build/{UUID}"]


def test_a_build_seen_in_a_list_says_as_much_as_one_looked_up_alone(client: QuayClient) -> None:
    builds = [ended(client, client.builds.start(SHOP, archive_url=ARCHIVE, tags=[tag])) for tag in ("1", "2")]
    seen = client.fetch([build.ref for build in builds])
    assert [each.to_result() for each in seen if isinstance(each, Execution)] == [b.to_result() for b in builds]


def test_many_builds_that_end_together_read_the_tags_in_one_piece(stand: Stand, client: QuayClient) -> None:
    builds = [client.builds.start(SHOP, archive_url=ARCHIVE, tags=[f"{n}", "latest"]) for n in range(7)]
    done = [ended(client, build) for build in builds]
    before = len(stand.requests())
    seen = client.fetch([build.ref for build in builds])
    assert [each.to_result() for each in seen if isinstance(each, Execution)] == [each.to_result() for each in done]
    assert stand.requests()[before:] == ["GET /build/", "GET /tag/"]


def test_a_long_history_of_tags_is_not_read_for_few_builds(scripted: Scripted) -> None:
    since = int(SINCE)
    listed = {"builds": [build_json(id=name, phase="complete", tags=[name]) for name in ("b1", "b2")]}
    noise = tags(*(tag_json(f"n{n}", OTHER_DIGEST, since + 9) for n in range(100)), more=True)
    each = [tags(tag_json("b1", DIGEST, since + 5)), tags(tag_json("b2", OTHER_DIGEST, since + 6))]
    client = scripted_client(scripted, listed, noise, noise, *each)
    seen = client.fetch([build_ref("b1"), build_ref("b2")])
    assert [e.outputs["digest"] for e in seen if isinstance(e, Execution)] == [DIGEST, OTHER_DIGEST]
    assert scripted.unexpected == []


@pytest.mark.parametrize("together", [1, 3])
def test_no_log_of_a_build_is_read_in_a_poll_of_many(stand: Stand, client: QuayClient, together: int) -> None:
    stand.switch(build_outcome="error")
    builds = [client.builds.start(SHOP, archive_url=ARCHIVE, tags=[str(number)]) for number in range(together)]
    for build in builds:
        assert str(ended(client, build).message).endswith("in phase error: The Dockerfile could not be built")
    before = len(stand.requests())
    seen = client.fetch([build.ref for build in builds])
    assert {each.message for each in seen if isinstance(each, Execution)} == {"the image build ended in phase error"}
    assert len(stand.requests()) - before == 1


def test_many_tags_of_one_repository_cost_one_request(stand: Stand, client: QuayClient) -> None:
    stand.push("1.4.2")
    before = len(stand.requests())
    seen = client.fetch([tag_ref("1.4.2"), tag_ref("1.5"), tag_ref("1.6"), tag_ref("1.4.2"), tag_ref("1.4.2", DIGEST)])
    states = [each.status for each in seen if isinstance(each, Execution)]
    assert states == ["present", "missing", "missing", "present", "other_digest"]
    assert stand.requests()[before:] == ["GET /tag/"]


def test_equal_waits_cost_one_request(stand: Stand, client: QuayClient) -> None:
    digest = stand.push("1.4.2")
    before = len(stand.requests())
    assert len(client.fetch([scan_ref(digest)] * 5)) == 5
    assert len(stand.requests()) - before == 1


def test_a_missing_repository_is_each_ones_own_error(client: QuayClient) -> None:
    gone = {"repository": "acme/missing"}
    seen = client.fetch([tag_ref("1") | gone, tag_ref("2") | gone, tag_ref("stable")])
    assert [type(each) for each in seen] == [NotFoundError, NotFoundError, Execution]


def test_a_bad_token_concerns_all_of_them(stand: Stand) -> None:
    with pytest.raises(AuthenticationError):
        stand.client(token="garbage").fetch([tag_ref("1"), scan_ref(DIGEST)])


def test_a_read_is_repeated_after_every_passing_error(stand: Stand) -> None:
    client = stand.client(attempts=2)
    for fault in ({"fault": "status", "status": 520}, {"fault": "truncate"}, {"fault": "reset_after"}):
        stand.fault(method="GET", **fault)
        assert client.tags.find(SHOP, "stable")
