"""Custom integrations of Code Stream: tasks in code of one's own, with a draft and versions of it."""

from __future__ import annotations

from typing import Literal

from airflow_provider.clients.code_stream.fields import Json, Objects
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.urls import path

_ROOT = "/custom-integrations"


class CustomIntegrations:
    """What is created and updated is the draft. Pipelines use versions of it that were released."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self, where: str | None = None, *, limit: int | None = None) -> Objects:
        """:param where: the ``$filter``, such as ``status eq 'RELEASED'``; ``limit``: most objects wanted."""
        return list(self._wire.rows(_ROOT, where=where, limit=limit))

    def get(self, integration_id: str) -> Json:
        """The draft."""
        return self._wire.get(_path(integration_id))

    def create(self, spec: Json) -> Json:
        """:param spec: ``name``, ``description``, ``project``, and the code as ``yaml``."""
        return self._wire.send("POST", _ROOT, body=spec)

    def update(self, integration_id: str, spec: Json) -> Json:
        """Replace the draft; :param spec: as for :meth:`create`."""
        return self._wire.send("PUT", _path(integration_id), body=spec)

    def delete(self, integration_id: str, *, what: Literal["all", "draft"] = "all") -> Json:
        """:param what: ``all`` deletes the versions, too."""
        return self._wire.send("DELETE", _path(integration_id), {"type": what})

    def list_versions(self, integration_id: str, where: str | None = None, *, limit: int | None = None) -> Objects:
        return list(self._wire.rows(_path(integration_id, "/versions"), where=where, limit=limit))

    def get_version(self, integration_id: str, version: str) -> Json:
        return self._wire.get(_version_path(integration_id, version))

    def create_version(
        self, integration_id: str, version: str, *, description: str | None = None, change_log: str | None = None
    ) -> Json:
        """Keep the draft, as it is now, under this name."""
        body = {"version": version, "description": description, "changeLog": change_log}
        given = {name: value for name, value in body.items() if value is not None}
        return self._wire.send("POST", _path(integration_id, "/versions"), body=given)

    def patch_version(self, integration_id: str, version: str, *, latest: bool) -> Json:
        """Say whether a released version is the latest, which pipelines use that name none."""
        return self._wire.send("PATCH", _version_path(integration_id, version), body={"setLatest": latest})

    def delete_version(self, integration_id: str, version: str) -> Json:
        return self._wire.send("DELETE", _version_path(integration_id, version))

    def release_version(self, integration_id: str, version: str) -> Json:
        """Let pipelines use a version."""
        return self._move(integration_id, version, "release")

    def deprecate_version(self, integration_id: str, version: str) -> Json:
        """Let no new pipelines use a version."""
        return self._move(integration_id, version, "deprecate")

    def withdraw_version(self, integration_id: str, version: str) -> Json:
        """Let no pipelines use a version that was released or deprecated."""
        return self._move(integration_id, version, "withdraw")

    def restore_version(self, integration_id: str, version: str) -> Json:
        """Replace the draft with a version."""
        return self._move(integration_id, version, "restore")

    def _move(self, integration_id: str, version: str, action: str) -> Json:
        return self._wire.send("POST", _version_path(integration_id, version, f"/{action}"))


def _path(integration_id: str, suffix: str = "") -> str:
    return _ROOT + path("/{id}", id=integration_id) + suffix


def _version_path(integration_id: str, version: str, suffix: str = "") -> str:
    return _path(integration_id, path("/versions/{version}", version=version)) + suffix
