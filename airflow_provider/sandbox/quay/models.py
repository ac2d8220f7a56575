"""What the registry stores besides images: repositories, notifications and builds. No HTTP, no permissions."""

from __future__ import annotations

import enum
import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

from airflow_provider.sandbox.core.execution import Track
from airflow_provider.sandbox.quay.images import Manifest, TagEntry

# The phases of a successful build, with their nominal seconds.
DURATIONS = {
    "waiting": 1.0,
    "build-scheduled": 1.0,
    "unpacking": 1.0,
    "pulling": 2.0,
    "building": 3.0,
    "pushing": 2.0,
}
ORDER = (*DURATIONS, "complete")
FINAL = ("complete", "error", "cancelled", "expired")
PHASES = (*ORDER, "error", "cancelled", "internalerror", "expired")
OUTCOMES = ("complete", "error", "internalerror", "expired", "hang")
DISABLED_AFTER = 3


class RepositoryState(enum.Enum):
    """All but NORMAL refuse builds and changes to tags and labels."""

    NORMAL = 0
    READ_ONLY = 1
    MIRROR = 2


@dataclass
class Notification:
    uuid: str
    namespace: str
    name: str
    title: str | None
    event: str
    method: str
    config: dict[str, Any]
    event_config: dict[str, Any]
    failures: int = 0

    @property
    def disabled(self) -> bool:
        return self.failures >= DISABLED_AFTER

    def view(self) -> dict[str, Any]:
        return {
            "uuid": self.uuid,
            "title": self.title,
            "event": self.event,
            "method": self.method,
            "config": self.config,
            "event_config": self.event_config,
            "number_of_failures": self.failures,
        }


@dataclass
class Build:
    """``outcome`` scripts how it ends; ``tries`` is how many its queue item has left, 0 once the item is gone."""

    id: str
    namespace: str
    name: str
    user: str
    archive_url: str
    tags: list[str]
    dockerfile_path: str
    context: str
    outcome: str
    tries: int
    loops: int
    started: float
    track: Track
    due: float | None = None
    logs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def phase(self) -> str:
        return self.track.state

    @property
    def repository(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def display_name(self) -> str:
        return hashlib.sha224(self.archive_url.encode("ascii")).hexdigest()[:7]

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.id.encode()).hexdigest()}"

    def log(self, message: str, kind: str | None, now: float) -> None:
        entry: dict[str, Any] = {"message": message}
        if kind:
            entry["type"] = kind
        self.logs.append(entry | {"data": {"datetime": str(datetime.fromtimestamp(now, UTC).replace(tzinfo=None))}})

    def view(self, writer: bool, now: float, store_down: bool) -> dict[str, Any]:
        running = self.phase not in ("waiting", *FINAL)
        status: dict[str, Any] = {}
        if running:
            status = {
                "heartbeat": now,
                "total_commands": 2,
                "current_command": 2 if self.phase == "pushing" else 1,
                "push_completion": 0.5 if self.phase == "pushing" else 0.0,
                "pull_completion": 0.5 if self.phase == "pulling" else 0.0,
            }
        body: dict[str, Any] = {
            "id": self.id,
            "phase": "cannot_load" if store_down else self.phase,
            "started": formatdate(self.started),
            "display_name": self.display_name,
            "status": {} if store_down else status,
            "subdirectory": self.dockerfile_path,
            "dockerfile_path": self.dockerfile_path,
            "context": self.context,
            "tags": self.tags,
            "manual_user": self.user,
            "is_writer": writer,
            "trigger": None,
            "trigger_metadata": {},
            "resource_key": None,
            "pull_robot": None,
            "repository": {"namespace": self.namespace, "name": self.name},
            "error": "Redis may be down. Please contact support." if store_down else None,
        }
        return body | ({"archive_url": self.archive_url} if writer else {})


@dataclass
class Repository:
    namespace: str
    name: str
    public: bool = False
    description: str = ""
    kind: str = "image"
    badge: str = field(default_factory=lambda: str(uuid.uuid4()))
    manifests: dict[str, Manifest] = field(default_factory=dict)
    history: list[TagEntry] = field(default_factory=list)
    notifications: dict[str, Notification] = field(default_factory=dict)
    builds: dict[str, Build] = field(default_factory=dict)
    asked_emails: set[str] = field(default_factory=set)

    @property
    def path(self) -> str:
        return f"{self.namespace}/{self.name}"

    def tag(self, name: str, now: float) -> TagEntry | None:
        return next((each for each in reversed(self.history) if each.name == name and each.living(now)), None)

    def living_tags(self, now: float) -> list[TagEntry]:
        return [each for each in self.history if each.living(now)]

    def is_tagged(self, digest: str, now: float) -> bool:
        """Whether a current tag points to the manifest, directly or through a manifest list."""
        tagged = {each.digest for each in self.living_tags(now)}
        return digest in tagged or any(digest in self.manifests[each].children for each in tagged)

    def point(self, name: str, digest: str, now: float, reversion: bool = False) -> TagEntry:
        """Moves or creates the tag. Pointing it to the same digest again also adds an entry."""
        old = self.tag(name, now)
        if old is not None:
            old.end = now
        entry = TagEntry(name, digest, now, reversion=reversion)
        self.history.append(entry)
        return entry
