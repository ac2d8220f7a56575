"""The routes that export and import pipelines and variables as YAML; errors of single items are part of a 200."""

from __future__ import annotations

from typing import Any

import yaml
from starlette.responses import Response

from airflow_provider.sandbox.code_stream.access import require_write
from airflow_provider.sandbox.code_stream.refusals import Refusal
from airflow_provider.sandbox.code_stream.resources import DEFAULT_PROJECT
from airflow_provider.sandbox.code_stream.state import State
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.routing import Router

HIDDEN = ("enabled", "state", "global", "starred", "_warnings")


class Exchange:
    def __init__(self, state: State) -> None:
        self._state = state

    def add_routes(self, router: Router, api: str) -> None:
        router.add("GET", f"{api}/export", self._export)
        router.add("POST", f"{api}/import", self._import)

    def _export(self, call: Call) -> Response:
        names = [
            name for key, value in call.pairs if key in ("pipeline", "pipelines") and value for name in value.split(",")
        ]
        project = call.query("project")
        documents = [
            {"project": each.project, "kind": "PIPELINE", "name": each.name}
            | {key: value for key, value in each.fields.items() if key not in HIDDEN}
            for each in self._state.pipelines.objects.values()
            if project in (None, each.project) and (not names or each.name in names)
        ]
        return _yaml(documents)

    def _import(self, call: Call) -> Response:
        action = call.query("action") or "create"
        if action not in ("create", "apply"):
            raise Refusal(400, f"Unknown action {action!r}")
        try:
            documents = [document for document in yaml.safe_load_all(call.body) if document is not None]
        except yaml.YAMLError as error:
            raise Refusal(400, f"Malformed YAML: {error}") from None
        return _yaml([self._import_one(document, action, call) for document in documents])

    def _import_one(self, document: Any, action: str, call: Call) -> dict[str, Any]:
        collections = {"PIPELINE": self._state.pipelines, "VARIABLE": self._state.variables}
        fields = dict(document) if isinstance(document, dict) else {}
        name, kind = fields.pop("name", None), fields.pop("kind", None)
        project = fields.pop("project", None) or DEFAULT_PROJECT
        if not name or kind not in collections:
            return {"name": name, "status": "FAILED", "statusMessage": f"kind {kind} or name {name} is not valid"}
        require_write(call.user, project)
        existing = collections[kind].named(name, project)
        if existing is None:
            collections[kind].create(name, project, fields, call.user)
            return {"name": name, "status": "CREATED", "statusMessage": ""}
        if action == "create":
            return {"name": name, "status": "FAILED", "statusMessage": f"{name} exists already in project {project}"}
        existing.fields = existing.fields | fields
        existing.updated_at, existing.updated_by = call.now, call.user
        return {"name": name, "status": "UPDATED", "statusMessage": ""}


def _yaml(documents: list[dict[str, Any]]) -> Response:
    text = yaml.safe_dump_all(documents, sort_keys=False, explicit_start=True)
    return Response(text, media_type="application/x-yaml")
