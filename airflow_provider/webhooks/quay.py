"""Webhooks of Quay's repository notifications.

They bear no id, no signature, and no name of their event: two pushes of one tag are told in the same words. So a push
is known by the entry that it left in the tag's history, and a build by its number and what has become of it.
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
from airflow_provider.identifiers import quay_id_problem, repository_problem, tag_problem
from airflow_provider.webhooks.bodies import RefusedError, decode
from airflow_provider.webhooks.endpoints import Endpoint
from airflow_provider.webhooks.occurrences import Alternatives, Occurrence, Told, of_execution, of_message

MOST_TAGS = 50
"""Of one push, each of which is asked for; Quay tells one."""
TOLD_WITHIN = 300.0
"""Seconds after a push in which Quay may tell of it for the first time: it tries five times, half a minute apart."""

_TEST_BUILD, _TEST_FINDING, _TEST_MIRROR = "fake-build-id", "CVE-FAKE-CVE", "TEST NOTIFICATION"


class Finding(msgspec.Struct):
    id: str
    priority: str = ""
    link: str = ""
    has_fix: bool | None = None


class Message(msgspec.Struct):
    """The fields of all events that are read; which are there tells the event."""

    namespace: str = ""
    repository: str = ""
    updated_tags: list[str] | None = None
    pruned_image_count: int | None = None
    build_id: str | None = None
    vulnerability: Finding | None = None
    tags: list[str] | None = None
    expiring_in: str | None = None
    notification_uuid: str | None = None
    message: str | None = None
    threshold_percent: float | None = None
    usage_bytes: int | None = None
    limit_bytes: int | None = None


def read(body: bytes) -> Message:
    """:raises RefusedError: it is no webhook of Quay's."""
    message = decode(body, Message)
    if message.threshold_percent is None:
        _require(not repository_problem(message.repository), "repository is missing or no name of one")
    if message.updated_tags is not None:
        tags = message.updated_tags
        _require(0 < len(tags) <= MOST_TAGS, f"updated_tags holds not 1 to {MOST_TAGS} tags")
        _require(not any(map(tag_problem, tags)), "updated_tags holds what is no tag")
    if message.build_id is not None:
        _require(not quay_id_problem(message.build_id), "build_id is no id")
    _require(bool(_event(message)), "it tells of no event that is known")
    return message


def is_test(message: Message) -> bool:
    """Whether a person, or an operator, had Quay send a test: nothing has happened then."""
    if message.updated_tags is not None:
        # A test names tags that may well exist. No real push has the number.
        return message.pruned_image_count is not None
    if message.expiring_in is not None:
        return message.notification_uuid is None
    finding = message.vulnerability
    is_fake = finding is not None and finding.id == _TEST_FINDING
    return is_fake or message.build_id == _TEST_BUILD or message.message == _TEST_MIRROR


def occurrences(message: Message, endpoint: Endpoint, client: QuayClient) -> Told:
    """What there is to count, as Quay tells it now."""
    if message.updated_tags is not None:
        return Told([_pushes(client, message.repository, tag) for tag in dict.fromkeys(message.updated_tags)])
    if message.build_id is not None:
        return of_execution(client, endpoint, build_reference(message.repository, message.build_id))
    told: dict[str, Any] = msgspec.to_builtins(message)
    told = {name: value for name, value in told.items() if value not in (None, "")}
    event = _event(message)
    return Told([of_message(client, event, told, f"{event} of {message.repository or message.namespace}")])


def _pushes(client: QuayClient, repository: str, tag: str) -> Alternatives:
    """The newest entry of the tag's history; behind it, those of which Quay may not have told yet.

    Several pushes in a row are told in the same words: each telling counts one of them.
    """
    try:
        history = client.tags.history(repository, tag)
    except NotFoundError:
        return []
    now = client.server_time() or time.time()
    recent = [each for each in history[1:] if began_at(each) > now - TOLD_WITHIN]
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
    told = {
        "repo_push": message.updated_tags,
        "build": message.build_id,
        "vulnerability_found": message.vulnerability,
        "repo_image_expiry": message.expiring_in,
        "repo_mirror_sync": message.message,
        "quota": message.threshold_percent,
    }
    return next((event for event, value in told.items() if value is not None), "")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise RefusedError(400, otherwise)
