"""The routes of repositories: list by pages, create, get, change, delete."""

from __future__ import annotations

import base64
import json
import re
from email.utils import formatdate
from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.quay.access import Directory
from airflow_provider.sandbox.quay.arguments import body_of, flag, namespace_of, path_of, repository_of, text
from airflow_provider.sandbox.quay.models import Repository
from airflow_provider.sandbox.quay.refusals import Problem, invalid
from airflow_provider.sandbox.quay.results import no_content, result
from airflow_provider.sandbox.quay.rules import ADMIN, DECIDES, READ, REPOSITORY, WRITE
from airflow_provider.sandbox.quay.state import State

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


class Repositories:
    def __init__(self, state: State, directory: Directory) -> None:
        self._state = state
        self._directory = directory

    def add_routes(self, router: Router) -> None:
        router.add("POST", "/api/v1/repository", self._create, DECIDES)
        router.add("GET HEAD", "/api/v1/repository", self._list, DECIDES)
        router.add("GET HEAD", REPOSITORY, self._get, READ)
        router.add("PUT", REPOSITORY, self._update, WRITE)
        router.add("DELETE", REPOSITORY, self._delete, ADMIN)

    def _list(self, call: Call) -> Response:
        namespace, public, starred = text(call, "namespace"), flag(call, "public"), flag(call, "starred")
        if not (namespace or public or starred):
            raise invalid("namespace, public or starred are required for this API call")
        if starred:
            return result({"repositories": []})
        found = [
            each
            for each in self._state.repositories.values()
            if namespace in ("", each.namespace)
            and (self._directory.may(call.caller, each.namespace, "read") or (public and each.public))
        ]
        begin = _offset(text(call, "next_page"), call.now)
        shown = [self._summary(each) | {"is_starred": False} for each in found[begin : begin + PAGE]]
        body: dict[str, Any] = {"repositories": shown}
        if len(found) > begin + PAGE:
            body["next_page"] = _page_token(begin + PAGE, call.now)
        return result(body)

    def _create(self, call: Call) -> Response:
        body = body_of(call, CREATE_SCHEMA)
        namespace = body.get("namespace") or call.user
        caller = call.caller
        allowed = caller is not None and (caller.scopes is None or "repo:create" in caller.scopes)
        if not allowed or not self._directory.owns(call.user, namespace):
            raise Problem("insufficient_scope", "Unauthorized")
        if not re.fullmatch(NAME, body["repository"]) or len(body["repository"]) > LONGEST_NAME:
            raise invalid("Invalid repository name")
        path = f"{namespace}/{body['repository']}"
        if path in self._state.repositories:
            raise invalid("Repository already exists")
        made = Repository(namespace, body["repository"], body["visibility"] == "public", body["description"])
        made.kind = body.get("repo_kind") or "image"
        self._state.repositories[path] = made
        return result({"namespace": namespace, "name": made.name, "kind": made.kind}, 201)

    def _get(self, call: Call) -> Response:
        repository, namespace = repository_of(call, self._state), namespace_of(call)
        shown = self._summary(repository) | {
            "is_starred": False,
            "status_token": "" if repository.public else repository.badge,
            "trust_enabled": False,
            "tag_expiration_s": 1209600,
            "is_free_account": True,
            "can_write": self._directory.may(call.caller, namespace, "write"),
            "can_admin": self._directory.may(call.caller, namespace, "admin"),
            "is_organization": namespace not in self._directory.users,
        }
        tags = {"tags": _tags(repository, call.now)} if flag(call, "includeTags", True) else {}
        return result(shown | tags)

    def _update(self, call: Call) -> Response:
        body = body_of(call, UPDATE_SCHEMA)
        repository_of(call, self._state).description = body["description"]
        return result({"success": True})

    def _delete(self, call: Call) -> Response:
        """Also answers 204 for a repository that never existed."""
        self._state.repositories.pop(path_of(call), None)
        return no_content()

    def _summary(self, repository: Repository) -> dict[str, Any]:
        return {
            "namespace": repository.namespace,
            "name": repository.name,
            "description": repository.description,
            "is_public": repository.public,
            "kind": repository.kind,
            "state": self._state.mode_of(repository.path).name,
        }


def _page_token(begin: int, now: float) -> str:
    return base64.urlsafe_b64encode(json.dumps({"start": begin, "at": now}).encode()).decode()


def _offset(token: str, now: float) -> int:
    """The position in a page token; a broken or old one silently means the first page."""
    try:
        page = json.loads(base64.urlsafe_b64decode(token))
        return int(page["start"]) if now - page["at"] <= PAGE_TOKEN_LIFETIME else 0
    except (ValueError, KeyError, TypeError):
        return 0


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
