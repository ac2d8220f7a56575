"""Executions as documents, the list of them, and the actions on one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from airflow_provider.sandbox.code_stream import formats
from airflow_provider.sandbox.code_stream.errors import RefusedError, not_found
from airflow_provider.sandbox.code_stream.lists import as_raw, list_reply, select
from airflow_provider.sandbox.code_stream.machine import Execution, Stage, Task
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Call, Router

if TYPE_CHECKING:
    from airflow_provider.sandbox.code_stream.system import CodeStreamSystem

EXPAND = "PIPELINE_STAGE_TASK"


class Executions:
    """The routes below ``/executions``."""

    def __init__(self, system: CodeStreamSystem) -> None:
        self._system = system

    def add_routes(self, router: Router, api: str) -> None:
        router.add("GET", f"{api}/executions", lambda call: self.list_of(call, self._all))
        router.add("DELETE", f"{api}/executions", self._delete_all)
        router.add("GET", f"{api}/executions/{{id}}", lambda call: self.reply(call, self.find(call)))
        router.add("POST", f"{api}/executions/{{id}}", self._act)
        router.add("DELETE", f"{api}/executions/{{id}}", self._delete)

    @property
    def _all(self) -> Iterable[Execution]:
        return self._system.executions_by_id.values()

    def find(self, call: Call) -> Execution:
        execution = self._system.executions_by_id.get(call.params["id"])
        if execution is None:
            raise not_found(f"Execution {call.params['id']}")
        return execution

    def reply(self, call: Call, execution: Execution) -> Response:
        expanded = call.query("expand") == EXPAND
        return json_reply(self.document(execution, expanded=expanded))

    def list_of(self, call: Call, executions: Iterable[Execution]) -> Response:
        switches = self._system.switches
        page, total = select(call, [self._kept(each) for each in executions], switches)
        reply = list_reply(page, total, switches, self._raw)
        for _ in range(switches["insert_per_page"] if page else 0):
            self._system.insert_finished(self._system.executions_by_id[page[0]["id"]].pipeline_id)
        return reply

    def _kept(self, execution: Execution) -> dict[str, Any]:
        document = execution.kept.get("document")
        if document is None or execution.kept["version"] != self._system.switch_version:
            document = self.document(execution, expanded=False)
            execution.kept = {"document": document, "version": self._system.switch_version}
        return document  # type: ignore[no-any-return]

    def _raw(self, document: dict[str, Any]) -> msgspec.Raw:
        kept = self._system.executions_by_id[document["id"]].kept
        if "raw" not in kept:
            kept["raw"] = as_raw(document)
        return kept["raw"]  # type: ignore[no-any-return]

    def _act(self, call: Call) -> Response:
        execution = self.find(call)
        self._system.require_write(call.user, execution.project)
        action = call.query("action") or ""
        if not self._system.switches["case_sensitive_actions"]:
            action = action.lower()
        try:
            body = call.json() or {}
        except ValueError as error:
            raise RefusedError(400, f"Malformed JSON request: {error}") from None
        if not isinstance(body, dict):
            raise RefusedError(400, "Malformed JSON request: an object is needed")
        if not self._perform(execution, action, body, call.user):
            status = self._system.switches["wrong_state_status"]
            if status != 200:
                message = f"Action {action} is not allowed on execution {execution.id} in status {execution.status}"
                raise RefusedError(status, message)
        elif body.get("reason"):
            execution.reason = body["reason"]
            execution.kept.clear()
        return json_reply(self.document(execution, expanded=False))

    def _perform(self, execution: Execution, action: str, body: dict[str, Any], user: str) -> bool:
        machine, now = self._system.machine, self._system.now
        if action == "cancel":
            accepted = machine.cancel(execution, now)
            if accepted:
                execution.canceled_by = user
            return accepted
        if action == "pause":
            return machine.pause(execution, now)
        if action == "resume":
            return machine.resume(execution, now, failed_too=self._system.switches["resume_failed"])
        if action == "tag":
            execution.tags = list(body.get("tags") or [])
            execution.kept.clear()
            return True
        raise RefusedError(400, f"Unknown action {action!r}")

    def _delete(self, call: Call) -> Response:
        execution = self.find(call)
        self._system.require_write(call.user, execution.project)
        document = self.document(execution, expanded=False)
        self._system.forget(execution)
        return json_reply(document)

    def _delete_all(self, call: Call) -> Response:
        gone = list(self._all)
        for project in {execution.project for execution in gone}:
            self._system.require_write(call.user, project)
        for execution in gone:
            self._system.forget(execution)
        return json_reply({"count": len(gone), "totalCount": len(gone), "links": [], "documents": {}}, 202)

    def document(self, execution: Execution, *, expanded: bool) -> dict[str, Any]:
        """The JSON of an execution; unless ``expanded`` (or a switch) its stages come without tasks."""
        switches = self._system.switches
        tasks_too = expanded or switches["tasks_without_expand"]
        end = execution.ended_at if execution.ended_at is not None else self._system.now
        duration = formats.micros(max(0.0, end - execution.requested_at))
        document = formats.base(
            id=execution.id,
            name=execution.name,
            project=execution.project,
            prefix="executions",
            created_at=execution.requested_at,
            updated_at=execution.updated_at,
            created_by=execution.user,
            switches=switches,
        )
        document |= {
            "index": execution.index,
            "status": switches["shown_status"].get(execution.status, execution.status),
            "statusMessage": execution.message,
            "reason": execution.reason,
            "comments": execution.comments,
            "icon": "",
            "input": execution.inputs,
            "output": execution.output,
            "starred": {},
            "tags": formats.tags_in_form(execution.tags, switches["tags_form"]),
            "notifications": [],
            "workspaceResults": [],
            "stageOrder": [stage.name for stage in execution.stages],
            "stages": {stage.name: _stage(stage, tasks_too=tasks_too) for stage in execution.stages},
            "_pipelineLink": f"{formats.API}/pipelines/{execution.pipeline_id}",
            "_executedBy": execution.user,
            "_triggeredBy": execution.triggered_by,
            "_source": execution.source,
            "_nested": execution.nested,
            "_rollback": execution.rollback,
            "_global": False,
            "_inputMeta": {},
            "_outputMeta": {},
            "_requestTimeInMicros": formats.micros(execution.requested_at),
            "_durationInMicros": duration,
            "_totalDurationInMicros": duration,
        }
        if execution.resumed_at is not None:
            document["resumed_at"] = formats.created_text(execution.resumed_at)
        return document


def _times(begun: float | None, ended: float | None) -> dict[str, int]:
    times = {}
    if begun is not None:
        times["_startTime"] = formats.micros(begun)
        if ended is not None:
            times |= {"_endTime": formats.micros(ended), "_durationInMicros": formats.micros(ended - begun)}
    return times


def _stage(stage: Stage, *, tasks_too: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": stage.id,
        "name": stage.name,
        "status": stage.status,
        "statusMessage": stage.message,
        "taskOrder": stage.task_order,
        "notifications": [],
    } | _times(stage.started_at, stage.ended_at)
    if tasks_too:
        document["tasks"] = {task.name: _task(task) for group in stage.groups for task in group}
    return document


def _task(task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "name": task.name,
        "type": task.type,
        "status": task.status,
        "statusMessage": task.message,
        "failureMessage": task.message if task.status in ("FAILED", "FAILED_CONTINUE") else "",
        "ignoreFailure": bool(task.spec.get("ignoreFailure")),
        "preCondition": task.spec.get("preCondition") or "",
        "input": task.spec.get("input") or {},
        "output": task.output,
        "endpoints": task.spec.get("endpoints") or {},
        "notifications": [],
    } | _times(task.started_at, task.ended_at)
