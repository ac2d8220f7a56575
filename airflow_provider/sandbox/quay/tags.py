"""Tags: their history, moving, restoring, expiring and deleting them. None of it sends a webhook."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.responses import Response

from airflow_provider.sandbox.quay.calls import BROKEN_JSON
from airflow_provider.sandbox.quay.replies import Abort, Problem, no_content, not_found, result

if TYPE_CHECKING:
    from airflow_provider.sandbox.quay.calls import Call
    from airflow_provider.sandbox.quay.store import TagEntry

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


def list_all(call: Call) -> Response:
    repository = call.found
    entries = sorted(enumerate(repository.history), key=lambda pair: (int(pair[1].start), pair[0]), reverse=True)
    found = [entry for _, entry in entries]
    if call.flag("onlyActiveTags"):
        found = [entry for entry in found if entry.living(call.now)]
    if call.query("specificTag"):
        found = [entry for entry in found if entry.name == call.query("specificTag")]
    found = _filtered(found, call.query("filter_tag_name"))
    limit = min(max(call.number("limit", 50, "Limit to the number of results to return per page. Max 100."), 1), 100)
    page = max(call.number("page", 1, "Page index for the results. Default 1."), 1)
    shown = found[(page - 1) * limit : page * limit]
    with_immutable = call.system.switches["immutable_tags"]
    tags = [entry.view(repository.manifests[entry.digest], with_immutable) for entry in shown]
    return result({"tags": tags, "page": page, "has_additional": len(found) > page * limit})


def _filtered(found: list[TagEntry], text: str) -> list[TagEntry]:
    """An unknown operator is ignored, so that everything comes back."""
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


def change(call: Call) -> Response:
    """Expiration, then immutability, then digest; what was done before a refusal stays done."""
    body, name = call.json(CHANGE_SCHEMA), call.params["tag"]
    if not re.fullmatch(r"\w[\w.-]{0,127}", name, re.ASCII):
        raise Abort(400, TAG_ERROR)
    repository = call.found
    if "expiration" in body:
        _expire(call, _living(call), body["expiration"])
    if body.get("immutable") is not None:
        _set_immutable(call, _living(call), body["immutable"])
    if "manifest_digest" in body:
        digest = body["manifest_digest"]
        _refuse_immutable(call, repository.tag(name, call.now), "overwrite")
        if not repository.is_tagged(digest, call.now):
            raise not_found()
        repository.point(name, digest, call.now)
    return result("Updated", 200 if call.system.switches["codes"] == "swagger" else 201)


def restore(call: Call) -> Response:
    repository = call.found
    digest = call.json(RESTORE_SCHEMA)["manifest_digest"]
    if digest not in repository.manifests:
        raise not_found()
    _refuse_immutable(call, repository.tag(call.params["tag"], call.now), "overwrite")
    repository.point(call.params["tag"], digest, call.now, reversion=True)
    return result({}, 201 if call.system.switches["codes"] == "swagger" else 200)


def delete(call: Call) -> Response:
    entry = _living(call)
    _refuse_immutable(call, entry, "delete")
    entry.end = call.now
    return no_content()


def _living(call: Call) -> TagEntry:
    entry = call.found.tag(call.params["tag"], call.now)
    if entry is None:
        raise not_found()
    return entry


def _refuse_immutable(call: Call, entry: TagEntry | None, verb: str) -> None:
    if entry is not None and entry.immutable and call.system.switches["immutable_tags"]:
        raise Problem("tag_immutable", f"Cannot {verb} immutable tag '{entry.name}'")


def _expire(call: Call, entry: TagEntry, expiration: float | None) -> None:
    if expiration is None:
        entry.expiration = None
        return
    if expiration <= call.now:
        raise Abort(400, BROKEN_JSON)
    if entry.immutable and call.system.switches["immutable_tags"]:
        raise Abort(400, f"Cannot set expiration on immutable tag '{entry.name}'")
    entry.expiration = min(max(expiration, entry.start + HOUR), entry.start + LONGEST)


def _set_immutable(call: Call, entry: TagEntry, immutable: bool) -> None:
    if not call.system.switches["immutable_tags"]:
        return
    if immutable and entry.expiration is not None:
        raise Abort(400, f"Cannot make expiring tag '{entry.name}' immutable")
    if not immutable:
        call.system.directory.require(call.login, call.namespace, call.repository, "admin")
    entry.immutable = immutable
