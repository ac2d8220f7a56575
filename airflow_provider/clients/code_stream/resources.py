"""Stored objects of Code Stream that all have the same operations: list, get, create, update, delete, patch, clone."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, cast

from airflow_provider.clients.code_stream.fields import Json
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.rows import Rows
from airflow_provider.clients.urls import path

ResourceKey = str | tuple[str, str]
"""The id of an object, or its project and name."""


DocumentT = TypeVar("DocumentT")


class Resource(Generic[DocumentT]):
    """One kind of object. Specifications and answers are the vendor's JSON objects; their secrets are masked in logs.

    :param root: below the API's prefix.
    """

    def __init__(self, wire: Wire, root: str) -> None:
        self._wire, self._root = wire, root

    def list(self, where: str | None = None, *, limit: int | None = None) -> Rows[DocumentT]:
        """:param where: the ``$filter``, such as ``project eq 'retail'``; ``limit``: maximum number of objects."""
        rows = self._wire.rows(self._root, where=where, limit=limit)
        return cast("Rows[DocumentT]", [self._keep_secret(row) for row in rows])

    def get(self, key: ResourceKey) -> DocumentT:
        """The object, with ``id``, ``name`` and ``project``.

        :raises NotFoundError: there is none.
        """
        return cast("DocumentT", self._keep_secret(self._wire.get(self._path(key))))

    def create(self, spec: Json) -> DocumentT:
        """:param spec: the vendor's object; at least ``name`` and ``project``."""
        return cast("DocumentT", self._send("POST", self._root, spec))

    def update(self, key: ResourceKey, spec: Json) -> DocumentT:
        """Replace the whole object. Never send back a value that the server masked."""
        return cast("DocumentT", self._send("PUT", self._path(key), spec))

    def delete(self, key: ResourceKey) -> DocumentT:
        """Delete the object; returns it as it was."""
        return cast("DocumentT", self._keep_secret(self._wire.send("DELETE", self._path(key))))

    def _path(self, key: ResourceKey, suffix: str = "") -> str:
        if isinstance(key, str):
            return self._root + path("/{id}", id=key) + suffix
        return self._root + path("/{project}/{name}", project=key[0], name=key[1]) + suffix

    def _send(self, method: str, where: str, body: Json) -> Json:
        return self._keep_secret(self._wire.send(method, where, body=self._keep_secret(body)))

    def _keep_secret(self, document: Json) -> Json:
        """The same document, after its secrets were registered to be masked in logs and errors."""
        return self._wire.keep_secret(document)


class PatchableResource(Resource[DocumentT]):
    """An object of which single fields can be changed."""

    def patch(self, key: ResourceKey, **fields: Any) -> DocumentT:
        """Change these fields, such as ``enabled=False`` (a Gerrit listener: ``connected``)."""
        return cast("DocumentT", self._send("PATCH", self._path(key), fields))


class CloneableResource(PatchableResource[DocumentT]):
    """An object that can be copied under a new name."""

    def clone(self, key: ResourceKey, name: str, description: str = "") -> DocumentT:
        """Copy the object under a new name, in the same project; returns the copy."""
        body = {"requestType": "CLONE", "name": name, "description": description}
        return cast("DocumentT", self._send("POST", self._path(key), body))
