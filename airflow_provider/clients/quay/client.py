"""The client of Red Hat Quay: notifications, tags, builds, scans, manifests, labels and repositories."""

from __future__ import annotations

from typing import ClassVar, Unpack

from airflow_provider.clients.base import ReleaseClient
from airflow_provider.clients.memory import Doubts
from airflow_provider.clients.quay.build_waits import BuildWaits
from airflow_provider.clients.quay.builds import Builds
from airflow_provider.clients.quay.labels import Labels
from airflow_provider.clients.quay.manifests import Manifests
from airflow_provider.clients.quay.notifications import Notifications
from airflow_provider.clients.quay.references import SYSTEM
from airflow_provider.clients.quay.repositories import Repositories
from airflow_provider.clients.quay.scan_waits import ScanWaits
from airflow_provider.clients.quay.scans import Scans
from airflow_provider.clients.quay.tag_waits import TagWaits
from airflow_provider.clients.quay.tags import Tags
from airflow_provider.clients.quay.wire import INSUFFICIENT_SCOPE, Wire
from airflow_provider.clients.transport import TransportOptions
from airflow_provider.clients.waits import Waits
from airflow_provider.exceptions import PermissionDeniedError, UnexpectedResponseError


class QuayClient(ReleaseClient):
    """:param base_url: of the registry's web UI, without the prefix; its host is part of image names.
    :param token: an OAuth application token; ``repo:admin`` for notifications and to cancel builds, ``repo:write`` to
        start builds, read their logs and change tags, ``repo:read`` for the rest.
    :param api_prefix: of every path.
    :param ui_url: of the page of a build, a tag or a scan, with ``{base}``, ``{repository}``, ``{kind}`` (``build``,
        ``tag`` or ``scan``) and ``{id}``; default: Quay's own pages.
    :param options: ``timeout``, ``verify``, ``max_connections``, ``attempts`` and ``on_secret`` of its
        :class:`~airflow_provider.clients.transport.Transport`.
    """

    system: ClassVar[str] = SYSTEM

    def __init__(
        self,
        base_url: str,
        *,
        token: str,
        api_prefix: str = "/api/v1",
        ui_url: str | None = None,
        **options: Unpack[TransportOptions],
    ) -> None:
        self._wire = wire = Wire(base_url, token=token, api_prefix=api_prefix, ui_url=ui_url, options=options)
        super().__init__(wire.transport)
        doubts = Doubts()
        self.repositories = Repositories(wire)
        self.notifications = Notifications(wire, self.repositories)
        self.builds = Builds(wire, doubts, self._placing.placed)
        self.tags = Tags(wire)
        self.manifests = Manifests(wire)
        self.labels = Labels(wire)
        self.scans = Scans(wire)
        self.waits = Waits(
            self._placing,
            BuildWaits(wire, self.builds, doubts),
            TagWaits(wire, self.tags),
            ScanWaits(wire, scans=self.scans, manifests=self.manifests, tags=self.tags),
        )

    @property
    def registry(self) -> str:
        """Host and port, with which image names begin."""
        return self._wire.registry

    def check(self) -> str:
        path = self._wire.probe_path
        registry = self._wire.registry
        try:
            self._wire.get_objects(path, "notifications")
        except (PermissionDeniedError, UnexpectedResponseError) as error:
            # Only Quay refuses in these words; any web server may have a success status for any path.
            if error.code != INSUFFICIENT_SCOPE:
                raise UnexpectedResponseError(
                    f"{registry} answered, but not as Quay does ({error.summary}); check the connection's host and its "
                    "extra `api_prefix`",
                    call=error.call,
                ) from None
        return f"Quay at {registry} accepts the token; its permissions are decided for each repository"
