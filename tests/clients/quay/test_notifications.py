"""Notifications of a repository: created once, and what Quay would store or die of is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from typing import Any

import pytest

from airflow_provider.clients.quay import QuayClient
from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    NotFoundError,
    ServerUnavailableError,
    UnexpectedResponseError,
)
from tests.support.quay_client import SHOP, UUID, Stand, scripted_client
from tests.support.scripted import Scripted

HOOK: dict[str, Any] = {"event": "repo_push", "method": "webhook", "config": {"url": "http://127.1:9/hook"}}


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
        ({"event": "push"}, "event must be one of .*'push'"),
        ({"event": "Repo_Push"}, "event must be one of .*'Repo_Push'"),
        ({"method": "sms"}, "method must be one of .*'sms'"),
        ({"title": ""}, "title"),
        ({"title": "x" * 256}, "title"),
        ({"config": {}}, "'url'"),
        ({"config": "http://hooks.example.com"}, "config must be a mapping"),
        ({"event": "build_start", "event_config": ["ref-regex"]}, "event_config must be a mapping"),
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


def test_a_notification_without_an_id_is_an_unreadable_answer(scripted: Scripted) -> None:
    stored = {**HOOK, "event_config": {}, "title": None, "number_of_failures": 0}
    client = scripted_client(scripted)
    scripted.always = (200, {}, {"notifications": [stored]})
    for call in (client.notifications.list, lambda repository: client.notifications.create(repository, **HOOK)):
        with pytest.raises(UnexpectedResponseError, match="a notification without uuid"):
            call(SHOP)
    assert [each.method for each in scripted.requests] == ["GET", "GET"]
