"""Turns an authenticated message into events. Runs in threads, because it queries databases and systems."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from importlib import import_module
from threading import BoundedSemaphore, Thread
from types import ModuleType
from typing import Any

from airflow_provider.clients.unforeseen import place_of_error
from airflow_provider.core.lines import name_of
from airflow_provider.exceptions import AuthenticationError, ReleasePipelineError
from airflow_provider.execution import Execution
from airflow_provider.webhooks.bodies import RefusedError
from airflow_provider.webhooks.endpoints import WebhookEndpoint
from airflow_provider.webhooks.occurrences import Report

log = logging.getLogger(__name__)

DONE, TRY_AGAIN = 200, 503
"""HTTP statuses of answers. Cocktail treats anything but 200 as a failure, Quay anything but 2xx."""

POLL_DELAYS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Delays between polls of an execution whose end was reported before the system's API shows it: it may store the end
only once the report is answered. The waits for it may poll only every ten minutes."""
_polling = BoundedSemaphore(16)
"""Threads that do so, at most."""


def handle(endpoint: WebhookEndpoint, body: bytes) -> int:
    """Count what a webhook reports; returns the status to answer with.

    ``DONE`` means that it is in the database, or that it can never become an event. If anything else goes wrong, the
    system must send it again.
    """
    try:
        return _handle(endpoint, body)
    except RefusedError as refused:
        log.warning("Webhook %s refused: %s", endpoint.name, refused.reason)
        return refused.status


def _handle(endpoint: WebhookEndpoint, body: bytes) -> int:
    source = source_of(endpoint)
    message = source.read(body)
    if source.is_test(message):
        log.info("Webhook %s: received a test message", endpoint.name)
        return DONE
    try:
        report = _ask(source, message, endpoint)
    except ReleasePipelineError as error:
        log.warning("Webhook %s: could not verify the message with %s: %s", endpoint.name, endpoint.source, error)
        return TRY_AGAIN
    if report.finished:
        _end_waits(report.finished, endpoint)
    elif report.is_early and _polling.acquire(blocking=False):
        Thread(target=_poll_again, args=(source, message, endpoint), daemon=True).start()
    # Not at the top: this imports Airflow's models, and operators import this module.
    from airflow_provider.webhooks.counting import UnknownAssetError, count

    try:
        for alternatives in report.occurrences:
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


def _poll_again(source: ModuleType, message: Any, endpoint: WebhookEndpoint) -> None:
    """End the waits for an execution once the system shows the end that it has reported."""
    try:
        for pause in POLL_DELAYS:
            time.sleep(pause)
            # Poll again, or leave it to the waits' own polls.
            with suppress(Exception):
                report = _ask(source, message, endpoint)
                if report.finished:
                    _end_waits(report.finished, endpoint)
                if not report.is_early:
                    return
    finally:
        _polling.release()


def _end_waits(finished: Execution, endpoint: WebhookEndpoint) -> None:
    """End the waits for an execution. A failure costs only time, because they also poll."""
    from airflow_provider.webhooks.clients import kept_client
    from airflow_provider.webhooks.waking import end_waits

    try:
        ended = end_waits(kept_client(endpoint.source, endpoint.conn_id).get(), finished)
    except Exception as error:
        log.error("Webhook %s: could not end waits, they will poll: %s", endpoint.name, place_of_error(error))
        return
    if ended:
        log.info("Webhook %s: ended the wait of %d task(s) for %s", endpoint.name, ended, name_of(finished.ref))


def _ask(source: ModuleType, message: Any, endpoint: WebhookEndpoint) -> Report:
    from airflow_provider.webhooks.clients import kept_client

    kept = kept_client(endpoint.source, endpoint.conn_id)
    try:
        report: Report = source.occurrences(message, endpoint, kept.get())
        return report
    except AuthenticationError:
        kept.doubt()
        raise


def source_of(endpoint: WebhookEndpoint) -> ModuleType:
    """The module that reads the messages of this system."""
    return import_module(f"airflow_provider.webhooks.{endpoint.source}")
