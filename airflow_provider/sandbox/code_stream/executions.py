"""The routes of executions: list, get, delete, and the actions on one."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.code_stream.access import require_write
from airflow_provider.sandbox.code_stream.arguments import json_of
from airflow_provider.sandbox.code_stream.execution_documents import ExecutionDocuments, document_of
from airflow_provider.sandbox.code_stream.models import Execution
from airflow_provider.sandbox.code_stream.refusals import Refusal, not_found
from airflow_provider.sandbox.code_stream.running import Runner
from airflow_provider.sandbox.code_stream.state import State
from airflow_provider.sandbox.code_stream.steering import Steering
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Router


class Executions:
    def __init__(self, state: State, runner: Runner, steering: Steering, documents: ExecutionDocuments) -> None:
        self._state = state
        self._runner = runner
        self._steering = steering
        self._documents = documents

    def add_routes(self, router: Router, api: str) -> None:
        root = f"{api}/executions"
        router.add("GET", root, self._list)
        router.add("DELETE", root, self._delete_all)
        router.add("GET", f"{root}/{{id}}", self._get)
        router.add("POST", f"{root}/{{id}}", self._act)
        router.add("DELETE", f"{root}/{{id}}", self._delete)

    def _list(self, call: Call) -> Response:
        return self._documents.list_reply(call, self._state.executions.values())

    def _get(self, call: Call) -> Response:
        return self._documents.reply(call, self._find(call))

    def _find(self, call: Call) -> Execution:
        execution = self._state.executions.get(call.params["id"])
        if execution is None:
            raise not_found(f"Execution {call.params['id']}")
        return execution

    def _writable(self, call: Call) -> Execution:
        execution = self._find(call)
        require_write(call.user, execution.project)
        return execution

    def _act(self, call: Call) -> Response:
        execution = self._writable(call)
        action = call.query("action") or ""
        if not call.switches["case_sensitive_actions"]:
            action = action.lower()
        body = json_of(call) or {}
        if not isinstance(body, dict):
            raise Refusal(400, "Malformed JSON request: an object is needed")
        if not self._perform(call, execution, action, body):
            status = call.switches["wrong_state_status"]
            if status != 200:
                message = f"Action {action} is not allowed on execution {execution.id} in status {execution.status}"
                raise Refusal(status, message)
        elif body.get("reason"):
            execution.reason = body["reason"]
            execution.kept.clear()
        return json_reply(document_of(execution, call))

    def _perform(self, call: Call, execution: Execution, action: str, body: dict[str, Any]) -> bool:
        if action == "cancel":
            accepted = self._steering.cancel(execution, call.now)
            if accepted:
                execution.canceled_by = call.user
            return accepted
        if action == "pause":
            return self._steering.pause(execution, call.now)
        if action == "resume":
            return self._steering.resume(execution, call.now, failed_too=call.switches["resume_failed"])
        if action == "tag":
            execution.tags = list(body.get("tags") or [])
            execution.kept.clear()
            return True
        raise Refusal(400, f"Unknown action {action!r}")

    def _delete(self, call: Call) -> Response:
        execution = self._writable(call)
        document = document_of(execution, call)
        self._runner.forget(execution)
        return json_reply(document)

    def _delete_all(self, call: Call) -> Response:
        deleted = list(self._state.executions.values())
        for project in {execution.project for execution in deleted}:
            require_write(call.user, project)
        for execution in deleted:
            self._runner.forget(execution)
        return json_reply({"count": len(deleted), "totalCount": len(deleted), "links": [], "documents": {}}, 202)
