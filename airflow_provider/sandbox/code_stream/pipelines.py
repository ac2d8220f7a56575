"""The routes of pipelines: their documents, their executions, and starting one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.code_stream import formats
from airflow_provider.sandbox.code_stream.execution_documents import ExecutionDocuments
from airflow_provider.sandbox.code_stream.models import Stored
from airflow_provider.sandbox.code_stream.refusals import Refusal, not_found
from airflow_provider.sandbox.code_stream.resources import Kind, Resources, fields_of
from airflow_provider.sandbox.code_stream.running import Runner
from airflow_provider.sandbox.code_stream.state import State
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Router

PATCHABLE = ("enabled", "state", "name", "description", "tags", "global")
REQUEST = (("input", dict), ("comments", str), ("source", str), ("tags", list))


def _in_form(document: dict[str, Any], switches: Mapping[str, Any]) -> dict[str, Any]:
    return document | {"tags": formats.tags_in_form(document["tags"], switches["tags_form"])}


PIPELINE = Kind("pipelines", patchable=PATCHABLE, clonable=True, render=_in_form)


class Pipelines:
    def __init__(self, state: State, runner: Runner, documents: ExecutionDocuments) -> None:
        self._state = state
        self._runner = runner
        self._documents = documents
        self._resources = Resources(state.pipelines, PIPELINE)

    def add_routes(self, router: Router, api: str) -> None:
        root = f"{api}/pipelines"
        router.add("PATCH", f"{root}/{{id}}/global", self._patch)
        for path in (f"{root}/{{id}}", f"{root}/{{project}}/{{name}}"):
            router.add("GET", f"{path}/executions", self._executions)
            router.add("POST", f"{path}/executions", self._start)
            router.add("GET", f"{path}/executions/{{index}}", self._execution_by_index)
            router.add("PATCH", path, self._patch)
        self._resources.add_routes(router, api)

    def _patch(self, call: Call) -> Response:
        stored = self._resources.writable(call)
        body = fields_of(call)
        if not isinstance(body.get("enabled", False), bool):
            raise Refusal(400, "enabled must be a boolean")
        stored.name = body.pop("name", stored.name)
        stored.fields = stored.fields | {name: body[name] for name in PATCHABLE if name in body}
        return self._resources.changed(stored, call)

    def _executions(self, call: Call) -> Response:
        pipeline = self._resources.find(call)
        own = [each for each in self._state.executions.values() if each.pipeline_id == pipeline.id]
        return self._documents.list_reply(call, own)

    def _execution_by_index(self, call: Call) -> Response:
        pipeline, index = self._resources.find(call), call.params["index"]
        for execution in self._state.executions.values():
            if execution.pipeline_id == pipeline.id and str(execution.index) == index:
                return self._documents.reply(call, execution)
        raise not_found(f"Execution {index} of pipeline {pipeline.name}")

    def _start(self, call: Call) -> Response:
        pipeline = self._resources.writable(call)
        body = fields_of(call)
        _check_start(call, pipeline, body)
        execution = self._runner.start(
            pipeline,
            inputs=body.get("input") or {},
            user=call.user,
            comments=body.get("comments") or "",
            tags=body.get("tags") or [],
            source=body.get("source") or "",
        )
        link = formats.execution_link(execution.id, call.switches["execution_links"])
        if call.switches["legacy_start_reply"]:
            reply = {name: body.get(name) for name in ("comments", "source", "input", "tags")} | {"executionLink": link}
        else:
            reply = {"executionId": execution.id, "executionIndex": execution.index, "executionLink": link}
        return json_reply(reply, call.switches["start_status"])


def _check_start(call: Call, pipeline: Stored, body: dict[str, Any]) -> None:
    for name, kind in REQUEST:
        if not isinstance(body.get(name), kind | None):
            raise Refusal(400, f"{name} has a wrong type")
    if not pipeline.fields["enabled"]:
        raise Refusal(
            call.switches["disabled_status"],
            f"Pipeline {pipeline.name} in project {pipeline.project} is disabled and cannot be executed",
        )
    missing = _missing_inputs(pipeline, body.get("input") or {})
    if missing:
        raise Refusal(
            call.switches["missing_input_status"], f"Mandatory inputs are missing: {', '.join(sorted(missing))}"
        )


def _missing_inputs(pipeline: Stored, inputs: dict[str, Any]) -> set[str]:
    """The mandatory inputs that have neither a value nor a default."""
    values = pipeline.fields["input"] | inputs
    metas = pipeline.fields["_inputMeta"] or {}
    return {name for name, meta in metas.items() if meta.get("mandatory") and values.get(name) in (None, "")}
