"""What nobody foresaw becomes an error of ours: a client that trips over an answer fails that call, no more."""

from __future__ import annotations

import traceback

import structlog

from airflow_provider.exceptions import Call, Effect, UnexpectedResponseError

log = structlog.get_logger(logger_name=__name__)

INNERMOST = 5
"""Frames of a traceback that are told: one of an answer that is nested too deeply has a thousand."""


def unforeseen(error: Exception, what: str, system: str | None = None) -> UnexpectedResponseError:
    """The error to go on with. Where it happened goes to the log, but not its text: that may quote the answer.

    :param what: was being done.
    """
    where = "".join(traceback.format_tb(error.__traceback__, limit=-INNERMOST))
    log.warning("%s failed with %s, which this provider did not foresee\n%s", what, type(error).__name__, where)
    summary = f"the answer could not be read: {type(error).__name__}"
    return UnexpectedResponseError(summary, call=Call(system=system), effect=Effect.UNKNOWN)
