"""Stored objects that are plain documents (webhooks, listeners, triggers, variables) and their routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from airflow_provider.sandbox.code_stream import formats
from airflow_provider.sandbox.code_stream.errors import RefusedError, not_found
from airflow_provider.sandbox.code_stream.lists import list_reply, select
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Call, Router

if TYPE_CHECKING:
    from airflow_provider.sandbox.code_stream.system import CodeStreamSystem

OWN = ("id", "createdAt", "createdBy", "updatedAt", "updatedBy", "version")
DEFAULT_PROJECT = "retail"


class Stored:
    """One object: its writable ``fields`` and what the base fields are made of."""

    def __init__(self, id: str, name: str, project: str, fields: dict[str, Any], at: float, user: str) -> None:  # noqa: A002
        self.id = id
        self.name = name
        self.project = project
        self.fields = fields
        self.created_at = self.updated_at = at
        self.created_by = self.updated_by = user


class Store:
    """One kind of stored object.

    :param prefix: the first path segment
    :param required: fields that a spec must have
    :param patchable: boolean fields that PATCH changes; none means that PATCH does not exist
    :param clonable: POST on an object clones it
    :param render: changes a document just before it is shown
    """

    def __init__(
        self,
        system: CodeStreamSystem,
        prefix: str,
        *,
        required: tuple[str, ...] = ("name",),
        defaults: dict[str, Any] | None = None,
        patchable: tuple[str, ...] = (),
        clonable: bool = False,
        render: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    ) -> None:
        self._system = system
        self.prefix = prefix
        self.required = required
        self.defaults = defaults or {}
        self.patchable = patchable
        self.clonable = clonable
        self._render = render
        self.objects: dict[str, Stored] = {}

    def add_routes(self, router: Router, api: str) -> None:
        root = f"{api}/{self.prefix}"
        router.add("GET", root, self._list)
        router.add("POST", root, self._create)
        for path in (f"{root}/{{id}}", f"{root}/{{project}}/{{name}}"):
            router.add("GET", path, lambda call: json_reply(self.document(self.find(call))))
            router.add("PUT", path, self._replace)
            router.add("DELETE", path, self._delete)
            if self.patchable:
                router.add("PATCH", path, self._patch)
            if self.clonable:
                router.add("POST", path, self._clone)

    def create(self, name: str, project: str, fields: dict[str, Any], user: str) -> Stored:
        stored = Stored(formats.new_id(), name, project, self.defaults | fields, self._system.now, user)
        self.objects[stored.id] = stored
        return stored

    def find(self, call: Call) -> Stored:
        """The object of ``{id}`` or ``{project}/{name}``; RefusedError(404) when there is none."""
        params = call.params
        found = self.objects.get(params["id"]) if "id" in params else self.named(params["name"], params["project"])
        if found is None:
            raise not_found(f"{self.prefix} {params.get('id') or params['name']}")
        return found

    def named(self, name: str, project: str) -> Stored | None:
        return next((each for each in self.objects.values() if (each.name, each.project) == (name, project)), None)

    def document(self, stored: Stored) -> dict[str, Any]:
        document = formats.base(
            id=stored.id,
            name=stored.name,
            project=stored.project,
            prefix=self.prefix,
            created_at=stored.created_at,
            updated_at=stored.updated_at,
            created_by=stored.created_by,
            updated_by=stored.updated_by,
            switches=self._system.switches,
        )
        document |= stored.fields
        return self._render(document) if self._render else document

    def spec(self, call: Call, required: tuple[str, ...]) -> dict[str, Any]:
        """The JSON object in the body; RefusedError(400) when it is none or lacks a required field."""
        try:
            body = call.json()
        except ValueError as error:
            raise RefusedError(400, f"Malformed JSON request: {error}") from None
        if not isinstance(body, dict):
            raise RefusedError(400, "Required request body is missing")
        for name in required:
            if body.get(name) is None:
                raise RefusedError(400, f"{name} must not be null")
        return {key: value for key, value in body.items() if key not in OWN and not key.startswith("_link")}

    def _list(self, call: Call) -> Response:
        documents = [self.document(each) for each in self.objects.values()]
        page, total = select(call, documents, self._system.switches)
        return list_reply(page, total, self._system.switches)

    def _create(self, call: Call) -> Response:
        fields = self.spec(call, self.required)
        name, project = fields.pop("name"), fields.pop("project", None) or DEFAULT_PROJECT
        self._system.require_write(call.user, project)
        if self.named(name, project):
            raise RefusedError(409, f"{self.prefix} {name} exists already in project {project}")
        return json_reply(self.document(self.create(name, project, fields, call.user)))

    def _writable(self, call: Call) -> Stored:
        stored = self.find(call)
        self._system.require_write(call.user, stored.project)
        return stored

    def _changed(self, stored: Stored, call: Call) -> Response:
        stored.updated_at, stored.updated_by = self._system.now, call.user
        return json_reply(self.document(stored))

    def _replace(self, call: Call) -> Response:
        stored = self._writable(call)
        fields = self.spec(call, self.required)
        stored.name = fields.pop("name", stored.name)
        stored.project = fields.pop("project", None) or stored.project
        stored.fields = self.defaults | fields
        return self._changed(stored, call)

    def _delete(self, call: Call) -> Response:
        stored = self._writable(call)
        del self.objects[stored.id]
        return json_reply(self.document(stored))

    def _patch(self, call: Call) -> Response:
        stored = self._writable(call)
        body = self.spec(call, ())
        stored.fields = stored.fields | {name: body[name] for name in self.patchable if name in body}
        return self._changed(stored, call)

    def _clone(self, call: Call) -> Response:
        stored = self._writable(call)
        body = self.spec(call, ("name",))
        if body.get("requestType", "CLONE") != "CLONE":
            raise RefusedError(400, f"Unknown requestType {body['requestType']!r}")
        if self.named(body["name"], stored.project):
            raise RefusedError(409, f"{self.prefix} {body['name']} exists already in project {stored.project}")
        return json_reply(self.document(self.create(body["name"], stored.project, dict(stored.fields), call.user)))
