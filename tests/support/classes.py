"""Every operator and sensor of the provider, each with arguments that the sandbox's seed can serve."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from airflow_provider.operators import approving, people
from airflow_provider.operators.cocktail import CocktailCancelBuildOperator, CocktailRunBuildOperator
from airflow_provider.operators.code_stream import (
    CodeStreamApprovalOperator,
    CodeStreamExecutionActionOperator,
    CodeStreamRerunEventOperator,
    CodeStreamRunPipelineOperator,
    CodeStreamTriggerGerritOperator,
)
from airflow_provider.operators.gated import GatedStartOperator
from airflow_provider.operators.quay import (
    QuayCreateNotificationOperator,
    QuayDeleteNotificationOperator,
    QuayNotificationsOperator,
    QuayPromoteTagOperator,
    QuayResetNotificationOperator,
    QuayRunBuildOperator,
    QuayTestNotificationOperator,
)
from airflow_provider.operators.service_stage import (
    ServiceStageApprovalOperator,
    ServiceStageReleaseOperator,
    ServiceStageStopReleaseOperator,
)
from airflow_provider.sensors.cocktail import CocktailBuildSensor
from airflow_provider.sensors.code_stream import (
    CodeStreamApprovalSensor,
    CodeStreamEventSensor,
    CodeStreamExecutionSensor,
)
from airflow_provider.sensors.quay import QuayBuildSensor, QuaySecurityScanSensor, QuayTagSensor
from airflow_provider.sensors.service_stage import ServiceStageApprovalSensor, ServiceStageReleaseSensor

SHOP = "acme/shop"
ARCHIVE = "https://sources.example.com/shop-1.4.2.tar.gz"
SOME_ID = "00000000-0000-4000-8000-000000000000"

CLASSES: dict[type, dict[str, Any]] = {
    CodeStreamRunPipelineOperator: {"pipeline": "Deploy shop", "project": "retail", "inputs": {"tag": "1.4.2"}},
    CodeStreamRerunEventOperator: {"event_type": "docker", "event_id": SOME_ID},
    CodeStreamTriggerGerritOperator: {"change_id": "I1a2b3c", "project": "retail", "trigger": "shop-changes"},
    CodeStreamExecutionActionOperator: {"execution_id": SOME_ID, "action": "cancel"},
    CodeStreamApprovalOperator: {"execution_id": SOME_ID, "decision": "approve"},
    CodeStreamExecutionSensor: {"execution_id": SOME_ID},
    CodeStreamEventSensor: {"event_type": "docker", "filters": {"tag": "1.4.3"}},
    CodeStreamApprovalSensor: {"execution_id": SOME_ID},
    ServiceStageReleaseOperator: {"pipeline": "shop-release"},
    ServiceStageStopReleaseOperator: {"pipeline": "shop-release"},
    ServiceStageApprovalOperator: {"pipeline": "shop-release", "task_name": "apr0v1", "decision": "approve"},
    ServiceStageReleaseSensor: {"pipeline": "shop-release"},
    ServiceStageApprovalSensor: {"pipeline": "shop-release-approval"},
    CocktailRunBuildOperator: {"build_seq": 12, "tag_name": "1.4.2"},
    CocktailCancelBuildOperator: {"build_run_seq": 1},
    CocktailBuildSensor: {"build_run_seq": 1},
    QuayRunBuildOperator: {"repository": SHOP, "archive_url": ARCHIVE, "tags": ["1.4.2"]},
    QuayPromoteTagOperator: {"repository": SHOP, "tag": "production", "source_tag": "stable"},
    QuayCreateNotificationOperator: {
        "repository": SHOP,
        "event": "repo_push",
        "method": "webhook",
        "config": {"url": "https://hooks.example.com/quay"},
    },
    QuayNotificationsOperator: {
        "repository": SHOP,
        "notifications": [{"event": "repo_push", "config": {"url": "https://hooks.example.com/quay"}}],
    },
    QuayDeleteNotificationOperator: {"repository": SHOP, "uuid": SOME_ID, "missing_ok": False},
    QuayTestNotificationOperator: {"repository": SHOP, "uuid": SOME_ID},
    QuayResetNotificationOperator: {"repository": SHOP, "uuid": SOME_ID},
    QuayBuildSensor: {"repository": SHOP, "build_id": SOME_ID},
    QuayTagSensor: {"repository": SHOP, "tag": "stable"},
    QuaySecurityScanSensor: {"repository": SHOP, "tag": "stable"},
}


RULES_OF_APPROVALS = {"not_requester", "approvals", "response_timeout", "on_no_response", "notifiers", "poll_interval"}


def needed_with(cls: type, given: Iterable[str]) -> dict[str, Any]:
    """What else must be given, or left out: rules of approvals mean nothing where nobody is asked."""
    rules, given = {*RULES_OF_APPROVALS, "approvers"} - {"poll_interval"}, set(given)
    if rules.isdisjoint(given):
        return {}
    needed: dict[str, Any] = {"response_timeout": 60} if "on_no_response" in given else {}
    if issubclass(cls, GatedStartOperator):
        needed["approve"] = True
    if issubclass(cls, approving.ApprovalOperator):
        needed["decision"] = None
    return needed


def own_arguments(cls: type) -> set[str]:
    """The names of the arguments that a class adds to those of all operators and sensors."""
    modules = (cls.__module__, approving.__name__, people.__name__)
    bases = [base for base in cls.__mro__ if base.__module__ in modules and "__init__" in vars(base)]
    signatures = [inspect.signature(vars(base)["__init__"]) for base in bases]
    return {name for each in signatures for name in each.parameters} - {"self", "kwargs"}
