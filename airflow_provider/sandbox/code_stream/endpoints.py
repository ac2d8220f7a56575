"""The routes of endpoints besides their documents: whether one can be used, certificates and types."""

from __future__ import annotations

from starlette.responses import Response

from airflow_provider.sandbox.code_stream.arguments import object_of
from airflow_provider.sandbox.code_stream.refusals import Refusal, not_found
from airflow_provider.sandbox.code_stream.resources import ENDPOINT
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Router

TYPES = {
    "docker": {"serverType": "DockerHub", "url": "", "username": "", "password": ""},
    "git": {"serverType": "GITHUB", "repoURL": "", "username": "", "privateToken": ""},
    "jenkins": {"url": "", "username": "", "password": "", "pollInterval": "15"},
    "k8s": {"kubernetesURL": "", "authType": "token", "token": ""},
}
CERTIFICATE = {
    "fingerprints": {"SHA-1": "f3" * 20, "SHA-256": "1e" * 32},
    "issuedBy": {"commonName": "Sandbox CA", "organization": "Sandbox"},
    "issuedTo": {"commonName": "server.example.com", "organization": "Sandbox", "serialNumber": "1"},
    "periodOfValidity": {"beginsOn": 1767225600000, "expiresOn": 1924991999000},
}


class Endpoints:
    """Opens no connections: every endpoint of a known type can be used."""

    def add_routes(self, router: Router, api: str) -> None:
        router.add("POST", f"{api}/endpoint-validation", self._validate)
        router.add("GET", f"{api}/endpoint-certificate", self._certificate)
        router.add("GET", f"{api}/endpoint-tiles", self._types)
        router.add("GET", f"{api}/endpoint-tiles/{{type}}", self._type)

    def _validate(self, call: Call) -> Response:
        fields = object_of(call)
        for name in ENDPOINT.required:
            if fields.get(name) is None:
                raise Refusal(400, f"{name} must not be null")
        unknown = fields["type"] not in TYPES
        status, message = ("FAILED", f"Unknown endpoint type {fields['type']}") if unknown else ("COMPLETED", "")
        return json_reply({"status": status, "statusMessage": message, "output": {}})

    def _certificate(self, _call: Call) -> Response:
        return json_reply({"certificates": [CERTIFICATE]})

    def _types(self, _call: Call) -> Response:
        return json_reply({"tiles": [{"tileId": name} for name in TYPES]})

    def _type(self, call: Call) -> Response:
        if call.params["type"] not in TYPES:
            raise not_found(f"endpoint type {call.params['type']}")
        return json_reply(TYPES[call.params["type"]])
