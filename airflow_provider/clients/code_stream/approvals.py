"""Approvals (user operations) of Code Stream: list, read, answer and delete them, find the pending one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from airflow_provider.clients.answers import LONGEST_WORD
from airflow_provider.clients.code_stream.approval_list import (
    ended_unasked,
    execution_asking,
    operation_for,
    pending_operations,
    status_of,
)
from airflow_provider.clients.code_stream.documents import Answers, UserOperation
from airflow_provider.clients.code_stream.execution_waits import ExecutionWaits
from airflow_provider.clients.code_stream.executions import Executions
from airflow_provider.clients.code_stream.fields import Document, Json, fields_of, first_time, id_of, without_secrets
from airflow_provider.clients.code_stream.references import SYSTEM, execution_reference, pending_approval_reference
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.rows import Rows
from airflow_provider.clients.urls import path
from airflow_provider.clients.waitable import concerns_one_execution
from airflow_provider.exceptions import Call, PermissionDeniedError, ReleasePipelineError
from airflow_provider.execution import Execution


class Approvals:
    """https://developer.broadcom.com/xapis/vrealize-automation-code-stream-api/latest/user-operations/

    :param documents: reads whole executions.
    :param executions: observes the executions that may wait for an answer.
    :param placed: gives an execution its place, and masks secrets in its texts.
    """

    def __init__(
        self,
        wire: Wire,
        documents: Executions,
        executions: ExecutionWaits,
        placed: Callable[[Execution], Execution],
    ) -> None:
        self._wire, self._documents, self._executions, self._placed = wire, documents, executions, placed

    def list(self, where: str | None = None, *, limit: int | None = None) -> Rows[UserOperation]:
        """:param where: the ``$filter``, such as ``status eq 'ACTIVE'``."""
        rows = self._wire.rows("/user-operations", where=where, limit=limit)
        return cast("Rows[UserOperation]", [self._wire.keep_secret(row) for row in rows])

    def get(self, user_operation_id: str) -> UserOperation:
        """One user operation, with ``status``, ``approvers`` and, once it is answered, ``respondedBy``."""
        return cast("UserOperation", self._wire.keep_secret(self._wire.get(_path(user_operation_id))))

    def delete(self, user_operation_id: str) -> UserOperation:
        """Delete a user operation; returns it as it was."""
        return cast("UserOperation", self._wire.keep_secret(self._wire.send("DELETE", _path(user_operation_id))))

    def find_pending(self, execution_id: str) -> str:
        """The id of the user operation that an execution waits for.

        :raises ConflictError: it has no pending approval.
        """
        pending = pending_operations(self._wire)
        if operation := operation_for(pending, pending_approval_reference(execution_id, "")):
            return id_of(operation)
        execution = self._placed(self._executions.observe(execution_reference(execution_id)))
        if execution.state.is_terminal:
            raise self._wire.conflict(ended_unasked(execution))
        raise self._wire.conflict(f"execution {execution_id} has no pending approval")

    def answer(self, user_operation_id: str, approve: bool, message: str | None = None) -> UserOperation:
        """Approve or reject, and check that it took effect. The same answer may be given twice.

        :returns: the user operation in its new state.
        :raises PermissionDeniedError: the answer was ignored: the login is not one of the approvers.
        :raises ConflictError: it has another answer, has expired or was withdrawn.
        """
        answer = _answer(approve)
        before = self.get(user_operation_id)
        if status_of(before) != "ACTIVE":
            return self._answered(before, answer)
        body = {"status": self._wire.words[answer], "responseMessage": message or ""}
        try:
            self._wire.keep_secret(self._wire.send("PATCH", _path(user_operation_id), body=body))
        except ReleasePipelineError as error:
            if not error.effect.is_open:
                raise
            after = self.get(user_operation_id)
            if status_of(after) == "ACTIVE":
                raise
        else:
            after = self.get(user_operation_id)
        return self._answered(after, answer)

    def describe(self, approval: Execution) -> Json:
        """What a person must know to answer it, by names for people.

        :param approval: as observed with a reference to its answer.
        """
        operation = dict(approval.outputs)
        expires = first_time(operation, "_expiresOnInMicros", "expiresOnInMicros")
        execution_id = execution_asking(operation)
        execution = fields_of(self._execution_document(execution_id))
        index = operation.get("executionIndex")
        return {
            "Pipeline": operation.get("pipelineName") or execution.get("name"),
            "Execution": f"{index} ({execution_id})" if index is not None else execution_id,
            "Approval": operation.get("index") or approval.id,
            "Stage": " / ".join(_waiting_tasks(execution)),
            "Summary": operation.get("summary"),
            "Description": operation.get("description"),
            "Inputs": without_secrets(fields_of(execution.get("input"))),
            "Comments": execution.get("comments"),
            "Requested by": operation.get("requestedBy") or execution.get("_executedBy"),
            "Expires in Code Stream": expires.strftime("%Y-%m-%d %H:%M UTC") if expires else None,
            "Link": approval.url,
        }

    def _execution_document(self, execution_id: str) -> Document | None:
        try:
            return self._documents.get(execution_id) if execution_id else None
        except ReleasePipelineError as error:
            if not concerns_one_execution(error):
                raise
            return None

    def answer_many(self, user_operation_ids: Sequence[str], approve: bool, message: str | None = None) -> Answers:
        """Answer many at once; answers that fail raise no error.

        :returns: ``success`` and ``failure`` as counts, ``errors`` as objects with ``id`` (may be ``None``) and
            ``error``.
        """
        if isinstance(user_operation_ids, str) or not user_operation_ids:
            raise self._wire.bad_request("user_operation_ids must be a list of ids")
        word = self._wire.words[_answer(approve)]
        body = {"ids": [*user_operation_ids], "status": word, "responseMessage": message or ""}
        reply = self._wire.send("POST", "/batch-user-operations", body=body)
        listed = reply.get("errors")
        errors = listed if isinstance(listed, list) else []
        reply["errors"] = [each if isinstance(each, dict) else {"id": None, "error": str(each)} for each in errors]
        return cast("Answers", reply)

    def _answered(self, operation: UserOperation, answer: str) -> UserOperation:
        if self._wire.words.is_taken(answer, status_of(operation)):
            return operation
        name = f"user operation {self._shown(operation.get('index') or operation.get('id'))}"
        if status_of(operation) == "ACTIVE":
            approvers = operation.get("approvers")
            names = self._shown(", ".join(map(str, approvers)) if isinstance(approvers, list) else approvers)
            raise PermissionDeniedError(
                f"the answer to {name} was ignored: the connection's login is probably not one of its approvers "
                f"({names})",
                call=Call(system=SYSTEM),
            )
        by = f" by {self._shown(operation['respondedBy'])}" if operation.get("respondedBy") else ""
        raise self._wire.conflict(f"{name} is already {self._shown(status_of(operation))}{by}")

    def _shown(self, text: object) -> str:
        return self._wire.transport.redact(str(text), LONGEST_WORD)


def _answer(approve: bool) -> str:
    return "approve" if approve else "reject"


def _path(user_operation_id: str) -> str:
    return path("/user-operations/{user_operation_id}", user_operation_id=user_operation_id)


def _waiting_tasks(execution: Document) -> list[str]:
    return [
        f"{stage}.{task}"
        for stage, stage_fields in fields_of(execution.get("stages")).items()
        for task, task_fields in fields_of(fields_of(stage_fields).get("tasks")).items()
        if str(fields_of(task_fields).get("status")).upper() == "WAITING"
    ]
