"""The field formats of Code Stream: times, links and the base fields of every stored object."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

API = "/codestream/api"


def new_id() -> str:
    return str(uuid.uuid4())


def project_id(project: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{project}.projects.sandbox"))


def micros(at: float) -> int:
    return round(at * 1_000_000)


def created_text(at: float) -> str:
    """``2019-09-16 09:25:38.065065+00``: an offset without minutes."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")


def unzoned_text(at: float) -> str:
    """``2019-09-23 13:48:54.483``: milliseconds, no zone."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def event_text(at: float) -> str:
    """``2019-09-18T07:38:25.907+0000``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


def base(
    *,
    id: str,  # noqa: A002
    name: str,
    project: str,
    prefix: str,
    created_at: float,
    updated_at: float,
    created_by: str,
    updated_by: str | None = None,
    description: str = "",
    switches: Mapping[str, Any],
) -> dict[str, Any]:
    """The base fields that every stored object has."""
    updated_by = updated_by or created_by
    updated = unzoned_text(updated_at) if switches["unzoned_updated_at"] else created_text(updated_at)
    fields = {
        "id": id,
        "name": name,
        "description": description,
        "project": project,
        "version": "v1",
        "_link": f"{API}/{prefix}/{id}",
        "createdAt": created_text(created_at),
        "createdBy": created_by,
        "updatedAt": updated,
        "updatedBy": updated_by,
        "_createTimeInMicros": micros(int(created_at)),
        "_updateTimeInMicros": micros(updated_at),
        "_createdBy": created_by,
        "_updatedBy": updated_by,
    }
    if switches["project_id_field"]:
        fields["_projectId"] = project_id(project)
    return fields


def execution_link(execution_id: str, form: str) -> str:
    """The link to an execution in one of the forms of the switch ``execution_links``."""
    forms = {
        "normal": f"{API}/executions/{execution_id}",
        "singular": f"codestream/api/execution/{execution_id}",
        "pipeline": f"/pipeline/api/executions/{execution_id}",
        "host": f"https://vra.example.com{API}/executions/{execution_id}",
    }
    return forms[form]


def tags_in_form(tags: list[Any], form: str) -> list[Any]:
    """Tags as strings, or as the key/value objects of the examples."""
    if form == "strings":
        return [f"{tag['key']}:{tag['value']}" if isinstance(tag, dict) else tag for tag in tags]
    return [tag if isinstance(tag, dict) else {"key": tag, "value": ""} for tag in tags]
