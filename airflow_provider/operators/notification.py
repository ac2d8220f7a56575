"""A notification of Quay as a task describes it: with the webhook of an asset in its place, and its secrets.

Separate from quay.py, which every parsing of a DAG file imports.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_provider.clients.quay import notification_rules
from airflow_provider.exceptions import Call, ConnectionConfigError, ReleasePipelineError
from airflow_provider.identifiers import host_of, secrets_of_url
from airflow_provider.operators import declared_webhooks
from airflow_provider.operators.arguments import asset_names
from airflow_provider.settings import SECTION, WEBHOOKS_URL
from airflow_provider.storable import storable
from airflow_provider.webhooks import endpoints

if TYPE_CHECKING:
    from airflow_provider.operators.base import ReleaseOperator

_STATE_OF_EVENT = {
    "build_queued": "queued",
    "build_start": "running",
    "build_success": "succeeded",
    "build_failure": "failed",
    "build_cancelled": "canceled",
}
"""The state of the build that an event is about."""

LONGEST_OWNER = 150
"""Characters; Quay stores titles of 255, which also hold what the author of the DAG has written."""

_OWNED_BY = ("repository", "kept_by", "quay_conn_id")
"""Arguments that decide which notifications a task manages."""


def as_sent(operator: ReleaseOperator[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The notification as a client takes it. Never kept in an attribute, because Airflow stores those of a task.

    :param given: the arguments that describe it.
    :raises ConnectionConfigError: no webhook is declared for the asset and this connection, or Quay would not call it.
    """
    wanted = {name: value for name, value in given.items() if name != "asset"}
    if not given.get("asset"):
        return wanted
    endpoint, event = declared_webhooks.endpoint_of(operator, **_names_of(given)), given.get("event")
    state = _STATE_OF_EVENT.get(str(event))
    if state and state not in endpoint.states:
        raise operator.bad_argument(
            "event",
            f"{event!r} would never produce an event of the asset: webhook {endpoint.name!r} accepts only the states "
            f"{', '.join(sorted(endpoint.states))}, and this one reports {state!r}",
        )
    url = endpoints.url_of(endpoint)
    if (host := host_of(url)) in notification_rules.REFUSED_HOSTS:
        raise ConnectionConfigError(
            f"[{SECTION}] {WEBHOOKS_URL.name}, or [api] base_url without it, must be the URL at which Quay reaches "
            f"Airflow's API server; Quay refuses {host}",
            call=Call(system=operator.system),
        )
    return wanted | {"method": "webhook", "config": {"url": url}}


def secrets_of(operator: ReleaseOperator[Any], given: Mapping[str, Any]) -> Iterator[str]:
    """The secrets of a notification, of which the arguments may be wrong."""
    if given.get("asset"):
        yield from declared_webhooks.secrets_of(operator, **_names_of(given))
    for key, value in notification_rules.secrets_of(given.get("method"), given.get("config")):
        yield from secrets_of_url(value, in_path=True) if key == "url" else [value]


def shown(notification: Mapping[str, Any]) -> dict[str, Any]:
    """A notification of Quay for XCom, without its secrets: not everybody who reads XComs may know them."""
    is_disabled = notification_rules.is_disabled(notification)
    result: dict[str, Any] = storable({**notification_rules.without_secrets(notification), "disabled": is_disabled})
    return result


def owner_of(operator: ReleaseOperator[Any]) -> str:
    """Names the task that keeps notifications, and no other one, not even of the same DAG in another Airflow: each
    removes what it no longer wants."""
    airflow = ""
    with suppress(ReleasePipelineError):
        airflow = endpoints.base_url().partition("://")[2]
    # Ids may contain dots, but no slashes.
    owner = f"{airflow}/{operator.dag_id}/{operator.task_id}"
    if len(owner) <= LONGEST_OWNER:
        return owner
    digest = hashlib.blake2b(owner.encode(), digest_size=12).hexdigest()
    return f"{owner[: LONGEST_OWNER - len(digest) - 1]}~{digest}"


def share_an_owner(task: Any) -> bool:
    """Whether instances of a task that is mapped, itself or with its group, would delete each other's notifications, as
    far as its DAG shows.

    :param task: as the DAG has it, so not yet the one that an instance runs.
    """
    expanded = getattr(task, "expand_input", None)
    if expanded is None:
        if task.get_closest_mapped_task_group() is None:
            return False
        return _is_fixed([getattr(task, name) for name in _OWNED_BY]) and not _is_fixed(task.notifications)
    if any("{{" in str(task.partial_kwargs.get(name)) for name in _OWNED_BY):
        return False
    if isinstance(expanded.value, Mapping):
        # Airflow makes an instance of each combination of what is expanded over.
        return "notifications" in expanded.value
    if not isinstance(expanded.value, (list, tuple)):
        # The result of another task.
        return False
    given = [{**task.partial_kwargs, **each} for each in expanded.value if isinstance(each, Mapping)]
    owners = [tuple(str(each.get(name)) for name in _OWNED_BY) for each in given]
    return len(set(owners)) < len(owners)


def _is_fixed(value: object) -> bool:
    """Whether an argument is the same for all instances of a task: neither a template nor what Airflow resolves."""
    if isinstance(value, Mapping):
        return all(map(_is_fixed, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_is_fixed, value))
    return "{{" not in value if isinstance(value, str) else not hasattr(value, "iter_references")


def _names_of(given: Mapping[str, Any]) -> dict[str, str]:
    asset, uri = asset_names(given["asset"])
    return {"asset": asset, "uri": uri}
