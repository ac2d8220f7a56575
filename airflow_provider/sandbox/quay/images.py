"""The images of a repository: manifests with their labels and findings, and the history of its tags."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

OCI = "application/vnd.oci.image"
SEVERITIES = ("Critical", "High", "Medium", "Low", "Negligible", "Unknown")
SCAN_STATES = ("queued", "scanned", "failed", "failed_then_scanned", "unsupported", "manifest_layer_too_large")


@dataclass
class Finding:
    name: str
    severity: str
    feature: str = "openssl"
    fixed_by: str = ""
    link: str = ""
    description: str = ""

    def view(self) -> dict[str, Any]:
        return {
            "Name": self.name,
            "Severity": self.severity,
            "FixedBy": self.fixed_by,
            "Link": self.link or f"https://cve.example.com/{self.name}",
            "Description": self.description,
            "NamespaceName": "debian:12",
            "Metadata": {"NVD": {"CVSSv3": {"Score": 0.0, "Vectors": ""}}},
        }


@dataclass
class Manifest:
    """``scan_status`` None follows the switches; ``pushed`` is in epoch seconds, ``size`` in bytes."""

    digest: str
    size: int
    pushed: float
    findings: list[Finding] = field(default_factory=list)
    children: list[str] = field(default_factory=list)
    labels: dict[str, dict[str, Any]] = field(default_factory=dict)
    scan_status: str | None = None

    @property
    def is_list(self) -> bool:
        return bool(self.children)

    def label(self, key: str, value: str, source: str, media_type: str = "text/plain") -> dict[str, Any]:
        """Adds a label, also if an equal one exists.

        :param source: ``api``, or ``manifest`` for a label of the image itself
        """
        made = {"id": str(uuid.uuid4()), "key": key, "value": value, "source_type": source, "media_type": media_type}
        self.labels[made["id"]] = made
        return made

    def view(self) -> dict[str, Any]:
        return {
            "digest": self.digest,
            "is_manifest_list": self.is_list,
            "manifest_data": json.dumps(self._data()),
            "config_media_type": None if self.is_list else f"{OCI}.config.v1+json",
            "layers_compressed_size": None if self.is_list else self.size,
            "layers": None if self.is_list else [self._layer()],
        }

    def _data(self) -> dict[str, Any]:
        if self.is_list:
            media = f"{OCI}.index.v1+json"
            return {"schemaVersion": 2, "mediaType": media, "manifests": [{"digest": child} for child in self.children]}
        config = {"mediaType": f"{OCI}.config.v1+json", "digest": self.digest, "size": 300}
        layer = {"mediaType": f"{OCI}.layer.v1.tar+gzip", "digest": self.digest, "size": self.size}
        return {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": config,
            "layers": [layer],
        }

    def _layer(self) -> dict[str, Any]:
        return {
            "index": 0,
            "compressed_size": self.size,
            "is_remote": False,
            "urls": None,
            "command": ["COPY . /app"],
            "comment": None,
            "author": None,
            "blob_digest": self.digest,
            "created_datetime": formatdate(self.pushed),
        }


@dataclass
class TagEntry:
    """One entry in the history of a tag. ``end`` is None while it is current; ``expiration`` is its scheduled end."""

    name: str
    digest: str
    start: float
    end: float | None = None
    reversion: bool = False
    expiration: float | None = None
    immutable: bool = False

    def living(self, now: float) -> bool:
        return self.end is None and (self.expiration is None or self.expiration > now)

    def view(self, manifest: Manifest, with_immutable: bool) -> dict[str, Any]:
        body: dict[str, Any] = {
            "name": self.name,
            "reversion": self.reversion,
            "start_ts": int(self.start),
            "manifest_digest": self.digest,
            "is_manifest_list": manifest.is_list,
            "size": None if manifest.is_list else manifest.size,
            "last_modified": formatdate(self.start),
        }
        if with_immutable:
            body["immutable"] = self.immutable
        end = self.end if self.end is not None else self.expiration
        if end is not None:
            body |= {"end_ts": int(end), "expiration": formatdate(end)}
        if manifest.is_list:
            body |= {
                "is_sparse": False,
                "child_manifest_count": len(manifest.children),
                "present_child_count": len(manifest.children),
                "child_manifests_presence": dict.fromkeys(manifest.children, True),
            }
        return body


def findings_of(severities: Iterable[str]) -> list[Finding]:
    """A vulnerability of each severity."""
    return [
        Finding(f"CVE-2026-{1000 + number}", severity, description="A vulnerability of the sandbox")
        for number, severity in enumerate(severities)
    ]


def digest_of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
