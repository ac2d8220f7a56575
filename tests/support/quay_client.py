"""The Quay client at the sandbox or at a script, and the documents that Quay answers with."""

from __future__ import annotations

import time
from typing import Any

from airflow_provider.clients.quay import QuayClient
from airflow_provider.execution import Execution
from airflow_provider.sandbox import seed
from tests.support.control import SystemControl
from tests.support.scripted import Scripted
from tests.support.until import until

SHOP = "acme/shop"
ARCHIVE = "https://git.example.com/shop/1.4.2.tar.gz"
UUID = "11111111-2222-3333-4444-555555555555"
DIGEST, OTHER_DIGEST = "sha256:" + "a" * 64, "sha256:" + "b" * 64
TOKEN = "scripted-token-of-forty-characters-000000"


class Stand(SystemControl):
    """The stand-in, fresh, and clients for it."""

    system = "quay"

    def client(self, **options: Any) -> QuayClient:
        return QuayClient(f"{self.url}/quay", **{"token": seed.QUAY_TOKEN, "attempts": 1, **options})

    def push(self, tag: str, **values: Any) -> str:
        return str(self.act("push_image", repository=SHOP, tag=tag, **values)["digest"])

    def force(self, build_id: str, phase: str) -> None:
        self.post(f"executions/quay/{build_id}", state=phase)

    def requests(self, method: str | None = None) -> list[str]:
        """Without what all paths begin with."""
        return [each.replace("/quay/api/v1/repository/acme/shop", "", 1) for each in super().requests(method)]


def scripted_client(scripted: Scripted, *script: Any, **options: Any) -> QuayClient:
    scripted.script = [step if isinstance(step, tuple) or callable(step) else (200, {}, step) for step in script]
    return QuayClient(scripted.url, **{"token": TOKEN, "attempts": 1, **options})


def ended(client: QuayClient, execution: Execution) -> Execution:
    return until(lambda: client.observe(execution.ref), lambda seen: seen.state.is_terminal)


def build_ref(build_id: str = "b1") -> dict[str, str]:
    return {"system": "quay", "kind": "build", "id": build_id, "repository": SHOP}


def tag_ref(tag: str, digest: str = "") -> dict[str, str]:
    return {"system": "quay", "kind": "tag", "id": tag, "repository": SHOP, "tag": tag, "digest": digest}


def scan_ref(digest: str = "", tag: str = "", max_severity: str = "High") -> dict[str, str]:
    identity = {"system": "quay", "kind": "scan", "id": digest or tag, "repository": SHOP}
    return identity | {"tag": tag, "digest": digest, "max_severity": max_severity}


def build_json(**fields: Any) -> dict[str, Any]:
    started = "Sat, 21 Nov 2026 00:18:17 -0000"
    return {"id": "b1", "phase": "building", "started": started, "tags": ["1.0"], "archive_url": ARCHIVE, **fields}


def tag_json(name: str, digest: str = DIGEST, start: int = 0) -> dict[str, Any]:
    return {"name": name, "manifest_digest": digest, "start_ts": start, "size": 5}


def tags(*entries: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"tags": list(entries), "page": 1, "has_additional": more}


def intent(client: QuayClient, **fields: Any) -> dict[str, Any]:
    build: dict[str, Any] = {"archive_url": ARCHIVE, "tags": ["latest", "1.4.2"]}
    build |= {name: fields.pop(name) for name in (*build, "subdirectory", "dockerfile_path") if name in fields}
    return client.builds.intent(SHOP, **build) | {"marker": "m", "since": time.time(), "clock": "worker", **fields}


def found(client: QuayClient, wanted: dict[str, Any]) -> list[str]:
    return [each.id for each in client.waits.find_started(wanted)]


SINCE = 1795220297.0
"""When the scripted build began."""
