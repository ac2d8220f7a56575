"""The stored objects of Code Stream that are all handled alike: list, get, create, update, delete, patch, clone."""

from __future__ import annotations

from typing import Any

from airflow_provider.clients.code_stream.calls import Calls
from airflow_provider.clients.code_stream.fields import Json
from airflow_provider.clients.urls import path

Key = str | tuple[str, str]
"""The id of an object, or its project and name."""

Rows = list[Json]


class Resource:
    """One kind of object. Specifications and answers are the vendor's JSON objects; their secrets are masked in logs.

    :param root: below the API's prefix.
    """

    def __init__(self, calls: Calls, root: str) -> None:
        self._calls, self._root = calls, root

    def list(self, where: str | None = None, *, limit: int | None = None) -> Rows:
        """:param where: the ``$filter``, such as ``project eq 'retail'``; ``limit``: most objects wanted."""
        return [self._calls.keep_secret(row) for row in self._calls.rows(self._root, where=where, limit=limit)]

    def get(self, key: Key) -> Json:
        return self._calls.keep_secret(self._calls.get(self._path(key)))

    def create(self, spec: Json) -> Json:
        return self._send("POST", self._root, spec)

    def update(self, key: Key, spec: Json) -> Json:
        """Replace the whole object. Never send back a value that the server masked."""
        return self._send("PUT", self._path(key), spec)

    def delete(self, key: Key) -> Json:
        return self._calls.keep_secret(self._calls.send("DELETE", self._path(key)))

    def _path(self, key: Key, suffix: str = "") -> str:
        if isinstance(key, str):
            return self._root + path("/{id}", id=key) + suffix
        return self._root + path("/{project}/{name}", project=key[0], name=key[1]) + suffix

    def _send(self, method: str, where: str, body: Json) -> Json:
        return self._calls.keep_secret(self._calls.send(method, where, body=self._calls.keep_secret(body)))


class PatchableResource(Resource):
    """An object of which some fields can be changed alone."""

    def patch(self, key: Key, **fields: Any) -> Json:
        """Change these fields, such as ``enabled=False`` (a Gerrit listener: ``connected``)."""
        return self._send("PATCH", self._path(key), fields)


class CloneableResource(PatchableResource):
    """An object that can be copied under a new name."""

    def clone(self, key: Key, name: str, description: str = "") -> Json:
        body = {"requestType": "CLONE", "name": name, "description": description}
        return self._send("POST", self._path(key), body)


class Pipelines(CloneableResource):
    """Pipelines, their past executions, and their export as YAML."""

    def share(self, key: Key, **fields: Any) -> Json:
        """Share in the whole organisation (8.10.1 or newer), such as ``share(id, **{"global": True})``."""
        return self._send("PATCH", self._path(key, "/global"), fields)

    def list_executions(self, key: Key, where: str | None = None, *, limit: int | None = None) -> Rows:
        """Newest first."""
        order = "_requestTimeInMicros desc"
        found = self._calls.rows(
            self._path(key, "/executions"), items="/executions", where=where, order=order, limit=limit
        )
        return [*found]

    def get_execution(self, key: Key, index: int) -> Json:
        """:param index: the number of the run."""
        where = self._path(key, path("/executions/{index}", index=index))
        return self._calls.get(where, {"expand": "PIPELINE_STAGE_TASK"})

    def list_tiles(self) -> Json:
        """What the UI shows of each kind of pipeline."""
        return self._calls.get("/pipeline-tiles")

    def export_yaml(self, **query: Any) -> str:
        """:param query: ``pipelines``, ``project``, ``endpoints``, ... as the vendor names them."""
        answer = self._calls.answer(
            "GET", "/export", query, headers={"Accept": "application/x-yaml"}, json_expected=False
        )
        return str(answer.data)

    def import_yaml(self, text: str, action: str | None = None) -> str:
        """The answer names what was created or updated; errors stand inside it.

        :param action: ``create`` or ``apply`` (undocumented by the vendor).
        """
        headers = {"Accept": "application/x-yaml", "Content-Type": "application/x-yaml"}
        answer = self._calls.answer(
            "POST", "/import", {"action": action}, body=text.encode(), headers=headers, json_expected=False
        )
        return str(answer.data)


class GerritListeners(CloneableResource):
    """Connections to a Gerrit server."""

    def validate(self, spec: Json) -> Json:
        """Try a listener without storing it; ``_reason`` says what is wrong."""
        return self._send("POST", f"{self._root}/validate", spec)

    def list_projects(self, key: Key) -> Any:
        """The projects of the Gerrit server, in whatever form the server answers."""
        return self._calls.answer("GET", self._path(key, "/projects"), json_expected=False).data
