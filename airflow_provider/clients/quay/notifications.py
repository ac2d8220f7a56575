"""Notifications of a Quay repository: webhooks, mails and others, sent at its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from msgspec import Struct
from msgspec.structs import replace

from airflow_provider.clients.quay import notification_rules as rules
from airflow_provider.clients.quay.documents import Notification
from airflow_provider.clients.quay.fields import Json
from airflow_provider.clients.quay.notification_plan import marked_title, plan_of
from airflow_provider.clients.quay.repositories import Repositories
from airflow_provider.clients.quay.wire import ADMIN, Wire
from airflow_provider.clients.rows import Rows
from airflow_provider.exceptions import NotFoundError, ReleasePipelineError


class Wanted(Struct, kw_only=True):
    """A notification as :meth:`Notifications.create` takes it; a title is given to one that has none."""

    event: str
    method: str
    config: Mapping[str, Any]
    event_config: Mapping[str, Any] | None = None
    title: str | None = None


class Kept(Struct):
    """What :meth:`Notifications.keep` has found and done.

    :param notifications: those that are wanted, as they are now, in that order.
    :param created: uuids, as of the next two.
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

        :raises NotFoundError: there is no such repository (Quay itself answers an empty list then).
        """
        path = self._wire.repository_path("/notification/", repository)
        found = cast("Rows[Notification]", self._wire.ask_for_objects(path, "notifications", needs=ADMIN))
        if not found:
            self._repositories.get(repository)
        return found

    def get(self, repository: str, uuid: str) -> Notification:
        """:raises NotFoundError: this repository has no such notification (Quay itself finds those of others too)."""
        found = cast(
            "Notification", self._wire.ask_for_object(self._wire.notification_path(repository, uuid), needs=ADMIN)
        )
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
        """Create a notification, or return the equal one that is there already: Quay would send everything twice.

        One that Quay has disabled after failures is returned, too, and stays disabled: see its ``number_of_failures``.

        :param event: one of ``notification_rules.EVENTS``.
        :param method: one of ``notification_rules.METHODS``.
        :param config: what the method needs, for a webhook ``url`` and optionally ``template``.
        :param event_config: narrows the event down, for builds ``ref-regex``.
        :param title: at most 255 characters.
        :raises BadRequestError: names what Quay would refuse, or store although it never works.
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

    def keep(self, repository: str, wanted: Sequence[Wanted], owner: str) -> Kept:
        """Let a repository have exactly these, of all that were made by the same owner.

        Creates what is missing, deletes what this owner made and does not want any more, and resets what Quay has
        disabled. Nobody else's is touched. May be repeated, from any point at which it was cut off.

        :param owner: who keeps them, as their titles tell.
        :raises BadRequestError: one of them would not work; nothing was changed.
        """
        if not owner:
            raise self._wire.bad_request("owner must not be empty: all notifications would be taken for its own")
        bodies = [self._checked_body(repository, each, owner) for each in wanted]
        if any(bodies.count(body) > 1 for body in bodies):
            raise self._wire.bad_request("each of the notifications must differ from the others: Quay sends twice")
        plan = plan_of(self.list(repository), bodies, owner)
        # First what is missing: of two that do the same for a moment, one too many is better than none.
        created = [self._created(repository, body) for body in plan.create]
        for each in plan.delete:
            self.delete(repository, str(each["uuid"]))
        for each in plan.reset:
            self.reset(repository, str(each["uuid"]))
        now = self.list(repository)
        return Kept(
            notifications=[each for body in bodies for each in now if rules.is_equal(each, body)],
            created=[str(each["uuid"]) for each in created],
            reset=[str(each["uuid"]) for each in plan.reset],
            deleted=[str(each["uuid"]) for each in plan.delete],
        )

    def delete(self, repository: str, uuid: str, *, missing_ok: bool = True) -> bool:
        """Delete a notification; returns whether it was there.

        :raises NotFoundError: it was not, and ``missing_ok`` is false.
        """
        path = self._wire.notification_path(repository, uuid)
        if not missing_ok:
            self._listed(repository, uuid)
        try:
            self._wire.send("DELETE", path, safe_to_repeat=True, needs=ADMIN)
        except NotFoundError:
            # Also the answer to a repetition whose first answer was lost.
            return not missing_ok
        return True

    def test(self, repository: str, uuid: str) -> Notification:
        """Queue a test of a notification; returns the notification. Queued is not delivered: that takes 0 to 10 s.

        :raises NotFoundError: this repository has no such notification.
        :raises ConflictError: it is disabled after 3 failures; Quay would accept the test and send nothing.
        """
        path = self._wire.notification_path(repository, uuid)
        found = self._listed(repository, uuid)
        if rules.is_disabled(found):
            raise self._wire.conflict(
                f"notification {uuid} is disabled after {found['number_of_failures']} failed deliveries, and what "
                "happened since is lost: repair its receiver, then reset it"
            )
        self._wire.send("POST", f"{path}/test", needs=ADMIN)
        return found

    def reset(self, repository: str, uuid: str) -> Notification:
        """Set the failures of a notification to 0, which enables it again; returns it. Lost events do not come back.

        :raises NotFoundError: this repository has no such notification.
        """
        path = self._wire.notification_path(repository, uuid)
        self._wire.send("POST", path, safe_to_repeat=True, needs=ADMIN)
        return cast("Notification", self._wire.ask_for_object(path, needs=ADMIN))

    def _listed(self, repository: str, uuid: str) -> Notification:
        for notification in self.list(repository):
            if notification.get("uuid") == uuid:
                return notification
        raise self._wire.not_found(f"{repository} has no notification {uuid}")

    def _equal(self, repository: str, body: Json) -> Rows[Notification]:
        """All that do the same, first those that Quay has not disabled."""
        return sorted(
            (each for each in self.list(repository) if rules.is_equal(each, body)),
            key=lambda each: (rules.is_disabled(each), str(each["uuid"])),
        )

    def _only_one_left(self, repository: str, body: Json, path: str) -> Notification:
        """Of what several creators at once made, all keep the same one."""
        equal = self._equal(repository, body)
        if not equal:
            raise self._wire.unexpected(path, "the notification was created but is not in the list")
        for extra in equal[1:]:
            self.delete(repository, str(extra["uuid"]))
        return equal[0]
