"""References of Code Stream, and the vendor's words that operators use. Light to import."""

from __future__ import annotations

from airflow_provider.execution import ExecutionRef

SYSTEM = "code_stream"

EXECUTION = "execution"
RERUN = "rerun"
"""An event that leads to an execution."""
EVENT = "event"
"""A future event."""
APPROVAL = "approval"
"""A user operation, or a future one."""

ANSWER = "answer"
"""The answer to an existing user operation."""

BEGINNING = {"cancel": "CANCELING", "pause": "PAUSING", "resume": "RESUMING"}
"""The status in which an action on an execution has been accepted, but is not done."""


def execution_reference(execution_id: str) -> ExecutionRef:
    return {"system": SYSTEM, "kind": EXECUTION, "id": execution_id}


def event_reference(event_type: str, filters: str, since: str) -> ExecutionRef:
    """A future event.

    :param filters: the fields that it must have, as a JSON object.
    :param since: ISO 8601 with its zone, "" for any time.
    """
    return {"system": SYSTEM, "kind": EVENT, "id": "", "event_type": event_type, "filters": filters, "since": since}


def approval_reference(user_operation_id: str) -> ExecutionRef:
    return {"system": SYSTEM, "kind": APPROVAL, "id": user_operation_id}


def answer_reference(user_operation_id: str) -> ExecutionRef:
    return {"system": SYSTEM, "kind": ANSWER, "id": user_operation_id}


def pending_approval_reference(execution_id: str, pipeline: str) -> ExecutionRef:
    """A future approval of an execution, or of any execution of a pipeline; the other argument is ""."""
    return {**approval_reference(""), "execution_id": execution_id, "pipeline": pipeline}
