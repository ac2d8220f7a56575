"""From a message that may be trusted to its events: in threads, because databases and systems are asked there."""

from __future__ import annotations

import logging
from importlib import import_module
from types import ModuleType
from typing import Any

from airflow_provider.exceptions import AuthenticationError, ReleasePipelineError
from airflow_provider.webhooks.bodies import RefusedError
from airflow_provider.webhooks.endpoints import Endpoint

log = logging.getLogger(__name__)

DONE, COME_AGAIN = 200, 503
"""What is answered. Cocktail takes anything but 200 for a failure, Quay what is not 2xx."""


def handle(endpoint: Endpoint, body: bytes) -> int:
    """Count what a webhook tells; returns the status to answer with.

    Done means: it is in the database, or there is nothing that could ever be counted. Whatever else goes wrong, the
    system shall come again.
    """
    try:
        return _handle(endpoint, body)
    except RefusedError as refused:
        log.warning("Webhook %s refused: %s", endpoint.name, refused.reason)
        return refused.status


def _handle(endpoint: Endpoint, body: bytes) -> int:
    source = source_of(endpoint)
    message = source.read(body)
    if source.is_test(message):
        log.info("Webhook %s: a test has arrived", endpoint.name)
        return DONE
    try:
        found = _ask(source, message, endpoint)
    except ReleasePipelineError as error:
        log.warning("Webhook %s: %s cannot be asked what has happened: %s", endpoint.name, endpoint.source, error)
        return COME_AGAIN
    # Not at the top: these bring Airflow's models, and operators come by here.
    from airflow_provider.webhooks.counting import UnknownAssetError, count

    try:
        for alternatives in found:
            counted = count(endpoint.asset, alternatives, endpoint.name) if alternatives else None
            what = f"an event for {counted.about}" if counted else "nothing new"
            log.info("Webhook %s: %s", endpoint.name, what)
    except UnknownAssetError:
        log.error(
            "Webhook %s: no DAG that Airflow knows names the asset %r, so its event cannot be counted",
            endpoint.name,
            endpoint.asset,
        )
        return COME_AGAIN
    return DONE


def _ask(source: ModuleType, message: Any, endpoint: Endpoint) -> Any:
    from airflow_provider.webhooks.clients import kept_client

    kept = kept_client(endpoint.source, endpoint.conn_id)
    try:
        return source.occurrences(message, endpoint, kept.get())
    except AuthenticationError:
        kept.doubt()
        raise


def source_of(endpoint: Endpoint) -> ModuleType:
    """The module that reads the messages of this system."""
    return import_module(f"airflow_provider.webhooks.{endpoint.source}")
