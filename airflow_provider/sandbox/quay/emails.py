"""The routes of authorized e-mail addresses, which may receive the notifications of a repository."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.quay.arguments import repository_of
from airflow_provider.sandbox.quay.refusals import not_found
from airflow_provider.sandbox.quay.results import result
from airflow_provider.sandbox.quay.rules import ADMIN, REPOSITORY
from airflow_provider.sandbox.quay.state import State

EMAIL = f"{REPOSITORY}/authorizedemail/{{email}}"


class Emails:
    """Nobody reads e-mail here: the switch ``authorized_emails`` holds the addresses whose owners have agreed."""

    def __init__(self, state: State) -> None:
        self._state = state

    def add_routes(self, router: Router) -> None:
        router.add("GET HEAD", EMAIL, self._get, ADMIN)
        router.add("POST", EMAIL, self._ask, ADMIN)

    def _get(self, call: Call) -> Response:
        asked = repository_of(call, self._state).asked_emails
        if not self._is_authorized(call) and call.params["email"] not in asked:
            raise not_found()
        return result(self._view(call))

    def _ask(self, call: Call) -> Response:
        repository_of(call, self._state).asked_emails.add(call.params["email"])
        return result(self._view(call))

    def _is_authorized(self, call: Call) -> bool:
        return call.params["email"] in self._state.switches["authorized_emails"]

    def _view(self, call: Call) -> dict[str, Any]:
        repository = repository_of(call, self._state)
        return {
            "email": call.params["email"],
            "namespace": repository.namespace,
            "repository": repository.name,
            "confirmed": self._is_authorized(call),
        }
