"""References of ServiceStage, and the vendor's words that operators use. Light to import."""

from __future__ import annotations

from airflow_provider.execution import ExecutionRef

SYSTEM = "service_stage"
RELEASE = "release"
APPROVAL = "approval"
"""A future approval of a release task."""


def release_reference(pipeline_id: str, execution_id: str, action: str) -> ExecutionRef:
    """:param execution_id: of the record; "" if none is known."""
    return {"system": SYSTEM, "kind": RELEASE, "id": execution_id, "pipeline_id": pipeline_id, "action": action}


def pending_approval_reference(pipeline_id: str) -> ExecutionRef:
    return {"system": SYSTEM, "kind": APPROVAL, "id": "", "pipeline_id": pipeline_id}
