"""Manifests, their labels, and the security scan that belongs to a digest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from airflow_provider.sandbox.quay.replies import Abort, Problem, no_content, not_found, result
from airflow_provider.sandbox.quay.store import Manifest

if TYPE_CHECKING:
    from airflow_provider.sandbox.quay.calls import Call

SCAN_SECONDS = 4.0
SCAN_STATES = ("queued", "scanned", "failed", "failed_then_scanned", "unsupported", "manifest_layer_too_large")
LIST_SECONDS = 1.0
RESERVED_PREFIXES = ("com.docker.", "io.docker.", "org.dockerproject.", "org.opencontainers.", "io.cncf.", "quay.")
LABEL_KEY = r"^[a-z0-9](([a-z0-9]|[-.](?![.-]))*[a-z0-9])?$"
LABEL_SCHEMA = {
    "type": "object",
    "description": "Adds a label to a manifest",
    "required": ["key", "value", "media_type"],
    "properties": {
        "key": {"type": "string", "description": "The key for the label"},
        "value": {"type": "string", "description": "The value for the label"},
        "media_type": {
            "type": ["string", "null"],
            "description": "The media type for this label",
            "enum": ["text/plain", "application/json", None],
        },
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
    if not re.match(LABEL_KEY, body["key"]):
        raise Abort(400, f"Label is of an invalid format or missing please use {LABEL_KEY} format for labels")
    if body["key"].startswith(RESERVED_PREFIXES):
        raise Abort(400, "Label has a reserved prefix")
    made = manifest.label(body["key"], body["value"], "api", body["media_type"] or "text/plain")
    place = f"{call.request.scope['root_path']}/api/v1/repository/{call.found.path}/manifest/{manifest.digest}"
    return result({"label": made}, 201, {"location": f"{place}/labels/{made['id']}"})


def label(call: Call) -> Response:
    found = _manifest(call).labels.get(call.params["label"])
    if found is None:
        raise not_found()
    return result(found)


def delete_label(call: Call) -> Response:
    labels, wanted = _manifest(call).labels, call.params["label"]
    if wanted not in labels:
        raise not_found()
    if labels[wanted]["source_type"] == "manifest":
        raise Abort(400, "Cannot delete immutable label")
    del labels[wanted]
    return no_content()


def security(call: Call) -> Response:
    """``vulnerabilities=false`` changes nothing, as on the server."""
    switches = call.system.switches
    if not switches["security_scanner"]:
        raise not_found()
    manifest = _manifest(call, dead_too=True)
    if switches["scanner_down"]:
        raise Problem("downstream_issue", "Security scanner is not available")
    status = scan_status(manifest, switches["scan_status"], call.now, call.system.world.clock.pace(SCAN_SECONDS))
    return result({"status": status, "data": _report(manifest) if status == "scanned" else None})


def scan_status(manifest: Manifest, scripted: str, now: float, seconds: float) -> str:
    """:param scripted: how scans go when the manifest itself has no script
    :param seconds: how long a scan takes
    """
    if now < manifest.pushed + (seconds * LIST_SECONDS / SCAN_SECONDS if manifest.is_list else seconds):
        return "queued"
    if manifest.is_list:
        return "unsupported"
    script = manifest.scan_status or scripted
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
