"""Repository notifications: what create accepts and refuses, and the six operations.

Sending is in worker.py, bodies are in payloads.py.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from starlette.responses import Response

from airflow_provider.sandbox.quay import payloads, templates
from airflow_provider.sandbox.quay.replies import Abort, Crash, Problem, no_content, not_found, result

if TYPE_CHECKING:
    from airflow_provider.sandbox.quay.calls import Call

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
BLOCKED_HOSTS = ("localhost", "127.0.0.1")
DISABLED_AFTER = 3
LONGEST_TITLE = 255


@dataclass
class Notification:
    uuid: str
    namespace: str
    name: str
    title: str | None
    event: str
    method: str
    config: dict[str, Any]
    event_config: dict[str, Any]
    failures: int = 0

    @property
    def disabled(self) -> bool:
        return self.failures >= DISABLED_AFTER

    def view(self) -> dict[str, Any]:
        return {
            "uuid": self.uuid,
            "title": self.title,
            "event": self.event,
            "method": self.method,
            "config": self.config,
            "event_config": self.event_config,
            "number_of_failures": self.failures,
        }


# --- operations


def list_all(call: Call) -> Response:
    repository = call.repository
    found = repository.notifications.values() if repository else ()
    return result({"notifications": [each.view() for each in found]})


def create(call: Call) -> Response:
    body = call.json(CREATE_SCHEMA)
    check_method(call, body["method"], body["config"])
    if body["event"] not in payloads.EVENTS or call.repository is None:
        raise Crash
    if len(body.get("title") or "") > LONGEST_TITLE:
        raise Crash
    made = Notification(
        str(uuid.uuid4()),
        call.namespace,
        call.name,
        body.get("title"),
        body["event"],
        body["method"],
        body["config"],
        body["eventConfig"],
    )
    call.repository.notifications[made.uuid] = made
    return result(made.view(), 201)


def get(call: Call) -> Response:
    """Finds the notifications of other repositories too, as the server does."""
    found = call.system.notification(call.params["uuid"])
    if found is None:
        raise not_found()
    return result(found.view())


def delete(call: Call) -> Response:
    repository = call.repository
    if repository is None or repository.notifications.pop(call.params["uuid"], None) is None:
        raise _missing(call)
    return no_content()


def test(call: Call) -> Response:
    found = call.system.notification(call.params["uuid"])
    if found is None:
        raise _missing(call)
    call.system.queue_test(found)
    return result({}, 200 if call.system.switches["codes"] == "server" else 201)


def reset(call: Call) -> Response:
    found = call.system.notification(call.params["uuid"])
    if found is None:
        raise _missing(call)
    if (found.namespace, found.name) != (call.namespace, call.name):
        raise Abort(400, f"No repository notification found with uuid: {found.uuid}")
    found.failures = 0
    return result({}, 201) if call.system.switches["codes"] == "swagger" else no_content()


def _missing(call: Call) -> Problem:
    place = f"{call.namespace}, {call.name}, {call.params['uuid']}"
    return Problem("invalid_request", f"No repository notification found for: {place}")


# --- methods


def check_method(call: Call, method: str, config: dict[str, Any]) -> None:
    """:raises Problem: a known method with a wrong config
    :raises Crash: an unknown method, or a config that the server dies of
    """
    checks = {
        "webhook": _check_webhook,
        "slack": _needs(("url", "Missing Slack Callback URL")),
        "flowdock": _needs(("flow_api_token", "Missing Flowdock API Token")),
        "hipchat": _needs(
            ("notification_token", "Missing Hipchat Room Notification Token"), ("room_id", "Missing Hipchat Room ID")
        ),
        "email": _check_email,
        "quay_notification": _check_target,
    }
    if method not in checks:
        raise Crash
    checks[method](call, config)


def _check_webhook(_call: Call, config: dict[str, Any]) -> None:
    url = config.get("url", "")
    if not url:
        raise _bad("Missing webhook URL")
    if not isinstance(url, str):
        raise Crash
    try:
        parsed = urlparse(url)
    except ValueError:
        raise Crash from None
    if parsed.scheme not in ("http", "https"):
        raise _bad("Invalid webhook URL")
    if not parsed.hostname:
        raise Crash
    if parsed.hostname.lower() in BLOCKED_HOSTS:
        raise _bad("Invalid webhook URL")
    if config.get("template"):
        if not isinstance(config["template"], str):
            raise Crash
        try:
            templates.check(config["template"])
        except templates.TemplateError as error:
            raise _bad(str(error)) from None


def _needs(*keys: tuple[str, str]) -> Any:
    def check(_call: Call, config: dict[str, Any]) -> None:
        for key, text in keys:
            if not config.get(key):
                raise _bad(text)

    return check


def _check_email(call: Call, config: dict[str, Any]) -> None:
    if not config.get("email"):
        raise _bad("Missing e-mail address")
    if config["email"] not in call.system.switches["authorized_emails"]:
        raise _bad("The specified e-mail address is not authorized to receive notifications for this repository")


def _check_target(call: Call, config: dict[str, Any]) -> None:
    target = config.get("target")
    if not target:
        raise _bad("Missing target")
    if not isinstance(target, dict):
        raise Crash
    if not target.get("kind"):
        raise _bad("Missing target")
    kind, name = target["kind"], target.get("name")
    if kind not in ("user", "org", "team") or not name:
        raise Crash
    users = call.system.directory.users
    known = {
        "user": name in users,
        "org": name in call.system.directory.namespaces - set(users),
        "team": name == "owners",
    }
    if not known[kind]:
        word = {"user": "user", "org": "organization", "team": "team"}[kind]
        raise _bad(f"Unknown {word} {name}")
    if kind == "org" and name != call.namespace:
        raise Crash


def _bad(text: str) -> Problem:
    return Problem("invalid_request", text)
