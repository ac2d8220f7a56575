"""Quay operators in real Airflow against the sandbox: image builds, promoted tags, notifications."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    ExecutionCanceled,
    ExecutionFailed,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider.hooks.quay import QuayHook
from airflow_provider.operators import quay as operators
from airflow_provider.operators.quay import (
    QuayCreateNotificationOperator,
    QuayDeleteNotificationOperator,
    QuayNotificationsOperator,
    QuayPromoteTagOperator,
    QuayResetNotificationOperator,
    QuayRunBuildOperator,
    QuayTestNotificationOperator,
)
from airflow_provider.sandbox import seed
from airflow_provider.sensors import quay as sensors
from airflow_provider.sensors.base import ReleaseSensor
from airflow_provider.sensors.quay import QuayBuildSensor, QuaySecurityScanSensor, QuayTagSensor
from tests.airflow_runs import TaskRun, run_task
from tests.meanwhile import meanwhile, until
from tests.systems import define_connection

SHOP = "acme/shop"
ARCHIVE = "https://sources.example.com/shop-1.4.2.tar.gz"
HOOK = {"url": "https://hooks.example.com/quay"}
BOTH_MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["synchronous", "deferrable"])


@pytest.fixture(autouse=True)
def fast(systems) -> None:
    systems.reset(speed=100)


def build(**arguments: Any) -> TaskRun:
    arguments = {"repository": SHOP, "archive_url": ARCHIVE, "tags": ["1.4.2"], **arguments}
    return run_task(lambda: QuayRunBuildOperator(task_id="build", poll_interval=0.1, **arguments))


def built_from() -> str:
    """The archive of the newest build."""
    with QuayHook().get_conn() as client:
        return client.builds.list(SHOP)[0]["archive_url"]


def promote(**arguments: Any) -> TaskRun:
    arguments = {"repository": SHOP, "tag": "production", **arguments}
    return run_task(lambda: QuayPromoteTagOperator(task_id="promote", **arguments))


def create(**arguments: Any) -> TaskRun:
    arguments = {"repository": SHOP, "event": "repo_push", "method": "webhook", "config": HOOK, **arguments}
    return run_task(lambda: QuayCreateNotificationOperator(task_id="create", **arguments))


def on_one(operator: type, uuid: str, **arguments: Any) -> TaskRun:
    return run_task(lambda: operator(task_id="notification", repository=SHOP, uuid=uuid, **arguments))


def tags() -> dict[str, str]:
    """Where the tags of the shop point to."""
    with QuayHook().get_conn() as client:
        return {tag["name"]: tag["manifest_digest"] for tag in client.tags.list(SHOP)}


def notifications() -> list[dict[str, Any]]:
    with QuayHook().get_conn() as client:
        return client.notifications.list(SHOP)


# --- builds


@BOTH_MODES
def test_the_outputs_of_a_build_are_its_tags_and_its_image_pinned_by_digest(systems, deferrable):
    outputs = build(tags=["1.4.2", "latest"], deferrable=deferrable).result["outputs"]
    assert outputs["tags"] == ["1.4.2", "latest"]
    assert outputs["digest"] == tags()["1.4.2"] == tags()["latest"]
    assert outputs["image_ref"] == f"127.0.0.1:{systems.url.rpartition(':')[2]}/acme/shop@{outputs['digest']}"


@pytest.mark.parametrize("place", [{"subdirectory": "shop"}, {"dockerfile_path": "shop/Dockerfile"}])
def test_a_build_gets_what_the_task_says(systems, place):
    ended = build(**place)
    (request,) = systems.requests("quay", "POST", "/build/")
    # The journal of the sandbox shows no URL that may hold a login.
    assert request["body"] == {"archive_url": "***", "docker_tags": ["1.4.2"], **place}
    assert built_from() == ARCHIVE
    assert ended.result["url"] == f"{systems.url}/quay/repository/acme/shop/build/{ended.result['id']}"


@BOTH_MODES
def test_a_failed_build_tells_why(systems, deferrable):
    systems.switch("quay", build_outcome="error")
    ended = build(deferrable=deferrable)
    assert isinstance(ended.error, ExecutionFailed)
    assert "The Dockerfile could not be built" in str(ended.error)


@pytest.mark.parametrize("state", ["read_only_repositories", "mirrored_repositories", "read_only_registry"])
def test_a_start_that_a_read_only_quay_refuses_is_sent_once_and_says_so(systems, state):
    systems.switch("quay", **{state: True if state == "read_only_registry" else [SHOP]})
    ended = build()
    assert isinstance(ended.error, ConflictError)
    assert "read-only" in str(ended.error)
    assert len(systems.requests("quay", "POST", "/build/")) == 1


def test_a_start_with_a_token_that_may_not_cancel_is_warned_about(systems, capsys):
    token = systems.act("quay", "issue_token", user="admin", scopes=["repo:write"])["token"]
    define_connection("quay_writer", conn_type="quay", host=f"{systems.url}/quay", password=token)
    warning = "may not cancel what it starts: that needs the scope repo:admin"
    assert build(quay_conn_id="quay_writer").error is None
    assert warning in capsys.readouterr().out
    assert build(quay_conn_id="quay_writer", cancel_on_kill=False).error is None
    assert build().error is None
    assert warning not in capsys.readouterr().out


def test_an_archive_url_beyond_ascii_is_built(systems):
    assert build(archive_url="https://sources.example.com/größe.tar.gz").error is None
    assert built_from() == "https://sources.example.com/gr%C3%B6%C3%9Fe.tar.gz"


@BOTH_MODES
def test_a_build_that_somebody_cancels_is_canceled_and_not_failed(systems, deferrable):
    def cancel_it() -> bool:
        builds = systems.executions("quay")
        if builds:
            systems.force("quay", builds[0]["id"], "cancelled")
        return bool(builds)

    systems.reset(speed=0.05)
    with meanwhile(cancel_it):
        ended = build(deferrable=deferrable)
    assert isinstance(ended.error, ExecutionCanceled)


@pytest.mark.parametrize("repository", ["acme/nothing", "other/shop"])
def test_a_repository_that_is_not_there_is_found_out_before_the_start(systems, repository):
    ended = build(repository=repository)
    assert isinstance(ended.error, (NotFoundError, PermissionDeniedError))
    assert systems.requests("quay", "POST") == []


# --- tags


def test_a_tag_is_moved_to_a_digest(systems):
    digest = tags()["stable"]
    ended = promote(digest=digest)
    assert ended.error is None
    assert tags()["production"] == digest
    outputs = ended.result["outputs"]
    assert (outputs["repository"], outputs["tag"], outputs["digest"]) == (SHOP, "production", digest)
    assert outputs["image_ref"].endswith(f"/acme/shop@{digest}")
    assert ended.result["state"] == "succeeded"
    assert ended.xcoms["id"] == ended.result["id"] == "production"
    assert ended.xcoms["url"] == f"{systems.url}/quay/repository/acme/shop?tab=tags"


def test_a_tag_is_moved_to_where_another_tag_points():
    ended = promote(source_tag="vulnerable", tag="stable")
    assert ended.result["outputs"]["digest"] == tags()["stable"] == tags()["vulnerable"]


def test_a_tag_that_points_there_already_is_left_alone(systems):
    assert promote(source_tag="stable").error is None
    assert promote(source_tag="stable").error is None
    assert len(systems.requests("quay", "PUT", "/tag/production")) == 1


@pytest.mark.parametrize("source", [{"source_tag": "nothing"}, {"digest": f"sha256:{'0' * 64}"}])
def test_an_image_that_is_not_there_moves_no_tag(source):
    before = tags()
    ended = promote(**source)
    assert isinstance(ended.error, NotFoundError)
    assert tags() == before


def test_an_immutable_tag_is_not_moved(systems):
    systems.switch("quay", immutable_tags=True)
    with QuayHook().get_conn() as client:
        client.tags.set_immutable(SHOP, "stable", True)
    ended = promote(source_tag="vulnerable", tag="stable")
    assert isinstance(ended.error, ConflictError)
    assert "immutable" in str(ended.error)


def test_a_token_that_may_only_read_moves_no_tag(systems):
    host = f"{systems.url}/quay"
    define_connection("quay_reader", conn_type="quay", host=host, password=seed.QUAY_READ_TOKEN)
    ended = promote(source_tag="stable", quay_conn_id="quay_reader")
    assert isinstance(ended.error, PermissionDeniedError)
    assert "production" not in tags()


# --- notifications


def test_an_equal_notification_is_returned_and_not_doubled():
    first, second = create(title="to the shop"), create(title="to the shop")
    (stored,) = notifications()
    assert first.result == second.result
    assert stored | {"config": first.result["config"], "disabled": False} == first.result
    assert set(stored) == {"uuid", "title", "event", "method", "config", "event_config", "number_of_failures"}


@pytest.mark.parametrize(
    ("method", "config", "shown"),
    [
        (
            "webhook",
            {"url": "https://user:pw@hooks.example.com:8443/s3cret?key=1"},
            {"url": "https://hooks.example.com/***"},
        ),
        (
            "webhook",
            {"url": "http://hooks.example.com", "template": '{"token": "s3cret"}', "later": ["s3cret"]},
            {"url": "http://hooks.example.com/***", "template": "***", "later": "***"},
        ),
        ("slack", {"url": "https://hooks.slack.com/services/s3cret"}, {"url": "https://hooks.slack.com/***"}),
        ("slack", {"url": "s3cret"}, {"url": "***"}),
        ("flowdock", {"flow_api_token": "s3cret"}, {"flow_api_token": "***"}),
        ("hipchat", {"notification_token": "s3cret", "room_id": "5"}, {"notification_token": "***", "room_id": "5"}),
        ("email", {"email": "ops@example.com"}, {"email": "ops@example.com"}),
        ("quay_notification", {"target": {"kind": "org", "name": "acme"}}, {"target": {"kind": "org", "name": "acme"}}),
    ],
)
def test_no_xcom_holds_what_lets_its_reader_send_messages(systems, method, config, shown):
    systems.switch("quay", authorized_emails=["ops@example.com"])
    created = create(method=method, config=config)
    (stored,) = notifications()
    others = [on_one(each, stored["uuid"]) for each in (QuayTestNotificationOperator, QuayResetNotificationOperator)]
    assert stored["config"] == config
    for ended in (created, *others):
        assert ended.error is None
        assert ended.result["config"] == shown
        assert "s3cret" not in str(ended.xcoms)


@pytest.mark.parametrize(
    "other",
    [
        {"title": "another"},
        {"event": "build_success"},
        {"config": {"url": "https://hooks.example.com/other"}},
        {"event": "build_success", "event_config": {"ref-regex": "refs/tags/.*"}},
        {"method": "slack"},
    ],
)
def test_a_notification_that_differs_is_another_one(other):
    first, second = create(), create(**other)
    assert first.result["uuid"] != second.result["uuid"]
    assert len(notifications()) == 2


@pytest.mark.parametrize("fault", ["reset_after", "truncate"])
def test_a_notification_whose_creation_was_not_answered_is_not_created_twice(systems, fault):
    systems.fault("quay", fault, method="POST", path="/notification/$")
    assert create().error is None
    assert len(notifications()) == 1


def test_a_notification_is_deleted_and_may_be_missing():
    uuid = create().result["uuid"]
    first, second = on_one(QuayDeleteNotificationOperator, uuid), on_one(QuayDeleteNotificationOperator, uuid)
    assert (first.error, second.error, notifications()) == (None, None, [])
    strict = on_one(QuayDeleteNotificationOperator, uuid, missing_ok=False)
    assert isinstance(strict.error, NotFoundError)
    assert uuid in str(strict.error)


def disabled(systems) -> str:
    """A notification that Quay has given up, because its receiver refuses."""
    uuid = create(config={"url": f"{systems.url.replace('127.0.0.1', '127.0.0.2')}/nobody"}).result["uuid"]
    systems.act("quay", "raise_event", repository=SHOP, event="repo_push")
    until(lambda: notifications()[0]["number_of_failures"] >= 3)
    return uuid


def test_an_equal_notification_that_quay_has_disabled_is_told_so_and_not_reset_unasked(systems, capsys):
    uuid = disabled(systems)
    config = notifications()[0]["config"]
    again = create(config=config)
    assert (again.result["uuid"], again.result["disabled"]) == (uuid, True)
    assert f"Notification {uuid} exists, but Quay has disabled it after" in capsys.readouterr().out
    assert notifications()[0]["number_of_failures"] >= 3
    assert on_one(QuayResetNotificationOperator, uuid).result["disabled"] is False
    assert create(config=config).result["disabled"] is False


def test_a_disabled_notification_is_not_tested_until_it_was_reset(systems):
    uuid = disabled(systems)
    refused = on_one(QuayTestNotificationOperator, uuid)
    assert isinstance(refused.error, ConflictError)
    assert "disabled after 3 failed deliveries" in str(refused.error)
    assert systems.requests("quay", "POST", "/test") == []
    assert on_one(QuayResetNotificationOperator, uuid).result["number_of_failures"] == 0
    assert on_one(QuayTestNotificationOperator, uuid).result["uuid"] == uuid
    assert len(systems.requests("quay", "POST", f"/notification/{uuid}/test")) == 1


@pytest.mark.parametrize("operator", [QuayTestNotificationOperator, QuayResetNotificationOperator])
def test_a_notification_of_another_repository_is_not_touched(systems, operator):
    systems.act("quay", "push_image", repository="acme/other", tag="latest")
    uuid = create(repository="acme/other").result["uuid"]
    ended = on_one(operator, uuid)
    assert isinstance(ended.error, (NotFoundError, BadRequestError))
    assert uuid in str(ended.error)


# --- scopes

RIGHTS = Path(__file__).parents[2] / "docs" / "security.md"
SCOPES = {
    name: scope
    for names, scope in re.findall(r"^\| (`Quay\w+`.*?) \| `(repo:\w+)` \|", RIGHTS.read_text(), re.MULTILINE)
    for name in re.findall(r"`(Quay\w+)`", names)
}
"""What the page on security says that each class needs."""

ARGUMENTS: dict[type, dict[str, Any]] = {
    QuayRunBuildOperator: {"archive_url": ARCHIVE, "tags": ["1.4.2"], "poll_interval": 0.1},
    QuayPromoteTagOperator: {"tag": "production", "source_tag": "stable"},
    QuayCreateNotificationOperator: {"event": "repo_push", "method": "webhook", "config": HOOK},
    QuayNotificationsOperator: {"notifications": [{"event": "repo_push", "config": HOOK}]},
    QuayDeleteNotificationOperator: {},
    QuayTestNotificationOperator: {},
    QuayResetNotificationOperator: {},
    QuayBuildSensor: {},
    QuayTagSensor: {"tag": "stable"},
    QuaySecurityScanSensor: {"tag": "stable"},
}


def with_scope(systems, cls: type, scope: str) -> TaskRun:
    arguments = {"repository": SHOP, "quay_conn_id": "quay_narrow", **ARGUMENTS[cls]}
    with QuayHook().get_conn() as client:
        if "uuid" in cls.template_fields:
            created = client.notifications.create(SHOP, event="repo_push", method="webhook", config=HOOK)
            arguments["uuid"] = created["uuid"]
        if cls is QuayBuildSensor:
            arguments["build_id"] = client.builds.start(SHOP, archive_url=ARCHIVE, tags=["1.4.2"]).id
    if issubclass(cls, ReleaseSensor):
        arguments |= {"poke_interval": 0.1, "timeout": 10}
    token = systems.act("quay", "issue_token", user="admin", scopes=[scope])["token"]
    define_connection("quay_narrow", conn_type="quay", host=f"{systems.url}/quay", password=token)
    return run_task(lambda: cls(task_id="narrow", **arguments))


def test_the_page_on_security_tells_the_scope_of_every_operator_and_sensor():
    public = [vars(module) for module in (operators, sensors)]
    assert SCOPES.keys() == {
        name for names in public for name in names if re.fullmatch(r"Quay\w+(Operator|Sensor)", name)
    }
    assert SCOPES.keys() == {cls.__name__ for cls in ARGUMENTS}


@pytest.mark.parametrize("cls", ARGUMENTS, ids=lambda cls: cls.__name__)
def test_the_scope_that_the_page_names_is_enough_and_needed(systems, cls):
    scopes = ["user:read", "repo:read", "repo:write", "repo:admin"]
    needed = SCOPES[cls.__name__]
    refused = with_scope(systems, cls, scopes[scopes.index(needed) - 1]).error
    assert isinstance(refused, PermissionDeniedError)
    assert f"this needs a token with the scope {needed}" in str(refused)
    assert with_scope(systems, cls, needed).error is None
