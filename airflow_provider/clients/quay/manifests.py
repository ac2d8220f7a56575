"""Manifests of Quay, which describe an image, or a list of images for several platforms."""

from __future__ import annotations

from typing import cast

from airflow_provider.clients.quay.documents import Manifest
from airflow_provider.clients.quay.wire import Wire


class Manifests:
    """See :class:`~airflow_provider.clients.quay.QuayClient`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def get(self, repository: str, digest: str) -> Manifest:
        """A manifest to which a current tag points; its JSON is in ``manifest_data`` as text."""
        return cast("Manifest", self._wire.get_object(self._wire.manifest_path(repository, digest)))
