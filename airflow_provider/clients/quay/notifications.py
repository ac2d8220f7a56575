"""Notifications of a Quay repository: webhooks, mails and others, sent on its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace

from airflow_provider.clients.quay import notification_rules as rules
from airflow_provider.clients.quay.documents import Notification
from airflow_provider.clients.quay.fields import Json, is_text
from airflow_provider.clients.quay.notification_plan import marked_title, plan_of
from airflow_provider.clients.quay.repositories import Repositories
from airflow_provider.clients.quay.wire import ADMIN, Wire
from airflow_provider.clients.rows import Rows
from airflow_provider.exceptions import NotFoundError, ReleasePipelineError


class Wanted(Struct, kw_only=True):
    """The arguments of :meth:`Notifications.create`; the title defaults to the event."""

    event: str
    method: str
    config: Mapping[str, Any]
    event_config: Mapping[str, Any] | None = None
    title: str | None = None


class KeptNotifications(Struct):
    """The result of :meth:`Notifications.keep`.

    :param notifications: the wanted ones in their current state, in the order in which they were given.
    :param created: uuids, as in the next two.
    """

    notifications: Rows[Notification]
    created: list[str]
    reset: list[str]
    deleted: list[str]


class Notifications:
    """See :class:`~airflow_provider.clients.quay.QuayClient`."""

    def __init__(self, wire: Wire, repositories: Repositories) -> None:
        self._wire, self._repositories = wire, repositories

    def list(self, repository: str) -> Rows[Notification]:
        """All notifications of a repository, in no order.

        :raises NotFoundError: there is no such repository (Quay itself answers with an empty list).
        """
        path = self._wire.repository_path("/notification/", repository)
        found = cast("Rows[Notification]", self._wire.get_objects(path, "notifications", needs=ADMIN))
        if not found:
            self._repositories.get(repository)
        if not all(is_text(each.get("uuid")) for each in found):
            raise self._wire.unexpected(path, "the answer has a notification without uuid")
        return found

    def get(self, repository: str, uuid: str) -> Notification:
        """:raises NotFoundError: this repository has no such notification (Quay itself also finds those of others)."""
        found = cast("Notification", self._wire.get_object(self._wire.notification_path(repository, uuid), needs=ADMIN))
        self._listed(repository, uuid)
        return found

    def create(
        self,
        repository: str,
        *,
        event: str,
        method: str,
        config: Mapping[str, Any],
        event_config: Mapping[str, Any] | None = None,
        title: str | None = None,
    ) -> Notification:
        """Create a notification, or return an existing equal one: with two of them, Quay would send everything twice.

        An existing one that Quay has disabled after failures stays disabled: see its ``number_of_failures``.

        :param event: one of ``notification_rules.EVENTS``.
        :param method: one of ``notification_rules.METHODS``.
        :param config: what the method needs: for a webhook, ``url`` and optionally ``template``.
        :param event_config: narrows the event down: for builds, ``ref-regex``.
        :param title: at most 255 characters.
        :raises BadRequestError: names what Quay would refuse, or would store although it never works.
        """
        wanted = Wanted(event=event, method=method, config=config, event_config=event_config, title=title)
        return self._created(repository, self._body(repository, wanted))

    def _checked_body(self, repository: str, wanted: Wanted, owner: str) -> Json:
        title = marked_title(wanted.title or wanted.event, owner)
        return self._body(repository, replace(wanted, title=title))

    def _body(self, repository: str, wanted: Wanted) -> Json:
        event_config = wanted.event_config or {}
        rules.check(repository, wanted.event, wanted.method, wanted.config, event_config, wanted.title)
        for key in rules.SECRET_KEYS:
            self._wire.transport.redact.add_other(str(wanted.config.get(key) or ""))
        return rules.body_of(wanted.event, wanted.method, wanted.config, event_config, wanted.title)

    def _created(self, repository: str, body: Json) -> Notification:
        path = self._wire.repository_path("/notification/", repository)
        if equal := self._equal(repository, body):
            return equal[0]
        try:
            self._wire.send("POST", path, body=body, needs=ADMIN)
        except ReleasePipelineError as error:
            if not error.effect.is_open or not self._equal(repository, body):
                raise
        return self._only_one_left(repository, body, path)

    def keep(self, repository: str, wanted: Sequence[Wanted], owner: str) -> KeptNotifications:
        """Make these the only notifications of this owner in a repository.

        Creates missing ones, deletes those that this owner created and no longer wants, and resets those that Quay has
        disabled. Other people's are not touched. May be repeated, wherever it was interrupted.

        :param owner: who keeps them; part of their titles.
        :raises BadRequestError: one of them would not work; nothing was changed.
        """
        if not owner:
            raise self._wire.bad_request("owner must not be empty: all notifications would count as its own")
        bodies = [self._checked_body(repository, each, owner) for each in wanted]
        if any(bodies.count(body) > 1 for body in bodies):
            raise self._wire.bad_request("notifications must all be different: Quay would send the same twice")
        plan = plan_of(self.list(repository), bodies, owner)
        # Missing ones first: for a moment, one too many is better than none.
        created = [self._created(repository, body) for body in plan.create]
        for each in plan.delete:
            self.delete(repository, str(each["uuid"]))
        for each in plan.reset:
            self.reset(repository, str(each["uuid"]))
        now = self.list(repository)
        return KeptNotifications(
            notifications=[each for body in bodies for each in now if rules.is_equal(each, body)],
            created=[str(each["uuid"]) for each in created],
            reset=[str(each["uuid"]) for each in plan.reset],
            deleted=[str(each["uuid"]) for each in plan.delete],
        )

    def delete(self, repository: str, uuid: str, *, missing_ok: bool = True) -> bool:
        """Delete a notification; returns whether it existed.

        :raises NotFoundError: it did not, and ``missing_ok`` is false.
        """
        path = self._wire.notification_path(repository, uuid)
        if not missing_ok:
            self._listed(repository, uuid)
        try:
            self._wire.send("DELETE", path, safe_to_repeat=True, needs=ADMIN)
        except NotFoundError:
            # Also the answer to a retry after the first answer was lost.
            return not missing_ok
        return True

    def test(self, repository: str, uuid: str) -> Notification:
        """Queue a test of a notification; returns the notification. Its delivery takes 0 to 10 s.

        :raises NotFoundError: this repository has no such notification.
        :raises ConflictError: it is disabled after 3 failures: Quay would accept the test and send nothing.
        """
        path = self._wire.notification_path(repository, uuid)
        found = self._listed(repository, uuid)
        if rules.is_disabled(found):
            raise self._wire.conflict(
                f"notification {uuid} is disabled after {found['number_of_failures']} failed deliveries, and later "
                "events are lost: repair its receiver, then reset it"
            )
        self._wire.send("POST", f"{path}/test", needs=ADMIN)
        return found

    def reset(self, repository: str, uuid: str) -> Notification:
        """Set the failures of a notification to 0, which enables it again; returns it. Lost events are not sent again.

        :raises NotFoundError: this repository has no such notification.
        """
        path = self._wire.notification_path(repository, uuid)
        self._wire.send("POST", path, safe_to_repeat=True, needs=ADMIN)
        return cast("Notification", self._wire.get_object(path, needs=ADMIN))

    def _listed(self, repository: str, uuid: str) -> Notification:
        for notification in self.list(repository):
            if notification.get("uuid") == uuid:
                return notification
        raise self._wire.not_found(f"{repository} has no notification {uuid}")

    def _equal(self, repository: str, body: Json) -> Rows[Notification]:
        """All equal notifications, first those that Quay has not disabled."""
        return sorted(
            (each for each in self.list(repository) if rules.is_equal(each, body)),
            key=lambda each: (rules.is_disabled(each), str(each["uuid"])),
        )

    def _only_one_left(self, repository: str, body: Json, path: str) -> Notification:
        """Delete duplicates; of those that several clients created at the same time, all clients keep the same one."""
        equal = self._equal(repository, body)
        if not equal:
            raise self._wire.unexpected(path, "the notification was created, but is not in the list")
        for extra in equal[1:]:
            self.delete(repository, str(extra["uuid"]))
        return equal[0]
