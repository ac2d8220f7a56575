"""The routes of release tasks: list, create, detail, edit, delete."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.service_stage.arguments import body_of, release_task_of, wrong_state
from airflow_provider.sandbox.service_stage.formats import ROOT, millis, status_in_form
from airflow_provider.sandbox.service_stage.models import BUSY, ReleaseTask, phases
from airflow_provider.sandbox.service_stage.refusals import bad_parameter
from airflow_provider.sandbox.service_stage.state import State

SPEC_FIELDS = (
    "name",
    "description",
    "model_version",
    "config_mode",
    "fail_mode",
    "enterprise_project_id",
    "sources",
    "stages",
)


class ReleaseTasks:
    def __init__(self, state: State) -> None:
        self._state = state

    def add_routes(self, router: Router) -> None:
        router.add("GET", ROOT, self._list)
        router.add("POST", ROOT, self._create)
        router.add("GET", f"{ROOT}/{{id}}", self._detail)
        router.add("PUT", f"{ROOT}/{{id}}", self._edit)
        router.add("DELETE", f"{ROOT}/{{id}}", self._delete)

    def _list(self, call: Call) -> Response:
        project_id = call.params["project_id"]
        items = [_item(call, each) for each in self._state.release_tasks.values() if each.project_id == project_id]
        return json_reply(items if call.switches["list_form"] == "bare" else {"pipelines": items})

    def _create(self, call: Call) -> Response:
        made = self._state.create(_spec(call), call.params["project_id"], call.user)
        return json_reply(_item(call, made))

    def _detail(self, call: Call) -> Response:
        found = release_task_of(call, self._state)
        spec = found.spec
        names = ("name", "description", "model_version", "config_mode", "fail_mode", "enterprise_project_id")
        declaration = {"sources": spec["sources"], "stages": spec["stages"]}
        return json_reply(
            {"id": found.id} | {name: spec[name] for name in names} | {"pipeline_declaration": declaration}
        )

    def _edit(self, call: Call) -> Response:
        found = release_task_of(call, self._state)
        found.spec = _spec(call)
        found.version += 1
        found.updated_at = call.now
        return json_reply(_item(call, found))

    def _delete(self, call: Call) -> Response:
        found = release_task_of(call, self._state)
        if found.status in BUSY:
            raise wrong_state(call, "delete", found.status)
        del self._state.release_tasks[found.id]
        return json_reply({})


def _spec(call: Call) -> dict[str, Any]:
    body = body_of(call)
    if not isinstance(body.get("name"), str) or not body["name"]:
        raise bad_parameter("name is required")
    if body.get("model_version") != 2:
        raise bad_parameter("model_version must be 2")
    if body.get("config_mode") not in ("ui", "template"):
        raise bad_parameter("config_mode must be ui or template")
    try:
        phases(body.get("stages") or [])
    except (KeyError, TypeError, AttributeError):
        raise bad_parameter("stages must be a list of stages with name and tasks") from None
    defaults = {"description": "", "fail_mode": "stop", "enterprise_project_id": "0", "sources": [], "stages": []}
    return defaults | {name: body[name] for name in SPEC_FIELDS if body.get(name) is not None}


def _item(call: Call, found: ReleaseTask) -> dict[str, Any]:
    """A release task as lists show it, which may lag behind."""
    lag = call.switches["list_lag"]
    status = found.status_at(call.now - lag) if lag else found.status
    triggered = found.triggered_at(call.now - lag if call.switches["list_time_lags"] else call.now)
    return {
        "id": found.id,
        "name": found.name,
        "description": found.spec["description"],
        "create_time": millis(found.created_at),
        "update_time": millis(found.updated_at),
        "version": str(found.version),
        "model_version": found.spec["model_version"],
        "config_mode": found.spec["config_mode"],
        "status": status_in_form(status, call.switches),
        "creator": found.creator,
        "last_trigger_at": millis(triggered) if triggered is not None else None,
        "enterprise_project_id": found.spec["enterprise_project_id"],
    }
