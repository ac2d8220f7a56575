"""The webhooks that the option ``webhooks`` of ``[release_pipelines]`` declares, and their URLs.

The only I/O is reading Airflow's configuration. No error shows a secret.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Literal, NamedTuple, cast, get_args
from urllib.parse import quote, urlsplit

import msgspec

from airflow_provider.exceptions import Call, ConnectionConfigError
from airflow_provider.execution import ExecutionState
from airflow_provider.settings import SECTION, WEBHOOKS, WEBHOOKS_URL

PREFIX = "/release-pipelines/webhooks"
"""Path of the route, below Airflow's own URL."""

MOST_SECRETS = 2
"""Of one endpoint at a time: the current one and its successor."""
_SECRET = re.compile(r"[A-Za-z0-9_-]{32,128}")
"""Needs no quoting in a URL, a header or a shell; 32 characters are at least 128 bits."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

Source = Literal["quay", "cocktail", "code_stream"]
SOURCES: tuple[str, ...] = get_args(Source)
STATES = tuple(state.value for state in ExecutionState)


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One endpoint as the option declares it.

    Texts are checked here and not by their types: an error of those would show a secret that stands in a wrong field.
    """

    source: str
    asset: str
    secrets: list[str]
    conn_id: str = ""
    states: list[str] = msgspec.field(default_factory=lambda: [ExecutionState.SUCCEEDED])


class WebhookEndpoint(msgspec.Struct, frozen=True):
    """A declared webhook.

    :param source: the system that calls it.
    :param asset: name or URI of the asset that gets the events.
    :param secrets: the last part of its URL; new URLs use the first one.
    :param conn_id: the connection over which messages are verified with the system.
    :param states: states of an execution that become an event.
    """

    name: str
    source: Source
    asset: str
    secrets: tuple[str, ...]
    conn_id: str
    states: frozenset[ExecutionState]

    def __repr__(self) -> str:
        return f"<WebhookEndpoint {self.name}>"


WebhookEndpoints = Mapping[str, WebhookEndpoint]


class WebhookDeclarations(NamedTuple):
    """What the option declares.

    :param endpoints: by name.
    :param problems: of those that are declared wrongly, by name: a mistake in one stops no other. Each names the field,
        and shows no value.
    """

    endpoints: WebhookEndpoints
    problems: Mapping[str, ConnectionConfigError]


def declared() -> WebhookDeclarations:
    """:raises ConnectionConfigError: the option is no JSON object; shows nothing of it."""
    text = WEBHOOKS.read()
    if not text.strip():
        return WebhookDeclarations({}, {})
    try:
        found = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise _wrong("must be a JSON object of endpoints by name") from None
    endpoints: dict[str, WebhookEndpoint] = {}
    problems: dict[str, ConnectionConfigError] = {}
    for name, each in found.items():
        try:
            endpoints[name] = _endpoint(name, each)
        except ConnectionConfigError as problem:
            problems[name] = problem
    return WebhookDeclarations(endpoints, problems)


def _endpoint(name: str, raw: msgspec.Raw) -> WebhookEndpoint:
    if not _NAME.fullmatch(name):
        raise _wrong("names of endpoints must be 1 to 64 lower-case letters, digits, '_' and '-'")
    try:
        entry = msgspec.json.decode(raw, type=Declared)
    except (msgspec.DecodeError, RecursionError) as error:
        problem, _, field = str(error).partition(" - at `$")
        raise _wrong(f"endpoint {name!r}: {field.strip('.`')}{' is wrong: ' * bool(field)}{problem}") from None
    if entry.source not in SOURCES:
        raise _wrong(f"endpoint {name!r}: source must be one of {', '.join(SOURCES)}")
    if not entry.asset:
        raise _wrong(f"endpoint {name!r}: asset must not be empty")
    if not 1 <= len(entry.secrets) <= MOST_SECRETS or len(set(entry.secrets)) != len(entry.secrets):
        raise _wrong(f"endpoint {name!r}: secrets must be 1 or {MOST_SECRETS} different texts")
    if not all(map(_SECRET.fullmatch, entry.secrets)):
        raise _wrong(f"endpoint {name!r}: each of secrets must be 32 to 128 letters, digits, '_' and '-'")
    if not entry.states:
        raise _wrong(f"endpoint {name!r}: states must not be empty")
    if not set(entry.states) <= set(STATES):
        raise _wrong(f"endpoint {name!r}: each of states must be one of {', '.join(STATES)}")
    conn_id = entry.conn_id or f"{entry.source}_default"
    states = frozenset(map(ExecutionState, entry.states))
    return WebhookEndpoint(name, cast("Source", entry.source), entry.asset, tuple(entry.secrets), conn_id, states)


