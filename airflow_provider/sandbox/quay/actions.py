"""Control actions: push an image, report a finding, script a scan, raise an event, issue a token."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from airflow_provider.sandbox.core.environment import Image
from airflow_provider.sandbox.quay import payloads
from airflow_provider.sandbox.quay.access import Directory
from airflow_provider.sandbox.quay.images import SCAN_STATES, SEVERITIES, Finding, Manifest, digest_of, findings_of
from airflow_provider.sandbox.quay.models import Repository
from airflow_provider.sandbox.quay.notifying import Notifying
from airflow_provider.sandbox.quay.state import State


class Actions:
    """Each method is an action; each raises ValueError for a wrong value."""

    def __init__(self, state: State, directory: Directory, notifying: Notifying, push: Callable[[Image], None]) -> None:
        self._state = state
        self._directory = directory
        self._notifying = notifying
        self._push = push

    def by_name(self) -> dict[str, Callable[..., Any]]:
        return {
            "push_image": self._push_image,
            "report_finding": self._report_finding,
            "set_scan": self._set_scan,
            "raise_event": self._raise_event,
            "issue_token": self._issue_token,
        }

    def _push_image(
        self,
        repository: str,
        tag: str,
        digest: str | None = None,
        size: int = 31_457_280,
        severities: list[str] | None = None,
        children: list[str] | None = None,
        labels: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        digest = digest or digest_of(f"{repository}:{tag}@{time.time_ns()}")
        self._push(Image(repository, tag, digest, size))
        manifest = self._state.repositories[repository].manifests[digest]
        if severities is not None:
            manifest.findings = findings_of(severities)
        manifest.children = children or []
        for key, value in (labels or {}).items():
            manifest.label(key, value, "manifest")
        return {"digest": digest}

    def _report_finding(self, repository: str, digest: str, severity: str, name: str, **details: str) -> dict[str, Any]:
        found, manifest = self._known(repository, digest)
        if severity not in SEVERITIES:
            raise ValueError(f"severity must be one of {', '.join(SEVERITIES)}, got {severity!r}")
        finding = Finding(name, severity, **details)
        manifest.findings.append(finding)
        self._notifying.report_finding(found, digest, finding)
        return {}

    def _set_scan(self, repository: str, digest: str, status: str) -> dict[str, Any]:
        if status not in SCAN_STATES:
            raise ValueError(f"status must be one of {', '.join(SCAN_STATES)}, got {status!r}")
        self._known(repository, digest)[1].scan_status = status
        return {}

    def _raise_event(self, repository: str, event: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if event not in payloads.EVENTS:
            raise ValueError(f"event must be one of {', '.join(payloads.EVENTS)}, got {event!r}")
        namespace, _, name = repository.partition("/")
        base = payloads.repository_body(self._state.switches["server_hostname"], namespace, name)
        self._notifying.raise_event(repository, event, base | (body or {}))
        return {}

    def _issue_token(self, user: str, scopes: list[str], expires_in: float | None = None) -> dict[str, Any]:
        expires = None if expires_in is None else self._state.now + expires_in
        return {"token": self._directory.issue(user, scopes, expires)}

    def _known(self, repository: str, digest: str) -> tuple[Repository, Manifest]:
        found = self._state.repositories.get(repository)
        if found is None or digest not in found.manifests:
            raise ValueError(f"quay has no image {digest} in {repository!r}")
        return found, found.manifests[digest]
