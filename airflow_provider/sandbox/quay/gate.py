"""What each call must pass before its route: redirects, unknown paths (the web UI), authentication, permissions."""

from __future__ import annotations

import re

from starlette.responses import HTMLResponse, Response

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.quay import results
from airflow_provider.sandbox.quay.access import Directory
from airflow_provider.sandbox.quay.arguments import namespace_of, path_of
from airflow_provider.sandbox.quay.models import RepositoryState
from airflow_provider.sandbox.quay.refusals import Abort
from airflow_provider.sandbox.quay.rules import Rule
from airflow_provider.sandbox.quay.state import State
from airflow_provider.sandbox.quay.web import page_of

READS = ("GET", "HEAD")


class Gate:
    def __init__(self, state: State, directory: Directory) -> None:
        self._state = state
        self._directory = directory

    def admit(self, call: Call) -> Response | None:
        if call.match.redirect:
            return results.redirect(call, call.match.redirect)
        if call.match.route is None:
            return self._unknown(call)
        rule: Rule = call.match.route.rule
        if not rule.open:
            call.caller = self._directory.caller(call)
            self._directory.check_call(call)
            self._check_writable(call, rule)
        if rule.level:
            self._require(call, "read" if call.switches.get(rule.readers_with) else rule.level)
        return None

    def complete(self, call: Call, response: Response) -> None:
        """Adds the next CSRF token of the session to each successful write."""
        granted = call.match.route is not None and response.status_code < 400
        session = self._directory.session(call)
        if granted and session is not None and call.method not in READS:
            response.headers["X-Next-CSRF-Token"] = session.csrf

    def _unknown(self, call: Call) -> Response:
        allowed = call.match.allowed
        if call.method in READS and not allowed and re.fullmatch("/api/v1/[^/]+", call.below):
            return results.redirect(call, f"{call.below}/")
        if call.method == "OPTIONS" and allowed:
            return Response(b"", 200, headers={"allow": ", ".join(allowed)}, media_type="text/html")
        if allowed:
            raise Abort(405, "The method is not allowed for the requested URL.", {"allow": ", ".join(allowed)})
        if call.method in READS:
            path = call.below.removeprefix("/")
            if page := page_of(self._state, path):
                return HTMLResponse(page)
            return results.ui(200 if path == "" else 404)
        return results.ui_refuses("OPTIONS, HEAD, GET")

    def _check_writable(self, call: Call, rule: Rule) -> None:
        if call.method in READS:
            return
        if call.switches["read_only_registry"]:
            raise Abort(503, "Quay is currently in read-only mode", is_readonly=True)
        mode = self._state.mode_of(path_of(call))
        if rule.freezes and mode is not RepositoryState.NORMAL:
            self._require(call, rule.level)
            raise Abort(503, f"Repository is in read only or mirror mode: {mode.value}")

    def _require(self, call: Call, level: str) -> None:
        repository = self._state.repositories.get(path_of(call))
        self._directory.require(call.caller, namespace_of(call), repository, level)
