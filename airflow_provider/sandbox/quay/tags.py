"""The routes of tags: their history, moving, restoring, expiring and deleting them. None of these sends a webhook."""

from __future__ import annotations

import re

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.quay.access import Directory
from airflow_provider.sandbox.quay.arguments import (
    BROKEN_JSON,
    body_of,
    flag,
    namespace_of,
    number,
    repository_of,
    text,
)
from airflow_provider.sandbox.quay.images import TagEntry
from airflow_provider.sandbox.quay.refusals import Abort, Problem, not_found
from airflow_provider.sandbox.quay.results import no_content, result
from airflow_provider.sandbox.quay.rules import READ, REPOSITORY, WRITE_UNFROZEN
from airflow_provider.sandbox.quay.state import State

HOUR = 3600.0
LONGEST = 104 * 7 * 24 * HOUR
TAG_ERROR = 'Invalid tag: must match [A-Za-z0-9_.-], NOT start with "." or "-", and can contain 1-128 characters'
CHANGE_SCHEMA = {
    "type": "object",
    "description": "Makes changes to a specific tag",
    "properties": {
        "manifest_digest": {
            "type": ["string", "null"],
            "description": "(If specified) The manifest digest to which the tag should point",
        },
        "expiration": {"type": ["number", "null"], "description": "(If specified) The expiration for the image"},
        "immutable": {"type": ["boolean", "null"]},
    },
}
RESTORE_SCHEMA = {
    "type": "object",
    "description": "Restores a tag to a specific image",
    "required": ["manifest_digest"],
    "properties": {
        "manifest_digest": {
            "type": "string",
            "description": "If specified, the manifest digest that should be used",
        }
    },
}
LIMIT = "Limit to the number of results to return per page. Max 100."
PAGE = "Page index for the results. Default 1."


class Tags:
    def __init__(self, state: State, directory: Directory) -> None:
        self._state = state
        self._directory = directory

    def add_routes(self, router: Router) -> None:
        root = f"{REPOSITORY}/tag/"
        router.add("GET HEAD", root, self._list, READ)
        router.add("PUT", f"{root}{{tag}}", self._change, WRITE_UNFROZEN)
        router.add("DELETE", f"{root}{{tag}}", self._delete, WRITE_UNFROZEN)
        router.add("POST", f"{root}{{tag}}/restore", self._restore, WRITE_UNFROZEN)

    def _list(self, call: Call) -> Response:
        repository = repository_of(call, self._state)
        entries = sorted(enumerate(repository.history), key=lambda pair: (int(pair[1].start), pair[0]), reverse=True)
        found = [entry for _, entry in entries]
        if flag(call, "onlyActiveTags"):
            found = [entry for entry in found if entry.living(call.now)]
        if specific := text(call, "specificTag"):
            found = [entry for entry in found if entry.name == specific]
        found = _filtered(found, text(call, "filter_tag_name"))
        limit = min(max(number(call, "limit", 50, LIMIT), 1), 100)
        page = max(number(call, "page", 1, PAGE), 1)
        shown = found[(page - 1) * limit : page * limit]
        with_immutable = call.switches["immutable_tags"]
        tags = [entry.view(repository.manifests[entry.digest], with_immutable) for entry in shown]
        return result({"tags": tags, "page": page, "has_additional": len(found) > page * limit})

    def _change(self, call: Call) -> Response:
        """Applies expiration, then immutability, then digest; a refusal does not undo earlier steps."""
        body, name = body_of(call, CHANGE_SCHEMA), call.params["tag"]
        if not re.fullmatch(r"\w[\w.-]{0,127}", name, re.ASCII):
            raise Abort(400, TAG_ERROR)
        repository = repository_of(call, self._state)
        if "expiration" in body:
            _expire(call, self._living(call), body["expiration"])
        if body.get("immutable") is not None:
            self._set_immutable(call, self._living(call), body["immutable"])
        if "manifest_digest" in body:
            digest = body["manifest_digest"]
            _refuse_immutable(call, repository.tag(name, call.now), "overwrite")
            if not repository.is_tagged(digest, call.now):
                raise not_found()
            repository.point(name, digest, call.now)
        return result("Updated", 200 if call.switches["codes"] == "swagger" else 201)

    def _restore(self, call: Call) -> Response:
        repository, name = repository_of(call, self._state), call.params["tag"]
        digest = body_of(call, RESTORE_SCHEMA)["manifest_digest"]
        if digest not in repository.manifests:
            raise not_found()
        _refuse_immutable(call, repository.tag(name, call.now), "overwrite")
        repository.point(name, digest, call.now, reversion=True)
        return result({}, 201 if call.switches["codes"] == "swagger" else 200)

    def _delete(self, call: Call) -> Response:
        entry = self._living(call)
        _refuse_immutable(call, entry, "delete")
        entry.end = call.now
        return no_content()

    def _living(self, call: Call) -> TagEntry:
        entry = repository_of(call, self._state).tag(call.params["tag"], call.now)
        if entry is None:
            raise not_found()
        return entry

    def _set_immutable(self, call: Call, entry: TagEntry, immutable: bool) -> None:
        if not call.switches["immutable_tags"]:
            return
        if immutable and entry.expiration is not None:
            raise Abort(400, f"Cannot make expiring tag '{entry.name}' immutable")
        if not immutable:
            repository = repository_of(call, self._state)
            self._directory.require(call.caller, namespace_of(call), repository, "admin")
        entry.immutable = immutable


def _filtered(found: list[TagEntry], text: str) -> list[TagEntry]:
    """Filters by name; an unknown operator is ignored."""
    if not text:
        return found
    operator, colon, value = text.partition(":")
    if not colon:
        raise Abort(
            400,
            "Unsupported syntax for filter_tag_name. Expected <operation>:<tag_name> where <operation>"
            "can be 'like' or 'eq'.",
        )
    if operator == "like":
        return [entry for entry in found if _is_like(value, entry.name)]
    return [entry for entry in found if entry.name == value] if operator == "eq" else found


def _is_like(value: str, name: str) -> bool:
    """SQL's LIKE, without case: ``%`` stands for any text, ``_`` for one character."""
    pattern = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in value)
    return re.search(pattern, name, re.IGNORECASE) is not None


def _refuse_immutable(call: Call, entry: TagEntry | None, verb: str) -> None:
    if entry is not None and entry.immutable and call.switches["immutable_tags"]:
        raise Problem("tag_immutable", f"Cannot {verb} immutable tag '{entry.name}'")


def _expire(call: Call, entry: TagEntry, expiration: float | None) -> None:
    if expiration is None:
        entry.expiration = None
        return
    if expiration <= call.now:
        raise Abort(400, BROKEN_JSON)
    if entry.immutable and call.switches["immutable_tags"]:
        raise Abort(400, f"Cannot set expiration on immutable tag '{entry.name}'")
    entry.expiration = min(max(expiration, entry.start + HOUR), entry.start + LONGEST)
