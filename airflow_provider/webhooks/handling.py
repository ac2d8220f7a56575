"""Turns an authenticated message into events. Runs in threads, because it queries databases and systems."""

from __future__ import annotations

import logging
from importlib import import_module
from types import ModuleType
from typing import Any

from airflow_provider.exceptions import AuthenticationError, ReleasePipelineError
from airflow_provider.webhooks.bodies import RefusedError
from airflow_provider.webhooks.endpoints import Endpoint

log = logging.getLogger(__name__)

DONE, TRY_AGAIN = 200, 503
"""HTTP statuses of answers. Cocktail treats anything but 200 as a failure, Quay anything but 2xx."""


def handle(endpoint: Endpoint, body: bytes) -> int:
    """Count what a webhook reports; returns the status to answer with.

    ``DONE`` means that it is in the database, or that it can never become an event. If anything else goes wrong, the
    system must send it again.
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
        log.info("Webhook %s: received a test message", endpoint.name)
        return DONE
    try:
        found = _ask(source, message, endpoint)
    except ReleasePipelineError as error:
        log.warning("Webhook %s: could not verify the message with %s: %s", endpoint.name, endpoint.source, error)
        return TRY_AGAIN
    # Not at the top: this imports Airflow's models, and operators import this module.
    from airflow_provider.webhooks.counting import UnknownAssetError, count

    try:
        for alternatives in found:
            counted = count(endpoint.asset, alternatives, endpoint.name) if alternatives else None
            what = f"an event for {counted.about}" if counted else "nothing new"
            log.info("Webhook %s: %s", endpoint.name, what)
    except UnknownAssetError:
        log.error(
            "Webhook %s: no DAG in Airflow names the asset %r, so that it cannot get events",
            endpoint.name,
            endpoint.asset,
        )
        return TRY_AGAIN
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
