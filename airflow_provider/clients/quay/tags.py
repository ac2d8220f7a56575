"""Tags of Quay: read, move, restore and delete them, let them expire or make them immutable."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from airflow_provider.clients.quay.documents import Tag
from airflow_provider.clients.quay.fields import Json, began_at
from airflow_provider.clients.quay.tag_history import History, read_history
from airflow_provider.clients.quay.tag_list import tag_pages
from airflow_provider.clients.quay.wire import ADMIN, WRITE, Wire
from airflow_provider.clients.rows import Rows
from airflow_provider.exceptions import NotFoundError


class Tags:
    """See :class:`~airflow_provider.clients.quay.QuayClient`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(
        self, repository: str, *, only_active: bool = True, tag: str | None = None, name_filter: str | None = None
    ) -> Rows[Tag]:
        """Tags, the newest first, over all pages.

        :param only_active: leave out the entries of the history.
        :param tag: only entries of this name.
        :param name_filter: ``like:text`` or ``eq:name``.
        """
        if name_filter is not None and name_filter.partition(":")[0] not in ("like", "eq"):
            raise self._wire.bad_request(f"name_filter must begin with 'like:' or 'eq:', got {name_filter!r}")
        entries: dict[tuple[str, str, str], Json] = {}
        for page in tag_pages(self._wire, repository, only_active=only_active, tag=tag, name_filter=name_filter):
            known = len(entries)
            for entry in page:
                key = (str(entry.get("name")), str(entry.get("start_ts")), str(entry.get("manifest_digest")))
                entries.setdefault(key, entry)
            if page and len(entries) == known:
                path = self._wire.repository_path("/tag/", repository)
                raise self._wire.unexpected(path, "Quay returned the same page of tags again")
        return cast("Rows[Tag]", [*entries.values()])

    def whole_history(self, repository: str, *, since: float | None = None) -> History:
        """What the tags have pointed to, including deleted ones. Quay drops entries after the time set in the
        namespace.

        :param since: epoch seconds; entries that began earlier are not read if Quay keeps to its order.
        """
        return read_history(lambda: tag_pages(self._wire, repository, only_active=False), since)

    def find_before(self, repository: str, tag: str, moment: int) -> Json | None:
        """The newest entry of a tag's history that began before a time (epoch seconds).

        :param tag: a name that Quay has listed, which may hold letters that no image can be pushed with.
        """
        for page in tag_pages(self._wire, repository, only_active=False, tag=tag):
            for entry in page:
                if entry.get("name") == tag and began_at(entry) < moment:
                    return entry
        return None

    def get(self, repository: str, tag: str) -> Tag:
        """The current tag of that name.

        :raises NotFoundError: there is none.
        """
        found = self.find(repository, tag)
        if found is None:
            raise self._wire.not_found(f"{repository} has no tag {tag!r}")
        return found

    def find(self, repository: str, tag: str) -> Tag | None:
        """The current tag of that name, if there is one."""
        self._wire.check_tag("tag", tag)
        page = next(tag_pages(self._wire, repository, only_active=True, tag=tag), [])
        return next((cast("Tag", entry) for entry in page if entry.get("name") == tag), None)

    def history(self, repository: str, tag: str) -> Rows[Tag]:
        """The newest entries of a tag's history, at most a page of them: each push and each move is one."""
        self._wire.check_tag("tag", tag)
        page = next(tag_pages(self._wire, repository, only_active=False, tag=tag), [])
        found = [cast("Tag", entry) for entry in page if entry.get("name") == tag]
        return sorted(found, key=began_at, reverse=True)

    def promote(self, repository: str, tag: str, *, digest: str | None = None, source_tag: str | None = None) -> Tag:
        """Point a tag to a manifest of the same repository, creating or moving it; returns the tag, read back.

        :param digest: of the manifest, or
        :param source_tag: a tag that points to it now.
        :raises NotFoundError: no current tag points to that manifest.
        :raises ConflictError: the tag is immutable, or somebody moved it at the same time.
        """
        if bool(digest) == bool(source_tag):
            raise self._wire.bad_request("digest or source_tag must be given, but not both")
        self._wire.check_tag("tag", tag)
        if source_tag:
            source = self.find(repository, source_tag)
            if source is None:
                raise self._wire.not_found(f"{repository} has no source_tag {source_tag!r}")
            digest = str(source["manifest_digest"])
        digest = self._wire.check_digest("digest", digest or "")
        there = self.find(repository, tag)
        # If it already points there, another move would only add to the history.
        if there is not None and there["manifest_digest"] == digest:
            return there
        try:
            self._change(repository, tag, {"manifest_digest": digest})
        except NotFoundError as error:
            # The repository exists: its tags were read.
            raise self._no_image(repository, digest, "to which a current tag points", error) from None
        return self._pointing_to(repository, tag, digest)

    def set_expiration(self, repository: str, tag: str, expiration: datetime | None) -> Tag:
        """:param expiration: aware, ``None`` for never; Quay limits it to 1 hour to 104 weeks after the tag's start."""
        if expiration is not None and expiration.tzinfo is None:
            raise self._wire.bad_request("expiration must be an aware datetime")
        if expiration is not None and expiration <= datetime.now(UTC):
            # Quay's own refusal does not say why.
            raise self._wire.bad_request(f"expiration must be in the future, got {expiration.isoformat()}")
        self._change(repository, tag, {"expiration": None if expiration is None else int(expiration.timestamp())})
        return self.get(repository, tag)

    def set_immutable(self, repository: str, tag: str, immutable: bool) -> Tag:
        """:raises ConflictError: the tag expires, or this Quay has no immutable tags (it accepts the call and does
        nothing).
        """
        self._change(repository, tag, {"immutable": immutable}, needs=WRITE if immutable else ADMIN)
        changed = self.get(repository, tag)
        if bool(changed.get("immutable")) is not immutable:
            raise self._wire.conflict("Quay accepted the call, but did not change the tag")
        return changed

    def restore(self, repository: str, tag: str, *, digest: str) -> Tag:
        """Point a tag to a manifest of its history, even if no current tag points to it; returns the tag, read back."""
        digest = self._wire.check_digest("digest", digest)
        path = self._wire.tag_path(repository, tag) + "/restore"
        try:
            self._wire.send("POST", path, body={"manifest_digest": digest}, needs=WRITE)
        except NotFoundError as error:
            raise self._no_image(repository, digest, "any more, or the repository does not exist", error) from None
        return self._pointing_to(repository, tag, digest)

    def delete(self, repository: str, tag: str, *, missing_ok: bool = False) -> bool:
        """Delete a tag; returns whether it existed.

        :raises NotFoundError: it did not, and ``missing_ok`` is false.
        :raises ConflictError: it is immutable.
        """
        path = self._wire.tag_path(repository, tag)
        if not missing_ok:
            self.get(repository, tag)
        try:
            self._wire.send("DELETE", path, safe_to_repeat=True, needs=WRITE)
        except NotFoundError:
            # Also the answer to a retry after the first answer was lost.
            return not missing_ok
        return True

    def _change(self, repository: str, tag: str, change: Json, *, needs: str = WRITE) -> None:
        # One key per call: Quay applies several one after another, and keeps the first ones if a later one is refused.
        self._wire.send("PUT", self._wire.tag_path(repository, tag), body=change, safe_to_repeat=True, needs=needs)

    def _no_image(self, repository: str, digest: str, detail: str, error: NotFoundError) -> NotFoundError:
        return NotFoundError(f"{repository} has no image {digest} {detail}", call=error.call)

    def _pointing_to(self, repository: str, tag: str, digest: str) -> Tag:
        found = self.get(repository, tag)
        if found["manifest_digest"] != digest:
            raise self._wire.conflict(
                f"tag {tag!r} was moved to {digest}, and then by somebody else to {found['manifest_digest']}"
            )
        return found
