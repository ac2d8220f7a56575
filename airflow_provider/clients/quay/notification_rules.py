"""Rules for Quay's repository notifications, checked before one is sent, because Quay accepts most mistakes silently.

It answers an unknown event or method with a page of status 500, and stores a wrong ``level``, ``ref-regex`` or
``days``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow_provider.clients.quay.fields import Document
from airflow_provider.clients.quay.references import SEVERITIES, SYSTEM
from airflow_provider.exceptions import BadRequestError, Call
from airflow_provider.identifiers import host_of

REFUSED_HOSTS = ("localhost", "127.0.0.1")
"""To which Quay sends nothing."""

_BUILD_EVENTS = ("build_queued", "build_start", "build_success", "build_failure", "build_cancelled")
EVENTS: dict[str, tuple[str, ...]] = {
    "repo_push": (),
    **dict.fromkeys(_BUILD_EVENTS, ("ref-regex",)),
    "vulnerability_found": ("level", "vulnerability"),
    "repo_mirror_sync_started": (),
    "repo_mirror_sync_success": (),
    "repo_mirror_sync_failed": (),
    "repo_image_expiry": ("days",),
    "quota_warning": (),
    "quota_error": (),
}
"""Every event with the keys of its ``event_config``."""

METHODS: dict[str, tuple[str, ...]] = {
    "webhook": ("url",),
    "slack": ("url",),
    "email": ("email",),
    "quay_notification": ("target",),
    "flowdock": ("flow_api_token",),
    "hipchat": ("notification_token", "room_id"),
}
"""Every method with the keys that its ``config`` must have."""

SECRET_KEYS = ("url", "flow_api_token", "notification_token")
"""Keys of a ``config`` whose values let anybody who reads them send messages."""

MASK = "***"

_NO_SECRETS: dict[str, tuple[str, ...]] = {
    "email": ("email",),
    "quay_notification": ("target",),
    "hipchat": ("room_id",),
}
"""By method, the keys of a ``config`` whose values may be shown. Of a URL, only the host may."""

FAILURES_THAT_DISABLE = 3
LONGEST_TITLE = 255


def check(
    repository: str, event: str, method: str, config: Document, event_config: Document, title: str | None
) -> None:
    """:raises BadRequestError: names the argument, and the key in it, that Quay would not serve."""
    if not isinstance(event, str) or event not in EVENTS:
        raise _wrong(f"event must be one of {', '.join(EVENTS)}, got {event!r}")
    if not isinstance(method, str) or method not in METHODS:
        raise _wrong(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if title is not None and not isinstance(title, str):
        raise _wrong(f"title must be a text, got {title!r}")
    if title is not None and not 0 < len(title) <= LONGEST_TITLE:
        raise _wrong(f"title must have 1 to {LONGEST_TITLE} characters")
    for name, value in (("config", config), ("event_config", event_config)):
        _require(isinstance(value, Mapping), f"{name} must be a mapping, got a {type(value).__name__}")
    for key in METHODS[method]:
        if not config.get(key):
            raise _wrong(f"config of method {method!r} must have {key!r}")
    if method == "webhook":
        _check_webhook(config)
    elif method == "email":
        _require("@" in str(config["email"]), "config.email must be an e-mail address")
    elif method == "quay_notification":
        _check_target(config["target"], repository)
    elif method != "hipchat":
        key = METHODS[method][0]
        _require(isinstance(config[key], str), f"config.{key} must be a text")
    for key, value in event_config.items():
        allowed = EVENTS[event]
        _require(
            key in allowed, f"event_config of {event!r} must hold only {', '.join(allowed) or 'nothing'}, got {key!r}"
        )
        _EVENT_KEYS[key](value)
    _require(
        event != "repo_image_expiry" or "days" in event_config, "event_config of 'repo_image_expiry' must have 'days'"
    )


def body_of(event: str, method: str, config: Document, event_config: Document, title: str | None) -> dict[str, Any]:
    """The body of a create request. Quay refuses one without ``eventConfig``, and one whose ``title`` is null."""
    body = {"event": event, "method": method, "config": dict(config), "eventConfig": dict(event_config)}
    return body | ({"title": title} if title else {})


def is_equal(notification: Document, body: Document) -> bool:
    """Whether a stored notification is equal to this body of a create request; Quay itself does not compare."""
    return (
        all(notification.get(key) == body[key] for key in ("event", "method", "config"))
        and _comparable(notification.get("event_config") or {}) == _comparable(body["eventConfig"])
        and (notification.get("title") or None) == body.get("title")
    )


def _comparable(event_config: Any) -> Any:
    if not isinstance(event_config, dict):
        return event_config
    # Quay stores a level as it was sent, and takes "3" for 3.
    return {key: str(value) if key == "level" else value for key, value in event_config.items()}


def is_disabled(notification: Document) -> bool:
    """Whether Quay has stopped sending it. Only this number shows it, and Quay still accepts tests."""
    failures = notification.get("number_of_failures")
    return isinstance(failures, (int, float)) and failures >= FAILURES_THAT_DISABLE


def without_secrets(notification: Document) -> dict[str, Any]:
    """A notification without its secrets, for XCom and logs."""
    method = str(notification.get("method"))
    stored = notification.get("config")
    config: Document = stored if isinstance(stored, dict) else {}
    shown = {key: value if key in _NO_SECRETS.get(method, ()) else _masked(key, value) for key, value in config.items()}
    return {**notification, "config": shown}


def secrets_of(method: object, config: object) -> list[tuple[str, str]]:
    """The texts in a ``config`` that must not be shown, each with its key."""
    if not isinstance(config, Mapping):
        return [("", config)] if isinstance(config, str) else []
    shown = _NO_SECRETS.get(str(method), ())
    return [(key, text) for key, value in config.items() if key not in shown for text in _texts(value)]


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str):
        yield value


def _masked(key: str, value: object) -> str:
    host = host_of(value) if key == "url" else None
    return f"{urlsplit(str(value)).scheme}://{host}/{MASK}" if host else MASK


def _check_webhook(config: Document) -> None:
    host = host_of(config["url"])
    _require(bool(host), "config.url must be a whole http or https URL")
    _require(host not in REFUSED_HOSTS, f"config.url must not name {host}: Quay refuses it")
    if (template := config.get("template")) is None:
        return
    _require(isinstance(template, str), "config.template must be a text that holds JSON")
    _require("${}" not in template, "config.template must not hold the empty expression ${}")
    try:
        json.loads(template)
    except ValueError as error:
        raise _wrong(f"config.template must hold JSON: {error}") from None


def _check_target(target: object, repository: str) -> None:
    known = isinstance(target, Mapping) and target.get("kind") in ("user", "org", "team") and bool(target.get("name"))
    _require(known, "config.target must be {kind: user, org or team, name: ...}")
    assert isinstance(target, Mapping)  # noqa: S101 - for mypy: the line above ensures it
    namespace = repository.partition("/")[0]
    _require(
        target["kind"] != "org" or target["name"] == namespace,
        f"config.target of kind org must name {namespace!r}, the namespace of the repository",
    )


def _check_level(value: object) -> None:
    _require(
        not isinstance(value, bool) and str(value) in ("0", "1", "2", "3", "4", "5"),
        "event_config.level must be a number from 0 (Critical) to 5 (Unknown)",
    )


def _check_priority(value: object) -> None:
    known = isinstance(value, Mapping) and set(value) == {"priority"} and value["priority"] in SEVERITIES
    _require(known, f"event_config.vulnerability must be {{priority: one of {', '.join(SEVERITIES)}}}")


def _check_expression(value: object) -> None:
    try:
        re.compile(str(value))
    except re.error as error:
        raise _wrong(f"event_config.ref-regex must be a regular expression: {error}") from None


def _check_days(value: object) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    _require(number and float(str(value)) > 0, "event_config.days must be a number above 0")


_EVENT_KEYS: dict[str, Callable[[object], None]] = {
    "level": _check_level,
    "vulnerability": _check_priority,
    "ref-regex": _check_expression,
    "days": _check_days,
}


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _wrong(otherwise)


def _wrong(summary: str) -> BadRequestError:
    return BadRequestError(summary, call=Call(system=SYSTEM))
