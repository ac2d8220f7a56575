"""The content of Code Stream after a reset: pipelines, a webhook whose token has expired, events of the last days."""

from __future__ import annotations

from typing import Any

from airflow_provider.sandbox.code_stream.history import USER, History
from airflow_provider.sandbox.code_stream.state import State
from airflow_provider.sandbox.code_stream.triggering import REFUSED_DELIVERY, Triggering

HOUR = 3600
EXPIRED_WEBHOOK_TOKEN = "sandbox-expired-refresh-token"
# High enough for thousands of concurrent waits; another pipeline shows the queue.
CONCURRENCY = 1000


def _ci(name: str) -> tuple[str, dict[str, Any]]:
    return name, {"type": "CI", "input": {}, "endpoints": {}, "ignoreFailure": False}


def _shop(*prod: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "enabled": True,
        "state": "RELEASED",
        "concurrency": CONCURRENCY,
        "description": "Builds and deploys the shop",
        "input": {"tag": "latest"},
        "_inputMeta": {"tag": {"description": "image tag", "mandatory": True}},
        "output": {"deployed": "${input.tag}"},
        "options": ["DOCKER_TRIGGER"],
        "stageOrder": ["Build", "Prod"],
        "stages": {
            "Build": {"taskOrder": ["Unit,Lint"], "tasks": dict([_ci("Unit"), _ci("Lint")])},
            "Prod": {"taskOrder": [name for name, _ in prod], "tasks": dict(prod)},
        },
    }


def _smoke() -> dict[str, Any]:
    return {
        "enabled": True,
        "state": "RELEASED",
        "concurrency": CONCURRENCY,
        "stageOrder": ["Test"],
        "stages": {"Test": {"taskOrder": ["Smoke"], "tasks": dict([_ci("Smoke")])}},
    }


def load(state: State, history: History, triggering: Triggering) -> None:
    """Fills an empty state."""
    shop, failing = _load_pipelines(state)
    _load_triggers(state)
    _load_events(state, history, triggering, shop, failing)


def _load_pipelines(state: State) -> tuple[str, str]:
    """Returns the ids of one that succeeds and of one that fails."""
    deploy = ("Deploy", {"type": "REST", "input": {}, "endpoints": {}, "ignoreFailure": False})
    approve = (
        "Approve",
        {
            "type": "UserOperation",
            "input": {
                "summary": "Deploy the shop to production?",
                "description": "",
                "approvers": [USER],
                "expiration": 3,
                "expirationUnit": "DAYS",
            },
        },
    )
    pipelines = state.pipelines
    shop = pipelines.create("Deploy shop", "retail", _shop(deploy), USER)
    pipelines.create("Deploy shop with approval", "retail", _shop(approve, deploy), USER)
    pipelines.create("Disabled pipeline", "retail", _shop(deploy) | {"enabled": False}, USER)
    failing = pipelines.create("Always fails", "retail", _shop(deploy), USER)
    state.scripts[("retail", "Always fails", "Prod.Deploy")] = {"fails": "Script execution failed."}
    pipelines.create("Smoke test", "retail", _smoke(), USER)
    pipelines.create("Smoke test", "wholesale", _smoke(), USER)
    return shop.id, failing.id


def _load_triggers(state: State) -> None:
    state.registry_webhooks.create(
        "shop-images",
        "retail",
        {
            "enabled": True,
            "endpoint": "registry",
            "pipeline": "Deploy shop",
            "input": {"tag": "${tag}"},
            "repoName": "acme/shop",
            "tagNamePattern": ".*",
            "imageNameRegExPattern": ".*",
            "serverType": "DockerHub",
            "slug": "acme/shop",
            "refreshToken": EXPIRED_WEBHOOK_TOKEN,
            "secretToken": "sandbox-secret-token",
        },
        USER,
    )
    state.git_webhooks.create(
        "push-shop",
        "retail",
        {
            "endpoint": "git",
            "serverType": "GITLAB",
            "repoName": "shop",
            "branchName": "master",
            "eventCategory": "PUSH",
            "pipeline": "Deploy shop",
            "input": {},
            "refreshToken": EXPIRED_WEBHOOK_TOKEN,
            "secretToken": "sandbox-secret-token",
            "serverWebhookId": "192837465",
        },
        USER,
    )
    listener = {"apiToken": "sandbox-gerrit-token", "endpoint": "gerrit", "connected": True, "description": ""}
    state.gerrit_listeners.create("gerrit", "retail", listener, USER)
    state.gerrit_triggers.create(
        "shop-changes",
        "retail",
        {
            "branch": "master",
            "gerritProject": "shop",
            "listener": "gerrit",
            "enabled": True,
            "configurations": [
                {"eventType": "patchset-created", "pipeline": "Deploy shop", "input": {"tag": "change"}},
            ],
        },
        USER,
    )


def _load_events(state: State, history: History, triggering: Triggering, shop: str, failing: str) -> None:
    now = state.now
    completed = history.insert(shop, at=now - 5 * HOUR, inputs={"tag": "1.4.1"})
    failed = history.insert(failing, at=now - 4 * HOUR, status="FAILED", inputs={"tag": "1.4.2"})
    for kind, fields in (
        ("docker", {"tag": "1.4.3"}),
        ("git", {"commitId": "4be2f10", "subject": "Fix checkout"}),
        ("gerrit", {"changeNumber": 18824}),
    ):
        tag = str(fields.get("tag", "latest"))
        names: dict[str, Any] = {"name": f"{kind}-shop", "project": "retail"}
        linked = triggering.deliver(
            kind, **names, pipeline="Deploy shop", inputs={"tag": tag}, refused="", at=now - 5 * HOUR
        )
        linked.execution, linked.execution_snapshot = completed, "STARTED"
        broken = triggering.deliver(
            kind, **names, pipeline="Always fails", inputs={"tag": tag}, refused="", at=now - 4 * HOUR
        )
        broken.execution, broken.execution_snapshot = failed, "STARTED"
        for hours in (2, 30):
            triggering.deliver(
                kind,
                **names,
                pipeline="Deploy shop",
                fields=fields,
                inputs={"tag": tag},
                refused=REFUSED_DELIVERY,
                at=now - hours * HOUR,
            )
