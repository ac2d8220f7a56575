"""A release in each night's release window, which two people must approve; one that fails is rolled back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import Param, chain, dag, task

from airflow_provider.operators.service_stage import ServiceStageReleaseOperator
from airflow_provider.retry_policy import RETRY_POLICY
from airflow_provider.timetables import ReleaseWindow


@dag(
    schedule=ReleaseWindow(
        windows=[{"days": ["mon", "tue", "wed", "thu"], "from": "22:00", "to": "06:00"}],
        timezone="Europe/Berlin",
        freezes=[{"from": "12-20", "to": "01-03", "reason": "Christmas"}],
    ),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params={
        "release_task": Param("shop-release-approval", type="string", description="name or id in ServiceStage"),
    },
    default_args={
        "deferrable": True,
        "poll_interval": 2,
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        "retry_policy": RETRY_POLICY,
    },
    tags=["service stage", "example"],
    doc_md="""
### Nightly release

Runs when a release window opens: Monday to Thursday at 22:00 in Berlin, but not over Christmas. A run that is
triggered by hand starts at once.

When the release comes to its approval, Airflow asks under **Required Actions**. Two different people must approve, one
after another; one who rejects is enough, and so are four hours without a decision. A release that was rejected, or
that fails, is rolled back, and the run fails.

Needs the connection `service_stage_default`.
""",
)
def nightly_release() -> None:
    release = ServiceStageReleaseOperator(
        task_id="release",
        pipeline="{{ params.release_task }}",
        approve=True,
        approvals=2,
        response_timeout=timedelta(hours=4),
        on_no_response="reject",
        timeout=timedelta(hours=6),
    )

    @task.short_circuit(trigger_rule="one_failed")
    def needs_rollback(ti: Any = None) -> bool:
        """Whether the failed release had started: its task pushes the id as soon as it has."""
        return ti.xcom_pull(task_ids="release", key="id") is not None

    roll_back = ServiceStageReleaseOperator(
        task_id="roll_back",
        pipeline="{{ params.release_task }}",
        action="rollback",
        timeout=timedelta(minutes=30),
    )

    @task
    def release_notes(released: dict[str, Any]) -> dict[str, Any]:
        """What was released, and who approved it. Runs only after a success, so a run with a rollback fails."""
        return {
            "release_record": released["id"],
            "approved_by": [each["by"] for each in released["approvals"] if not each["refused"]],
        }

    chain(release, needs_rollback(), roll_back)
    release_notes(release.output)


nightly_release()
