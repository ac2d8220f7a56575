"""Types of Quay's answers, as documented. Other fields that a server sends stay in them."""

from __future__ import annotations

from typing import Any, TypedDict


class Repository(TypedDict, total=False):
    """A repository; only one that is read on its own has ``tags`` and the ``can_...`` fields."""

    namespace: str
    name: str
    kind: str
    description: str | None
    is_public: bool
    state: str | None
    tags: dict[str, dict[str, Any]]
    can_read: bool
    can_write: bool
    can_admin: bool


class AuthorizedEmail(TypedDict, total=False):
    """Whether the owner of an e-mail address has agreed to be notified about a repository."""

    email: str
    namespace: str
    repository: str
    confirmed: bool


class Notification(TypedDict, total=False):
    uuid: str
    title: str | None
    event: str
    method: str
    config: dict[str, Any]
    event_config: dict[str, Any]
    number_of_failures: int


class Tag(TypedDict, total=False):
    """Times are epoch seconds, except ``last_modified`` and ``expiration``."""

    name: str
    reversion: bool
    start_ts: int
    end_ts: int
    expiration: str
    manifest_digest: str
    is_manifest_list: bool
    size: int | None
    last_modified: str
    immutable: bool


class BuildRepository(TypedDict, total=False):
    namespace: str
    name: str


class Build(TypedDict, total=False):
    """A build. It contains no digest, but the tags that it pushed do."""

    id: str
    phase: str
    started: str
    display_name: str
    status: dict[str, Any]
    subdirectory: str
    dockerfile_path: str
    context: str
    tags: list[str]
    manual_user: str | None
    is_writer: bool
    trigger: dict[str, Any] | None
    trigger_metadata: dict[str, Any] | None
    resource_key: str | None
    pull_robot: dict[str, Any] | None
    repository: BuildRepository
    error: str | None
    archive_url: str


class LogEntry(TypedDict, total=False):
    message: str
    type: str
    data: dict[str, Any]


class BuildLog(TypedDict, total=False):
    """``logs_url`` alone, once the log is archived."""

    start: int
    total: int
    logs: list[LogEntry]
    logs_url: str


class Manifest(TypedDict, total=False):
    """``manifest_data`` is JSON as text."""

    digest: str
    is_manifest_list: bool
    manifest_data: str
    config_media_type: str | None
    layers_compressed_size: int | None
    layers: list[dict[str, Any]] | None


class Label(TypedDict, total=False):
    id: str
    key: str
    value: str
    source_type: str
    media_type: str


class SecurityScan(TypedDict, total=False):
    """``data`` is filled once ``status`` is ``scanned``."""

    status: str
    data: dict[str, Any] | None
