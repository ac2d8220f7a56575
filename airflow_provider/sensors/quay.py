"""Sensors for Red Hat Quay: builds, tags and security scans."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider.identifiers import Severity
from airflow_provider.operators.arguments import Digest, QuayId, RepositoryName, TagName
from airflow_provider.operators.checking import rule_of
from airflow_provider.sensors.base import KnownSensor

if TYPE_CHECKING:
    from typing import Required, Unpack

    from airflow.sdk import Context

    from airflow_provider.clients.quay import QuayClient
    from airflow_provider.operators.shared_arguments import KnownSensorArguments

    class _RepositoryArguments(KnownSensorArguments, total=False):
        repository: Required[str]
        quay_conn_id: str


class _RepositorySensor(KnownSensor["QuayClient"]):
    """:param repository: ``namespace/name``. (templated)
    :param quay_conn_id: the Airflow connection. (templated)
    """

    system = "quay"

    def __init__(
        self, *, repository: RepositoryName, quay_conn_id: str = "quay_default", **kwargs: Unpack[KnownSensorArguments]
    ) -> None:
        super().__init__(**kwargs)
        self.repository = repository
        self.quay_conn_id = quay_conn_id


class QuayBuildSensor(_RepositorySensor):
    """Wait until an image build succeeds; fail if it does not.

    :param repository: ``namespace/name``. (templated)
    :param build_id: id of the build. (templated)
    :param quay_conn_id: the Airflow connection. (templated)

    https://docs.redhat.com/en/documentation/red_hat_quay/3/html/red_hat_quay_api_reference/build
    """

    purpose = "wait for build {build_id} of {repository}"
    template_fields = ("repository", "build_id", "ref", "quay_conn_id")

    def __init__(self, *, build_id: QuayId, **kwargs: Unpack[_RepositoryArguments]) -> None:
        super().__init__(**kwargs)
        self.build_id = build_id
        self.watch(kind="build", id=build_id, repository=self.repository)

    def execute_complete(self, context: Context, event: Any) -> dict[str, Any]:
        from airflow_provider.progress import with_reason

        return super().execute_complete(context, with_reason(event, partial(self.get_client, context)))


class QuayTagSensor(_RepositorySensor):
    """Wait until a tag exists and, if a digest is given, points to it.

    The result's ``outputs`` have ``repository``, ``tag``, ``digest`` and ``image_ref``.

    :param repository: ``namespace/name``. (templated)
    :param tag: the tag. (templated)
    :param digest: ``sha256:...`` that the tag must point to; default: any. (templated)
    :param quay_conn_id: the Airflow connection. (templated)

    https://docs.redhat.com/en/documentation/red_hat_quay/3/html/red_hat_quay_api_reference/tag
    """

    purpose = "wait for tag {tag!r} of {repository}"
    logged_arguments = ("digest",)
    template_fields = ("repository", "tag", "digest", "ref", "quay_conn_id")

    def __init__(self, *, tag: TagName, digest: Digest | None = None, **kwargs: Unpack[_RepositoryArguments]) -> None:
        super().__init__(**kwargs)
        self.tag = tag
        self.digest = digest
        self.watch(kind="tag", id=tag, repository=self.repository, tag=tag, digest=digest)


class QuaySecurityScanSensor(_RepositorySensor):
    """Wait until an image is scanned; fail if the scan has a finding above the limit.

    The result's ``outputs`` have ``digest``, ``severities`` (a number each), ``highest`` and ``image_ref``.

    :param repository: ``namespace/name``. (templated)
    :param digest: ``sha256:...`` of the image; give this or ``tag``. (templated)
    :param tag: a tag of the image. (templated)
    :param max_severity: the worst that passes, one of Unknown < Negligible < Low < Medium < High (default) < Critical.
        (templated)
    :param quay_conn_id: the Airflow connection. (templated)

    https://docs.redhat.com/en/documentation/red_hat_quay/3/html/red_hat_quay_api_reference/secscan
    """

    purpose = "wait for a security scan of {repository}"
    logged_arguments = ("tag", "digest", "max_severity")
    template_fields = ("repository", "digest", "tag", "max_severity", "ref", "quay_conn_id")

    def __init__(
        self,
        *,
        digest: Digest | None = None,
        tag: TagName | None = None,
        max_severity: Severity = "High",
        **kwargs: Unpack[_RepositoryArguments],
    ) -> None:
        super().__init__(**kwargs)
        self.digest = digest
        self.tag = tag
        self.max_severity = max_severity
        image = digest or tag
        self.watch(kind="scan", id=image, repository=self.repository, tag=tag, digest=digest, max_severity=max_severity)

    @rule_of("digest", "tag")
    def _check_image(self) -> None:
        self.require_exactly_one("digest", "tag")
