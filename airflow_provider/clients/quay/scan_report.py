"""Reads Quay's security reports: findings, their severities, and texts about them. No HTTP here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from airflow_provider.clients.quay.references import SEVERITIES

MOST_NAMED = 5
UNFIT = ("unsupported", "manifest_layer_too_large")
"""Final scan statuses of a manifest that was not and will not be scanned."""

UNFINISHED = ("queued", "failed", "unscanned")
"""Scan statuses that change by themselves; Quay retries a failed scan, and does not report when it gives up."""


ABSENT = "absent"
"""Used as a scan status for a platform that a manifest list names, but that this registry does not have."""


class Finding(msgspec.Struct, frozen=True):
    """:param package: name and version.
    :param fixed_by: version of the package that is not affected, "" if there is none.
    """

    name: str
    severity: str
    package: str
    fixed_by: str

    def __str__(self) -> str:
        fix = f"fixed by {self.fixed_by}" if self.fixed_by else "no fix"
        return f"{self.name} ({self.severity}, {self.package}, {fix})"


class Scan(msgspec.Struct, frozen=True):
    """The scan of one manifest: its status in Quay's words and, once scanned, what was found."""

    digest: str
    status: str
    findings: tuple[Finding, ...] = ()


def rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def findings_of(report: Mapping[str, Any]) -> tuple[Finding, ...]:
    """:param report: ``data`` of a scanned manifest.
    :raises KeyError, TypeError: it is invalid; an unreadable report must not count as one without findings.
    """
    return tuple(
        Finding(
            str(vulnerability.get("Name") or "?"),
            str(vulnerability.get("Severity") or "Unknown"),
            f"{feature.get('Name') or '?'} {feature.get('Version') or ''}".strip(),
            str(vulnerability.get("FixedBy") or ""),
        )
        for feature in report["Layer"]["Features"]
        for vulnerability in feature.get("Vulnerabilities") or []
    )


def worst_first(scans: Iterable[Scan]) -> list[Finding]:
    """All findings, each once, although the platforms of an image share most of them."""
    unique = dict.fromkeys(finding for scan in scans for finding in scan.findings)
    return sorted(unique, key=lambda finding: (-rank(finding.severity), finding.name, finding.package))


def count_by_severity(findings: Sequence[Finding]) -> dict[str, int]:
    """Counts of the severities that occur, from the worst on."""
    return dict(Counter(finding.severity for finding in findings))


def describe(findings: Sequence[Finding], limit: str) -> str:
    named = "; ".join(str(finding) for finding in findings[:MOST_NAMED])
    more = f"; and {len(findings) - MOST_NAMED} more" if len(findings) > MOST_NAMED else ""
    return f"{len(findings)} finding{'s' * (len(findings) != 1)} above {limit}: {named}{more}"


def describe_open(scans: Sequence[Scan]) -> str:
    """The statuses of scans that are not done."""
    named = "; ".join(f"{scan.digest} is {scan.status}" for scan in scans[:MOST_NAMED])
    more = f"; and {len(scans) - MOST_NAMED} more" if len(scans) > MOST_NAMED else ""
    retried = any(scan.status == "failed" for scan in scans)
    return named + more + (" (Quay retries a failed scan, and does not report when it gives up)" if retried else "")
