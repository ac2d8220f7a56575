"""The entry point ``airflow.plugins``: what Airflow discovers of this package besides its provider's metadata.

Without it Airflow refuses a DAG whose timetable is ours, and its API server takes no webhooks.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from airflow.timetables.base import Timetable


class ReleasePipelinesPlugin(AirflowPlugin):
    name = "release_pipelines"

    @property
    def timetables(self) -> list[type[Timetable]]:  # type: ignore[override]
        """Imported when asked for: every task's process loads plugins, and only schedulers and parsers need these."""
        from airflow_provider.timetables import ReleaseWindow

        return [ReleaseWindow]

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """Parts of the API server, which asks for them."""
        return _fastapi_apps()


@functools.cache
def _fastapi_apps() -> list[dict[str, Any]]:
    """Always the same ones: Airflow asks for them to mount them, and to list them."""
    from airflow_provider.webhooks.app import WebhookApp
    from airflow_provider.webhooks.endpoints import PREFIX

    return [{"app": WebhookApp(), "url_prefix": PREFIX, "name": "Release pipelines: webhooks"}]