def matching(endpoints: WebhookEndpoints, name: str, secret: str) -> WebhookEndpoint | None:
    """The endpoint with this name and secret.

    Takes the same time whether the endpoint is unknown, the secret is wrong or either of two secrets is right.
    """
    endpoint = endpoints.get(name)
    known = endpoint.secrets if endpoint else ()
    given = _digest(secret)
    is_right = False
    for candidate in (*known, *(_NOBODYS for _ in range(MOST_SECRETS - len(known)))):
        is_right |= hmac.compare_digest(_digest(candidate), given)
    return endpoint if endpoint and is_right else None


_NOBODYS = secrets.token_hex(32)
"""Compared with in place of a missing secret: nobody knows it."""


def _digest(secret: str) -> bytes:
    """Has the same length for every secret: a comparison must not reveal how long it is."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def url_of(endpoint: WebhookEndpoint) -> str:
    """The URL to which the system sends its webhooks. Secret: whoever knows it can call it.

    :raises ConnectionConfigError: neither ``webhooks_url`` nor ``[api] base_url`` is the URL of Airflow.
    """
    return f"{base_url()}{PREFIX}/{endpoint.name}/{endpoint.secrets[0]}"


def secrets_of(endpoint: WebhookEndpoint) -> Iterator[str]:
    """All texts of an endpoint that must not be shown, in each form in which they may appear."""
    yield from endpoint.secrets
    with suppress(ConnectionConfigError):
        url = url_of(endpoint)
        yield url
        yield quote(url, safe="")


def base_url() -> str:
    """The URL at which the systems reach Airflow's API server, without a trailing slash."""
    base = WEBHOOKS_URL.read().strip() or _api_url()
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ConnectionConfigError(
            f"[{SECTION}] {WEBHOOKS_URL.name} must be the http or https URL at which the systems reach Airflow's "
            "API server; it may be left out if that is [api] base_url",
            call=Call(system=None),
        )
    return base.rstrip("/")


def _api_url() -> str:
    from airflow.sdk.configuration import conf

    return str(conf.get("api", "base_url", fallback="") or "").strip()


def endpoint_for(source: Source, *, conn_id: str, asset: str = "", name: str = "", uri: str = "") -> WebhookEndpoint:
    """The endpoint that an operator means.

    :param conn_id: the operator's connection: messages are verified over the same one.
    :param asset: name or URI of the asset that gets the events; "" for any.
    :param uri: the asset's URI, if ``asset`` is its name.
    :param name: of the endpoint; "" for the only one that matches.
    :raises ConnectionConfigError: none matches, or several do.
    """
    endpoints, problems = declared()
    of_source = {each.name: each for each in endpoints.values() if each.source == source}
    matches = [
        each
        for each in of_source.values()
        if each.conn_id == conn_id and (not asset or each.asset in (asset, uri)) and name in ("", each.name)
    ]
    if len(matches) == 1:
        return matches[0]
    if problems and not matches:
        # It may be the one that is wanted.
        raise next(iter(problems.values()))
    wanted = f"source {source!r} and conn_id {conn_id!r}"
    wanted += f" and asset {asset!r}" if asset else ""
    wanted += f" and the name {name!r}" if name else ""
    known = ", ".join(map(repr, [each.name for each in matches] or of_source)) or "none"
    raise ConnectionConfigError(
        f"[{SECTION}] {WEBHOOKS.name} must declare one endpoint with {wanted}, "
        + (f"got several: {known}" if matches else f"got none; endpoints of this source: {known}"),
        call=Call(system=source),
    )


def _wrong(problem: str) -> ConnectionConfigError:
    return ConnectionConfigError(f"[{SECTION}] {WEBHOOKS.name}: {problem}", call=Call(system=None))
