"""Webhooks of Quay's repository notifications.

They carry no id, no signature and no name of their event: two pushes of one tag are reported by equal messages. So a
push is identified by its entry in the tag's history, and a build by its id and state.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from airflow_provider.clients.quay import QuayClient
from airflow_provider.clients.quay.documents import Tag
from airflow_provider.clients.quay.fields import began_at, image_ref
from airflow_provider.clients.quay.references import build_reference
from airflow_provider.exceptions import NotFoundError
from airflow_provider.identifiers import is_name, quay_id_problem, repository_problem, tag_problem
from airflow_provider.webhooks.bodies import RefusedError, decode
from airflow_provider.webhooks.endpoints import WebhookEndpoint
from airflow_provider.webhooks.occurrences import Alternatives, Occurrence, Report, of_execution, of_message

MOST_TAGS = 50
"""Of one push, each of which costs a request; Quay reports one."""
REPORTED_WITHIN = 300.0
"""Seconds within which Quay first reports a push, and within which it sends a message again: it tries five times, half
a minute apart."""

REPEATED_WITHIN = 3600.0
"""Seconds within which an equal message, about which only its text is known, counts as a repetition: Quay reports a
finding once for every such notification."""

_TEST_BUILD, _TEST_FINDING, _TEST_MIRROR = "fake-build-id", "CVE-FAKE-CVE", "TEST NOTIFICATION"
_TEST_QUOTAS = ((858993459, 1073741824), (1127428915, 1073741824))
"""Bytes used and allowed in a test of a warning and of an error: 80 and 105 percent of 1 GiB."""


class Vulnerability(msgspec.Struct):
    """Any of it may be missing: a refused message is sent again, and after the third Quay sends no other either."""

    id: str | None = None
    priority: str | None = ""
    link: str | None = ""
    has_fix: bool | None = None


class Message(msgspec.Struct):
    """The fields of all events that are read; which of them are present identifies the event."""

    namespace: str | None = ""
    repository: str = ""
    updated_tags: list[str] | None = None
    pruned_image_count: int | None = None
    build_id: str | None = None
    vulnerability: Vulnerability | None = None
    tags: list[str] | None = None
    expiring_in: str | None = None
    notification_uuid: str | None = None
    message: str | None = None
    threshold_percent: float | None = None
    usage_bytes: int | None = None
    limit_bytes: int | None = None


def read(body: bytes) -> Message:
    """:raises RefusedError: it is not a webhook of Quay."""
    message = decode(body, Message)
    if message.threshold_percent is None:
        _require(not repository_problem(message.repository), "repository must be the name of a repository")
    else:
        _require(is_name(message.namespace), "namespace must be the name of a user or organization")
    if message.updated_tags is not None:
        tags = message.updated_tags
        _require(0 < len(tags) <= MOST_TAGS, f"updated_tags must hold 1 to {MOST_TAGS} tags")
        _require(not any(map(tag_problem, tags)), "updated_tags must hold tags only")
    if message.build_id is not None:
        _require(not quay_id_problem(message.build_id), "build_id must be the id of a build")
    _require(bool(_event(message)), "it reports no known event")
    return message


def is_test(message: Message) -> bool:
    """Whether Quay sent it only because a person or an operator asked for a test."""
    if message.updated_tags is not None:
        # A test names tags that may well exist, but only a test has this number.
        return message.pruned_image_count is not None
    if message.expiring_in is not None:
        return message.notification_uuid is None
    if message.threshold_percent is not None:
        return (message.usage_bytes, message.limit_bytes) in _TEST_QUOTAS
    finding = message.vulnerability
    is_fake = finding is not None and finding.id == _TEST_FINDING
    return is_fake or message.build_id == _TEST_BUILD or message.message == _TEST_MIRROR


def occurrences(message: Message, endpoint: WebhookEndpoint, client: QuayClient) -> Report:
    """What there is to count, verified with Quay."""
    if message.updated_tags is not None:
        return Report([_pushes(client, message.repository, tag) for tag in dict.fromkeys(message.updated_tags)])
    if message.build_id is not None:
        return of_execution(client, endpoint, build_reference(message.repository, message.build_id))
    fields: dict[str, Any] = msgspec.to_builtins(message)
    fields = {name: value for name, value in fields.items() if value not in (None, "")}
    event = _event(message)
    # A mirror reports each of its runs by the same text.
    repeated_within = REPORTED_WITHIN if message.message is not None else REPEATED_WITHIN
    about = f"{event} of {message.repository or message.namespace}"
    return Report([of_message(client, event, fields, about, repeated_within)])


def _pushes(client: QuayClient, repository: str, tag: str) -> Alternatives:
    """The newest entry of the tag's history, followed by those that Quay may not have reported yet.

    Several pushes in a row are reported by equal messages: each message counts one of them.
    """
    try:
        history = client.tags.history(repository, tag)
    except NotFoundError:
        return []
    now = client.transport.server_time() or time.time()
    recent = [each for each in history[1:] if began_at(each) > now - REPORTED_WITHIN]
    return [_push(client, repository, each) for each in (*history[:1], *recent)]


def _push(client: QuayClient, repository: str, entry: Tag) -> Occurrence:
    tag, digest, began = str(entry["name"]), str(entry["manifest_digest"]), began_at(entry)
    extra = {
        "system": client.system,
        "event": "repo_push",
        "repository": repository,
        "tag": tag,
        "digest": digest,
        "image_ref": image_ref(client.registry, repository, digest),
        "start_ts": began,
        "confirmed": True,
    }
    return Occurrence(f"{client.place}/push/{repository}/{tag}/{began}/{digest}", f"push of {repository}:{tag}", extra)


def _event(message: Message) -> str:
    values = {
        "repo_push": message.updated_tags,
        "build": message.build_id,
        "vulnerability_found": message.vulnerability,
        "repo_image_expiry": message.expiring_in,
        "repo_mirror_sync": message.message,
        "quota": message.threshold_percent,
    }
    return next((event for event, value in values.items() if value is not None), "")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise RefusedError(400, otherwise)
