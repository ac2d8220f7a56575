"""Executions as documents: single ones, and lists, which reuse what has not changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from airflow_provider.sandbox.code_stream import formats
from airflow_provider.sandbox.code_stream.history import History
from airflow_provider.sandbox.code_stream.lists import as_raw, list_reply, select
from airflow_provider.sandbox.code_stream.models import Execution, Stage, Task
from airflow_provider.sandbox.code_stream.state import State
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.replies import json_reply

EXPAND = "PIPELINE_STAGE_TASK"


class ExecutionDocuments:
    def __init__(self, state: State, history: History) -> None:
        self._state = state
        self._history = history

    def reply(self, call: Call, execution: Execution) -> Response:
        """The answer to a call for one execution."""
        return json_reply(document_of(execution, call, expanded=call.query("expand") == EXPAND))

    def list_reply(self, call: Call, executions: Iterable[Execution]) -> Response:
        """The answer to a list call over these executions."""
        page, total = select(call, [self._kept(each, call) for each in executions])
        reply = list_reply(call, page, total, self._raw)
        for _ in range(call.switches["insert_per_page"] if page else 0):
            self._history.insert(self._state.executions[page[0]["id"]].pipeline_id)
        return reply

    def _kept(self, execution: Execution, call: Call) -> dict[str, Any]:
        document: dict[str, Any] | None = execution.kept.get("document")
        if document is None or execution.kept["version"] != self._state.switches.version:
            document = document_of(execution, call)
            execution.kept = {"document": document, "version": self._state.switches.version}
        return document

    def _raw(self, document: Mapping[str, Any]) -> msgspec.Raw:
        kept = self._state.executions[document["id"]].kept
        if "raw" not in kept:
            kept["raw"] = as_raw(kept["document"])
        raw: msgspec.Raw = kept["raw"]
        return raw


def document_of(execution: Execution, call: Call, *, expanded: bool = False) -> dict[str, Any]:
    """The JSON of an execution; its stages have tasks only if ``expanded`` or a switch is set."""
    switches = call.switches
    tasks_too = expanded or switches["tasks_without_expand"]
    end = execution.ended_at if execution.ended_at is not None else call.now
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
        document["tasks"] = {task.name: _task(task) for task in stage.tasks}
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
