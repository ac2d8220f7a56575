"""The routes of the labels of a manifest: list, add, get, delete."""

from __future__ import annotations

import re

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.quay.arguments import body_of, path_of, text
from airflow_provider.sandbox.quay.manifests import ROOT, manifest_of
from airflow_provider.sandbox.quay.refusals import Abort, not_found
from airflow_provider.sandbox.quay.results import no_content, result
from airflow_provider.sandbox.quay.rules import READ, WRITE_UNFROZEN
from airflow_provider.sandbox.quay.state import State

RESERVED_PREFIXES = ("com.docker.", "io.docker.", "org.dockerproject.", "org.opencontainers.", "io.cncf.", "quay.")
LABEL_KEY = r"^[a-z0-9](([a-z0-9]|[-.](?![.-]))*[a-z0-9])?$"
LABEL_SCHEMA = {
    "type": "object",
    "description": "Adds a label to a manifest",
    "required": ["key", "value", "media_type"],
    "properties": {
        "key": {"type": "string", "description": "The key for the label"},
        "value": {"type": "string", "description": "The value for the label"},
        "media_type": {
            "type": ["string", "null"],
            "description": "The media type for this label",
            "enum": ["text/plain", "application/json", None],
        },
    },
}


class Labels:
    def __init__(self, state: State) -> None:
        self._state = state

    def add_routes(self, router: Router) -> None:
        router.add("GET HEAD", f"{ROOT}/labels", self._list, READ)
        router.add("POST", f"{ROOT}/labels", self._add, WRITE_UNFROZEN)
        router.add("GET HEAD", f"{ROOT}/labels/{{label}}", self._get, READ)
        router.add("DELETE", f"{ROOT}/labels/{{label}}", self._delete, WRITE_UNFROZEN)

    def _list(self, call: Call) -> Response:
        wanted = text(call, "filter")
        labels = manifest_of(call, self._state).labels.values()
        return result({"labels": [each for each in labels if each["key"].startswith(wanted)]})

    def _add(self, call: Call) -> Response:
        manifest = manifest_of(call, self._state)
        body = body_of(call, LABEL_SCHEMA)
        if not re.match(LABEL_KEY, body["key"]):
            raise Abort(400, f"Label is of an invalid format or missing please use {LABEL_KEY} format for labels")
        if body["key"].startswith(RESERVED_PREFIXES):
            raise Abort(400, "Label has a reserved prefix")
        made = manifest.label(body["key"], body["value"], "api", body["media_type"] or "text/plain")
        place = f"{call.root}/api/v1/repository/{path_of(call)}/manifest/{manifest.digest}"
        return result({"label": made}, 201, {"location": f"{place}/labels/{made['id']}"})

    def _get(self, call: Call) -> Response:
        found = manifest_of(call, self._state).labels.get(call.params["label"])
        if found is None:
            raise not_found()
        return result(found)

    def _delete(self, call: Call) -> Response:
        labels, wanted = manifest_of(call, self._state).labels, call.params["label"]
        if wanted not in labels:
            raise not_found()
        if labels[wanted]["source_type"] == "manifest":
            raise Abort(400, "Cannot delete immutable label")
        del labels[wanted]
        return no_content()
