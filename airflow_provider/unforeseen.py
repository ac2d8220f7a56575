"""Turns unexpected exceptions into our errors, so that a client's bug in reading an answer fails only that call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from airflow_provider.exceptions import UnexpectedResponseError

log = structlog.get_logger(logger_name=__name__)


def unforeseen(error: Exception, what: str, system: str | None = None) -> UnexpectedResponseError:
    """The error to continue with. It says where the exception happened, but not its text, which may quote the answer.

    :param what: what was being done.
    """
    # Not at the top: DAG files import this module, and must not import parts of a client.
    from airflow_provider.clients.unforeseen import place_of_error, unreadable

    log.warning("%s failed unexpectedly: %s", what, place_of_error(error))
    return unreadable(error, system)
