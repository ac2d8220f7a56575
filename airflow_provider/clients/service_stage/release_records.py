"""The records of a release task's executions, which a region may not publish."""

from __future__ import annotations

from airflow_provider.clients.service_stage.wire import Objects, Wire, not_answered
from airflow_provider.exceptions import NotFoundError


def list_records(wire: Wire, pipeline_id: str) -> Objects:
    """
    :raises NotFoundError: there is no such release task, or the region does not publish its records.
    """
    return wire.objects_in(wire.get("/{pipeline_id}/records", pipeline_id=pipeline_id), "records")


def published_records(wire: Wire, pipeline_id: str) -> Objects | None:
    """The records; ``None`` if the region does not publish that call, which is newer than the others."""
    try:
        return list_records(wire, pipeline_id)
    except NotFoundError as error:
        code = error.code or ""
        if code.startswith("APIG"):
            return None
        raise (error if code.startswith("SVCSTG") else not_answered(error)) from None
