"""The methods of notifications, and the config that each needs: what create accepts and refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

from airflow_provider.sandbox.quay import templates
from airflow_provider.sandbox.quay.refusals import Crash, invalid

BLOCKED_HOSTS = ("localhost", "127.0.0.1")


class Methods:
    """:param emails: returns the addresses that may currently receive notifications
    :param users: by name
    :param namespaces: of all users
    """

    def __init__(self, emails: Callable[[], list[str]], users: dict[str, Any], namespaces: set[str]) -> None:
        self._emails = emails
        self._users = users
        self._namespaces = namespaces

    def check(self, method: str, config: dict[str, Any], namespace: str) -> None:
        """:param namespace: of the repository
        :raises Problem: a known method with a wrong config
        :raises Crash: an unknown method, or a config that crashes the server
        """
        match method:
            case "webhook":
                _check_webhook(config)
            case "slack":
                _needs(config, url="Missing Slack Callback URL")
            case "flowdock":
                _needs(config, flow_api_token="Missing Flowdock API Token")
            case "hipchat":
                _needs(
                    config,
                    notification_token="Missing Hipchat Room Notification Token",
                    room_id="Missing Hipchat Room ID",
                )
            case "email":
                self._check_email(config)
            case "quay_notification":
                self._check_target(config, namespace)
            case _:
                raise Crash

    def _check_email(self, config: dict[str, Any]) -> None:
        _needs(config, email="Missing e-mail address")
        if config["email"] not in self._emails():
            raise invalid("The specified e-mail address is not authorized to receive notifications for this repository")

    def _check_target(self, config: dict[str, Any], namespace: str) -> None:
        _needs(config, target="Missing target")
        target = config["target"]
        if not isinstance(target, dict):
            raise Crash
        _needs(target, kind="Missing target")
        kind, name = target["kind"], target.get("name")
        if kind not in ("user", "org", "team") or not name:
            raise Crash
        known = {
            "user": name in self._users,
            "org": name in self._namespaces - set(self._users),
            "team": name == "owners",
        }
        if not known[kind]:
            raise invalid(f"Unknown {'organization' if kind == 'org' else kind} {name}")
        if kind == "org" and name != namespace:
            raise Crash


def _needs(config: dict[str, Any], **messages: str) -> None:
    for key, message in messages.items():
        if not config.get(key):
            raise invalid(message)


def _check_webhook(config: dict[str, Any]) -> None:
    _needs(config, url="Missing webhook URL")
    url = config["url"]
    if not isinstance(url, str):
        raise Crash
    try:
        parsed = urlparse(url)
    except ValueError:
        raise Crash from None
    if parsed.scheme not in ("http", "https"):
        raise invalid("Invalid webhook URL")
    if not parsed.hostname:
        raise Crash
    if parsed.hostname.lower() in BLOCKED_HOSTS:
        raise invalid("Invalid webhook URL")
    if config.get("template"):
        if not isinstance(config["template"], str):
            raise Crash
        try:
            templates.check(config["template"])
        except templates.TemplateError as error:
            raise invalid(str(error)) from None
