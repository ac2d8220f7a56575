"""Every day: rerun the trigger events that led to no execution, or to one that failed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.sdk import dag, task

from airflow_provider.exceptions import NotFoundError
from airflow_provider.operators.code_stream import CodeStreamRerunEventOperator
from airflow_provider.retry_policy import RETRY_POLICY

if TYPE_CHECKING:
    from airflow_provider.clients.code_stream import CodeStreamClient


def led_to_nothing(client: CodeStreamClient, event: dict[str, Any]) -> bool:
    """Whether an event has no execution, or one that failed or was canceled. If it was deleted, it is not rerun."""
    link = event.get("executionLink")
    if not link:
        return True
    reference = {"system": "code_stream", "kind": "execution", "id": link.rpartition("/")[2]}
    try:
        return client.observe(reference).state in ("failed", "canceled")
    except NotFoundError:
        return False


@dag(
    schedule="@daily",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "deferrable": True,
        "poll_interval": 2,
        "timeout": timedelta(minutes=30),
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        "retry_policy": RETRY_POLICY,
    },
    tags=["code stream", "example"],
    doc_md="""
### Rerun failed events

A webhook whose token has expired still delivers events to Code Stream, but they start nothing. Once a day this DAG
checks the Docker, Git and Gerrit events of the last 24 hours and reruns each one that led to no execution, or to one
that failed or was canceled. Executions that are still running are left alone.

Each rerun is a mapped task of its own, with its own link, log and retry. Needs the connection `code_stream_default`.

It can be run at any time and as often as you like: `airflow dags test rerun_failed_events`. In the sandbox, half of the
events belong to a pipeline that always fails. Their reruns fail, and so does the run; the others succeed, and are not
rerun by the next run.
""",
)
def rerun_failed_events() -> None:
    @task
    def find_failed_events() -> list[dict[str, str]]:
        """The arguments of one rerun each, oldest event first."""
        from airflow_provider.hooks.code_stream import CodeStreamHook

        yesterday = pendulum.now("UTC") - timedelta(days=1)
        with CodeStreamHook().get_conn() as client:
            return [
                {"event_type": event_type, "event_id": event["id"]}
                for event_type in ("docker", "git", "gerrit")
                for event in reversed(client.events.list(event_type, since=yesterday))
                if led_to_nothing(client, event)
            ]

    CodeStreamRerunEventOperator.partial(task_id="rerun_event", max_active_tis_per_dag=8).expand_kwargs(
        find_failed_events()
    )


rerun_failed_events()
