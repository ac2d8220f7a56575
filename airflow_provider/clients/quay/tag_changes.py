"""Changes of a repository's tags, read from its history: tags are created, moved and deleted.

Quay sends no webhook for a tag that is moved, restored or deleted, and a list of the current tags misses what happens
between two polls: https://docs.redhat.com/en/documentation/red_hat_quay
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider.clients.listing import EndlessListError
from airflow_provider.clients.quay.fields import Json, began_at, image_ref
from airflow_provider.clients.quay.references import SYSTEM
from airflow_provider.clients.quay.tag_history import History, end_of, successions
from airflow_provider.clients.times import from_epoch
from airflow_provider.core.changes import GONE, NEW, Change, Lane, Reading
from airflow_provider.core.durations import DURATIONS

if TYPE_CHECKING:
    from airflow_provider.clients.quay.client import QuayClient

CREATED, MOVED, DELETED = "created", "moved", "deleted"


class TagChanges:
    """Polls the changes of one repository's tags. Not thread-safe.

    :param repository: ``namespace/name``.
    """

    def __init__(self, repository: str) -> None:
        self._repository = repository
        self._earlier: dict[str, Json | None] = {}
        """By the id of a change, the tag's previous entry, which is requested only once."""
        self.is_too_long = False
        """Whether the history cannot be read to its end, so that deletions are not reported."""

    def read(self, client: QuayClient, since: float | None, whole: bool) -> Reading:
        """:param since: epoch seconds after which nothing may be missing; ``None``: only recent changes.
        :param whole: whether to read to the end, which is needed for deleted tags, whose entries may be old.
        """
        began = time.monotonic()
        history = self._history(client, since, whole)
        now = client.transport.server_time() or time.time()
        of_moment = now if history.is_one_page else now - (time.monotonic() - began) - DURATIONS.same_clock
        begun = self._begun(client, history)
        reading = {NEW: Lane(begun, history.since, now)}
        if history.is_whole:
            reading[GONE] = Lane(deletions_of(self._repository, history, of_moment), read_at=of_moment)
        return reading

    def _history(self, client: QuayClient, since: float | None, whole: bool) -> History:
        if whole and not self.is_too_long:
            try:
                return client.tags.whole_history(self._repository)
            except EndlessListError:
                self.is_too_long = True
        if since is None:
            since = (client.transport.server_time() or time.time()) - DURATIONS.late_change
        return client.tags.whole_history(self._repository, since=since)

    def _begun(self, client: QuayClient, history: History) -> list[Change]:
        changes, followed = [], {}
        for earlier, entry in successions(history):
            if entry is None or began_at(entry) < history.since:
                continue
            name = change_id(self._repository, entry)
            if earlier is None and not history.is_whole:
                earlier = self._earlier[name] if name in self._earlier else self._find_earlier(client, entry)
            followed[name] = earlier
            changes.append(beginning(self._repository, entry, earlier, client.registry))
        newest = max((change.at for change in changes), default=0)
        recent = newest - 2 * DURATIONS.late_change
        self._earlier = {each.id: followed[each.id] for each in changes if each.at >= recent}
        return changes

    def _find_earlier(self, client: QuayClient, entry: Json) -> Json | None:
        return client.tags.find_before(self._repository, str(entry["name"]), began_at(entry))


def beginning(repository: str, entry: Json, earlier: Json | None, registry: str) -> Change:
    """The change of a tag that was created or moved.

    :param earlier: the previous entry of the same tag.
    """
    end = end_of(earlier) if earlier else None
    is_gap = end is not None and end < began_at(entry)
    previous = None if earlier is None or is_gap else str(earlier["manifest_digest"])
    digest = str(entry["manifest_digest"])
    digests = {
        "digest": digest,
        "previous_digest": previous,
        "image_ref": image_ref(registry, repository, digest),
    }
    kind = CREATED if previous is None else MOVED
    return _change(change_id(repository, entry), kind, began_at(entry), repository, entry, digests)


def deletions_of(repository: str, history: History, until: float) -> list[Change]:
    """The changes of tags that were deleted or have expired: the ends of entries without a successor.

    :param history: a whole one.
    :param until: epoch seconds by Quay's clock: what ends later is left for the next reading.
    """
    changes = []
    for entry, later in successions(history):
        end = end_of(entry) if entry else None
        if entry is None or end is None or end > until or (later and began_at(later) <= end):
            continue
        digests = {"digest": None, "previous_digest": str(entry["manifest_digest"]), "image_ref": None}
        name = f"{change_id(repository, entry)}#{DELETED}"
        changes.append(_change(name, DELETED, end, repository, entry, digests))
    return changes


def change_id(repository: str, entry: Mapping[str, Any]) -> str:
    """Identifies an entry, whenever it is read."""
    return f"{repository}:{entry['name']}@{entry['manifest_digest']}#{began_at(entry)}"


def _change(name: str, kind: str, at: int, repository: str, entry: Json, digests: Json) -> Change:
    moment = from_epoch(at)
    payload = {
        "system": SYSTEM,
        "id": name,
        "kind": kind,
        "repository": repository,
        "tag": str(entry["name"]),
        **digests,
        "time": moment.isoformat() if moment else None,
    }
    return Change(name, at, payload)
