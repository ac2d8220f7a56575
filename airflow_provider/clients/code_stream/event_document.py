"""Reads the document of a trigger event: when it arrived, what it matches, which execution it started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from airflow_provider.clients.code_stream.fields import Document, as_text, first_time, id_from_link, without_secrets
from airflow_provider.execution import ExecutionRef

_SAME_ORIGIN = {
    "docker": ("pipeline", "project", "repo", "repoNamespace", "imageName", "tag"),
    "git": ("pipeline", "project", "repo", "targetBranch", "commitId"),
    "gerrit": ("pipeline", "project", "trigger", "changeNumber", "patchSetNumber"),
}


def event_time(event: Document) -> datetime | None:
    """When the event came in; the vendor's field in microseconds lacks the fraction of the second."""
    return first_time(event, "createdAt", "_createTimeInMicros", "timeStampInMicros", "createdOn")


def matches(event: Document, filters: Mapping[str, Any], since: datetime | None) -> bool:
    """Whether every field in ``filters`` is equal as text, and the event is not older than ``since``."""
    if any(name not in event or not _is_same(event[name], value) for name, value in filters.items()):
        return False
    return since is None or is_since(event, since)


def _is_same(field: Any, wanted: Any) -> bool:
    text = as_text(wanted)
    return as_text(field) == (text.lower() if isinstance(field, bool) else text)


def is_since(event: Document, since: datetime) -> bool:
    moment = event_time(event)
    return moment is not None and moment >= since.replace(microsecond=0)


def came_from_rerun(event_type: str, event: Document, original: Document) -> bool:
    """Whether an event is another one of the same push or image: some servers create a new event for a rerun."""
    return event.get("id") != original.get("id") and all(
        as_text(event.get(name)) == as_text(original.get(name)) for name in _SAME_ORIGIN[event_type]
    )


def was_triggered_by_hand(event: Document, change_id: str, project: str, trigger: str) -> bool:
    """Whether a Gerrit event may come from a manual trigger of this change."""
    if (event.get("project"), event.get("trigger")) != (project, trigger) or event.get("triggerType") == "AUTOMATIC":
        return False
    properties = event.get("properties") or {}
    names = (properties.get("GERRIT_CHANGE_ID"), properties.get("GERRIT_CHANGE_NUMBER"), event.get("changeNumber"))
    # Gerrit also accepts "project~branch~id".
    return change_id.rpartition("~")[2] in {as_text(name) for name in names}


def linked_execution(event: Document) -> str:
    """The id of the execution that an event points to, "" for none."""
    return id_from_link(event.get("executionLink"))


def has_moved(event: Document, ref: ExecutionRef) -> bool:
    """Whether an event points to another execution than before its rerun."""
    now = linked_execution(event)
    if not now or now != id_from_link(ref.get("link_before")):
        return bool(now)
    index, index_before = as_text(event.get("executionIndex")), ref.get("index_before", "")
    return bool(index and index_before) and index != index_before


def shown(event: Document, redact: Callable[[str], str]) -> dict[str, Any]:
    """An event for XCom and asset events: without its secrets, also in its message."""
    fields: dict[str, Any] = without_secrets(event)
    if isinstance(fields.get("message"), str):
        fields["message"] = redact(fields["message"])
    return fields


def delivery_error(event_type: str, event: Document) -> str | None:
    """Why an event started nothing. The message of a Gerrit event is a general text, not a sign of an error."""
    said = event.get("message")
    return str(said) if said and event_type != "gerrit" else None
