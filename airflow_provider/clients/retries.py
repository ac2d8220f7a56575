"""When a request may be sent again, and after how long. Pure decisions: no clock, no sleep, no I/O."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

from tenacity import RetryCallState

from airflow_provider.clients.times import parse_http_date
from airflow_provider.exceptions import (
    AuthenticationError,
    Effect,
    ReleasePipelineError,
    ServerUnavailableError,
    ThrottledError,
    UnexpectedResponseError,
)

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds. A longer ``Retry-After`` is not waited for within a call: the caller gets the error with it."""

_WORTH_ANOTHER_READ = (ServerUnavailableError, ThrottledError, UnexpectedResponseError)


def may_repeat_read(error: BaseException) -> bool:
    """Whether a request without effect is worth another attempt."""
    return isinstance(error, _WORTH_ANOTHER_READ) and _waits_short_enough(error)


def may_repeat_write(error: BaseException) -> bool:
    """Whether a request with an effect may be sent again: only if it certainly did nothing yet."""
    if not isinstance(error, ReleasePipelineError) or isinstance(error, AuthenticationError):
        return False
    return error.effect is Effect.NONE and _waits_short_enough(error)


def pause(state: RetryCallState) -> float:
    """Seconds until the next attempt: what the vendor asked for, otherwise doubling with jitter."""
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "retry_after", None)
    if asked is not None:
        return float(asked)
    ceiling = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (state.attempt_number - 1))
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter, not security


def parse_retry_after(value: str | bytes | None, now: datetime | None = None) -> float | None:
    """Seconds that a ``Retry-After`` header asks for: a number or an HTTP date; ``None`` if absent or unreadable."""
    if not value:
        return None
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    text = value.strip()
    try:
        seconds = float(text)
    except ValueError:
        moment = parse_http_date(text)
        seconds = math.nan if moment is None else (moment - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _waits_short_enough(error: ReleasePipelineError) -> bool:
    return error.retry_after is None or error.retry_after <= LONGEST_PAUSE
