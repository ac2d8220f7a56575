"""What webhooks start, and the notifications that send them."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset

from airflow_provider.operators.quay import QuayNotificationsOperator

PUSHED = Asset("pushed-image", uri="x-image://pushed")

with DAG("on_push", schedule=[PUSHED], max_active_runs=16):
    # Nothing that needs a worker: a run is all that is looked at.
    EmptyOperator(task_id="pushed")

with DAG("registry_webhooks", schedule=None):
    QuayNotificationsOperator(
        task_id="keep", repository="acme/shop", notifications=[{"event": "repo_push", "asset": PUSHED}]
    )
