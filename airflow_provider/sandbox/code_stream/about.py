"""The routes about the installation: API versions, the caller's preferences, projects."""

from __future__ import annotations

from starlette.responses import Response

from airflow_provider.sandbox.code_stream.filters import FilterError, compile_filter
from airflow_provider.sandbox.code_stream.formats import project_id
from airflow_provider.sandbox.code_stream.refusals import Refusal
from airflow_provider.sandbox.code_stream.state import State
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Router

API_VERSION = "2019-10-17"
ABOUT = "about"
"""The rule of the route for which a switch decides whether it needs a bearer token."""


class About:
    def __init__(self, state: State) -> None:
        self._state = state

    def add_routes(self, router: Router, api: str) -> None:
        router.add("GET", f"{api}/about", _about, ABOUT)
        router.add("GET", f"{api}/user-preferences", _user_preferences)
        router.add("GET", "/iaas/api/projects", self._projects)

    def _projects(self, call: Call) -> Response:
        names = sorted({pipeline.project for pipeline in self._state.pipelines.objects.values()})
        documents = [{"id": project_id(name), "name": name} for name in names]
        text = call.query("$filter")
        if text:
            try:
                predicate = compile_filter(text)
            except FilterError as error:
                raise Refusal(400, f"Invalid $filter: {error}") from None
            documents = [document for document in documents if predicate(document)]
        return json_reply({"content": documents, "totalElements": len(documents), "numberOfElements": len(documents)})


def _about(call: Call) -> Response:
    supported = {
        "apiVersion": API_VERSION,
        "documentationLink": "/codestream/api/swagger/swagger-ui.html",
        "deprecationPolicy": {"deprecatedAt": "", "description": "", "expiresAt": ""},
    }
    return json_reply({"latestApiVersion": API_VERSION, "supportedApis": [supported]})


def _user_preferences(call: Call) -> Response:
    return json_reply({"userName": call.user, "preferences": {}})
