"""The bodies of Quay's webhooks, real and test ones, and which events a notification lets through.

The worker delivers them.
"""

from __future__ import annotations

import re
from typing import Any

from airflow_provider.sandbox.quay.images import SEVERITIES, Finding
from airflow_provider.sandbox.quay.models import Repository

EVENTS = (
    "repo_push",
    "build_queued",
    "build_start",
    "build_success",
    "build_failure",
    "build_cancelled",
    "vulnerability_found",
    "repo_mirror_sync_started",
    "repo_mirror_sync_success",
    "repo_mirror_sync_failed",
    "repo_image_expiry",
    "quota_warning",
    "quota_error",
)
_SAMPLE_TRIGGER = {
    "default_branch": "master",
    "ref": "refs/heads/somebranch",
    "commit": "42d4a62c53350993ea41069e9f2cfdefb0df097d",
}


def repository_body(server: str, namespace: str, name: str, subpage: str = "") -> dict[str, Any]:
    """The keys that every repository event has."""
    path = f"{namespace}/{name}"
    return {
        "repository": path,
        "namespace": namespace,
        "name": name,
        "docker_url": f"{server}/{path}",
        "homepage": f"http://{server}/repository/{path}{subpage}",
    }


def push_body(server: str, repository: Repository, tags: list[str]) -> dict[str, Any]:
    return repository_body(server, repository.namespace, repository.name) | {"updated_tags": tags}


def finding_body(server: str, repository: Repository, tags: list[str], finding: Finding) -> dict[str, Any]:
    return repository_body(server, repository.namespace, repository.name) | {
        "tags": tags[:100],
        "vulnerability": {
            "id": finding.name,
            "description": finding.description,
            "link": finding.link or f"https://cve.example.com/{finding.name}",
            "priority": finding.severity,
            "has_fix": bool(finding.fixed_by),
        },
    }


def test_body(event: str, server: str, namespace: str, name: str, config: dict[str, Any], now: float) -> dict[str, Any]:
    """The body of a test delivery. Nothing in it marks it as a test."""
    if event in ("quota_warning", "quota_error"):
        return _quota_body(event, server, namespace)
    if event.startswith("build_"):
        base = repository_body(server, namespace, name, "/build/fake-build-id")
        return base | _test_build(event, now)
    base = repository_body(server, namespace, name)
    if event == "repo_push":
        return base | {"updated_tags": ["latest", "foo"], "pruned_image_count": 3}
    if event == "vulnerability_found":
        return base | {
            "tags": ["latest", "prod", "foo", "bar", "baz"],
            "image": "some-image-id",
            "vulnerability": {
                "id": "CVE-FAKE-CVE",
                "description": "A futurist vulnerability",
                "link": "https://security-tracker.debian.org/tracker/CVE-FAKE-CVE",
                "priority": _level_name(config.get("level")),
            },
        }
    if event == "repo_image_expiry":
        return base | {"tags": ["latest", "v1"], "expiring_in": f"{config.get('days')} days"}
    return base | {"message": "TEST NOTIFICATION"}


def _test_build(event: str, now: float) -> dict[str, Any]:
    names = {"build_id": "fake-build-id", "build_name": "some-fake-build", "docker_tags": ["latest", "foo", "bar"]}
    commit_info = {
        "url": "http://path/to/the/commit",
        "message": "Some commit message",
        "date": float(int(now)),
        "author": {
            "username": "fakeauthor",
            "url": "http://path/to/fake/author/in/scm",
            "avatar_url": "http://www.gravatar.com/avatar/fakehash",
        },
    }
    trigger = {"trigger_id": "1245634", "trigger_kind": "GitHub", "trigger_metadata": dict(_SAMPLE_TRIGGER)}
    detailed = _SAMPLE_TRIGGER | {"commit_info": commit_info}
    if event == "build_queued":
        return {"is_manual": False} | names | trigger | {"trigger_metadata": detailed}
    if event == "build_failure":
        return names | {
            "trigger_kind": "GitHub",
            "error_message": "This is a fake error message",
            "trigger_id": "1245634",
            "trigger_metadata": detailed,
        }
    body = names | trigger
    return body if event == "build_start" else body | {"image_id": "1245657346"}


def _quota_body(event: str, server: str, namespace: str) -> dict[str, Any]:
    base: dict[str, Any] = {"namespace": namespace, "homepage": f"http://{server}/organization/{namespace}"}
    if event == "quota_warning":
        numbers = (80, 858993459, 1073741824, 80, "819.20 MB", "1.00 GB")
    else:
        numbers = (100, 1127428915, 1073741824, 105, "1.05 GB", "1.00 GB")
    keys = (
        "threshold_percent",
        "usage_bytes",
        "limit_bytes",
        "usage_percent",
        "usage_bytes_formatted",
        "limit_bytes_formatted",
    )
    return base | dict(zip(keys, numbers, strict=True))


def _level_name(level: Any) -> str:
    try:
        return SEVERITIES[int(level)]
    except (TypeError, ValueError, IndexError):
        return "Unknown"


def lets_through(event: str, config: dict[str, Any], body: dict[str, Any]) -> bool:
    """Whether the notification's ``eventConfig`` passes this event.

    :raises ValueError: for a ``level`` that is not a number, which also breaks the real worker
    """
    if event == "vulnerability_found" and config.get("level") is not None:
        priority = body["vulnerability"]["priority"]
        found = SEVERITIES.index(priority) if priority in SEVERITIES else len(SEVERITIES) - 1
        return found <= int(config["level"])
    if event.startswith("build_") and config.get("ref-regex"):
        ref = body.get("trigger_metadata", {}).get("ref")
        try:
            return bool(ref and re.compile(config["ref-regex"]).match(ref))
        except (re.error, TypeError):
            return False
    return True


def passes_first_filter(configs: list[dict[str, Any]], finding: Finding) -> bool:
    """Quay drops findings below Critical unless a notification asks for less by ``vulnerability.priority``."""
    if finding.severity == "Critical":
        return True
    wanted = [(config.get("vulnerability") or {}).get("priority") for config in configs]
    limits = [SEVERITIES.index(priority) for priority in wanted if priority in SEVERITIES]
    return any(SEVERITIES.index(finding.severity) <= limit for limit in limits)
