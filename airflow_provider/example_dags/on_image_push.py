"""A push to Quay starts a release: the image is scanned, deployed and tagged."""

from __future__ import annotations

from datetime import timedelta
from fnmatch import fnmatch
from typing import Any

import pendulum
from airflow.sdk import Asset, AssetWatcher, chain, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider.operators.code_stream import CodeStreamRunPipelineOperator
from airflow_provider.operators.quay import QuayPromoteTagOperator
from airflow_provider.retry_policy import RETRY_POLICY
from airflow_provider.sensors.quay import QuaySecurityScanSensor
from airflow_provider.triggers.quay import QuayTagEventTrigger

REPOSITORY = "acme/shop"
VERSIONS = "v*"
RELEASED = "release"
"""The tag of the image that was released last."""

IMAGE = Asset(
    "shop-image",
    watchers=[AssetWatcher("versions", QuayTagEventTrigger(REPOSITORY, VERSIONS, poll_interval=10))],
)


@dag(
    schedule=[IMAGE],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={
        "deferrable": True,
        "poll_interval": 2,
        "poke_interval": 2,
        "timeout": timedelta(minutes=30),
        "retries": 2,
        "retry_delay": timedelta(seconds=10),
        "retry_policy": RETRY_POLICY,
    },
    tags=["quay", "code stream", "example"],
    doc_md="""
### Release on image push

A tag such as `v1.5.0` that is pushed to Quay starts a run, which scans the image (a finding above *Medium* stops it),
deploys it with a pipeline of Code Stream, and tags it `release`.

The watcher of the asset `shop-image` polls Quay every ten seconds, in the triggerer. Quay can also push to the same
asset: see `registry_webhooks`. If both report an image, or a watcher that was restarted repeats itself, it is
released once, because runs follow one another, and each releases the version that was pushed last, unless it is tagged
`release` already.

Needs the connections `quay_default` and `code_stream_default`.
""",
)
def on_image_push() -> None:
    @task(multiple_outputs=True)
    def newest_version(triggering_asset_events: Any = None) -> dict[str, str]:
        """The version that was pushed last; skips the run if no version was pushed, or it is released already."""
        from airflow_provider.hooks.quay import QuayHook

        # A watcher's event has it in `payload`, a webhook's in `extra` itself.
        payloads = [each.extra.get("payload", each.extra) for each in triggering_asset_events.get(IMAGE, ())]
        # A tag that was deleted has no digest, and an event that a person created in the UI has nothing.
        if not any(each.get("digest") and fnmatch(each.get("tag", ""), VERSIONS) for each in payloads):
            raise AirflowSkipException("no version was pushed")
        with QuayHook().get_conn() as quay:
            # Events may come late, twice and in another order: what Quay has now is what counts.
            versions = [each for each in quay.tags.list(REPOSITORY) if fnmatch(each["name"], VERSIONS)]
            released = quay.tags.find(REPOSITORY, RELEASED)
        if not versions:
            raise AirflowSkipException("the version that was pushed is gone")
        newest = max(versions, key=lambda each: each["start_ts"])
        if released and released["manifest_digest"] == newest["manifest_digest"]:
            raise AirflowSkipException(f"{newest['name']} is released already")
        return {"tag": newest["name"], "digest": newest["manifest_digest"]}

    image = newest_version()
    scan_image = QuaySecurityScanSensor(
        task_id="scan_image", repository=REPOSITORY, digest=image["digest"], max_severity="Medium"
    )
    deploy = CodeStreamRunPipelineOperator(
        task_id="deploy", pipeline="Deploy shop", project="retail", inputs={"tag": image["tag"]}
    )
    mark_released = QuayPromoteTagOperator(
        task_id="mark_released", repository=REPOSITORY, tag=RELEASED, digest=image["digest"]
    )
    chain(scan_image, deploy, mark_released)


on_image_push()
