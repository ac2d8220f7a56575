"""A change freeze: pipelines and the triggers that start them are disabled, and later enabled again."""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import Param, dag, task

from airflow_provider.retry_policy import RETRY_POLICY

PROJECT = "retail"
FROZEN = {
    "deploy": ("pipelines", "Deploy shop"),
    "deploy_with_approval": ("pipelines", "Deploy shop with approval"),
    "image_webhook": ("registry_webhooks", "shop-images"),
    "gerrit_trigger": ("gerrit_triggers", "shop-changes"),
}
"""What a freeze disables in Code Stream, by the name of its tasks: the kind and the name there."""


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params={
        "until": Param(
            None, type=["null", "string"], format="date-time", description="end of the freeze; default: in a day"
        ),
    },
    default_args={"retries": 2, "retry_delay": timedelta(seconds=10), "retry_policy": RETRY_POLICY},
    tags=["code stream", "example"],
    doc_md="""
### Change freeze

Trigger it to freeze: the pipelines, the webhook and the trigger that the file lists are disabled until the freeze is
over. What is running continues. Code Stream's API cannot disable Git webhooks, but they start nothing while their
pipeline is disabled.

To end a freeze early, mark `wait_for_end` as success. However the run ends, even if it is marked failed, teardown tasks
enable everything again, also what somebody had disabled before the freeze; if one of them fails, so does the run.

Needs the connection `code_stream_default`.
""",
)
def freeze() -> None:
    @task
    def switch(kind: str, name: str, enabled: bool) -> None:
        from airflow_provider.hooks.code_stream import CodeStreamHook

        with CodeStreamHook().get_conn() as client:
            getattr(client, kind).patch((PROJECT, name), enabled=enabled)

    # Waits for no other task: what could be disabled stays so until the end, even if something else could not.
    wait_for_end = DateTimeSensorAsync(
        task_id="wait_for_end",
        target_time="{{ params.until or (dag_run.run_after + macros.timedelta(days=1)).isoformat() }}",
    )
    # A teardown task that fails fails no run, what comes after it does.
    thawed = EmptyOperator(task_id="thawed")
    for what, (kind, name) in FROZEN.items():
        disable = switch.override(task_id=f"disable_{what}")(kind, name, enabled=False)
        enable = switch.override(task_id=f"enable_{what}")(kind, name, enabled=True)
        [disable, wait_for_end] >> enable.as_teardown() >> thawed


freeze()
