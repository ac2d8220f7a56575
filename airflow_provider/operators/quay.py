"""Operators for Red Hat Quay: image builds, tags and notifications (webhooks)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider.identifiers import got, secrets_of_url, without_signature
from airflow_provider.operators.arguments import (
    ArchiveUrl,
    AssetArgument,
    BuildTags,
    Digest,
    QuayId,
    RepositoryName,
    TagName,
    arguments_of,
    problem_of,
)
from airflow_provider.operators.base import ReleaseOperator
from airflow_provider.operators.checking import rule_of
from airflow_provider.operators.starting import StartOperator

if TYPE_CHECKING:
    from typing import Required, Unpack

    from airflow.sdk import Context

    from airflow_provider.clients.quay import QuayClient
    from airflow_provider.clients.quay.build_starts import BuildSource
    from airflow_provider.clients.waitable import Intent
    from airflow_provider.execution import Execution
    from airflow_provider.operators.shared_arguments import ReleaseArguments, StartArguments

    class _NotificationArguments(ReleaseArguments, total=False):
        repository: Required[str]
        quay_conn_id: str

    class _OneNotificationArguments(_NotificationArguments, total=False):
        uuid: Required[str]


NotificationEvent = Literal[
    "repo_push",
    "build_queued",
    "build_start",
    "build_success",
    "build_failure",
    "build_cancelled",
    "vulnerability_found",
    "repo_mirror_sync_started",
    "repo_mirror_sync_success",
    "repo_mirror_sync_failed",
    "repo_image_expiry",
    "quota_warning",
    "quota_error",
]
Method = Literal["webhook", "slack", "email", "quay_notification", "flowdock", "hipchat"]


class QuayRunBuildOperator(StartOperator["QuayClient"]):
    """Build an image in Quay and wait for it.

    The result's ``outputs`` have ``tags``, ``digest`` and ``image_ref`` (pinned by digest).

    :param repository: ``namespace/name``. (templated)
    :param archive_url: http(s) URL of the archive to build. (templated)
    :param tags: tags of the image, at least one. (templated)
    :param subdirectory: folder of the Dockerfile in the archive. (templated)
    :param dockerfile_path: path of the Dockerfile in the archive. (templated)
    :param quay_conn_id: the Airflow connection. (templated)

    https://docs.redhat.com/en/documentation/red_hat_quay/3/html/red_hat_quay_api_reference/build
    """

    system = "quay"
    purpose = "build an image of {repository}"
    logged_arguments = ("tags", "archive", "subdirectory", "dockerfile_path")
    template_fields = ("repository", "archive_url", "tags", "subdirectory", "dockerfile_path", "quay_conn_id")

    def __init__(
        self,
        *,
        repository: RepositoryName,
        archive_url: ArchiveUrl,
        tags: BuildTags,
        subdirectory: str | None = None,
        dockerfile_path: str | None = None,
        quay_conn_id: str = "quay_default",
        **kwargs: Unpack[StartArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.repository = repository
        self.archive_url = archive_url
        self.tags = tags
        self.subdirectory = subdirectory
        self.dockerfile_path = dockerfile_path
        self.quay_conn_id = quay_conn_id

    @rule_of("subdirectory", "dockerfile_path")
    def _check_place(self) -> None:
        if self.subdirectory and self.dockerfile_path:
            raise self.bad_argument("subdirectory", "or dockerfile_path must be given, not both: Quay reads only one")

    def hidden(self) -> Iterable[str]:
        return secrets_of_url(self.archive_url, in_path=False)

    @property
    def archive(self) -> str:
        """The archive's URL without its signature, for the log."""
        return without_signature(self.archive_url)

    def intent(self, client: QuayClient) -> dict[str, Any]:
        intent = client.builds.intent(self.repository, **self._source())
        repository = client.repositories.get(self.repository)
        if self.cancel_on_kill and not repository.get("can_admin"):
            self.log.warning(
                "The token of connection %r may not cancel what it starts: that needs the scope repo:admin, of a user "
                "who may administer %s. If a person ends this task, the build continues",
                self.conn_id,
                self.repository,
            )
        return intent

    def start(self, client: QuayClient, intent: Intent) -> Execution:
        return client.builds.start(self.repository, **self._source())

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        from airflow_provider.progress import with_reason

        return super().execute_complete(context, with_reason(event, partial(self.get_client, context)))

    def _source(self) -> BuildSource:
        return {
            "archive_url": self.archive_url,
            "tags": self.tags,
            "subdirectory": self.subdirectory,
            "dockerfile_path": self.dockerfile_path,
        }


