"""Pending approvals (user operations) of Code Stream, and the executions that they belong to."""

from __future__ import annotations

from collections.abc import Iterable

from airflow_provider.clients.answers import LONGEST_WORD
from airflow_provider.clients.code_stream.fields import (
    Document,
    Documents,
    first_time,
    id_from_link,
    id_of,
    without_secrets,
)
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState


def status_of(operation: Document) -> str:
    return str(operation.get("status") or "").upper()


def execution_asking(operation: Document) -> str:
    """The id of its execution; from the link if there is one: in the vendor's own example, ``executionId`` is wrong."""
    return id_from_link(operation.get("executionLink")) or str(operation.get("executionId") or "")


def pending_operations(wire: Wire) -> Documents:
    found = [wire.keep_secret(row) for row in wire.rows("/user-operations", where="status eq 'ACTIVE'")]
    return [each for each in found if status_of(each) == "ACTIVE"]


def operation_for(pending: Iterable[Document], ref: ExecutionRef) -> Document | None:
    """The first one for which an execution, or a pipeline, waits."""
    return next((each for each in pending if _is_for(each, ref)), None)


def checked(wire: Wire, ref: ExecutionRef, operation: Document) -> Document:
    """The user operation that was requested by its id.

    :raises UnexpectedResponseError: it is about another one, or about none, and must not count.
    """
    answered = id_of(operation)
    if answered.casefold() != ref["id"].casefold():
        shown = wire.transport.redact(answered, LONGEST_WORD) or "none"
        raise wire.unexpected("/user-operations", f"the answer must be approval {ref['id']}, got {shown}")
    return operation


def asked_for(
    wire: Wire, ref: ExecutionRef, operation: Document, state: ExecutionState = ExecutionState.SUCCEEDED
) -> Execution:
    """A user operation as an execution; its existence is a success for a wait for it."""
    execution_id = execution_asking(operation)
    return Execution(
        {**ref, "id": id_of(operation)},
        state,
        status=str(operation.get("status") or ""),
        url=wire.page_of(execution_id) if execution_id else None,
        message=str(operation["summary"]) if operation.get("summary") else None,
        outputs=without_secrets(operation),
        started_at=first_time(operation, "_requestedOnInMicros", "_createTimeInMicros", "createdAt"),
    )


def ended_unasked(execution: Execution) -> str:
    """The message about an execution that ended without asking for an approval."""
    return f"execution {execution.id} ended ({execution.status}); it has no pending approval"


def _is_for(operation: Document, ref: ExecutionRef) -> bool:
    if execution_id := ref.get("execution_id"):
        return execution_asking(operation) == execution_id
    pipeline = ref.get("pipeline")
    return bool(pipeline) and pipeline in (operation.get("pipelineName"), operation.get("pipelineId"))
