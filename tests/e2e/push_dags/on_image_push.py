"""A DAG that each push of a version of an image starts."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider.triggers.quay import QuayTagEventTrigger

image = Asset(
    "shop image", watchers=[AssetWatcher("versions", QuayTagEventTrigger("acme/shop", "v*", poll_interval=1))]
)

with DAG("on_image_push", schedule=[image], is_paused_upon_creation=False):

    @task
    def release(triggering_asset_events: Any = None) -> list[str]:
        return [event.extra["payload"]["tag"] for events in triggering_asset_events.values() for event in events]

    release()