class QuayPromoteTagOperator(ReleaseOperator["QuayClient"]):
    """Point a tag to an image of the same repository: create or move it.

    A retry means the same image, wherever ``source_tag`` points by then. If an earlier attempt has moved the tag, and
    somebody else has moved it since, it is left alone, and the task fails.

    :param repository: ``namespace/name``. (templated)
    :param tag: the tag to create or move. (templated)
    :param digest: the image, ``sha256:...``; give this or ``source_tag``. (templated)
    :param source_tag: a tag that points to the image now. (templated)
    :param quay_conn_id: the Airflow connection. (templated)

    https://docs.redhat.com/en/documentation/red_hat_quay/3/html/red_hat_quay_api_reference/tag
    """

    system = "quay"
    purpose = "point tag {tag!r} of {repository}"
    logged_arguments = ("source_tag", "digest")
    template_fields = ("repository", "tag", "digest", "source_tag", "quay_conn_id")

    def __init__(
        self,
        *,
        repository: RepositoryName,
        tag: TagName,
        digest: Digest | None = None,
        source_tag: TagName | None = None,
        quay_conn_id: str = "quay_default",
        **kwargs: Unpack[ReleaseArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.repository = repository
        self.tag = tag
        self.digest = digest
        self.source_tag = source_tag
        self.quay_conn_id = quay_conn_id

    @rule_of("digest", "source_tag")
    def _check_image(self) -> None:
        self.require_exactly_one("digest", "source_tag")

    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_provider.clients.quay.references import tag_reference
        from airflow_provider.operators.promoting import KEY, promote

        with self.begin(context) as client:
            memory = self.memory(context, client, KEY, f"pointed tag {self.tag!r} of {self.repository} to an image")
            promoted = promote(client, memory, self.repository, self.tag, self.digest, self.source_tag)
            result = client.observe(tag_reference(self.repository, self.tag, promoted["manifest_digest"])).to_result()
            self.publish(context, result)
            self.log_lines([self.lines.pointed(result)])
        return result


class _NotificationOperator(ReleaseOperator["QuayClient"]):
    """:param repository: ``namespace/name``. (templated)
    :param quay_conn_id: the Airflow connection. (templated)
    """

    system = "quay"
    operator_extra_links = ()
    template_fields: tuple[str, ...] = ("repository", "quay_conn_id")

    def __init__(
        self, *, repository: RepositoryName, quay_conn_id: str = "quay_default", **kwargs: Unpack[ReleaseArguments]
    ) -> None:
        super().__init__(**kwargs)
        self.repository = repository
        self.quay_conn_id = quay_conn_id

    def as_sent(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The notification as a client takes it."""
        from airflow_provider.operators import notification

        return notification.as_sent(self, given)

    def secrets_in(self, given: Mapping[str, Any]) -> Iterable[str]:
        """The secrets of a notification."""
        from airflow_provider.operators import notification

        return notification.secrets_of(self, given)

    def result(self, created: Mapping[str, Any]) -> dict[str, Any]:
        """The notification for XCom, without its secrets."""
        from airflow_provider.operators import notification

        return notification.shown(created)


class QuayCreateNotificationOperator(_NotificationOperator):
    """Create a notification of a repository, for example a webhook, or return an equal one that exists.

    With ``asset``, it is a webhook whose deliveries become events of that asset; its URL is that of the webhook that
    Airflow's configuration declares for the asset. See docs/webhooks.md.

    If Quay has disabled that one after failures, it is not reset: the task warns, and ``disabled`` is true in the
    result. See :class:`QuayResetNotificationOperator`.

    :param repository: ``namespace/name``. (templated)
    :param event: for example ``repo_push`` or ``build_success``. (templated)
    :param method: for example ``webhook`` (default) or ``slack``. (templated)
    :param config: of the method, for a webhook ``{"url": ...}``; give this or ``asset``. (templated)
    :param asset: the asset that gets an event for each delivery, or its name or URI.
    :param event_config: of the event, for example ``{"ref-regex": ...}``. (templated)
    :param title: shown in Quay. (templated)
    :param quay_conn_id: the Airflow connection. (templated)
    :return: the notification: ``uuid``, ``title``, ``event``, ``method``, ``config`` (secrets masked),
        ``event_config``, ``number_of_failures``, ``disabled``.

    https://docs.redhat.com/en/documentation/red_hat_quay/3/html/red_hat_quay_api_reference/repositorynotification
    """

    purpose = "create a notification of {repository}"
    logged_arguments = ("event", "method")
    template_fields = ("repository", "event", "method", "config", "event_config", "title", "quay_conn_id")

    def __init__(
        self,
        *,
        event: NotificationEvent,
        method: Method = "webhook",
        config: Mapping[str, Any] | None = None,
        asset: AssetArgument | None = None,
        event_config: Mapping[str, Any] | None = None,
        title: str | None = None,
        **kwargs: Unpack[_NotificationArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.event = event
        self.method = method
        self.config = config
        self.asset = asset
        self.event_config = event_config
        self.title = title

    @rule_of("method", "config", "asset")
    def _check_way(self) -> None:
        self.require_exactly_one("config", "asset")
        if self.asset and self.method != "webhook":
            raise self.bad_argument("method", f"must be 'webhook' with an asset, {got(self.method)}")

    def hidden(self) -> Iterable[str]:
        return self.secrets_in(self._notification())

    def _notification(self) -> dict[str, Any]:
        return {
            "event": self.event,
            "method": self.method,
            "config": self.config,
            "asset": self.asset,
            "event_config": self.event_config,
            "title": self.title,
        }

    def execute(self, context: Context) -> dict[str, Any]:
        with self.begin(context) as client:
            notification = client.notifications.create(self.repository, **self.as_sent(self._notification()))
            result = self.result(notification)
            self.log_lines([self.lines.notification(result["uuid"], "is in place")])
        if result["disabled"]:
            self.log.warning(
                "Notification %s exists, but Quay has disabled it after %s failed deliveries: it sends nothing until "
                "QuayResetNotificationOperator resets it",
                result["uuid"],
                result["number_of_failures"],
            )
        return result


class QuayNotificationsOperator(_NotificationOperator):
    """Keep the notifications of a repository as code: of those that it manages, exactly these exist afterwards.

    Creates what is missing, deletes what it created itself and is no longer wanted (including one with an older URL,
    after the secret of a webhook was rotated), and resets what Quay has disabled. It marks its notifications at the end
    of their titles, and never changes or removes others.

    If it is expanded, or in a mapped task group, one instance must hold all notifications of a repository: expand over
    ``repository``, or use ``expand_kwargs``, and not over ``notifications``.

    :param repository: ``namespace/name``. (templated)
    :param notifications: mappings with the arguments of :class:`QuayCreateNotificationOperator`: ``event``, and
        ``asset`` or ``method`` and ``config``, and optionally ``event_config`` and ``title``. An empty list removes all
        that it created. (templated)
    :param kept_by: who manages them; others' are left alone. Default: the URL of this Airflow, the DAG and the task.
        Set it before you rename one of them. (templated)
    :param quay_conn_id: the Airflow connection. (templated)
    :return: ``notifications`` (each as of :class:`QuayCreateNotificationOperator`), and the uuids of those ``created``,
        ``reset`` and ``deleted``.

    https://docs.redhat.com/en/documentation/red_hat_quay/3/html/red_hat_quay_api_reference/repositorynotification
    """

    purpose = "keep the notifications of {repository}"
    template_fields = ("repository", "notifications", "kept_by", "quay_conn_id")

    def __init__(
        self,
        *,
        notifications: list[Mapping[str, Any]],
        kept_by: str | None = None,
        **kwargs: Unpack[_NotificationArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.notifications = notifications
        self.kept_by = kept_by

    @rule_of("notifications")
    def _check_notifications(self) -> None:
        for place, each in enumerate(self.notifications):
            for problem in _problems_of_wanted(each):
                raise self.bad_argument("notifications", f"[{place}]: {problem}")

    def hidden(self) -> Iterable[str]:
        given: Any = self.notifications
        for each in given if isinstance(given, (list, tuple)) else [given]:
            if isinstance(each, Mapping):
                yield from self.secrets_in(each)
            elif isinstance(each, str):
                # It is refused, but Airflow stores it before that.
                yield each

    def execute(self, context: Context) -> dict[str, Any]:
        with self.begin(context) as client:
            from airflow_provider.clients.quay.notifications import Wanted
            from airflow_provider.operators.notification import owner_of, share_an_owner

            if share_an_owner(context["dag"].get_task(self.task_id)):
                raise self.bad_argument(
                    "notifications",
                    "must list all notifications of a repository in one mapped instance; otherwise the instances "
                    "delete each other's. Expand over repositories instead, or give each instance a kept_by of its "
                    "own with expand_kwargs",
                )
            wanted = [Wanted(**{"method": "webhook", **self.as_sent(each)}) for each in self.notifications]
            kept = client.notifications.keep(self.repository, wanted, self.kept_by or owner_of(self))
            for uuids, what in (
                (kept.created, "was created"),
                (kept.reset, "had been disabled by Quay, and sends again; the events in between are lost"),
                (kept.deleted, "is no longer wanted, and was deleted"),
            ):
                self.log_lines([self.lines.notification(uuid, what) for uuid in uuids])
        return {
            "notifications": [self.result(each) for each in kept.notifications],
            "created": kept.created,
            "reset": kept.reset,
            "deleted": kept.deleted,
        }


def _problems_of_wanted(given: object) -> Iterator[str]:
    hints = arguments_of(QuayCreateNotificationOperator.__init__)
    if not isinstance(given, Mapping):
        yield f"must be a mapping, got a {type(given).__name__}"
        return
    for name in given:
        if name not in hints:
            yield f"must have only {', '.join(sorted(hints))}, got {name!r}"
    if "event" not in given:
        yield "must have an event"
    if bool(given.get("config")) == bool(given.get("asset")):
        yield "must have exactly one of config and asset"
    for name, value in given.items():
        if problem := problem_of(hints[name], value):
            yield f"{name} {problem}"
    if given.get("asset") and given.get("method", "webhook") != "webhook":
        yield f"method must be 'webhook' with an asset, {got(given['method'])}"


class _OneNotificationOperator(_NotificationOperator):
    """:param uuid: of the notification. (templated)"""

    template_fields = ("repository", "uuid", "quay_conn_id")

    def __init__(self, *, uuid: QuayId, **kwargs: Unpack[_NotificationArguments]) -> None:
        super().__init__(**kwargs)
        self.uuid = uuid


class QuayDeleteNotificationOperator(_OneNotificationOperator):
    """Delete a notification.

    :param repository: ``namespace/name``. (templated)
    :param uuid: of the notification. (templated)
    :param missing_ok: succeed if it does not exist (default).
    :param quay_conn_id: the Airflow connection. (templated)

    https://docs.redhat.com/en/documentation/red_hat_quay/3/html/red_hat_quay_api_reference/repositorynotification
    """

    purpose = "delete notification {uuid} of {repository}"

    def __init__(self, *, missing_ok: bool = True, **kwargs: Unpack[_OneNotificationArguments]) -> None:
        super().__init__(**kwargs)
        self.missing_ok = missing_ok

    def execute(self, context: Context) -> None:
        with self.begin(context) as client:
            client.notifications.delete(self.repository, self.uuid, missing_ok=self.missing_ok)
            self.log_lines([self.lines.notification(self.uuid, "is gone")])


class QuayTestNotificationOperator(_OneNotificationOperator):
    """Queue a test delivery of a notification; refuses one that Quay has disabled after failures.

    :param repository: ``namespace/name``. (templated)
    :param uuid: of the notification. (templated)
    :param quay_conn_id: the Airflow connection. (templated)
    :return: as of :class:`QuayCreateNotificationOperator`. Queued is not delivered: that takes up to 10 s.

    https://docs.redhat.com/en/documentation/red_hat_quay/3/html/red_hat_quay_api_reference/repositorynotification
    """

    purpose = "test notification {uuid} of {repository}"

    def execute(self, context: Context) -> dict[str, Any]:
        with self.begin(context) as client:
            result = self.result(client.notifications.test(self.repository, self.uuid))
            self.log_lines([self.lines.notification(self.uuid, "has a test delivery queued")])
        return result


class QuayResetNotificationOperator(_OneNotificationOperator):
    """Set the failure counter of a notification to 0, so that Quay sends again; events missed meanwhile stay lost.

    :param repository: ``namespace/name``. (templated)
    :param uuid: of the notification. (templated)
    :param quay_conn_id: the Airflow connection. (templated)
    :return: as of :class:`QuayCreateNotificationOperator`.

    https://docs.redhat.com/en/documentation/red_hat_quay/3/html/red_hat_quay_api_reference/repositorynotification
    """

    purpose = "reset notification {uuid} of {repository}"

    def execute(self, context: Context) -> dict[str, Any]:
        with self.begin(context) as client:
            result = self.result(client.notifications.reset(self.repository, self.uuid))
            self.log_lines([self.lines.notification(self.uuid, "sends again, its failures counted from 0")])
        return result
