"""Connections of Code Stream to Gerrit servers."""

from __future__ import annotations

from typing import Any, cast

from airflow_provider.clients.code_stream.documents import GerritListener
from airflow_provider.clients.code_stream.fields import Json
from airflow_provider.clients.code_stream.resources import CloneableResource, ResourceKey
from airflow_provider.clients.code_stream.wire import Wire


class GerritListeners(CloneableResource[GerritListener]):
    """A listener has an ``apiToken``, with which Code Stream logs in to the Gerrit server."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire, "/gerrit-listeners")

    def validate(self, spec: Json) -> GerritListener:
        """Try a listener without storing it; ``_reason`` says what is wrong."""
        return cast("GerritListener", self._send("POST", f"{self._root}/validate", spec))

    def list_projects(self, key: ResourceKey) -> Any:
        """The projects of the Gerrit server, in whatever form the server answers."""
        return self._wire.answer("GET", self._path(key, "/projects"), json_expected=False).data
