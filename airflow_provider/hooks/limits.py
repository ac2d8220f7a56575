"""What the configuration section ``[release_pipelines]`` says about requests: limits for all connections."""

from __future__ import annotations

import logging
import math

from airflow.sdk.configuration import conf

from airflow_provider.clients.transport import MAX_ANSWER_BYTES, MAX_RETRY_AFTER

log = logging.getLogger(__name__)

MB = 1024 * 1024


def max_retry_after() -> float:
    """Seconds that a vendor's ``Retry-After`` counts for at most."""
    return _positive("max_retry_after", MAX_RETRY_AFTER)


def max_answer_bytes() -> int:
    """Bytes that the unpacked body of an answer may have."""
    return int(_positive("max_answer_mb", MAX_ANSWER_BYTES / MB) * MB)


def _positive(option: str, default: float) -> float:
    told = conf.get("release_pipelines", option, fallback=None)
    if told in (None, ""):
        return default
    try:
        value = float(told)
    except ValueError:
        value = math.nan
    if math.isfinite(value) and value > 0:
        return value
    log.error("[release_pipelines] %s must be a number above 0, got %s: %g it is", option, told, default)
    return default
