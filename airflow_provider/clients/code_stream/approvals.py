"""Approvals (user operations) of Code Stream: list, read, answer and delete them, find the one that is waited for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from airflow_provider.clients.code_stream.approval_list import (
    ended_unasked,
    operation_for,
    pending_operations,
    status_of,
)
from airflow_provider.clients.code_stream.documents import Answers, UserOperation
from airflow_provider.clients.code_stream.execution_waits import ExecutionWaits
from airflow_provider.clients.code_stream.fields import id_of
from airflow_provider.clients.code_stream.references import SYSTEM, execution_reference, pending_approval_reference
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.rows import Rows
from airflow_provider.clients.urls import path
from airflow_provider.exceptions import Call, PermissionDeniedError, ReleasePipelineError
from airflow_provider.execution import Execution


class Approvals:
    """https://developer.broadcom.com/xapis/vrealize-automation-code-stream-api/latest/user-operations/

    :param executions: those that may wait for an answer.
    :param placed: gives an execution its place, and takes secrets out of its texts.
    """

    def __init__(self, wire: Wire, executions: ExecutionWaits, placed: Callable[[Execution], Execution]) -> None:
        self._wire, self._executions, self._placed = wire, executions, placed

    def list(self, where: str | None = None, *, limit: int | None = None) -> Rows[UserOperation]:
        """:param where: the ``$filter``, such as ``status eq 'ACTIVE'``."""
        rows = self._wire.rows("/user-operations", where=where, limit=limit)
        return cast("Rows[UserOperation]", [self._wire.keep_secret(row) for row in rows])

    def get(self, user_operation_id: str) -> UserOperation:
        return cast("UserOperation", self._wire.keep_secret(self._wire.get(_path(user_operation_id))))

    def delete(self, user_operation_id: str) -> UserOperation:
        return cast("UserOperation", self._wire.keep_secret(self._wire.send("DELETE", _path(user_operation_id))))

    def find_pending(self, execution_id: str) -> str:
        """The id of the user operation that an execution waits for.

        :raises ConflictError: it waits for none now.
        """
        pending = pending_operations(self._wire)
        if operation := operation_for(pending, pending_approval_reference(execution_id, "")):
            return id_of(operation)
        execution = self._placed(self._executions.observe(execution_reference(execution_id)))
        if execution.state.is_terminal:
            raise self._wire.conflict(ended_unasked(execution))
        raise self._wire.conflict(f"execution {execution_id} waits for no approval now")

    def answer(self, user_operation_id: str, approve: bool, message: str | None = None) -> UserOperation:
        """Approve or reject, and check that it took. The same answer given twice is taken once.

        :returns: the user operation as it is afterwards.
        :raises PermissionDeniedError: the answer was ignored: the login is not one of the approvers.
        :raises ConflictError: it was answered otherwise, expired or was withdrawn.
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

    def answer_many(self, user_operation_ids: Sequence[str], approve: bool, message: str | None = None) -> Answers:
        """Answer many at once; an answer that was not taken is no error here.

        :returns: ``success`` and ``failure`` as counts, ``errors`` as objects with ``id`` (may be ``None``) and
            ``error``.
        """
        if isinstance(user_operation_ids, str) or not user_operation_ids:
            raise self._wire.bad_request("user_operation_ids must be a list of ids")
        word = self._wire.words[_answer(approve)]
        body = {"ids": [*user_operation_ids], "status": word, "responseMessage": message or ""}
        reply = self._wire.send("POST", "/batch-user-operations", body=body)
        errors = reply.get("errors") or []
        reply["errors"] = [each if isinstance(each, dict) else {"id": None, "error": str(each)} for each in errors]
        return cast("Answers", reply)

    def _answered(self, operation: UserOperation, answer: str) -> UserOperation:
        if self._wire.words.is_taken(answer, status_of(operation)):
            return operation
        name = f"user operation {operation.get('index') or operation.get('id')}"
        if status_of(operation) == "ACTIVE":
            approvers = operation.get("approvers")
            names = ", ".join(approvers) if isinstance(approvers, list) else approvers
            raise PermissionDeniedError(
                f"the answer to {name} was ignored: the connection's login is probably not one of its approvers "
                f"({names})",
                call=Call(system=SYSTEM),
            )
        by = f" by {operation['respondedBy']}" if operation.get("respondedBy") else ""
        raise self._wire.conflict(f"{name} is already {status_of(operation)}{by}")


def _answer(approve: bool) -> str:
    return "approve" if approve else "reject"


def _path(user_operation_id: str) -> str:
    return path("/user-operations/{user_operation_id}", user_operation_id=user_operation_id)
