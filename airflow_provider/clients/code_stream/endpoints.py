"""Endpoints of Code Stream: the Jenkins, Git, Docker or Kubernetes servers that its pipelines work with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from airflow_provider.clients.code_stream.documents import Certificates, Endpoint, Tiles, Tried
from airflow_provider.clients.code_stream.fields import Json, fields_of
from airflow_provider.clients.code_stream.resources import Resource
from airflow_provider.clients.code_stream.wire import Wire
from airflow_provider.clients.redaction import is_secret_name
from airflow_provider.clients.urls import path


class Endpoints(Resource[Endpoint]):
    """An endpoint has a ``type`` such as ``jenkins``, and ``properties`` of that type: passwords are among them."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(wire, "/endpoints")

    def validate(self, spec: Json) -> Tried:
        """Try an endpoint without storing it; the answer says whether its server could be reached.

        :param spec: as for :meth:`create`; with the ``id`` of a stored one, that one is tried with these values.
        """
        return cast("Tried", self._send("POST", "/endpoint-validation", spec))

    def get_certificate(self, **server: str) -> Certificates:
        """The chain of certificates that a server presents (``certificates``).

        :param server: query parameters that name it; the vendor's page for this call lists none.
        """
        return cast("Certificates", self._wire.get("/endpoint-certificate", server))

    def list_types(self) -> Tiles:
        """All types, as ``tiles``."""
        return cast("Tiles", self._wire.get("/endpoint-tiles"))

    def get_type(self, endpoint_type: str) -> Json:
        """The properties that endpoints of a type have."""
        return self._wire.get(path("/endpoint-tiles/{type}", type=endpoint_type))

    def _keep_secret(self, document: Json) -> Json:
        self._wire.transport.redact.add_seen(_secrets_in(fields_of(document.get("properties"))))
        return super()._keep_secret(document)


def _secrets_in(properties: Mapping[str, Any]) -> Iterator[str]:
    for name, value in properties.items():
        if isinstance(value, str) and is_secret_name(name) and value.strip("*"):
            yield value
