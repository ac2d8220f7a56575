"""Tasks on Quay, and what the sandbox's Quay holds afterwards."""

from __future__ import annotations

from typing import Any

from airflow_provider.hooks.quay import QuayHook
from airflow_provider.operators.quay import QuayPromoteTagOperator
from tests.support.airflow_runs import TaskRun, run_task

SHOP = "acme/shop"
ARCHIVE = "https://sources.example.com/shop-1.4.2.tar.gz"
HOOK = {"url": "https://hooks.example.com/quay"}


def promote(**arguments: Any) -> TaskRun:
    arguments = {"repository": SHOP, "tag": "production", **arguments}
    return run_task(lambda: QuayPromoteTagOperator(task_id="promote", **arguments))


def tags() -> dict[str, str]:
    """Where the tags of the shop point to."""
    with QuayHook().get_conn() as client:
        return {tag["name"]: tag["manifest_digest"] for tag in client.tags.list(SHOP)}


def notifications() -> list[dict[str, Any]]:
    with QuayHook().get_conn() as client:
        return [{**each} for each in client.notifications.list(SHOP)]
