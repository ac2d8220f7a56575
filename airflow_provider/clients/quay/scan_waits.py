"""Waits for a security scan of Quay: of one manifest, or of each platform of a manifest list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from airflow_provider.clients.decoding import loads
from airflow_provider.clients.quay import tag_execution
from airflow_provider.clients.quay.manifests import Manifests
from airflow_provider.clients.quay.references import SCAN, SEVERITIES
from airflow_provider.clients.quay.scan_execution import execution_of
from airflow_provider.clients.quay.scan_report import ABSENT, Scan, findings_of
from airflow_provider.clients.quay.scans import Scans
from airflow_provider.clients.quay.tags import Tags
from airflow_provider.clients.quay.watched import Watched
from airflow_provider.clients.quay.wire import Wire
from airflow_provider.exceptions import Effect, NotFoundError
from airflow_provider.execution import Execution, ExecutionRef


class ScanWaits(Watched):
    """References hold the ``repository``, the ``digest`` or the ``tag``, and ``max_severity``."""

    kind: ClassVar[str] = SCAN

    def __init__(self, wire: Wire, *, scans: Scans, manifests: Manifests, tags: Tags) -> None:
        self._wire, self._scans, self._manifests, self._tags = wire, scans, manifests, tags

    def observe(self, ref: ExecutionRef) -> Execution:
        ref = self._wire.with_exact_digest(ref)
        repository, tag, digest = ref["repository"], ref["tag"], ref["digest"]
        if ref["max_severity"] not in SEVERITIES:
            raise self._wire.bad_request(f"max_severity must be one of {', '.join(SEVERITIES)}")
        if not digest:
            found = self._tags.find(repository, tag)
            if found is None:
                return tag_execution.execution_of(None, ref, self._wire.registry, self._wire.page(ref))
            digest = str(found["manifest_digest"])
        scans, ref = self._scans_of(repository, digest), {**ref, "digest": digest}
        return execution_of(scans, ref, self._wire.registry, self._wire.page(ref))

    def group(self, ref: ExecutionRef) -> str | None:
        return f"scans of {ref.get('repository')}: {ref.get('digest') or ref.get('tag')}"

    def _scans_of(self, repository: str, digest: str) -> list[Scan]:
        scan = self._scan(repository, digest)
        if scan.status == "unsupported" and (platforms := self._platforms(repository, digest)):
            return [self._scan_of_platform(repository, each) for each in platforms]
        return [scan]

    def _scan(self, repository: str, digest: str) -> Scan:
        try:
            answer = self._scans.get(repository, digest)
        except NotFoundError as error:
            if error.effect is not Effect.REFUSED:
                raise
            self._manifests.get(repository, digest)
            raise NotFoundError(
                f"this Quay has manifest {digest} but no security scans: its scanner is switched off", call=error.call
            ) from None
        status = str(answer.get("status"))
        if status != "scanned":
            return Scan(digest, status)
        try:
            return Scan(digest, status, findings_of(answer["data"] or {}))
        except (KeyError, TypeError, AttributeError):
            path = self._wire.manifest_path(repository, digest) + "/security"
            raise self._wire.unexpected(path, "the scan is done, but its report cannot be read") from None

    def _scan_of_platform(self, repository: str, digest: str) -> Scan:
        try:
            return self._scan(repository, digest)
        except NotFoundError as error:
            # If the manifest itself was not found, the manifest list is sparse: it names manifests that are not here.
            if error.effect is not Effect.REFUSED or (error.path or "").endswith("/security"):
                raise
            return Scan(digest, ABSENT)

    def _platforms(self, repository: str, digest: str) -> list[str]:
        """The manifests in a manifest list, without those that are only attestations for others."""
        manifest = self._manifests.get(repository, digest)
        if not manifest.get("is_manifest_list"):
            return []
        try:
            entries: list[Mapping[str, Any]] = loads(manifest["manifest_data"])["manifests"]
            return [
                str(entry["digest"])
                for entry in entries
                if "vnd.docker.reference.type" not in (entry.get("annotations") or {})
            ]
        except (KeyError, TypeError, ValueError, AttributeError):
            path = self._wire.manifest_path(repository, digest)
            raise self._wire.unexpected(path, "the manifest list cannot be read") from None
