"""The routes of components of applications, of the actions on them, and of the jobs that carry those out."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.service_stage.arguments import body_of, named_body_of
from airflow_provider.sandbox.service_stage.formats import CAS, millis
from airflow_provider.sandbox.service_stage.models import Component, Job
from airflow_provider.sandbox.service_stage.refusals import UNKNOWN_TASK, Refusal, bad_parameter
from airflow_provider.sandbox.service_stage.state import State

ACTIONS = (
    "start",
    "stop",
    "restart",
    "scale",
    "rollback",
    "continue_deploy",
    "check_gray_release",
    "modify_gray_rule",
    "rollback_current",
)


class Components:
    def __init__(self, state: State) -> None:
        self._state = state

    def add_routes(self, router: Router) -> None:
        of_application = f"{CAS}/applications/{{application_id}}/components"
        one = f"{of_application}/{{id}}"
        router.add("GET", f"{CAS}/components", self._list)
        router.add("GET", of_application, self._list)
        router.add("POST", of_application, self._create)
        router.add("GET", one, self._detail)
        router.add("PUT", one, self._edit)
        router.add("DELETE", one, self._delete)
        router.add("POST", f"{one}/action", self._act)
        router.add("GET", f"{one}/records", self._records)
        router.add("GET", f"{CAS}/jobs/{{id}}", self._job)

    def _list(self, call: Call) -> Response:
        application_id = call.params.get("application_id")
        shown = [
            _item(each)
            for each in self._state.components.values()
            if each.project_id == call.params["project_id"] and application_id in (None, each.application_id)
        ]
        return json_reply({"count": len(shown), "components": shown})

    def _create(self, call: Call) -> Response:
        spec = named_body_of(call)
        made = self._state.add_component(call.params["project_id"], call.params["application_id"], spec, call.user)
        return self._started(made, "create", call)

    def _detail(self, call: Call) -> Response:
        return json_reply(_item(self._find(call)))

    def _edit(self, call: Call) -> Response:
        found = self._find(call)
        found.spec = found.spec | body_of(call)
        return self._started(found, "update", call)

    def _delete(self, call: Call) -> Response:
        found = self._find(call)
        del self._state.components[found.id]
        return self._started(found, "delete", call)

    def _act(self, call: Call) -> Response:
        body = body_of(call)
        if body.get("action") not in ACTIONS:
            raise bad_parameter(f"action must be one of {', '.join(ACTIONS)}")
        return self._started(self._find(call), body["action"], call)

    def _records(self, call: Call) -> Response:
        found = self._find(call)
        records = [
            {"id": job.id, "version": job.component.spec.get("version", ""), "type": job.action, "jobs": [_about(job)]}
            for job in self._state.jobs.values()
            if job.component is found
        ]
        return json_reply({"count": len(records), "records": records})

    def _job(self, call: Call) -> Response:
        found = self._state.jobs.get(call.params["id"])
        if found is None or found.component.project_id != call.params["project_id"]:
            raise Refusal(404, UNKNOWN_TASK, "job not found")
        return json_reply({"job": _about(found), "task_count": 0, "tasks": []})

    def _started(self, component: Component, action: str, call: Call) -> Response:
        job = self._state.start_job(component, action, call.now)
        return json_reply({"job_id": job.id, "component_id": component.id})

    def _find(self, call: Call) -> Component:
        found = self._state.components.get(call.params["id"])
        place = (call.params["project_id"], call.params["application_id"])
        if found is None or (found.project_id, found.application_id) != place:
            raise Refusal(404, UNKNOWN_TASK, "component not found")
        return found


def _item(found: Component) -> dict[str, Any]:
    return found.spec | {
        "id": found.id,
        "application_id": found.application_id,
        "creator": found.creator,
        "create_time": millis(found.created_at),
    }


def _about(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "job_name": job.action,
        "job_type": job.action,
        "execution_status": job.status,
        "create_time": millis(job.at),
        "end_time": millis(job.ended_at) if job.ended_at is not None else None,
    }
