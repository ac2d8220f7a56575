"""Turns an image build of Quay into an Execution. No HTTP here."""

from __future__ import annotations

from airflow_provider.clients.quay.fields import Document, parse_time, texts_in
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

# Quay queues builds in `internalerror` again. `cannot_load` is not here: it only means that the log store is down.
_PHASES = {
    "waiting": ExecutionState.QUEUED,
    "build-scheduled": ExecutionState.QUEUED,
    "unpacking": ExecutionState.RUNNING,
    "pulling": ExecutionState.RUNNING,
    "building": ExecutionState.RUNNING,
    "pushing": ExecutionState.RUNNING,
    "internalerror": ExecutionState.RUNNING,
    "complete": ExecutionState.SUCCEEDED,
    "error": ExecutionState.FAILED,
    "expired": ExecutionState.FAILED,
    "cancelled": ExecutionState.CANCELED,
}


def state_of(build: Document) -> ExecutionState:
    return _PHASES.get(str(build.get("phase")), ExecutionState.UNKNOWN)


def execution_of(build: Document, ref: ExecutionRef, url: str | None) -> Execution:
    """A build as an execution, without a digest, which must be added from its tags.

    :param url: of its page, for people.
    """
    state = state_of(build)
    message = str(build.get("error") or "") or None
    if state is ExecutionState.FAILED and not message:
        message = f"the image build ended in phase {build.get('phase')}"
    return Execution(
        ref=ref,
        state=state,
        status=str(build.get("phase") or ""),
        url=url,
        message=message,
        outputs={
            "repository": ref["repository"],
            "tags": texts_in(build.get("tags")),
            "digest": None,
            "image_ref": None,
        },
        started_at=parse_time(build.get("started")),
    )
