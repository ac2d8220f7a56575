"""From source to production, through four systems: build, tag, scan, promote, deploy, release."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.sdk import Param, chain, dag, task

from airflow_provider.operators.cocktail import CocktailRunBuildOperator
from airflow_provider.operators.code_stream import CodeStreamRerunEventOperator
from airflow_provider.operators.quay import QuayPromoteTagOperator
from airflow_provider.operators.service_stage import ServiceStageReleaseOperator
from airflow_provider.retry_policy import RETRY_POLICY
from airflow_provider.sensors.code_stream import CodeStreamEventSensor
from airflow_provider.sensors.quay import QuaySecurityScanSensor, QuayTagSensor

REPOSITORY = "{{ params.repository }}"
TAG = "{{ params.tag or dag_run.run_after.strftime('%Y%m%dt%H%M%S.%f') }}"
DIGEST = "{{ ti.xcom_pull(task_ids='build_image')['outputs']['digest'] }}"


@dag(
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    params={
        "tag": Param(
            "", type="string", pattern=r"^([\w][\w.-]{0,127})?$", description="of the image; default: the time"
        ),
        "build": Param(12, type="integer", minimum=1, description="number of the build in Cocktail"),
        "repository": Param("acme/shop", type="string", description="where that build pushes to in Quay"),
        "release_task": Param(
            "shop-release",
            type="string",
            description="name or id in ServiceStage; in the sandbox, shop-release-approval has an approval",
        ),
    },
    default_args={
        # Waiting tasks need no worker: the triggerer waits for all of them, with one poll per system.
        "deferrable": True,
        "poll_interval": 2,
        "poke_interval": 2,
        "timeout": timedelta(minutes=30),
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        "retry_policy": RETRY_POLICY,
    },
    tags=["release", "example"],
    doc_md="""
### Release train

Builds an image and takes it through four systems into production:

1. **Cocktail** builds and tags the image, and returns its digest, by which every later step refers to the image.
2. **Quay** shows the tag and scans the image (a finding above *Medium* stops the train), then tags it `release`.
3. **Code Stream** reruns the trigger event of this push, which deploys the image.
4. **ServiceStage** runs the release task. If that has an approval, Airflow asks for it under **Required Actions**. If
   the release fails after its start, or is rejected, it is rolled back, and the run still fails.

While a task runs, its button, such as **Open in Quay**, leads to the execution in its own system. While the
execution of an earlier attempt is running or has succeeded, a retry continues with it and starts no second one.

Needs the connections `cocktail_default`, `quay_default`, `code_stream_default` and `service_stage_default`.
""",
)
def release_train() -> None:
    build_image = CocktailRunBuildOperator(
        task_id="build_image", build_seq="{{ params.build }}", tag_name=TAG, require_digest=True
    )
    wait_for_tag = QuayTagSensor(task_id="wait_for_tag", repository=REPOSITORY, tag=TAG, digest=DIGEST)
    scan_image = QuaySecurityScanSensor(
        task_id="scan_image", repository=REPOSITORY, digest=DIGEST, max_severity="Medium"
    )
    promote_tag = QuayPromoteTagOperator(task_id="promote_tag", repository=REPOSITORY, tag="release", digest=DIGEST)
    find_push_event = CodeStreamEventSensor(
        task_id="find_push_event",
        event_type="docker",
        filters={"repo": "{{ params.repository.split('/') | last }}", "tag": TAG},
        since="{{ dag_run.start_date.isoformat() }}",
    )
    deploy = CodeStreamRerunEventOperator(
        task_id="deploy", event_type="docker", event_id="{{ ti.xcom_pull(task_ids='find_push_event')['id'] }}"
    )
    release = ServiceStageReleaseOperator(
        task_id="release",
        pipeline="{{ params.release_task }}",
        approve=True,
        timeout=timedelta(days=1),  # people may take their time
    )

    @task.short_circuit(trigger_rule="one_failed")
    def needs_rollback(ti: Any = None) -> bool:
        """Whether the failed release had started: its task pushes the id as soon as it has."""
        return ti.xcom_pull(task_ids="release", key="id") is not None

    roll_back = ServiceStageReleaseOperator(
        task_id="roll_back", pipeline="{{ params.release_task }}", action="rollback"
    )

    @task
    def release_notes(built: dict[str, Any], deployed: dict[str, Any], released: dict[str, Any]) -> dict[str, Any]:
        """What was released. Runs only if everything succeeded, so a run that was rolled back ends as failed."""
        return {
            "image": built["outputs"]["image_ref"],
            "tag": built["outputs"]["tag"],
            "deployment": deployed["url"],
            "release_record": released["id"],
        }

    chain(build_image, wait_for_tag, scan_image, promote_tag, find_push_event, deploy, release)
    chain(release, needs_rollback(), roll_back)
    release_notes(build_image.output, deploy.output, release.output)


release_train()
