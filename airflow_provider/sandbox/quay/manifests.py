"""Manifests, their labels, and the security scan that belongs to a digest."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from airflow_provider.sandbox.quay.replies import Abort, Problem, no_content, not_found, result, ui_not_found
from airflow_provider.sandbox.quay.store import Manifest

if TYPE_CHECKING:
    from airflow_provider.sandbox.quay.calls import Call

SCAN_SECONDS = 4.0
SCAN_STATES = ("queued", "scanned", "failed", "failed_then_scanned", "unsupported", "manifest_layer_too_large")
RESERVED_PREFIXES = ("com.docker.", "io.docker.", "org.dockerproject.", "org.opencontainers.", "io.cncf.")
LABEL_SCHEMA = {
    "type": "object",
    "description": "Adds a label to a manifest",
    "required": ["key", "value", "media_type"],
    "properties": {
        "key": {"type": "string"},
        "value": {"type": "string"},
        "media_type": {"type": ["string", "null"], "enum": ["text/plain", "application/json", None]},
    },
}


def _manifest(call: Call, dead_too: bool = False) -> Manifest:
    repository = call.found
    manifest = repository.manifests.get(call.params["digest"])
    if manifest is None or not (dead_too or repository.is_tagged(manifest.digest, call.now)):
        raise not_found()
    return manifest


def get(call: Call) -> Response:
    return result(_manifest(call).view())


def labels(call: Call) -> Response:
    wanted = call.query("filter")
    found = [each for each in _manifest(call).labels.values() if each["key"].startswith(wanted)]
    return result({"labels": found})


def add_label(call: Call) -> Response:
    manifest = _manifest(call)
    body = call.json(LABEL_SCHEMA)
    if body["key"].startswith(RESERVED_PREFIXES):
        raise Abort(400, "Label has a reserved prefix")
    made: dict[str, Any] = {"id": str(uuid.uuid4())} | {key: body[key] for key in ("key", "value")}
    made |= {"source_type": "api", "media_type": body["media_type"] or "text/plain"}
    manifest.labels[made["id"]] = made
    return result({"label": made}, 201)


def label(call: Call) -> Response:
    found = _manifest(call).labels.get(call.params["label"])
    if found is None:
        raise not_found()
    return result(found)


def delete_label(call: Call) -> Response:
    if _manifest(call).labels.pop(call.params["label"], None) is None:
        raise not_found()
    return no_content()


def security(call: Call) -> Response:
    """``vulnerabilities=false`` changes nothing, as on the server."""
    switches = call.system.switches
    if not switches["security_scanner"]:
        return ui_not_found()
    manifest = _manifest(call, dead_too=True)
    if switches["scanner_down"]:
        raise Problem("downstream_issue", "Security scanner is not available")
    status = scan_status(manifest, switches["scan_status"], call.now, call.system.world.clock.pace(SCAN_SECONDS))
    return result({"status": status, "data": _report(manifest) if status == "scanned" else None})


def scan_status(manifest: Manifest, scripted: str, now: float, seconds: float) -> str:
    """:param scripted: how scans go when the manifest itself has no script
    :param seconds: how long a scan takes
    """
    if manifest.is_list:
        return "unsupported"
    script = manifest.scan_status or scripted
    if now < manifest.pushed + seconds:
        return "queued"
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
