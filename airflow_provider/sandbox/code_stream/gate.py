"""What each call must pass before its route: unknown paths, authentication, the version of the API."""

from __future__ import annotations

from airflow_provider.sandbox.code_stream.about import ABOUT, API_VERSION
from airflow_provider.sandbox.code_stream.login import OPEN
from airflow_provider.sandbox.code_stream.refusals import Refusal
from airflow_provider.sandbox.code_stream.tokens import Tokens
from airflow_provider.sandbox.core.calls import Call, Caller

PREFIXES = ("/codestream/api", "/pipeline/api")


class Gate:
    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def admit(self, call: Call) -> None:
        route, is_api = call.match.route, call.below.startswith(PREFIXES)
        if route is None or (is_api and call.switches["no_pipelines_service"]):
            raise Refusal(404, "No handler found")
        if route.rule != OPEN and (route.rule != ABOUT or call.switches["about_needs_token"]):
            user = self._tokens.use(call)
            if not user:
                raise Refusal(401)
            call.caller = Caller(user)
        version = call.query("apiVersion")
        if is_api and version not in (None, API_VERSION) and call.switches["wrong_api_version"] == "400":
            raise Refusal(400, f"Unsupported apiVersion {version!r}")
