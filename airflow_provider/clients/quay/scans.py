"""Security scans of Quay: the findings of its scanner in a manifest."""

from __future__ import annotations

from typing import cast

from airflow_provider.clients.quay.documents import SecurityScan
from airflow_provider.clients.quay.wire import Wire


class Scans:
    """See :class:`~airflow_provider.clients.quay.QuayClient`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def get(self, repository: str, digest: str) -> SecurityScan:
        """``{"status", "data"}``; ``data`` is filled once ``status`` is ``scanned``.

        :raises NotFoundError: there is no such manifest, or this Quay has no scanner.
        """
        path = self._wire.manifest_path(repository, digest) + "/security"
        return cast("SecurityScan", self._wire.get_object(path, {"vulnerabilities": True}))
