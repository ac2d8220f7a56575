"""Which webhooks are declared, in the option ``webhooks`` of ``[release_pipelines]``, and the URLs that lead to them.

No I/O but reading Airflow's configuration. Nothing here shows a secret, in whatever error.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Literal
from urllib.parse import quote, urlsplit

import msgspec

from airflow_provider.exceptions import Call, ConnectionConfigError
from airflow_provider.execution import ExecutionState
from airflow_provider.settings import SECTION, WEBHOOKS, WEBHOOKS_URL

PREFIX = "/release-pipelines/webhooks"
"""Of the route, below Airflow's own URL."""

MOST_SECRETS = 2
"""Of one endpoint, at a time: the one in use and the one that takes its place."""
_SECRET = re.compile(r"[A-Za-z0-9_-]{32,128}")
"""What a URL, a header and a shell take as it is; 32 characters are 128 bits and more."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

Source = Literal["quay", "cocktail", "code_stream"]


class Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One endpoint, as the option has it."""

    source: Source
    asset: str
    secrets: list[str]
    conn_id: str = ""
    states: list[ExecutionState] = msgspec.field(default_factory=lambda: [ExecutionState.SUCCEEDED])


class Endpoint(msgspec.Struct, frozen=True):
    """A declared webhook.

    :param source: the system that calls it.
    :param asset: name or URI of the asset that an event is of.
    :param secrets: the last part of its URL; the first one goes into new URLs.
    :param conn_id: the connection by which the system is asked what is true.
    :param states: of an execution, those that are an event.
    """

    name: str
    source: Source
    asset: str
    secrets: tuple[str, ...]
    conn_id: str
    states: frozenset[ExecutionState]

    def __repr__(self) -> str:
        return f"<Endpoint {self.name}>"


Endpoints = Mapping[str, Endpoint]


def declared() -> Endpoints:
    """All endpoints, by name.

    :raises ConnectionConfigError: the option has a bad value; names the endpoint and the field, shows no value.
    """
    text = WEBHOOKS.read()
    if not text.strip():
        return {}
    try:
        found = msgspec.json.decode(text, type=dict[str, Declared])
    except msgspec.ValidationError as error:
        raise _wrong(str(error)) from None
    except (msgspec.DecodeError, RecursionError):
        raise _wrong("must be a JSON object of endpoints by name") from None
    return {name: _endpoint(name, each) for name, each in found.items()}


def _endpoint(name: str, told: Declared) -> Endpoint:
    if not _NAME.fullmatch(name):
        raise _wrong("names of endpoints must be 1 to 64 lower-case letters, digits, '_' and '-'")
    if not told.asset:
        raise _wrong(f"endpoint {name!r}: asset must not be empty")
    if not 1 <= len(told.secrets) <= MOST_SECRETS or len(set(told.secrets)) != len(told.secrets):
        raise _wrong(f"endpoint {name!r}: secrets must be 1 or {MOST_SECRETS} different texts")
    if not all(map(_SECRET.fullmatch, told.secrets)):
        raise _wrong(f"endpoint {name!r}: each of secrets must be 32 to 128 letters, digits, '_' and '-'")
    if not told.states:
        raise _wrong(f"endpoint {name!r}: states must not be empty")
    conn_id = told.conn_id or f"{told.source}_default"
    return Endpoint(name, told.source, told.asset, tuple(told.secrets), conn_id, frozenset(told.states))


def matching(endpoints: Endpoints, name: str, secret: str) -> Endpoint | None:
    """The endpoint that this part of a URL opens.

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
"""Compared with where there is no secret: nobody knows it."""


def _digest(secret: str) -> bytes:
    """Of one length, whatever the secret: a comparison must not tell how long it is."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def url_of(endpoint: Endpoint) -> str:
    """Where the system is to send its webhooks. Secret: whoever knows it can call.

    :raises ConnectionConfigError: neither ``webhooks_url`` nor ``[api] base_url`` says where Airflow is.
    """
    return f"{base_url()}{PREFIX}/{endpoint.name}/{endpoint.secrets[0]}"


def secrets_of(endpoint: Endpoint) -> Iterator[str]:
    """What nobody may read of it, however it is written."""
    yield from endpoint.secrets
    with suppress(ConnectionConfigError):
        url = url_of(endpoint)
        yield url
        yield quote(url, safe="")


def base_url() -> str:
    """Where the systems reach Airflow's API server, without a slash at its end."""
    base = WEBHOOKS_URL.read().strip() or _api_url()
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ConnectionConfigError(
            f"[{SECTION}] {WEBHOOKS_URL.name} must be the http or https URL under which the systems reach Airflow's "
            "API server; it may be left out where [api] base_url is that",
            call=Call(system=None),
        )
    return base.rstrip("/")


def _api_url() -> str:
    from airflow.sdk.configuration import conf

    return str(conf.get("api", "base_url", fallback="") or "").strip()


def endpoint_for(source: Source, *, conn_id: str, asset: str = "", name: str = "", uri: str = "") -> Endpoint:
    """The endpoint that an operator means.

    :param conn_id: the operator's connection: what it sets up is asked about over the same one.
    :param asset: name or URI of the asset that the events shall be of; "" for any.
    :param uri: the asset's URI, where ``asset`` is its name.
    :param name: of the endpoint; "" for the only one that fits.
    :raises ConnectionConfigError: none fits, or several do.
    """
    of_source = {each.name: each for each in declared().values() if each.source == source}
    fitting = [
        each
        for each in of_source.values()
        if each.conn_id == conn_id and (not asset or each.asset in (asset, uri)) and name in ("", each.name)
    ]
    if len(fitting) == 1:
        return fitting[0]
    wanted = f"source {source!r} and conn_id {conn_id!r}"
    wanted += f" and asset {asset!r}" if asset else ""
    wanted += f" and the name {name!r}" if name else ""
    known = ", ".join(map(repr, [each.name for each in fitting] or of_source)) or "none"
    raise ConnectionConfigError(
        f"[{SECTION}] {WEBHOOKS.name} must declare one endpoint with {wanted}, "
        + (f"and declares several: {known}" if fitting else f"and declares none; endpoints of this source: {known}"),
        call=Call(system=source),
    )


def _wrong(problem: str) -> ConnectionConfigError:
    return ConnectionConfigError(f"[{SECTION}] {WEBHOOKS.name}: {problem}", call=Call(system=None))
