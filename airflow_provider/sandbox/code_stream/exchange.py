"""Export and import of pipelines and variables as YAML; errors of single items come inside a 200."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from starlette.responses import Response

from airflow_provider.sandbox.code_stream.errors import RefusedError
from airflow_provider.sandbox.code_stream.store import DEFAULT_PROJECT, Store
from airflow_provider.sandbox.core.routing import Call, Router

if TYPE_CHECKING:
    from airflow_provider.sandbox.code_stream.system import CodeStreamSystem

HIDDEN = ("enabled", "state", "global", "starred", "_warnings")


class Exchange:
    """The routes ``/export`` and ``/import``."""

    def __init__(self, system: CodeStreamSystem) -> None:
        self._system = system

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
            for each in self._system.pipelines.objects.values()
            if project in (None, each.project) and (not names or each.name in names)
        ]
        return _yaml(documents)

    def _import(self, call: Call) -> Response:
        action = call.query("action") or "create"
        if action not in ("create", "apply"):
            raise RefusedError(400, f"Unknown action {action!r}")
        try:
            documents = [document for document in yaml.safe_load_all(call.body) if document is not None]
        except yaml.YAMLError as error:
            raise RefusedError(400, f"Malformed YAML: {error}") from None
        return _yaml([self._import_one(document, action, call.user) for document in documents])

    def _import_one(self, document: Any, action: str, user: str) -> dict[str, Any]:
        stores: dict[str, Store] = {"PIPELINE": self._system.pipelines, "VARIABLE": self._system.variables}
        fields = dict(document) if isinstance(document, dict) else {}
        name, kind = fields.pop("name", None), fields.pop("kind", None)
        project = fields.pop("project", None) or DEFAULT_PROJECT
        if not name or kind not in stores:
            return {"name": name, "status": "FAILED", "statusMessage": f"kind {kind} or name {name} is not valid"}
        self._system.require_write(user, project)
        existing = stores[kind].named(name, project)
        if existing is None:
            stores[kind].create(name, project, fields, user)
            return {"name": name, "status": "CREATED", "statusMessage": ""}
        if action == "create":
            return {"name": name, "status": "FAILED", "statusMessage": f"{name} exists already in project {project}"}
        existing.fields = existing.fields | fields
        existing.updated_at, existing.updated_by = self._system.now, user
        return {"name": name, "status": "UPDATED", "statusMessage": ""}


def _yaml(documents: list[dict[str, Any]]) -> Response:
    text = yaml.safe_dump_all(documents, sort_keys=False, explicit_start=True)
    return Response(text, media_type="application/x-yaml")
