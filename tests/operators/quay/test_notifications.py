"""The operators on notifications."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import task_group

from airflow_provider.exceptions import (
    BadRequestError,
    ConflictError,
    NotFoundError,
)
from airflow_provider.operators.quay import (
    QuayCreateNotificationOperator,
    QuayDeleteNotificationOperator,
    QuayNotificationsOperator,
    QuayResetNotificationOperator,
    QuayTestNotificationOperator,
)
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.quay_tasks import HOOK, SHOP, notifications
from tests.support.until import until

OTHER = "acme/other"


def create(**arguments: Any) -> TaskRun:
    arguments = {"repository": SHOP, "event": "repo_push", "method": "webhook", "config": HOOK, **arguments}
    return run_task(lambda: QuayCreateNotificationOperator(task_id="create", **arguments))


def on_one(operator: type, uuid: str, **arguments: Any) -> TaskRun:
    return run_task(lambda: operator(task_id="notification", repository=SHOP, uuid=uuid, **arguments))


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


@pytest.mark.parametrize(("level", "again"), [(3, "3"), ("3", 3)])
def test_a_level_is_the_same_as_a_number_and_as_text(level, again):
    first, second = (create(event="vulnerability_found", event_config={"level": each}) for each in (level, again))
    assert first.result["uuid"] == second.result["uuid"]
    assert len(notifications()) == 1


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


def test_an_equal_notification_that_quay_has_disabled_is_reported_and_not_reset_unasked(systems, capsys):
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


PUSHES: dict[str, Any] = {"event": "repo_push", "config": HOOK}
BUILDS: dict[str, Any] = {"event": "build_success", "config": HOOK}


def keep_in_two_instances(expand: Callable[[Any], Any], **arguments: Any) -> TaskRun:
    """Returns how the second one ended."""
    return run_task(
        lambda: expand(QuayNotificationsOperator.partial(task_id="keep", **arguments)),
        map_index=1,
    )


@pytest.mark.parametrize(
    ("expand", "arguments"),
    [
        (lambda task: task.expand(notifications=[[PUSHES], [BUILDS]]), {"repository": SHOP}),
        (lambda task: task.expand(notifications=[[PUSHES], [BUILDS]]), {"repository": SHOP, "kept_by": "release"}),
        (
            lambda task: task.expand_kwargs([{"notifications": [PUSHES]}, {"notifications": [BUILDS]}]),
            {"repository": SHOP},
        ),
    ],
)
def test_instances_of_a_mapped_task_never_delete_each_others_notifications(expand, arguments):
    ended = keep_in_two_instances(expand, **arguments)
    assert isinstance(ended.error, BadRequestError)
    assert "notifications must list all notifications of a repository in one mapped instance" in str(ended.error)
    assert notifications() == []


def keep_in_a_mapped_group(expanded_over: list[Any], **arguments: Any) -> TaskRun:
    """:param arguments: those that are callable make one from what the group is expanded over."""

    def build() -> Any:
        made: list[Any] = []

        @task_group
        def each(wanted: Any) -> None:
            given = {name: value(wanted) if callable(value) else value for name, value in arguments.items()}
            made.append(QuayNotificationsOperator(task_id="keep", **given))

        each.expand(wanted=expanded_over)
        return made[0]

    return run_task(build, map_index=1)


@pytest.mark.parametrize(
    "notifications_of",
    [lambda wanted: wanted, lambda wanted: [{"event": wanted, "config": HOOK}]],
    ids=["lists", "events"],
)
def test_instances_of_a_task_in_a_mapped_group_never_delete_each_others_notifications(notifications_of):
    over = [[PUSHES], [BUILDS]] if notifications_of("x") == "x" else ["repo_push", "build_success"]
    ended = keep_in_a_mapped_group(over, repository=SHOP, notifications=notifications_of)
    assert isinstance(ended.error, BadRequestError)
    assert "must list all notifications of a repository in one mapped instance" in str(ended.error)
    assert notifications() == []


def test_instances_of_a_task_in_a_group_that_is_mapped_over_repositories_each_keep_theirs(systems):
    systems.act("quay", "push_image", repository=OTHER, tag="latest")
    ended = keep_in_a_mapped_group([OTHER, SHOP], repository=lambda wanted: wanted, notifications=[PUSHES, BUILDS])
    assert ended.state == "success"
    assert sorted(each["event"] for each in notifications()) == ["build_success", "repo_push"]


@pytest.mark.parametrize(
    ("expand", "arguments"),
    [
        (
            lambda task: task.expand_kwargs(
                [{"notifications": [PUSHES], "kept_by": "pushes"}, {"notifications": [BUILDS], "kept_by": "builds"}]
            ),
            {"repository": SHOP},
        ),
        (
            lambda task: task.expand(notifications=[[PUSHES], [BUILDS]]),
            {"repository": SHOP, "kept_by": "instance {{ ti.map_index }}"},
        ),
        (
            lambda task: task.expand_kwargs(
                [{"repository": SHOP, "notifications": [PUSHES, BUILDS]}, {"repository": OTHER, "notifications": []}]
            ),
            {},
        ),
    ],
)
def test_instances_of_a_mapped_task_with_owners_of_their_own_each_keep_theirs(systems, expand, arguments):
    systems.act("quay", "push_image", repository=OTHER, tag="latest")
    assert keep_in_two_instances(expand, **arguments).state == "success"
    assert sorted(each["event"] for each in notifications()) == ["build_success", "repo_push"]
