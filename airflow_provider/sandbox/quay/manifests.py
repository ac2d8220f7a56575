"""The routes of manifests, and how the routes below one find it."""

from __future__ import annotations

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.quay.arguments import repository_of
from airflow_provider.sandbox.quay.images import Manifest
from airflow_provider.sandbox.quay.refusals import not_found
from airflow_provider.sandbox.quay.results import result
from airflow_provider.sandbox.quay.rules import READ, REPOSITORY
from airflow_provider.sandbox.quay.state import State

ROOT = f"{REPOSITORY}/manifest/{{digest:digest}}"


class Manifests:
    def __init__(self, state: State) -> None:
        self._state = state

    def add_routes(self, router: Router) -> None:
        router.add("GET HEAD", ROOT, self._get, READ)

    def _get(self, call: Call) -> Response:
        return result(manifest_of(call, self._state).view())


def manifest_of(call: Call, state: State, *, untagged_too: bool = False) -> Manifest:
    """:raises Problem: 404 if no current tag points to it or, with ``untagged_too``, if it never existed"""
    repository = repository_of(call, state)
    manifest = repository.manifests.get(call.params["digest"])
    if manifest is None or not (untagged_too or repository.is_tagged(manifest.digest, call.now)):
        raise not_found()
    return manifest
