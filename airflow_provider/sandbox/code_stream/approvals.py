"""The routes of approvals, which Code Stream calls user operations: list, get, answer one or many, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.code_stream import formats
from airflow_provider.sandbox.code_stream.access import require_write
from airflow_provider.sandbox.code_stream.approving import Approving
from airflow_provider.sandbox.code_stream.arguments import object_of
from airflow_provider.sandbox.code_stream.lists import listed
from airflow_provider.sandbox.code_stream.models import Approval
from airflow_provider.sandbox.code_stream.refusals import Refusal, not_found
from airflow_provider.sandbox.code_stream.state import State
from airflow_provider.sandbox.code_stream.switches import words
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Router

STORED = {"approve": "APPROVED", "reject": "REJECTED"}
NOT_IN_ANSWERS = ("project", "pipelineName", "executionLink", "responseMessage")


class Approvals:
    def __init__(self, state: State, approving: Approving) -> None:
        self._state = state
        self._approving = approving

    def add_routes(self, router: Router, api: str) -> None:
        root = f"{api}/user-operations"
        router.add("GET", root, self._list)
        router.add("GET", f"{root}/{{id}}", self._get)
        router.add("PATCH POST", f"{root}/{{id}}", self._answer)
        router.add("DELETE", f"{root}/{{id}}", self._delete)
        router.add("POST", f"{api}/batch-user-operations", self._answer_many)

    def _find(self, call: Call) -> Approval:
        approval = self._state.approvals.get(call.params["id"])
        if approval is None:
            raise not_found(f"User Operation {call.params['id']}")
        return approval

    def _list(self, call: Call) -> Response:
        return listed(call, [_document(each, call.switches) for each in self._state.approvals.values()])

    def _get(self, call: Call) -> Response:
        return json_reply(_document(self._find(call), call.switches))

    def _answer(self, call: Call) -> Response:
        approval = self._find(call)
        body = _answer_of(call)
        if call.user not in approval.approvers:
            if call.switches["unauthorised_answer"] == 403:
                raise Refusal(403)
        elif approval.status != "ACTIVE":
            status = call.switches["answered_twice_status"]
            if status != 200:
                raise Refusal(status, f"User Operation {approval.index} is {approval.status} already")
        else:
            self._take(approval, call, body)
        return json_reply(_answered(approval, call.switches))

    def _answer_many(self, call: Call) -> Response:
        body = _answer_of(call)
        if not isinstance(body.get("ids"), list):
            raise Refusal(400, "ids must not be null")
        errors: list[Any] = []
        for approval_id in body["ids"]:
            approval = self._state.approvals.get(approval_id)
            error = _error_of(approval, call.user)
            if approval is not None and error is None:
                self._take(approval, call, body)
                continue
            message = f"User Operation {approval_id}: {error}"
            as_objects = call.switches["batch_errors"] == "objects"
            errors.append({"id": approval_id, "error": message} if as_objects else message)
        return json_reply({"success": len(body["ids"]) - len(errors), "failure": len(errors), "errors": errors})

    def _take(self, approval: Approval, call: Call, body: dict[str, Any]) -> None:
        self._approving.answer(
            approval,
            str(_stored_status(body, call.switches)),
            call.user,
            str(body.get("responseMessage") or ""),
            cancel_previous=bool(body.get("cancelPreviousPendingUserOp")),
        )

    def _delete(self, call: Call) -> Response:
        approval = self._find(call)
        require_write(call.user, approval.execution.project)
        del self._state.approvals[approval.id]
        return json_reply(_document(approval, call.switches))


def _answer_of(call: Call) -> dict[str, Any]:
    """The body of an answer, if this server knows its word."""
    body = object_of(call)
    if _stored_status(body, call.switches) is None:
        known = words(call.switches)
        raise Refusal(400, f"Invalid status {body.get('status')!r}: {known['approve']} or {known['reject']}")
    return body


def _stored_status(body: dict[str, Any], switches: Mapping[str, Any]) -> str | None:
    """The status that an answer's word results in; None for an unknown word."""
    known, word = words(switches), str(body.get("status", "")).lower()
    return next((STORED[name] for name in STORED if known[name].lower() == word), None)


def _error_of(approval: Approval | None, user: str) -> str | None:
    """Why an answer to many cannot answer this one."""
    if approval is None:
        return "not found"
    if user not in approval.approvers:
        return f"User {user} is not an approver"
    return None if approval.status == "ACTIVE" else f"already {approval.status}"


def _document(approval: Approval, switches: Mapping[str, Any]) -> dict[str, Any]:
    execution = approval.execution
    document = formats.base(
        id=approval.id,
        name=approval.task.name,
        project=execution.project,
        prefix="user-operations",
        created_at=approval.requested_at,
        updated_at=approval.updated_at,
        created_by=execution.user,
        description=approval.description,
        switches=switches,
    )
    return document | {
        "index": approval.index,
        "status": approval.status,
        "summary": approval.summary,
        "approvers": approval.approvers,
        "requestedBy": execution.user,
        "respondedBy": approval.responded_by,
        "responseMessage": approval.response,
        "pipelineId": execution.pipeline_id,
        "pipelineName": execution.name,
        "executionId": execution.id,
        "executionIndex": execution.index,
        "executionLink": formats.execution_link(execution.id, switches["execution_links"]),
        "expiration": approval.expiration,
        "expirationUnit": approval.unit,
        "expirationInDays": max(1, approval.lifetime // 86400),
        "_requestedOnInMicros": formats.micros(approval.requested_at),
        "_expiresOnInMicros": formats.micros(approval.expires_at),
        "sendemail": False,
        "endpoint": "",
        "cancelPreviousPendingUserOp": approval.cancel_previous,
    }


def _answered(approval: Approval, switches: Mapping[str, Any]) -> dict[str, Any]:
    """The format in which an answer is answered: without project and link."""
    document = _document(approval, switches)
    shown = {key: value for key, value in document.items() if not key.startswith("_") and key not in NOT_IN_ANSWERS}
    responded = approval.responded_at
    return shown | {
        "message": approval.response,
        "comments": "",
        "changeLog": "",
        "tags": [],
        "approverGroups": [],
        "respondedByEmail": f"{approval.responded_by}@example.com" if approval.responded_by else None,
        "responderRoles": [],
        "responderToken": "sandbox-responder-token",
        "pipeline": approval.execution.name,
        "projectId": formats.project_id(approval.execution.project),
        "orgId": "sandbox-org",
        "parentId": approval.task.id,
        "taskKey": approval.task.name,
        "stageKey": approval.task.stage,
        "taskExecutionId": approval.task.id,
        "resumeCount": 0,
        "expirationInSeconds": approval.lifetime,
        "requestedOnInMicros": formats.micros(approval.requested_at),
        "respondedOnInMicros": formats.micros(responded) if responded is not None else None,
        "expiresOnInMicros": formats.micros(approval.expires_at),
    }
