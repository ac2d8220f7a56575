"""How an image build, a tag and a security scan of Quay become Executions. No HTTP here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider.clients.quay.answers import parse_time, texts_in
from airflow_provider.clients.quay.scans import (
    ABSENT,
    UNFINISHED,
    UNFIT,
    Scan,
    count_by_severity,
    describe,
    describe_open,
    rank,
    worst_first,
)
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

Json = dict[str, Any]

SYSTEM = "quay"
BUILD, TAG, SCAN = "build", "tag", "scan"

# `internalerror` is queued again by Quay; `cannot_load` says nothing about the build, only that its log store is away.
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


def state_of(build: Json) -> ExecutionState:
    return _PHASES.get(str(build.get("phase")), ExecutionState.UNKNOWN)


def build_reference(repository: str, build_id: str) -> ExecutionRef:
    return {"system": SYSTEM, "kind": BUILD, "id": build_id, "repository": repository}


def image_ref(registry: str, repository: str, digest: str | None) -> str | None:
    """The image pinned by its digest; :param registry: host and port."""
    return f"{registry}/{repository}@{digest}" if digest else None


def build_execution(build: Json, ref: ExecutionRef, url: str) -> Execution:
    """:param url: where a person sees the build. The digest is not in a build: whoever has read the tag adds it."""
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


def tag_execution(tag: Json | None, ref: ExecutionRef, registry: str, url: str) -> Execution:
    """:param tag: as listed, ``None`` while there is none of that name."""
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


def scan_execution(scans: Sequence[Scan], ref: ExecutionRef, registry: str, url: str) -> Execution:
    """:param scans: of the manifest that ``ref`` has as its digest, or of each platform of a manifest list."""
    limit, digest = ref["max_severity"], ref["digest"]
    findings = worst_first(scans)
    above = [finding for finding in findings if rank(finding.severity) > rank(limit)]
    present = [scan for scan in scans if scan.status != ABSENT]
    absent = [scan.digest for scan in scans if scan.status == ABSENT]
    open_scans = [scan for scan in present if scan.status != "scanned"]
    unfit = [scan for scan in open_scans if scan.status in UNFIT]
    message = None
    if not present:
        state, message = ExecutionState.FAILED, "this registry holds none of its platforms"
    elif unfit:
        state = ExecutionState.FAILED
        message = "; ".join(f"{scan.digest} cannot be scanned: {scan.status}" for scan in unfit)
    elif above:
        state, message = ExecutionState.FAILED, describe(above, limit)
    elif not open_scans:
        state = ExecutionState.SUCCEEDED
    elif all(scan.status in UNFINISHED for scan in open_scans):
        state, message = ExecutionState.RUNNING, describe_open(open_scans)
    else:
        state = ExecutionState.UNKNOWN
    if absent:
        # Never passed over in silence: what is not scanned may still be pulled from elsewhere.
        note = f"not scanned, because this registry does not hold it: {', '.join(absent)}"
        message = f"{message}; {note}" if message else note
    return Execution(
        ref=ref,
        state=state,
        status=(unfit or open_scans or present or list(scans))[0].status,
        url=url,
        message=message,
        outputs={
            "repository": ref["repository"],
            "tag": ref["tag"] or None,
            "digest": digest,
            "severities": count_by_severity(findings),
            "highest": findings[0].severity if findings else None,
            "max_severity": limit,
            "image_ref": image_ref(registry, ref["repository"], digest),
        },
    )
