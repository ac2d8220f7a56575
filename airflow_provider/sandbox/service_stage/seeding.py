"""The release tasks that ServiceStage holds after a reset."""

from __future__ import annotations

from typing import Any

from airflow_provider.sandbox import seed
from airflow_provider.sandbox.service_stage.state import State

SHOP_ID = "caf409b1-10df-483a-b14d-7b05f7e12c88"


def _spec(name: str, *stages: tuple[str, str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "description": "",
        "model_version": 2,
        "config_mode": "ui",
        "fail_mode": "stop",
        "enterprise_project_id": "0",
        "sources": [],
        "stages": [{"name": stage, "tasks": [{"name": task, "type": kind}]} for stage, task, kind in stages],
    }


def load(state: State) -> None:
    """Fills an empty state."""
    project_id = next(iter(seed.SERVICE_STAGE_PROJECTS.values()))
    build, deploy = ("899tih", "ujgdh4", "build"), ("uipfzw", "ax8hus", "update_component")
    state.create(_spec("shop-release", build, deploy), project_id, "release-bot", release_task_id=SHOP_ID)
    approval = _spec("shop-release-approval", build, ("uipfzw", "apr0v1", "approval"))
    state.create(approval, project_id, "release-bot")
    for _ in range(2):
        state.create(_spec("twin-release", build, deploy), project_id, "release-bot")
    broken = state.create(_spec("broken-release", build, deploy), project_id, "release-bot")
    state.scripts[(broken.id, "ax8hus")] = {"fails": True}
