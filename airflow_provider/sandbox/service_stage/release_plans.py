"""The routes of release plans: the older release management, which knows nothing of release tasks."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.replies import empty_reply, json_reply
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.service_stage.arguments import named_body_of
from airflow_provider.sandbox.service_stage.formats import CAS, millis
from airflow_provider.sandbox.service_stage.models import JOB_SUCCEEDED, ReleasePlan
from airflow_provider.sandbox.service_stage.refusals import UNKNOWN_TASK, Refusal, bad_parameter
from airflow_provider.sandbox.service_stage.state import State

KINDS = ("create", "upgrade", "clone")
SHOWN = {
    ("execute", "RUNNING"): "CREATED",
    ("execute", "SUCCEEDED"): "SUCCESS",
    ("execute", "FAILED"): "FAILED",
    ("rollback", "RUNNING"): "SUCCESS",
    ("rollback", "SUCCEEDED"): "ROLLBACK_SUCCEED",
    ("rollback", "FAILED"): "ROLLBACK_FAILED",
}
"""The status of a component, by the action on its plan and the state of the job."""


class ReleasePlans:
    def __init__(self, state: State) -> None:
        self._state = state

    def add_routes(self, router: Router) -> None:
        root = f"{CAS}/release-plans"
        router.add("GET", root, self._list)
        router.add("POST", root, self._create)
        router.add("GET", f"{root}/{{id}}", self._detail)
        router.add("PUT", f"{root}/{{id}}", self._edit)
        router.add("DELETE", f"{root}/{{id}}", self._delete)
        router.add("GET", f"{root}/{{id}}/deploy-info", self._deployment)
        router.add("POST", f"{root}/{{id}}/execute", self._execute)
        router.add("POST", f"{root}/{{id}}/rollback", self._roll_back)
        router.add("POST", f"{root}/{{id}}/abort", self._abort)

    def _list(self, call: Call) -> Response:
        plans = self._state.release_plans.values()
        shown = [_item(each) for each in plans if each.project_id == call.params["project_id"]]
        return json_reply({"count": len(shown), "release_plans": shown})

    def _create(self, call: Call) -> Response:
        return json_reply(_item(self._state.add_plan(call.params["project_id"], _spec(call), call.user)))

    def _detail(self, call: Call) -> Response:
        return json_reply(_item(self._find(call)))

    def _edit(self, call: Call) -> Response:
        found = self._find(call)
        found.spec = _spec(call)
        found.updated_at = call.now
        return empty_reply(200)

    def _delete(self, call: Call) -> Response:
        del self._state.release_plans[self._find(call).id]
        return empty_reply(200)

    def _deployment(self, call: Call) -> Response:
        found = self._find(call)
        components = [
            each | {"status": _status(found), "job_id": found.job_id, "job_status": found.job_status}
            for each in found.spec["components"]
        ]
        return json_reply({"id": found.id, "components": components})

    def _execute(self, call: Call) -> Response:
        return self._begin("execute", call)

    def _roll_back(self, call: Call) -> Response:
        found = self._find(call)
        if (found.action, found.job_status) != ("execute", JOB_SUCCEEDED):
            raise bad_parameter("only a plan that was executed can be rolled back")
        return self._begin("rollback", call)

    def _abort(self, call: Call) -> Response:
        self._find(call).action = "abort"
        return empty_reply(200)

    def _begin(self, action: str, call: Call) -> Response:
        self._state.deploy(self._find(call), action, call.now)
        return empty_reply(200)

    def _find(self, call: Call) -> ReleasePlan:
        found = self._state.release_plans.get(call.params["id"])
        if found is None or found.project_id != call.params["project_id"]:
            raise Refusal(404, UNKNOWN_TASK, "release plan not found")
        return found


def _status(plan: ReleasePlan) -> str:
    return "ABORTED" if plan.action == "abort" else SHOWN.get((plan.action, plan.job_status), "CREATED")


def _spec(call: Call) -> dict[str, Any]:
    body = named_body_of(call)
    if body.get("action") not in KINDS:
        raise bad_parameter(f"action must be one of {', '.join(KINDS)}")
    components = body.get("components")
    if not isinstance(components, list) or not all(isinstance(each, dict) for each in components):
        raise bad_parameter("components must be a list of objects")
    return body


def _item(found: ReleasePlan) -> dict[str, Any]:
    return found.spec | {
        "id": found.id,
        "creator": found.creator,
        "status": _status(found),
        "create_time": millis(found.created_at),
        "modify_time": millis(found.updated_at),
        "execute_time": millis(found.executed_at) if found.executed_at is not None else None,
    }
