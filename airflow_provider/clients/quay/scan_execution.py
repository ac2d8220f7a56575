"""Turns a security scan of Quay into an Execution. No HTTP here."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider.clients.quay.fields import image_ref
from airflow_provider.clients.quay.scan_report import (
    ABSENT,
    UNFINISHED,
    UNFIT,
    Finding,
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
    present = [scan for scan in scans if scan.status != ABSENT]
    absent = [scan.digest for scan in scans if scan.status == ABSENT]
    state, message = _state_of(present, findings, limit)
    if absent:
        # Never ignored silently: an image that is not scanned may still be pulled from elsewhere.
        note = f"not scanned, because this registry does not have it: {', '.join(absent)}"
        message = f"{message}; {note}" if message else note
    return Execution(
        ref=ref,
        state=state,
        status=min(scans, key=_place_in_status).status,
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


def _state_of(present: Sequence[Scan], findings: Sequence[Finding], limit: str) -> tuple[ExecutionState, str | None]:
    """The state with its reason, by what the registry has.

    :param limit: the highest severity that passes.
    """
    if not present:
        return ExecutionState.FAILED, "this registry has none of its platforms"
    if unfit := [scan for scan in present if scan.status in UNFIT]:
        return ExecutionState.FAILED, "; ".join(f"{each.digest} cannot be scanned: {each.status}" for each in unfit)
    if above := [finding for finding in findings if rank(finding.severity) > rank(limit)]:
        return ExecutionState.FAILED, describe(above, limit)
    open_scans = [scan for scan in present if scan.status != "scanned"]
    if not open_scans:
        return ExecutionState.SUCCEEDED, None
    if all(scan.status in UNFINISHED for scan in open_scans):
        return ExecutionState.RUNNING, describe_open(open_scans)
    return ExecutionState.UNKNOWN, None


def _place_in_status(scan: Scan) -> int:
    """Of several scans, the status shown is that of the first one that lets nothing pass, or else is not done."""
    if scan.status in UNFIT:
        return 0
    return {"scanned": 2, ABSENT: 3}.get(scan.status, 1)
