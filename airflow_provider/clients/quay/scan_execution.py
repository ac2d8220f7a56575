"""Turns a security scan of Quay into an Execution. No HTTP here."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider.clients.quay.fields import image_ref
from airflow_provider.clients.quay.scan_report import (
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


def execution_of(scans: Sequence[Scan], ref: ExecutionRef, registry: str, url: str | None) -> Execution:
    """:param scans: of the manifest that ``ref`` names by its digest, or of each platform of a manifest list.
    :param url: of its page, for people.
    """
    limit, digest = ref["max_severity"], ref["digest"]
    findings = worst_first(scans)
    above = [finding for finding in findings if rank(finding.severity) > rank(limit)]
    present = [scan for scan in scans if scan.status != ABSENT]
    absent = [scan.digest for scan in scans if scan.status == ABSENT]
    open_scans = [scan for scan in present if scan.status != "scanned"]
    unfit = [scan for scan in open_scans if scan.status in UNFIT]
    message = None
    if not present:
        state, message = ExecutionState.FAILED, "this registry has none of its platforms"
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
        # Never ignored silently: an image that is not scanned may still be pulled from elsewhere.
        note = f"not scanned, because this registry does not have it: {', '.join(absent)}"
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
