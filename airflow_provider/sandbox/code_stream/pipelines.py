"""Pipelines: their definitions, the routes to them, and the start of an execution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from airflow_provider.sandbox.code_stream import formats
from airflow_provider.sandbox.code_stream.errors import RefusedError, not_found
from airflow_provider.sandbox.code_stream.store import Store, Stored
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Call, Router

if TYPE_CHECKING:
    from airflow_provider.sandbox.code_stream.system import CodeStreamSystem

DEFAULTS: dict[str, Any] = {
    "enabled": False,
    "state": "DRAFT",
    "global": False,
    "concurrency": 10,
    "icon": "",
    "input": {},
    "_inputMeta": {},
    "output": {},
    "starred": {},
    "stageOrder": [],
    "stages": {},
    "notifications": {"email": [], "jira": [], "webhook": []},
    "options": [],
    "rollbacks": [],
    "workspace": {},
    "tags": [],
    "_warnings": [],
}


class Pipelines(Store):
    """The stored pipelines; ``counters`` hold the newest execution index of each."""

    def __init__(self, system: CodeStreamSystem) -> None:
        super().__init__(
            system,
            "pipelines",
            defaults=DEFAULTS,
            patchable=("enabled", "state", "name", "description", "tags", "global"),
            clonable=True,
            render=self._in_form,
        )
        self.counters: dict[str, int] = {}

    def add_routes(self, router: Router, api: str) -> None:
        root = f"{api}/pipelines"
        router.add("PATCH", f"{root}/{{id}}/global", self._patch)
        for path in (f"{root}/{{id}}", f"{root}/{{project}}/{{name}}"):
            router.add("GET", f"{path}/executions", self._executions)
            router.add("POST", f"{path}/executions", self._start)
            router.add("GET", f"{path}/executions/{{index}}", self._execution_by_index)
        super().add_routes(router, api)

    def _in_form(self, document: dict[str, Any]) -> dict[str, Any]:
        document["tags"] = formats.tags_in_form(document["tags"], self._system.switches["tags_form"])
        return document

    def _patch(self, call: Call) -> Response:
        stored = self._writable(call)
        body = self.spec(call, ())
        if not isinstance(body.get("enabled", False), bool):
            raise RefusedError(400, "enabled must be a boolean")
        stored.name = body.pop("name", stored.name)
        stored.fields = stored.fields | {name: body[name] for name in self.patchable if name in body}
        return self._changed(stored, call)

    def _executions(self, call: Call) -> Response:
        pipeline = self.find(call)
        mine = [each for each in self._system.executions_by_id.values() if each.pipeline_id == pipeline.id]
        return self._system.runs.list_of(call, mine)

    def _execution_by_index(self, call: Call) -> Response:
        pipeline, index = self.find(call), call.params["index"]
        for execution in self._system.executions_by_id.values():
            if execution.pipeline_id == pipeline.id and str(execution.index) == index:
                return self._system.runs.reply(call, execution)
        raise not_found(f"Execution {index} of pipeline {pipeline.name}")

    def _start(self, call: Call) -> Response:
        switches = self._system.switches
        pipeline = self.find(call)
        self._system.require_write(call.user, pipeline.project)
        body = self.spec(call, ())
        inputs = body.get("input") or {}
        for name, kind in (("input", dict), ("comments", str), ("source", str), ("tags", list)):
            if not isinstance(body.get(name), kind | None):
                raise RefusedError(400, f"{name} has a wrong type")
        if not pipeline.fields["enabled"]:
            raise RefusedError(
                switches["disabled_status"],
                f"Pipeline {pipeline.name} in project {pipeline.project} is disabled and cannot be executed",
            )
        missing = missing_inputs(pipeline, inputs)
        if missing:
            raise RefusedError(
                switches["missing_input_status"], f"Mandatory inputs are missing: {', '.join(sorted(missing))}"
            )
        execution = self._system.start(
            pipeline,
            inputs=inputs,
            user=call.user,
            comments=body.get("comments") or "",
            tags=body.get("tags") or [],
            source=body.get("source") or "",
        )
        link = formats.execution_link(execution.id, switches["execution_links"])
        if switches["legacy_start_reply"]:
            reply = {name: body.get(name) for name in ("comments", "source", "input", "tags")} | {"executionLink": link}
        else:
            reply = {"executionId": execution.id, "executionIndex": execution.index, "executionLink": link}
        return json_reply(reply, switches["start_status"])


def missing_inputs(pipeline: Stored, inputs: dict[str, Any]) -> set[str]:
    """The mandatory inputs that have neither a value nor a default."""
    values = pipeline.fields["input"] | inputs
    metas = pipeline.fields["_inputMeta"] or {}
    return {name for name, meta in metas.items() if meta.get("mandatory") and values.get(name) in (None, "")}
