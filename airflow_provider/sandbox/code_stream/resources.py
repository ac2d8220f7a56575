"""Stored documents and their routes: variables, endpoints, webhooks, ... Pipelines share them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.code_stream import formats
from airflow_provider.sandbox.code_stream.access import require_write
from airflow_provider.sandbox.code_stream.arguments import object_of
from airflow_provider.sandbox.code_stream.lists import listed
from airflow_provider.sandbox.code_stream.models import Stored
from airflow_provider.sandbox.code_stream.refusals import Refusal, not_found
from airflow_provider.sandbox.code_stream.state import Collection, State
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Router

OWN = ("id", "createdAt", "createdBy", "updatedAt", "updatedBy", "version")
DEFAULT_PROJECT = "retail"
MASK = "*****"


@dataclass(frozen=True)
class Kind:
    """A kind of stored document.

    :param prefix: the first path segment
    :param required: fields that a new one must have
    :param patchable: the fields that PATCH may change; if empty, there is no PATCH
    :param clonable: POST on a document clones it
    :param render: changes a document just before it is shown, by the switches
    """

    prefix: str
    required: tuple[str, ...] = ("name",)
    patchable: tuple[str, ...] = ()
    clonable: bool = False
    render: Callable[[dict[str, Any], Mapping[str, Any]], dict[str, Any]] | None = None


def _mask_secret(document: dict[str, Any], _switches: Mapping[str, Any]) -> dict[str, Any]:
    return document | {"value": MASK} if document.get("type") == "SECRET" else document


GIT_WEBHOOK = Kind("git-webhooks")
REGISTRY_WEBHOOK = Kind("registry-webhooks", patchable=("enabled",))
GERRIT_LISTENER = Kind(
    "gerrit-listeners", ("apiToken", "endpoint", "name", "description"), patchable=("connected",), clonable=True
)
GERRIT_TRIGGER = Kind(
    "gerrit-triggers", ("name", "branch", "gerritProject", "listener"), patchable=("enabled",), clonable=True
)
ENDPOINT = Kind("endpoints", ("name", "description", "type", "properties"))
CUSTOM_INTEGRATION = Kind("custom-integrations", ("name", "description"))
VARIABLE = Kind("variables", ("name", "description", "type", "value"), render=_mask_secret)


class Resources:
    """The routes of one kind."""

    def __init__(self, collection: Collection, kind: Kind) -> None:
        self._collection = collection
        self._kind = kind

    def add_routes(self, router: Router, api: str) -> None:
        root = f"{api}/{self._kind.prefix}"
        router.add("GET", root, self._list)
        router.add("POST", root, self._create)
        for path in (f"{root}/{{id}}", f"{root}/{{project}}/{{name}}"):
            router.add("GET", path, self._get)
            router.add("PUT", path, self._replace)
            router.add("DELETE", path, self._delete)
            if self._kind.patchable:
                router.add("PATCH", path, self._patch)
            if self._kind.clonable:
                router.add("POST", path, self._clone)

    # --- also used by the routes of other nouns

    def find(self, call: Call) -> Stored:
        """The document of ``{id}`` or ``{project}/{name}``; Refusal(404) when there is none."""
        params = call.params
        if "id" in params:
            found = self._collection.objects.get(params["id"])
        else:
            found = self._collection.named(params["name"], params["project"])
        if found is None:
            raise not_found(f"{self._kind.prefix} {params.get('id') or params['name']}")
        return found

    def writable(self, call: Call) -> Stored:
        """The same, which the caller may change."""
        stored = self.find(call)
        require_write(call.user, stored.project)
        return stored

    def changed(self, stored: Stored, call: Call) -> Response:
        """The answer to a call that has changed a document."""
        stored.updated_at, stored.updated_by = call.now, call.user
        return self._shown(stored, call)

    def new_fields(self, call: Call) -> dict[str, Any]:
        """The body of a call that makes a document; Refusal(400) when a required field is missing."""
        return fields_of(call, self._kind.required)

    def document(self, stored: Stored, switches: Mapping[str, Any]) -> dict[str, Any]:
        """The document as it is shown."""
        document = formats.base(
            id=stored.id,
            name=stored.name,
            project=stored.project,
            prefix=self._kind.prefix,
            created_at=stored.created_at,
            updated_at=stored.updated_at,
            created_by=stored.created_by,
            updated_by=stored.updated_by,
            switches=switches,
        )
        document |= stored.fields
        return self._kind.render(document, switches) if self._kind.render else document

    # --- routes

    def _list(self, call: Call) -> Response:
        return listed(call, [self.document(each, call.switches) for each in self._collection.objects.values()])

    def _get(self, call: Call) -> Response:
        return self._shown(self.find(call), call)

    def _create(self, call: Call) -> Response:
        fields = self.new_fields(call)
        name, project = fields.pop("name"), fields.pop("project", None) or DEFAULT_PROJECT
        require_write(call.user, project)
        return self._shown(self._add(name, project, fields, call.user), call)

    def _replace(self, call: Call) -> Response:
        stored = self.writable(call)
        fields = self.new_fields(call)
        stored.name = fields.pop("name", stored.name)
        stored.project = fields.pop("project", None) or stored.project
        stored.fields = self._collection.defaults | fields
        return self.changed(stored, call)

    def _delete(self, call: Call) -> Response:
        stored = self.writable(call)
        del self._collection.objects[stored.id]
        return self._shown(stored, call)

    def _patch(self, call: Call) -> Response:
        stored = self.writable(call)
        body = fields_of(call)
        stored.fields = stored.fields | {name: body[name] for name in self._kind.patchable if name in body}
        return self.changed(stored, call)

    def _clone(self, call: Call) -> Response:
        stored = self.writable(call)
        body = fields_of(call, ("name",))
        if body.get("requestType", "CLONE") != "CLONE":
            raise Refusal(400, f"Unknown requestType {body['requestType']!r}")
        return self._shown(self._add(body["name"], stored.project, dict(stored.fields), call.user), call)

    def _add(self, name: str, project: str, fields: dict[str, Any], user: str) -> Stored:
        if self._collection.named(name, project):
            raise Refusal(409, f"{self._kind.prefix} {name} exists already in project {project}")
        return self._collection.create(name, project, fields, user)

    def _shown(self, stored: Stored, call: Call) -> Response:
        return json_reply(self.document(stored, call.switches))


def fields_of(call: Call, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields in the body that a caller may set; Refusal(400) when a required one is missing."""
    body = object_of(call)
    for name in required:
        if body.get(name) is None:
            raise Refusal(400, f"{name} must not be null")
    return {key: value for key, value in body.items() if key not in OWN and not key.startswith("_link")}


def resources_of(state: State) -> list[Resources]:
    """The routes of every kind that has none beside these."""
    return [
        Resources(state.git_webhooks, GIT_WEBHOOK),
        Resources(state.registry_webhooks, REGISTRY_WEBHOOK),
        Resources(state.gerrit_listeners, GERRIT_LISTENER),
        Resources(state.gerrit_triggers, GERRIT_TRIGGER),
        Resources(state.variables, VARIABLE),
        Resources(state.endpoints, ENDPOINT),
        Resources(state.custom_integrations, CUSTOM_INTEGRATION),
    ]
