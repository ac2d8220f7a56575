"""Custom integrations: a draft that is stored like other documents, and the versions created from it."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.code_stream.arguments import object_of
from airflow_provider.sandbox.code_stream.lists import listed
from airflow_provider.sandbox.code_stream.models import Stored
from airflow_provider.sandbox.code_stream.refusals import Refusal, not_found
from airflow_provider.sandbox.code_stream.resources import CUSTOM_INTEGRATION, Resources
from airflow_provider.sandbox.code_stream.state import State
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Router

MOVES = {
    "release": (("NONE", "DEPRECATED"), "RELEASED"),
    "deprecate": (("RELEASED",), "DEPRECATED"),
    "withdraw": (("RELEASED", "DEPRECATED"), "NONE"),
}
"""By action: the statuses in which it is allowed, and the one that it leads to."""


class CustomIntegrations:
    """The versions; the drafts themselves are resources."""

    def __init__(self, state: State) -> None:
        self._versions = state.integration_versions
        self._drafts = Resources(state.custom_integrations, CUSTOM_INTEGRATION)

    def add_routes(self, router: Router, api: str) -> None:
        versions = f"{api}/{CUSTOM_INTEGRATION.prefix}/{{id}}/versions"
        router.add("GET", versions, self._list)
        router.add("POST", versions, self._create)
        router.add("GET", f"{versions}/{{version}}", self._get)
        router.add("PATCH", f"{versions}/{{version}}", self._set_latest)
        router.add("DELETE", f"{versions}/{{version}}", self._delete)
        router.add("POST", f"{versions}/{{version}}/restore", self._restore)
        for action in MOVES:
            router.add("POST", f"{versions}/{{version}}/{action}", self._move)

    def _list(self, call: Call) -> Response:
        return listed(call, list(self._versions[self._drafts.find(call).id].values()))

    def _get(self, call: Call) -> Response:
        return json_reply(self._version_of(self._drafts.find(call), call))

    def _create(self, call: Call) -> Response:
        draft = self._drafts.writable(call)
        body = object_of(call)
        name = str(body.get("version") or "")
        versions = self._versions[draft.id]
        if not name or name in versions:
            raise Refusal(409 if name else 400, f"version {name!r} is missing or exists already")
        document = self._drafts.document(draft, call.switches)
        versions[name] = document | {
            "id": f"{draft.id}~{name}",
            "_link": f"{document['_link']}/versions/{name}",
            "parentId": draft.id,
            "version": name,
            "status": "NONE",
            "description": str(body.get("description") or document["description"]),
            "changeLog": str(body.get("changeLog") or ""),
        }
        return json_reply(versions[name])

    def _set_latest(self, call: Call) -> Response:
        draft = self._drafts.writable(call)
        version = self._version_of(draft, call)
        if version["status"] != "RELEASED":
            raise Refusal(400, f"version {version['version']} is not released")
        source = version["version"] if object_of(call).get("setLatest") else ""
        draft.fields["sourceVersion"] = version["sourceVersion"] = source
        return json_reply(version)

    def _delete(self, call: Call) -> Response:
        draft = self._drafts.writable(call)
        version = self._version_of(draft, call)
        del self._versions[draft.id][version["version"]]
        return json_reply(version)

    def _restore(self, call: Call) -> Response:
        draft = self._drafts.writable(call)
        draft.fields["yaml"] = self._version_of(draft, call)["yaml"]
        return self._drafts.changed(draft, call)

    def _move(self, call: Call) -> Response:
        version = self._version_of(self._drafts.writable(call), call)
        action = call.path.rpartition("/")[2]
        allowed, status = MOVES[action]
        if version["status"] not in allowed:
            raise Refusal(400, f"{action} is not allowed in status {version['status']}")
        version["status"] = status
        return json_reply(version)

    def _version_of(self, draft: Stored, call: Call) -> dict[str, Any]:
        found = self._versions[draft.id].get(call.params["version"])
        if found is None:
            raise not_found(f"version {call.params['version']} of {draft.name}")
        return found
