"""Notifications as code: every day, the notifications of repositories in Quay become what is written here."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.sdk import dag

from airflow_provider.operators.quay import QuayNotificationsOperator
from airflow_provider.retry_policy import RETRY_POLICY

NOTIFICATIONS = [
    {
        "repository": "acme/shop",
        "notifications": [
            # Each push is an event of this asset, which starts the DAG on_image_push.
            {"event": "repo_push", "asset": "shop-image", "title": "pushes to Airflow"},
            {
                "event": "vulnerability_found",
                "event_config": {"level": 1},  # High
                "method": "quay_notification",
                "config": {"target": {"kind": "org", "name": "acme"}},
                "title": "findings to our organization",
            },
        ],
    },
]


@dag(
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10), "retry_policy": RETRY_POLICY},
    tags=["quay", "example"],
    doc_md="""
### Registry webhooks

Creates the notifications that are missing, deletes those that it created and that are no longer wanted, and resets
those that Quay has disabled after failures. Notifications of other people stay as they are. Each repository is a
mapped task of its own.

Where a notification names an `asset`, Quay calls this Airflow: `[release_pipelines] webhooks` in Airflow's
configuration must declare a webhook for it. `make demo` does; otherwise:

    export AIRFLOW__RELEASE_PIPELINES__WEBHOOKS='{
      "shop-pushes": {"source": "quay", "asset": "shop-image", "secrets": ["<32 characters or more>"]}}'

Needs the connection `quay_default`.
""",
)
def registry_webhooks() -> None:
    QuayNotificationsOperator.partial(task_id="keep_notifications").expand_kwargs(NOTIFICATIONS)


registry_webhooks()
