"""The state of the registry: repositories by path, and lookups across them. No routes, no permissions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider.sandbox.core.clock import Clock
from airflow_provider.sandbox.core.environment import Image
from airflow_provider.sandbox.quay.images import Manifest, findings_of
from airflow_provider.sandbox.quay.models import Build, Notification, Repository, RepositoryState


class State:
    def __init__(self, clock: Clock, switches: Mapping[str, Any]) -> None:
        self.clock = clock
        self.switches = switches
        self.clear()

    def clear(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.builds: dict[str, Build] = {}

    @property
    def now(self) -> float:
        return self.clock.now()

    def ensure(self, path: str) -> Repository:
        """The repository, created if it does not exist."""
        namespace, _, name = path.partition("/")
        return self.repositories.setdefault(path, Repository(namespace, name))

    def mode_of(self, path: str) -> RepositoryState:
        """Whether a repository accepts changes, according to the switches."""
        if path in self.switches["mirrored_repositories"]:
            return RepositoryState.MIRROR
        read_only = path in self.switches["read_only_repositories"]
        return RepositoryState.READ_ONLY if read_only else RepositoryState.NORMAL

    def notification(self, uuid: str) -> Notification | None:
        """The notification with this uuid, in any repository."""
        return next(
            (each.notifications[uuid] for each in self.repositories.values() if uuid in each.notifications), None
        )

    def add_build(self, repository: Repository, build: Build) -> None:
        repository.builds[build.id] = build
        self.builds[build.id] = build

    def store(self, image: Image) -> Repository:
        """Tags an image in its repository, as a push does. A new image gets a finding of the severity in the switch."""
        repository = self.ensure(image.repository)
        if image.digest not in repository.manifests:
            severity = self.switches["new_image_severity"]
            findings = findings_of([severity] if severity else [])
            repository.manifests[image.digest] = Manifest(image.digest, image.size, self.now, findings)
        repository.point(image.tag, image.digest, self.now)
        return repository

    def executions(self) -> list[dict[str, Any]]:
        """Every build, as the sandbox shows executions."""
        return [
            build.track.as_dict() | {"repository": build.repository, "tags": build.tags}
            for build in self.builds.values()
        ]
