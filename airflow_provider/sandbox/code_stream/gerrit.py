"""The routes of Gerrit besides its documents: validating a listener, its projects, manual triggers."""

from __future__ import annotations

from starlette.responses import Response

from airflow_provider.sandbox.code_stream.access import require_write
from airflow_provider.sandbox.code_stream.arguments import json_of
from airflow_provider.sandbox.code_stream.refusals import Refusal, not_found
from airflow_provider.sandbox.code_stream.resources import GERRIT_LISTENER, Resources
from airflow_provider.sandbox.code_stream.state import State
from airflow_provider.sandbox.code_stream.triggering import Triggering
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Router


class Gerrit:
    def __init__(self, state: State, triggering: Triggering) -> None:
        self._state = state
        self._triggering = triggering
        self._listeners = Resources(state.gerrit_listeners, GERRIT_LISTENER)

    def add_routes(self, router: Router, api: str) -> None:
        root = f"{api}/{GERRIT_LISTENER.prefix}"
        router.add("POST", f"{root}/validate", self._validate)
        for path in (f"{root}/{{id}}", f"{root}/{{project}}/{{name}}"):
            router.add("GET", f"{path}/projects", self._projects)
        router.add("POST", f"{api}/gerrit-events", self._trigger)
        router.add("POST", f"{api}/gerrit-manual-trigger", self._trigger)

    def _validate(self, call: Call) -> Response:
        return json_reply(self._listeners.new_fields(call) | {"connected": True, "_reason": ""})

    def _projects(self, call: Call) -> Response:
        listener = self._listeners.find(call)
        triggers = self._state.gerrit_triggers.objects.values()
        own = [each for each in triggers if each.fields["listener"] == listener.name]
        return json_reply(sorted({each.fields["gerritProject"] for each in own}))

    def _trigger(self, call: Call) -> Response:
        body = json_of(call)
        if not isinstance(body, dict) or any(not body.get(name) for name in ("changeId", "project", "trigger")):
            raise Refusal(400, "changeId, project and trigger must not be null")
        trigger = self._state.gerrit_triggers.named(body["trigger"], body["project"])
        if trigger is None:
            raise not_found(f"Gerrit trigger {body['trigger']} in project {body['project']}")
        require_write(call.user, trigger.project)
        pipelines = []
        for configuration in trigger.fields.get("configurations") or []:
            fields = {
                "trigger": trigger.name,
                "triggerType": "MANUAL",
                "branch": trigger.fields.get("branch", "master"),
                "gerritProject": trigger.fields.get("gerritProject", ""),
                "listener": trigger.fields.get("listener", ""),
                "type": configuration.get("eventType", "patchset-created"),
                "properties": {"GERRIT_CHANGE_ID": body["changeId"]},
            }
            self._triggering.deliver(
                "gerrit",
                name=trigger.name,
                project=trigger.project,
                pipeline=configuration["pipeline"],
                fields=fields,
                inputs=configuration.get("input") or {},
            )
            pipelines.append(configuration["pipeline"])
        return json_reply({"message": "Manual Trigger Successful", "pipelinesTriggered": pipelines})
