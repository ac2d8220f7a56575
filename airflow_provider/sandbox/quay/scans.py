"""The route of security scans: their status, which depends on the age of an image, and their report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.quay.images import Manifest
from airflow_provider.sandbox.quay.manifests import ROOT, manifest_of
from airflow_provider.sandbox.quay.refusals import Problem, not_found
from airflow_provider.sandbox.quay.results import result
from airflow_provider.sandbox.quay.rules import READ
from airflow_provider.sandbox.quay.state import State

SCAN_SECONDS = 4.0
LIST_SECONDS = 1.0


class Scans:
    def __init__(self, state: State) -> None:
        self._state = state

    def add_routes(self, router: Router) -> None:
        router.add("GET HEAD", f"{ROOT}/security", self._get, READ)

    def _get(self, call: Call) -> Response:
        """Ignores ``vulnerabilities=false``, as the server does."""
        if not call.switches["security_scanner"]:
            raise not_found()
        manifest = manifest_of(call, self._state, untagged_too=True)
        if call.switches["scanner_down"]:
            raise Problem("downstream_issue", "Security scanner is not available")
        status = self._status(manifest, call.switches, call.now)
        return result({"status": status, "data": _report(manifest) if status == "scanned" else None})

    def _status(self, manifest: Manifest, switches: Mapping[str, Any], now: float) -> str:
        nominal = LIST_SECONDS if manifest.is_list else SCAN_SECONDS
        seconds = self._state.clock.pace(nominal)
        if now < manifest.pushed + seconds:
            return "queued"
        if manifest.is_list:
            return "unsupported"
        script = str(manifest.scan_status or switches["scan_status"])
        if script == "failed_then_scanned":
            return "failed" if now < manifest.pushed + 2 * seconds else "scanned"
        return script


def _report(manifest: Manifest) -> dict[str, Any]:
    names = list(dict.fromkeys([finding.feature for finding in manifest.findings])) or ["openssl"]
    features = []
    for name in names:
        found = [finding for finding in manifest.findings if finding.feature == name]
        features.append(
            {
                "Name": name,
                "VersionFormat": "",
                "NamespaceName": "",
                "AddedBy": manifest.digest,
                "Version": "3.0.11-1",
                "BaseScores": [],
                "CVEIds": [finding.name for finding in found],
                "Vulnerabilities": [finding.view() for finding in found],
            }
        )
    layer = {
        "Name": manifest.digest,
        "ParentName": "",
        "NamespaceName": "",
        "IndexedByVersion": 4,
        "Features": features,
    }
    return {"Layer": layer}
