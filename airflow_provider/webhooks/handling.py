"""From a message that may be trusted to its events: in threads, because databases and systems are asked there."""

from __future__ import annotations

import logging
from importlib import import_module
from types import ModuleType
from typing import Any

from airflow_provider.clients.unforeseen import place_of_error
from airflow_provider.core.lines import name_of
from airflow_provider.exceptions import AuthenticationError, ReleasePipelineError
from airflow_provider.execution import Execution
from airflow_provider.webhooks.bodies import RefusedError
from airflow_provider.webhooks.endpoints import Endpoint
from airflow_provider.webhooks.occurrences import Told

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
        told = _ask(source, message, endpoint)
    except ReleasePipelineError as error:
        log.warning("Webhook %s: %s cannot be asked what has happened: %s", endpoint.name, endpoint.source, error)
        return COME_AGAIN
    if told.over:
        _wake(told.over, endpoint)
    # Not at the top: these bring Airflow's models, and operators come by here.
    from airflow_provider.webhooks.counting import UnknownAssetError, count

    try:
        for alternatives in told.counts:
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


def _wake(over: Execution, endpoint: Endpoint) -> None:
    """What goes wrong here costs only time: a wait polls by itself."""
    from airflow_provider.webhooks.clients import kept_client
    from airflow_provider.webhooks.waking import wake

    try:
        ended = wake(kept_client(endpoint.source, endpoint.conn_id).get(), over)
    except Exception as error:
        log.error("Webhook %s: no wait can be ended before its next poll: %s", endpoint.name, place_of_error(error))
        return
    if ended:
        name = name_of(over.ref)
        log.info("Webhook %s: ended %d %s for %s", endpoint.name, ended, "wait" if ended == 1 else "waits", name)


def _ask(source: ModuleType, message: Any, endpoint: Endpoint) -> Told:
    from airflow_provider.webhooks.clients import kept_client

    kept = kept_client(endpoint.source, endpoint.conn_id)
    try:
        told: Told = source.occurrences(message, endpoint, kept.get())
        return told
    except AuthenticationError:
        kept.doubt()
        raise


def source_of(endpoint: Endpoint) -> ModuleType:
    """The module that reads the messages of this system."""
    return import_module(f"airflow_provider.webhooks.{endpoint.source}")
