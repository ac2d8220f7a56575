"""The operations of Quay's API v1, one method each: notifications, builds, tags, manifests, repositories.

What they mean for an execution is in client.py. https://docs.redhat.com/en/documentation/red_hat_quay
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from airflow_provider.clients.listing import LONGEST_LIST, MOST_PAGES
from airflow_provider.clients.quay import notifications
from airflow_provider.clients.quay.answers import objects_in
from airflow_provider.clients.quay.base import ADMIN, CREATE, WRITE, QuayBase
from airflow_provider.clients.quay.executions import SYSTEM, Json
from airflow_provider.exceptions import Call, ConflictError, NotFoundError, ReleasePipelineError
from airflow_provider.identifiers import is_name

_PAGE = 100


class QuayApi(QuayBase):
    """Every operation as one typed method."""

    # --- notifications

    def list_notifications(self, repository: str) -> list[Json]:
        """All notifications of a repository, in no order.

        :raises NotFoundError: there is no such repository (Quay itself answers an empty list then).
        """
        found = self._list(self._repository_path("/notification/", repository), "notifications", needs=ADMIN)
        if not found:
            self.get_repository(repository)
        return found

    def get_notification(self, repository: str, uuid: str) -> Json:
        """:raises NotFoundError: this repository has no such notification (Quay itself finds those of others too)."""
        path = self._notification_path(repository, uuid)
        found = self._object(self._get(path, needs=ADMIN), path)
        self._listed_notification(repository, uuid)
        return found

    def create_notification(
        self,
        repository: str,
        *,
        event: str,
        method: str,
        config: Mapping[str, Any],
        event_config: Mapping[str, Any] | None = None,
        title: str | None = None,
    ) -> Json:
        """Create a notification, or return the equal one that is there already: Quay would send everything twice.

        One that Quay has disabled after failures is returned, too, and stays disabled: see its ``number_of_failures``.

        :param event: one of ``notifications.EVENTS``.
        :param method: one of ``notifications.METHODS``.
        :param config: what the method needs, for a webhook ``url`` and optionally ``template``.
        :param event_config: narrows the event down, for builds ``ref-regex``.
        :param title: at most 255 characters.
        :raises BadRequestError: names what Quay would refuse, or store although it never works.
        """
        event_config = event_config or {}
        path = self._repository_path("/notification/", repository)
        notifications.check(repository, event, method, config, event_config, title)
        for key in notifications.SECRET_KEYS:
            self.transport.redact.add_other(str(config.get(key) or ""))
        body = notifications.body_of(event, method, config, event_config, title)
        if equal := self._equal_notifications(repository, body):
            return equal[0]
        try:
            self._send("POST", path, body=body, needs=ADMIN)
        except ReleasePipelineError as error:
            if not error.effect.is_open or not self._equal_notifications(repository, body):
                raise
        return self._only_one_left(repository, body, path)

    def delete_notification(self, repository: str, uuid: str, *, missing_ok: bool = True) -> bool:
        """Delete a notification; returns whether it was there.

        :raises NotFoundError: it was not, and ``missing_ok`` is false.
        """
        path = self._notification_path(repository, uuid)
        if not missing_ok:
            self._listed_notification(repository, uuid)
        try:
            self._send("DELETE", path, safe_to_repeat=True, needs=ADMIN)
        except NotFoundError:
            # Also the answer to a repetition whose first answer was lost.
            return not missing_ok
        return True

    def test_notification(self, repository: str, uuid: str) -> Json:
        """Queue a test of a notification; returns the notification. Queued is not delivered: that takes 0 to 10 s.

        :raises NotFoundError: this repository has no such notification.
        :raises ConflictError: it is disabled after 3 failures; Quay would accept the test and send nothing.
        """
        path = self._notification_path(repository, uuid)
        found = self._listed_notification(repository, uuid)
        if notifications.is_disabled(found):
            raise ConflictError(
                f"notification {uuid} is disabled after {found['number_of_failures']} failed deliveries, and what "
                "happened since is lost: repair its receiver, then reset it",
                call=Call(system=SYSTEM),
            )
        self._send("POST", f"{path}/test", needs=ADMIN)
        return found

    def reset_notification(self, repository: str, uuid: str) -> Json:
        """Set the failures of a notification to 0, which enables it again; returns it. Lost events do not come back.

        :raises NotFoundError: this repository has no such notification.
        """
        path = self._notification_path(repository, uuid)
        self._send("POST", path, safe_to_repeat=True, needs=ADMIN)
        return self._object(self._get(path, needs=ADMIN), path)

    # --- builds

    def list_builds(self, repository: str, *, limit: int = 5, since: float | None = None) -> list[Json]:
        """The newest builds first; :param since: epoch seconds."""
        params = {"limit": limit, "since": None if since is None else int(since)}
        return self._list(self._repository_path("/build/", repository), "builds", params)

    def get_build(self, repository: str, build_id: str) -> Json:
        """:raises NotFoundError: the repository has no such build."""
        path = self._build_path(repository, build_id)
        return self._object(self._get(path), path)

    def get_build_status(self, repository: str, build_id: str) -> Json:
        """The same as :meth:`get_build`, from the call that Quay's own pages poll."""
        path = self._build_path(repository, build_id) + "/status"
        return self._object(self._get(path), path)

    def get_build_logs(self, repository: str, build_id: str, *, start: int = 0) -> Json:
        """``{"start", "total", "logs"}``, or ``{"logs_url"}`` once they are archived. Needs ``repo:write``.

        :param start: the ``total`` of the answer before.
        """
        path = self._build_path(repository, build_id) + "/logs"
        return self._object(self._get(path, {"start": start}, needs=WRITE), path)

    def cancel_build(self, repository: str, build_id: str) -> None:
        """Cancel a build. Read its phase first: a refusal takes away the tries that the build had left.

        :raises ConflictError: it is past the phase until which this Quay cancels.
        :raises PermissionDeniedError: who may start builds (``repo:write``) may not cancel them (``repo:admin``).
        """
        self._send("DELETE", self._build_path(repository, build_id), needs=ADMIN)

    # --- tags

    def list_tags(
        self, repository: str, *, only_active: bool = True, tag: str | None = None, name_filter: str | None = None
    ) -> list[Json]:
        """Tags, the newest first, over all pages.

        :param only_active: leave out the entries of the history.
        :param tag: only entries of this name.
        :param name_filter: ``like:text`` or ``eq:name``.
        """
        if name_filter is not None and name_filter.partition(":")[0] not in ("like", "eq"):
            raise self.bad_request(f"name_filter must begin with 'like:' or 'eq:', not {name_filter!r}")
        entries: dict[tuple[str, str, str], Json] = {}
        for page in self._tag_pages(repository, only_active=only_active, tag=tag, name_filter=name_filter):
            known = len(entries)
            for entry in page:
                key = (str(entry.get("name")), str(entry.get("start_ts")), str(entry.get("manifest_digest")))
                entries.setdefault(key, entry)
            if page and len(entries) == known:
                raise self._unexpected(self._repository_path("/tag/", repository), "Quay repeats a page of its tags")
        return list(entries.values())

    def find_tag(self, repository: str, tag: str) -> Json | None:
        """The living tag of that name, if there is one."""
        self._check_tag("tag", tag)
        page = next(self._tag_pages(repository, only_active=True, tag=tag), [])
        return next((entry for entry in page if entry.get("name") == tag), None)

    def promote_tag(
        self, repository: str, tag: str, *, digest: str | None = None, source_tag: str | None = None
    ) -> Json:
        """Let a tag point to a manifest of the same repository, creating or moving it; returns the tag, read back.

        :param digest: of the manifest, or
        :param source_tag: a tag that points to it now.
        :raises NotFoundError: no living tag holds that manifest.
        :raises ConflictError: the tag is immutable, or somebody moved it at the same time.
        """
        if bool(digest) == bool(source_tag):
            raise self.bad_request("give either digest or source_tag")
        self._check_tag("tag", tag)
        if source_tag:
            source = self.find_tag(repository, source_tag)
            if source is None:
                raise NotFoundError(f"{repository} has no source_tag {source_tag!r}", call=Call(system=SYSTEM))
            digest = str(source["manifest_digest"])
        digest = self._check_digest("digest", digest or "")
        there = self.find_tag(repository, tag)
        # A move to where it points already would only add to the history.
        if there is not None and there["manifest_digest"] == digest:
            return there
        self._change_tag(repository, tag, {"manifest_digest": digest})
        return self._pointing_to(repository, tag, digest)

    def set_tag_expiration(self, repository: str, tag: str, expiration: datetime | None) -> Json:
        """:param expiration: aware, ``None`` for never; Quay moves it to 1 hour to 104 weeks after the tag's start."""
        if expiration is not None and expiration.tzinfo is None:
            raise self.bad_request("expiration must be an aware datetime")
        self._change_tag(repository, tag, {"expiration": None if expiration is None else int(expiration.timestamp())})
        return self._living_tag(repository, tag)

    def set_tag_immutable(self, repository: str, tag: str, immutable: bool) -> Json:
        """:raises ConflictError: the tag expires, or this Quay has no immutable tags (it accepts and does nothing)."""
        self._change_tag(repository, tag, {"immutable": immutable}, needs=WRITE if immutable else ADMIN)
        changed = self._living_tag(repository, tag)
        if bool(changed.get("immutable")) is not immutable:
            raise ConflictError("Quay accepted the call but left the tag as it was", call=Call(system=SYSTEM))
        return changed

    def restore_tag(self, repository: str, tag: str, *, digest: str) -> Json:
        """Let a tag point to a manifest of its past, which needs no living tag; returns the tag, read back."""
        digest = self._check_digest("digest", digest)
        body = {"manifest_digest": digest}
        self._send("POST", self._tag_path(repository, tag) + "/restore", body=body, needs=WRITE)
        return self._pointing_to(repository, tag, digest)

    def delete_tag(self, repository: str, tag: str, *, missing_ok: bool = False) -> bool:
        """Delete a tag; returns whether it was there.

        :raises NotFoundError: it was not, and ``missing_ok`` is false.
        :raises ConflictError: it is immutable.
        """
        path = self._tag_path(repository, tag)
        if not missing_ok:
            self._living_tag(repository, tag)
        try:
            self._send("DELETE", path, safe_to_repeat=True, needs=WRITE)
        except NotFoundError:
            # Also the answer to a repetition whose first answer was lost.
            return not missing_ok
        return True

    # --- manifests and repositories

    def get_manifest(self, repository: str, digest: str) -> Json:
        """A manifest that a living tag holds; its JSON is in ``manifest_data`` as text."""
        path = self._manifest_path(repository, digest)
        return self._object(self._get(path), path)

    def list_manifest_labels(self, repository: str, digest: str) -> list[Json]:
        return self._list(self._manifest_path(repository, digest) + "/labels", "labels")

    def get_manifest_label(self, repository: str, digest: str, label_id: str) -> Json:
        path = self._label_path(repository, digest, label_id)
        return self._object(self._get(path), path)

    def create_manifest_label(
        self, repository: str, digest: str, *, key: str, value: str, media_type: str = "text/plain"
    ) -> Json:
        """Label a manifest; equal labels are not merged. :param media_type: ``text/plain`` or ``application/json``."""
        path = self._manifest_path(repository, digest) + "/labels"
        if not key:
            raise self.bad_request("key must not be empty")
        body = {"key": key, "value": value, "media_type": media_type}
        answer = self._object(self._send("POST", path, body=body, needs=WRITE).data, path)
        return self._object(answer.get("label"), path)

    def delete_manifest_label(self, repository: str, digest: str, label_id: str) -> None:
        """:raises NotFoundError: the manifest has no such label."""
        self._send("DELETE", self._label_path(repository, digest, label_id), needs=WRITE)

    def get_security_scan(self, repository: str, digest: str) -> Json:
        """``{"status", "data"}``; ``data`` is filled once ``status`` is ``scanned``.

        :raises NotFoundError: there is no such manifest, or this Quay has no scanner.
        """
        path = self._manifest_path(repository, digest) + "/security"
        return self._object(self._get(path, {"vulnerabilities": True}), path)

    def get_repository(self, repository: str) -> Json:
        """A repository with at most 500 of its tags, as an object keyed by name."""
        path = self._repository_path("", repository)
        return self._object(self._get(path), path)

    def create_repository(self, repository: str, *, visibility: str = "private", description: str = "") -> Json:
        """:param visibility: ``private`` or ``public``.
        :raises ConflictError: it exists already.
        """
        if visibility not in ("private", "public"):
            raise self.bad_request(f"visibility must be 'private' or 'public', not {visibility!r}")
        self._repository_path("", repository)
        namespace, _, name = repository.partition("/")
        body = {"namespace": namespace, "repository": name, "visibility": visibility, "description": description}
        path = f"{self._prefix}/repository"
        return self._object(self._send("POST", path, body=body, needs=CREATE).data, path)

    def set_repository_description(self, repository: str, description: str) -> None:
        body = {"description": description}
        self._send("PUT", self._repository_path("", repository), body=body, safe_to_repeat=True, needs=WRITE)

    def delete_repository(self, repository: str) -> None:
        """Delete a repository with all its images; one that is missing in a namespace of one's own is no error."""
        self._send("DELETE", self._repository_path("", repository), safe_to_repeat=True, needs=ADMIN)

    def list_repositories(self, namespace: str) -> list[Json]:
        """The repositories of a user or organisation, over all pages."""
        if not is_name(namespace):
            raise self.bad_request(f"namespace {namespace!r} is no name of a user or organisation")
        path = f"{self._prefix}/repository"
        entries: dict[str, Json] = {}
        next_page: str | None = None
        for _ in range(MOST_PAGES):
            answer = self._object(self._get(path, {"namespace": namespace, "next_page": next_page}), path)
            known = len(entries)
            entries.update({str(entry.get("name")): entry for entry in objects_in(answer.get("repositories"))})
            next_page = answer.get("next_page")
            # An aged token silently leads back to the first page.
            if not next_page or len(entries) == known:
                return list(entries.values())
        raise self._unexpected(path, f"the list did not end within {MOST_PAGES} pages")

    # --- inside: notifications

    def _listed_notification(self, repository: str, uuid: str) -> Json:
        for notification in self.list_notifications(repository):
            if notification.get("uuid") == uuid:
                return notification
        raise NotFoundError(f"{repository} has no notification {uuid}", call=Call(system=SYSTEM))

    def _equal_notifications(self, repository: str, body: Json) -> list[Json]:
        """All that do the same, first those that Quay has not disabled."""
        return sorted(
            (each for each in self.list_notifications(repository) if notifications.is_equal(each, body)),
            key=lambda each: (notifications.is_disabled(each), str(each["uuid"])),
        )

    def _only_one_left(self, repository: str, body: Json, path: str) -> Json:
        """Of what several creators at once made, all keep the same one."""
        equal = self._equal_notifications(repository, body)
        if not equal:
            raise self._unexpected(path, "the notification was created but is not in the list")
        for extra in equal[1:]:
            self.delete_notification(repository, str(extra["uuid"]))
        return equal[0]

    # --- inside: tags

    def _tag_pages(
        self, repository: str, *, only_active: bool, tag: str | None = None, name_filter: str | None = None
    ) -> Iterator[list[Json]]:
        path = self._repository_path("/tag/", repository)
        began = time.monotonic()
        for page in range(1, MOST_PAGES + 1):
            params = {
                "specificTag": tag,
                "filter_tag_name": name_filter,
                "limit": _PAGE,
                "page": page,
                "onlyActiveTags": True if only_active else None,
            }
            answer = self._object(self._get(path, params), path)
            found = self._objects(answer, "tags", path)
            if not all(_is_text(entry.get("name")) and _is_text(entry.get("manifest_digest")) for entry in found):
                raise self._unexpected(path, "the answer has a tag without name or manifest_digest")
            yield found
            if not answer.get("has_additional"):
                return
            if time.monotonic() - began > LONGEST_LIST:
                break
        raise self._unexpected(path, f"the list did not end within {MOST_PAGES} pages and {LONGEST_LIST:g} s")

    def _change_tag(self, repository: str, tag: str, change: Json, *, needs: str = WRITE) -> None:
        # One key a call: Quay applies several one after another, and keeps the first ones when a later one is refused.
        self._send("PUT", self._tag_path(repository, tag), body=change, safe_to_repeat=True, needs=needs)

    def _living_tag(self, repository: str, tag: str) -> Json:
        found = self.find_tag(repository, tag)
        if found is None:
            raise NotFoundError(f"{repository} has no tag {tag!r}", call=Call(system=SYSTEM))
        return found

    def _pointing_to(self, repository: str, tag: str, digest: str) -> Json:
        found = self._living_tag(repository, tag)
        if found["manifest_digest"] != digest:
            raise ConflictError(
                f"tag {tag!r} was moved to {digest}, and then by somebody else to {found['manifest_digest']}",
                call=Call(system=SYSTEM),
            )
        return found


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
