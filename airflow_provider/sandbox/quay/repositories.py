"""Repositories: reading, listing by pages, creating, changing and deleting them."""

from __future__ import annotations

import base64
import json
import re
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from airflow_provider.sandbox.quay.replies import Problem, no_content, not_found, result
from airflow_provider.sandbox.quay.store import Repository

if TYPE_CHECKING:
    from airflow_provider.sandbox.quay.calls import Call

NAME = r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*"
LONGEST_NAME = 255
PAGE = 100
TAGS_SHOWN = 500
PAGE_TOKEN_LIFETIME = 2 * 24 * 3600.0
CREATE_SCHEMA = {
    "type": "object",
    "description": "Description of a new repository",
    "required": ["repository", "visibility", "description"],
    "properties": {
        "repository": {"type": "string", "description": "Repository name"},
        "visibility": {
            "type": "string",
            "description": "Visibility which the repository will start with",
            "enum": ["public", "private"],
        },
        "namespace": {"type": "string"},
        "description": {"type": "string", "description": "Markdown encoded description for the repository"},
        "repo_kind": {"type": ["string", "null"], "enum": ["image", "application", None]},
    },
}
UPDATE_SCHEMA = {
    "type": "object",
    "description": "Fields which can be updated in a repository.",
    "required": ["description"],
    "properties": {
        "description": {"type": "string", "description": "Markdown encoded description for the repository"},
    },
}


def list_all(call: Call) -> Response:
    namespace, public, starred = call.query("namespace"), call.flag("public"), call.flag("starred")
    if not (namespace or public or starred):
        raise Problem("invalid_request", "namespace, public or starred are required for this API call")
    if starred:
        return result({"repositories": []})
    found = [
        each
        for each in call.system.repositories.values()
        if namespace in ("", each.namespace) and (_may_read(call, each) or (public and each.public))
    ]
    begin = _offset(call.query("next_page"), call.now)
    shown = [_summary(call, each) | {"is_starred": False} for each in found[begin : begin + PAGE]]
    body: dict[str, Any] = {"repositories": shown}
    if len(found) > begin + PAGE:
        body["next_page"] = _page_token(begin + PAGE, call.now)
    return result(body)


def _may_read(call: Call, repository: Repository) -> bool:
    return bool(
        call.login and call.login.reaches("read") and call.system.directory.owns(call.user, repository.namespace)
    )


def _summary(call: Call, repository: Repository) -> dict[str, Any]:
    return {
        "namespace": repository.namespace,
        "name": repository.name,
        "description": repository.description,
        "is_public": repository.public,
        "kind": repository.kind,
        "state": call.system.state_of(repository.path).name,
    }


def _page_token(begin: int, now: float) -> str:
    return base64.urlsafe_b64encode(json.dumps({"start": begin, "at": now}).encode()).decode()


def _offset(token: str, now: float) -> int:
    """A broken or old token silently means the first page."""
    try:
        page = json.loads(base64.urlsafe_b64decode(token))
        return int(page["start"]) if now - page["at"] <= PAGE_TOKEN_LIFETIME else 0
    except (ValueError, KeyError, TypeError):
        return 0


def create(call: Call) -> Response:
    body = call.json(CREATE_SCHEMA)
    namespace = body.get("namespace") or call.user
    login = call.login
    allowed = login is not None and (login.scopes is None or "repo:create" in login.scopes)
    if not allowed or not call.system.directory.owns(call.user, namespace):
        raise Problem("insufficient_scope", "Unauthorized")
    if not re.fullmatch(NAME, body["repository"]) or len(body["repository"]) > LONGEST_NAME:
        raise Problem("invalid_request", "Invalid repository name")
    path = f"{namespace}/{body['repository']}"
    if path in call.system.repositories:
        raise Problem("invalid_request", "Repository already exists")
    made = Repository(namespace, body["repository"], body["visibility"] == "public", body["description"])
    made.kind = body.get("repo_kind") or "image"
    call.system.repositories[path] = made
    return result({"namespace": namespace, "name": made.name, "kind": made.kind}, 201)


def get(call: Call) -> Response:
    repository = call.found
    owner = call.system.directory.owns(call.user, call.namespace)
    shown = _summary(call, repository) | {
        "is_starred": False,
        "status_token": "" if repository.public else repository.badge,
        "trust_enabled": False,
        "tag_expiration_s": 1209600,
        "is_free_account": True,
        "can_write": owner and bool(call.login and call.login.reaches("write")),
        "can_admin": owner and bool(call.login and call.login.reaches("admin")),
        "is_organization": call.namespace not in call.system.directory.users,
    }
    return result(shown | ({"tags": _tags(repository, call.now)} if call.flag("includeTags", True) else {}))


def _tags(repository: Repository, now: float) -> dict[str, Any]:
    tags = {}
    for entry in repository.living_tags(now)[:TAGS_SHOWN]:
        manifest = repository.manifests[entry.digest]
        tags[entry.name] = {
            "name": entry.name,
            "size": None if manifest.is_list else manifest.size,
            "last_modified": formatdate(entry.start),
            "manifest_digest": entry.digest,
        }
    return tags


def update(call: Call) -> Response:
    body = call.json(UPDATE_SCHEMA)
    repository = call.repository
    if repository is None:
        raise not_found()
    repository.description = body["description"]
    return result({"success": True})


def delete(call: Call) -> Response:
    """Answers 204 for a repository that was never there, too."""
    call.system.repositories.pop(f"{call.namespace}/{call.name}", None)
    return no_content()
