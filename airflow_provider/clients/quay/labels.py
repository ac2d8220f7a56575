"""Labels of Quay's manifests: keys and values that people and programs attach."""

from __future__ import annotations

from typing import cast

from airflow_provider.clients.quay.documents import Label
from airflow_provider.clients.quay.wire import WRITE, Wire
from airflow_provider.clients.rows import Rows


class Labels:
    """See :class:`~airflow_provider.clients.quay.QuayClient`."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self, repository: str, digest: str) -> Rows[Label]:
        """The labels of a manifest."""
        return cast("Rows[Label]", self._wire.get_objects(self._path(repository, digest), "labels"))

    def get(self, repository: str, digest: str, label_id: str) -> Label:
        """:raises NotFoundError: the manifest has no such label."""
        return cast("Label", self._wire.get_object(self._label_path(repository, digest, label_id)))

    def create(self, repository: str, digest: str, *, key: str, value: str, media_type: str = "text/plain") -> Label:
        """Label a manifest; equal labels are not merged. :param media_type: ``text/plain`` or ``application/json``."""
        path = self._path(repository, digest)
        if not key:
            raise self._wire.bad_request("key must not be empty")
        body = {"key": key, "value": value, "media_type": media_type}
        answer = self._wire.object_at(path, self._wire.send("POST", path, body=body, needs=WRITE).data)
        return cast("Label", self._wire.object_at(path, answer.get("label")))

    def delete(self, repository: str, digest: str, label_id: str) -> None:
        """:raises NotFoundError: the manifest has no such label."""
        self._wire.send("DELETE", self._label_path(repository, digest, label_id), needs=WRITE)

    def _path(self, repository: str, digest: str) -> str:
        return self._wire.manifest_path(repository, digest) + "/labels"

    def _label_path(self, repository: str, digest: str, label_id: str) -> str:
        return f"{self._path(repository, digest)}/{self._wire.check_id('label_id', label_id)}"
