"""Operators for Red Hat Quay: image builds, tags and notifications (webhooks)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider.operators.arguments import (
    BuildTags,
    Digest,
    QuayId,
    Repository,
    Tag,
    Url,
    secrets_of_url,
    without_signature,
)
from airflow_provider.operators.base import ReleaseOperator
from airflow_provider.operators.checking import rule_of
from airflow_provider.operators.starting import StartOperator
from airflow_provider.storable import storable

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


Event = Literal[
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
    deed = "build an image of {repository}"
    told = ("tags", "archive", "subdirectory", "dockerfile_path")
    template_fields = ("repository", "archive_url", "tags", "subdirectory", "dockerfile_path", "quay_conn_id")

    def __init__(
        self,
        *,
        repository: Repository,
        archive_url: Url,
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
        """Where the archive is, for the log: its URL without the signature."""
        return without_signature(self.archive_url)

    def intent(self, client: QuayClient) -> dict[str, Any]:
        client.builds.check(self.repository, **self._source())
        repository = client.repositories.get(self.repository)
        if self.cancel_on_kill and not repository.get("can_admin"):
            self.log.warning(
                "The token of connection %r may not cancel what it starts: that needs the scope repo:admin, of a user "
                "who may administer %s. If a person ends this task, the build continues",
                self.conn_id,
                self.repository,
            )
        return client.builds.intent(self.repository, **self._source())

    def start(self, client: QuayClient, intent: Intent) -> Execution:
        return client.builds.start(self.repository, **self._source())

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        # Not at the top: no parsing of a DAG file needs it.
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

    :param repository: ``namespace/name``. (templated)
    :param tag: the tag to create or move. (templated)
    :param digest: the image, ``sha256:...``; give this or ``source_tag``. (templated)
    :param source_tag: a tag that points to the image now. (templated)
    :param quay_conn_id: the Airflow connection. (templated)

    https://docs.redhat.com/en/documentation/red_hat_quay/3/html/red_hat_quay_api_reference/tag
    """

    system = "quay"
    deed = "point tag {tag!r} of {repository}"
    told = ("source_tag", "digest")
    template_fields = ("repository", "tag", "digest", "source_tag", "quay_conn_id")

    def __init__(
        self,
        *,
        repository: Repository,
        tag: Tag,
        digest: Digest | None = None,
        source_tag: Tag | None = None,
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

        with self.begin(context) as client:
            promoted = client.tags.promote(self.repository, self.tag, digest=self.digest, source_tag=self.source_tag)
            result = client.look(tag_reference(self.repository, self.tag, promoted["manifest_digest"])).to_result()
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
        self, *, repository: Repository, quay_conn_id: str = "quay_default", **kwargs: Unpack[ReleaseArguments]
    ) -> None:
        super().__init__(**kwargs)
        self.repository = repository
        self.quay_conn_id = quay_conn_id

    def result(self, notification: Mapping[str, Any]) -> dict[str, Any]:
        """What may go into XCom, without the secrets: many can read it who must not be able to send with it."""
        from airflow_provider.clients.quay.notification_rules import is_disabled, without_secrets

        result: dict[str, Any] = storable({**without_secrets(notification), "disabled": is_disabled(notification)})
        return result


class QuayCreateNotificationOperator(_NotificationOperator):
    """Create a notification of a repository, for example a webhook, or return an equal one that exists.

    If Quay has disabled that one after failures, it is not reset: the task warns, and ``disabled`` is true in the
    result. See :class:`QuayResetNotificationOperator`.

    :param repository: ``namespace/name``. (templated)
    :param event: for example ``repo_push`` or ``build_success``. (templated)
    :param method: for example ``webhook`` or ``slack``. (templated)
    :param config: of the method, for a webhook ``{"url": ...}``. (templated)
    :param event_config: of the event, for example ``{"ref-regex": ...}``. (templated)
    :param title: shown in Quay. (templated)
    :param quay_conn_id: the Airflow connection. (templated)
    :return: the notification: ``uuid``, ``title``, ``event``, ``method``, ``config`` (secrets masked),
        ``event_config``, ``number_of_failures``, ``disabled``.

    https://docs.redhat.com/en/documentation/red_hat_quay/3/html/red_hat_quay_api_reference/repositorynotification
    """

    deed = "create a notification of {repository}"
    told = ("event", "method")
    template_fields = ("repository", "event", "method", "config", "event_config", "title", "quay_conn_id")

    def __init__(
        self,
        *,
        event: Event,
        method: Method,
        config: Mapping[str, Any],
        event_config: Mapping[str, Any] | None = None,
        title: str | None = None,
        **kwargs: Unpack[_NotificationArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.event = event
        self.method = method
        self.config = config
        self.event_config = event_config
        self.title = title

    def hidden(self) -> Iterable[str]:
        from airflow_provider.clients.quay.notification_rules import secrets_of

        for key, value in secrets_of(self.method, self.config):
            yield from secrets_of_url(value, in_path=True) if key == "url" else [value]

    def execute(self, context: Context) -> dict[str, Any]:
        with self.begin(context) as client:
            notification = client.notifications.create(
                self.repository,
                event=self.event,
                method=self.method,
                config=self.config,
                event_config=self.event_config,
                title=self.title,
            )
            result = self.result(notification)
            self.log_lines([self.lines.notification(result["uuid"], "exists")])
        if result["disabled"]:
            self.log.warning(
                "Notification %s exists, but Quay has disabled it after %s failed deliveries: it sends nothing until "
                "QuayResetNotificationOperator resets it",
                result["uuid"],
                result["number_of_failures"],
            )
        return result


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

    deed = "delete notification {uuid} of {repository}"

    def __init__(self, *, missing_ok: bool = True, **kwargs: Any) -> None:
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

    deed = "test notification {uuid} of {repository}"

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

    deed = "reset notification {uuid} of {repository}"

    def execute(self, context: Context) -> dict[str, Any]:
        with self.begin(context) as client:
            result = self.result(client.notifications.reset(self.repository, self.uuid))
            self.log_lines([self.lines.notification(self.uuid, "sends again, its failures counted from 0")])
        return result
