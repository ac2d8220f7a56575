"""The routes of repository notifications: list, create, get, test, reset, delete. The worker sends them."""

from __future__ import annotations

import uuid

from starlette.responses import Response

from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.routing import Router
from airflow_provider.sandbox.quay import payloads
from airflow_provider.sandbox.quay.access import Directory
from airflow_provider.sandbox.quay.arguments import body_of, path_of
from airflow_provider.sandbox.quay.models import Notification
from airflow_provider.sandbox.quay.notification_methods import Methods
from airflow_provider.sandbox.quay.notifying import Notifying
from airflow_provider.sandbox.quay.refusals import Abort, Crash, Problem, invalid, not_found
from airflow_provider.sandbox.quay.results import no_content, result
from airflow_provider.sandbox.quay.rules import ADMIN, REPOSITORY
from airflow_provider.sandbox.quay.state import State

CREATE_SCHEMA = {
    "type": "object",
    "description": "Information for creating a notification on a repository",
    "required": ["event", "method", "config", "eventConfig"],
    "properties": {
        "event": {"type": "string", "description": "The event on which the notification will respond"},
        "method": {"type": "string", "description": "The method of notification (such as email or web callback)"},
        "config": {"type": "object", "description": "JSON config information for the specific method of notification"},
        "eventConfig": {"type": "object", "description": "JSON config information for the specific event"},
        "title": {"type": "string", "description": "The human-readable title of the notification"},
    },
}
LONGEST_TITLE = 255


class Notifications:
    def __init__(self, state: State, directory: Directory, notifying: Notifying) -> None:
        self._state = state
        self._notifying = notifying
        self._methods = Methods(
            lambda: list(state.switches["authorized_emails"]), directory.users, directory.namespaces
        )

    def add_routes(self, router: Router) -> None:
        root = f"{REPOSITORY}/notification/"
        router.add("POST", root, self._create, ADMIN)
        router.add("GET HEAD", root, self._list, ADMIN)
        router.add("POST", f"{root}{{uuid}}", self._reset, ADMIN)
        router.add("GET HEAD", f"{root}{{uuid}}", self._get, ADMIN)
        router.add("DELETE", f"{root}{{uuid}}", self._delete, ADMIN)
        router.add("POST", f"{root}{{uuid}}/test", self._test, ADMIN)

    def _list(self, call: Call) -> Response:
        repository = self._state.repositories.get(path_of(call))
        found = repository.notifications.values() if repository else ()
        return result({"notifications": [each.view() for each in found]})

    def _create(self, call: Call) -> Response:
        body = body_of(call, CREATE_SCHEMA)
        namespace, _, name = path_of(call).partition("/")
        self._methods.check(body["method"], body["config"], namespace)
        repository = self._state.repositories.get(path_of(call))
        if body["event"] not in payloads.EVENTS or repository is None:
            raise Crash
        if len(body.get("title") or "") > LONGEST_TITLE:
            raise Crash
        made = Notification(
            str(uuid.uuid4()),
            namespace,
            name,
            body.get("title"),
            body["event"],
            body["method"],
            body["config"],
            body["eventConfig"],
        )
        repository.notifications[made.uuid] = made
        return result(made.view(), 201)

    def _get(self, call: Call) -> Response:
        """Also finds the notifications of other repositories, as the server does."""
        found = self._state.notification(call.params["uuid"])
        if found is None:
            raise not_found()
        return result(found.view())

    def _delete(self, call: Call) -> Response:
        repository = self._state.repositories.get(path_of(call))
        if repository is None or repository.notifications.pop(call.params["uuid"], None) is None:
            raise _missing(call)
        return no_content()

    def _test(self, call: Call) -> Response:
        self._notifying.queue_test(self._known(call))
        return result({}, 200 if call.switches["codes"] == "server" else 201)

    def _reset(self, call: Call) -> Response:
        found = self._known(call)
        if f"{found.namespace}/{found.name}" != path_of(call):
            raise Abort(400, f"No repository notification found with uuid: {found.uuid}")
        found.failures = 0
        return result({}, 201) if call.switches["codes"] == "swagger" else no_content()

    def _known(self, call: Call) -> Notification:
        found = self._state.notification(call.params["uuid"])
        if found is None:
            raise _missing(call)
        return found


def _missing(call: Call) -> Problem:
    namespace, _, name = path_of(call).partition("/")
    return invalid(f"No repository notification found for: {namespace}, {name}, {call.params['uuid']}")
