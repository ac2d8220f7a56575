"""Asset events of Quay: an image tag is created, moved or deleted."""

from __future__ import annotations

import fnmatch
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider.identifiers import repository_problem, tag_pattern_problem
from airflow_provider.triggers.events import POLL_INTERVAL, ReleaseEventTrigger

if TYPE_CHECKING:
    from airflow_provider.clients.quay.tag_changes import TagChanges
    from airflow_provider.core.changes import Change


class QuayTagEventTrigger(ReleaseEventTrigger):
    """Fires an asset event for each tag that is created, moved or deleted; see docs/events.md.

    ``AssetWatcher(name="shop images", trigger=QuayTagEventTrigger("acme/shop", tag_pattern="v*"))``

    :param repository: ``namespace/name``.
    :param tag_pattern: which tags, with ``*``, ``?`` and ``[...]`` as in file names.
    :param quay_conn_id: the Airflow connection.
    :param poll_interval: seconds or ``timedelta`` between two polls. Triggers that watch the same repository share
        them.
    """

    system = "quay"

    def __init__(
        self,
        repository: str,
        tag_pattern: str = "*",
        quay_conn_id: str = "quay_default",
        poll_interval: float | timedelta = POLL_INTERVAL,
    ) -> None:
        super().__init__(quay_conn_id, poll_interval)
        self._refuse("repository", repository_problem(repository))
        self._refuse("tag_pattern", tag_pattern_problem(tag_pattern))
        self.repository = repository
        self.tag_pattern = tag_pattern

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "airflow_provider.triggers.quay.QuayTagEventTrigger", {
            "repository": self.repository,
            "tag_pattern": self.tag_pattern,
            "quay_conn_id": self._conn_id,
            "poll_interval": self.poll_interval,
        }

    @property
    def thing(self) -> str:
        return self.repository

    @property
    def wanted(self) -> str:
        return self.tag_pattern

    @property
    def about(self) -> str:
        return f"tags {self.tag_pattern!r} of {self.repository}"

    def reader(self) -> TagChanges:
        from airflow_provider.clients.quay.tag_changes import TagChanges

        return TagChanges(self.repository)

    def is_wanted(self, change: Change) -> bool:
        return fnmatch.fnmatchcase(change.payload["tag"], self.tag_pattern)
