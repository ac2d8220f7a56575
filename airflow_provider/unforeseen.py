"""What nobody foresaw becomes an error of ours: a client that trips over an answer fails that call, no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from airflow_provider.exceptions import UnexpectedResponseError

log = structlog.get_logger(logger_name=__name__)


def unforeseen(error: Exception, what: str, system: str | None = None) -> UnexpectedResponseError:
    """The error to go on with. It tells where it happened, but not its text: that may quote the answer.

    :param what: was being done.
    """
    # Not at the top: a DAG file that is parsed imports this, and no part of a client.
    from airflow_provider.clients.unforeseen import place_of_error, unreadable

    log.warning("%s failed in a way that this provider did not foresee: %s", what, place_of_error(error))
    return unreadable(error, system)
