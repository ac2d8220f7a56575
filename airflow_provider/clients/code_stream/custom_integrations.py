"""Custom integrations of Code Stream: tasks with custom code, as a draft and versions of it."""

from __future__ import annotations

from typing import Literal, cast

from airflow_provider.clients.code_stream.documents import CustomIntegration
from airflow_provider.clients.code_stream.fields import Json
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.rows import Rows
from airflow_provider.clients.urls import path

_ROOT = "/custom-integrations"


class CustomIntegrations:
    """Create and update change the draft. Pipelines use its released versions."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self, where: str | None = None, *, limit: int | None = None) -> Rows[CustomIntegration]:
        """:param where: the ``$filter``, such as ``status eq 'RELEASED'``; ``limit``: maximum number of objects."""
        return cast("Rows[CustomIntegration]", list(self._wire.rows(_ROOT, where=where, limit=limit)))

    def get(self, integration_id: str) -> CustomIntegration:
        """The draft."""
        return cast("CustomIntegration", self._wire.get(_path(integration_id)))

    def create(self, spec: Json) -> CustomIntegration:
        """:param spec: ``name``, ``description``, ``project``, and the code as ``yaml``."""
        return cast("CustomIntegration", self._wire.send("POST", _ROOT, body=spec))

    def update(self, integration_id: str, spec: Json) -> CustomIntegration:
        """Replace the draft; :param spec: as for :meth:`create`."""
        return cast("CustomIntegration", self._wire.send("PUT", _path(integration_id), body=spec))

    def delete(self, integration_id: str, *, what: Literal["all", "draft"] = "all") -> CustomIntegration:
        """:param what: ``all`` deletes the versions, too."""
        return cast("CustomIntegration", self._wire.send("DELETE", _path(integration_id), {"type": what}))

    def list_versions(
        self, integration_id: str, where: str | None = None, *, limit: int | None = None
    ) -> Rows[CustomIntegration]:
        """The saved versions of an integration; arguments as for :meth:`list`."""
        return cast(
            "Rows[CustomIntegration]",
            list(self._wire.rows(_path(integration_id, "/versions"), where=where, limit=limit)),
        )

    def get_version(self, integration_id: str, version: str) -> CustomIntegration:
        """One version, with its ``yaml`` and ``status``."""
        return cast("CustomIntegration", self._wire.get(_version_path(integration_id, version)))

    def create_version(
        self, integration_id: str, version: str, *, description: str | None = None, change_log: str | None = None
    ) -> CustomIntegration:
        """Save the current draft under this name."""
        body = {"version": version, "description": description, "changeLog": change_log}
        given = {name: value for name, value in body.items() if value is not None}
        return cast("CustomIntegration", self._wire.send("POST", _path(integration_id, "/versions"), body=given))

    def patch_version(self, integration_id: str, version: str, *, latest: bool) -> CustomIntegration:
        """Set whether a released version is the latest, which pipelines use unless they name a version."""
        return cast(
            "CustomIntegration",
            self._wire.send("PATCH", _version_path(integration_id, version), body={"setLatest": latest}),
        )

    def delete_version(self, integration_id: str, version: str) -> CustomIntegration:
        """Delete a version; returns it as it was."""
        return cast("CustomIntegration", self._wire.send("DELETE", _version_path(integration_id, version)))

    def release_version(self, integration_id: str, version: str) -> CustomIntegration:
        """Let pipelines use a version."""
        return self._move(integration_id, version, "release")

    def deprecate_version(self, integration_id: str, version: str) -> CustomIntegration:
        """Let no new pipelines use a version."""
        return self._move(integration_id, version, "deprecate")

    def withdraw_version(self, integration_id: str, version: str) -> CustomIntegration:
        """Let no pipelines use a released or deprecated version any more."""
        return self._move(integration_id, version, "withdraw")

    def restore_version(self, integration_id: str, version: str) -> CustomIntegration:
        """Replace the draft with a version."""
        return self._move(integration_id, version, "restore")

    def _move(self, integration_id: str, version: str, action: str) -> CustomIntegration:
        return cast("CustomIntegration", self._wire.send("POST", _version_path(integration_id, version, f"/{action}")))


def _path(integration_id: str, suffix: str = "") -> str:
    return _ROOT + path("/{id}", id=integration_id) + suffix


def _version_path(integration_id: str, version: str, suffix: str = "") -> str:
    return _path(integration_id, path("/versions/{version}", version=version)) + suffix
