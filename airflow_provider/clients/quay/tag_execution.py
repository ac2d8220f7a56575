"""Turns a tag of Quay into an Execution, which has succeeded once the tag exists. No HTTP here."""

from __future__ import annotations

from airflow_provider.clients.quay.fields import Document, image_ref, parse_time
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState


def execution_of(tag: Document | None, ref: ExecutionRef, registry: str, url: str | None) -> Execution:
    """:param tag: as listed, ``None`` while there is none of that name.
    :param url: of its page, for people.
    """
    name, wanted = ref["tag"], ref["digest"]
    if tag is None:
        return Execution(ref, ExecutionState.RUNNING, "missing", url, f"there is no tag {name!r} yet")
    digest = str(tag["manifest_digest"])
    if wanted and digest != wanted:
        return Execution(ref, ExecutionState.RUNNING, "other_digest", url, f"tag {name!r} still points to {digest}")
    modified = parse_time(tag.get("last_modified"))
    outputs = {
        "repository": ref["repository"],
        "tag": name,
        "digest": digest,
        "image_ref": image_ref(registry, ref["repository"], digest),
        "last_modified": modified.isoformat() if modified else None,
        "size": tag.get("size"),
    }
    return Execution(ref, ExecutionState.SUCCEEDED, "present", url, outputs=outputs)
