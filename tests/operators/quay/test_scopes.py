"""The scope that each operator and sensor needs of its token."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from airflow_provider.exceptions import PermissionDeniedError
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
from airflow_provider.sensors import quay as sensors
from airflow_provider.sensors.base import ReleaseSensor
from airflow_provider.sensors.quay import QuayBuildSensor, QuaySecurityScanSensor, QuayTagSensor
from tests.support.airflow_runs import TaskRun, run_task
from tests.support.quay_tasks import ARCHIVE, HOOK, SHOP
from tests.support.systems import define_connection

RIGHTS = Path(__file__).parents[3] / "docs" / "security.md"
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


def test_the_page_on_security_names_the_scope_of_every_operator_and_sensor():
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
