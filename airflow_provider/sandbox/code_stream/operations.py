"""User operations: the approvals that UserOperation tasks wait for, single and batch answers, expiry."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from airflow_provider.sandbox.code_stream import formats
from airflow_provider.sandbox.code_stream.errors import RefusedError, not_found
from airflow_provider.sandbox.code_stream.lists import list_reply, select
from airflow_provider.sandbox.code_stream.machine import Execution, Task
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Call, Router

if TYPE_CHECKING:
    from airflow_provider.sandbox.code_stream.system import CodeStreamSystem

UNITS = {"MINUTES": 60, "HOURS": 3600, "DAYS": 86400}
STORED = {"approve": "APPROVED", "reject": "REJECTED"}


class Operation:
    """One request for an answer."""

    def __init__(self, execution: Execution, task: Task, at: float) -> None:
        spec = task.spec.get("input") or {}
        self.id = formats.new_id()
        self.index = uuid.uuid4().hex[:6]
        self.execution = execution
        self.task = task
        self.status = "ACTIVE"
        self.summary = str(spec.get("summary", ""))
        self.description = str(spec.get("description", ""))
        approvers = spec.get("approvers") or []
        self.approvers = [each.strip() for each in approvers.split(",")] if isinstance(approvers, str) else approvers
        self.expiration = int(spec.get("expiration", 3))
        self.unit = str(spec.get("expirationUnit", "DAYS"))
        self.requested_at = self.updated_at = at
        self.expires_at = at + self.expiration * UNITS[self.unit]
        self.responded_by: str | None = None
        self.responded_at: float | None = None
        self.response = ""
        self.cancel_previous = False


class Operations:
    """The routes below ``/user-operations`` and the life of an approval."""

    def __init__(self, system: CodeStreamSystem) -> None:
        self._system = system
        self.all: dict[str, Operation] = {}

    def add_routes(self, router: Router, api: str) -> None:
        root = f"{api}/user-operations"
        router.add("GET", root, self._list)
        router.add("GET", f"{root}/{{id}}", lambda call: json_reply(self._document(self._find(call.params["id"]))))
        router.add("PATCH POST", f"{root}/{{id}}", self._answer)
        router.add("DELETE", f"{root}/{{id}}", self._delete)
        router.add("POST", f"{api}/batch-user-operations", self._answer_many)

    def open(self, execution: Execution, task: Task, at: float) -> None:
        """A task begins to wait."""
        operation = Operation(execution, task, at)
        self.all[operation.id] = operation
        self._system.timeline.at(operation.expires_at, lambda when: self._expire(operation, when))

    def withdraw(self, task: Task, at: float) -> None:
        """The execution of a waiting task ended otherwise."""
        for operation in self.all.values():
            if operation.task is task and operation.status == "ACTIVE":
                operation.status, operation.updated_at = "CANCELED", at

    def _expire(self, operation: Operation, at: float) -> None:
        if operation.status == "ACTIVE" and operation.id in self.all:
            operation.status, operation.updated_at = "EXPIRED", at
            self._end(operation, "User Operation request has expired.", at)

    def _end(self, operation: Operation, failure: str | None, at: float) -> None:
        if operation.task.status == "WAITING":
            self._system.machine.end_task(operation.execution, operation.task, failure, at)

    def _find(self, operation_id: str) -> Operation:
        operation = self.all.get(operation_id)
        if operation is None:
            raise not_found(f"User Operation {operation_id}")
        return operation

    def _list(self, call: Call) -> Response:
        documents = [self._document(operation) for operation in self.all.values()]
        page, total = select(call, documents, self._system.switches)
        return list_reply(page, total, self._system.switches)

    def _body(self, call: Call) -> dict[str, Any]:
        try:
            body = call.json()
        except ValueError as error:
            raise RefusedError(400, f"Malformed JSON request: {error}") from None
        if not isinstance(body, dict):
            raise RefusedError(400, "Required request body is missing")
        if self._stored(body) is None:
            words = self._system.words
            raise RefusedError(400, f"Invalid status {body.get('status')!r}: {words['approve']} or {words['reject']}")
        return body

    def _stored(self, body: dict[str, Any]) -> str | None:
        """The status that an answer leads to, by the word of it; ``None`` for another word."""
        words, said = self._system.words, str(body.get("status", "")).lower()
        return next((STORED[name] for name in STORED if words[name].lower() == said), None)

    def _answer(self, call: Call) -> Response:
        operation = self._find(call.params["id"])
        body = self._body(call)
        if call.user not in operation.approvers:
            if self._system.switches["unauthorised_answer"] == 403:
                raise RefusedError(403)
        elif operation.status != "ACTIVE":
            if self._system.switches["answered_twice_status"] != 200:
                raise RefusedError(
                    self._system.switches["answered_twice_status"],
                    f"User Operation {operation.index} is {operation.status} already",
                )
        else:
            self._take(operation, body, call.user)
        return json_reply(self._resource(operation))

    def _answer_many(self, call: Call) -> Response:
        body = self._body(call)
        if not isinstance(body.get("ids"), list):
            raise RefusedError(400, "ids must not be null")
        errors: list[Any] = []
        for operation_id in body["ids"]:
            operation = self.all.get(operation_id)
            if operation is None:
                error = "not found"
            elif call.user not in operation.approvers:
                error = f"User {call.user} is not an approver"
            elif operation.status != "ACTIVE":
                error = f"already {operation.status}"
            else:
                self._take(operation, body, call.user)
                continue
            message = f"User Operation {operation_id}: {error}"
            errors.append(
                {"id": operation_id, "error": message}
                if self._system.switches["batch_errors"] == "objects"
                else message
            )
        return json_reply({"success": len(body["ids"]) - len(errors), "failure": len(errors), "errors": errors})

    def _take(self, operation: Operation, body: dict[str, Any], user: str) -> None:
        now = self._system.now
        operation.status = str(self._stored(body))
        operation.responded_by, operation.responded_at, operation.updated_at = user, now, now
        operation.response = str(body.get("responseMessage") or "")
        operation.cancel_previous = bool(body.get("cancelPreviousPendingUserOp"))
        if operation.status == "REJECTED":
            self._end(operation, f"User Operation request has been rejected by {user}.", now)
            return
        self._end(operation, None, now)
        if operation.cancel_previous:
            for other in list(self.all.values()):
                if (
                    other.status == "ACTIVE"
                    and other.task.key == operation.task.key
                    and other.execution.pipeline_id == operation.execution.pipeline_id
                    and other.requested_at < operation.requested_at
                ):
                    other.status, other.updated_at = "CANCELED", now
                    self._end(other, "User Operation request has been canceled by a later approval.", now)

    def _delete(self, call: Call) -> Response:
        operation = self._find(call.params["id"])
        self._system.require_write(call.user, operation.execution.project)
        del self.all[operation.id]
        return json_reply(self._document(operation))

    def _document(self, operation: Operation) -> dict[str, Any]:
        execution = operation.execution
        document = formats.base(
            id=operation.id,
            name=operation.task.name,
            project=execution.project,
            prefix="user-operations",
            created_at=operation.requested_at,
            updated_at=operation.updated_at,
            created_by=execution.user,
            description=operation.description,
            switches=self._system.switches,
        )
        return document | {
            "index": operation.index,
            "status": operation.status,
            "summary": operation.summary,
            "approvers": operation.approvers,
            "requestedBy": execution.user,
            "respondedBy": operation.responded_by,
            "responseMessage": operation.response,
            "pipelineId": execution.pipeline_id,
            "pipelineName": execution.name,
            "executionId": execution.id,
            "executionIndex": execution.index,
            "executionLink": formats.execution_link(execution.id, self._system.switches["execution_links"]),
            "expiration": operation.expiration,
            "expirationUnit": operation.unit,
            "expirationInDays": max(1, operation.expiration * UNITS[operation.unit] // 86400),
            "_requestedOnInMicros": formats.micros(operation.requested_at),
            "_expiresOnInMicros": formats.micros(operation.expires_at),
            "sendemail": False,
            "endpoint": "",
            "cancelPreviousPendingUserOp": operation.cancel_previous,
        }

    def _resource(self, operation: Operation) -> dict[str, Any]:
        """The different shape that an answer gets: no project, no link."""
        document = self._document(operation)
        dropped = ("project", "pipelineName", "executionLink", "responseMessage")
        resource = {key: value for key, value in document.items() if not key.startswith("_") and key not in dropped}
        responded = operation.responded_at
        return resource | {
            "message": operation.response,
            "comments": "",
            "changeLog": "",
            "tags": [],
            "approverGroups": [],
            "respondedByEmail": f"{operation.responded_by}@example.com" if operation.responded_by else None,
            "responderRoles": [],
            "responderToken": "sandbox-responder-token",
            "pipeline": operation.execution.name,
            "projectId": formats.project_id(operation.execution.project),
            "orgId": "sandbox-org",
            "parentId": operation.task.id,
            "taskKey": operation.task.name,
            "stageKey": operation.task.stage,
            "taskExecutionId": operation.task.id,
            "resumeCount": 0,
            "expirationInSeconds": operation.expiration * UNITS[operation.unit],
            "requestedOnInMicros": formats.micros(operation.requested_at),
            "respondedOnInMicros": formats.micros(responded) if responded is not None else None,
            "expiresOnInMicros": formats.micros(operation.expires_at),
        }
