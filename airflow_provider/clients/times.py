"""Times as vendors and servers write them. Anything else, however absurd, is ``None`` and never an error."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_NANOS, _MICROS, _MILLIS = 1e17, 1e14, 1e11
_FIRST_YEAR, _LAST_YEAR = 1970, 9998
"""Earlier and later ones stand for "none" or "never", and a minute before or after them may not be a date at all."""


def from_epoch(value: float) -> datetime | None:
    """Epoch seconds, milli-, micro- or nanoseconds, distinguished by their size."""
    if not math.isfinite(value) or value <= 0:
        return None
    unit = 1e9 if value >= _NANOS else 1e6 if value >= _MICROS else 1e3 if value >= _MILLIS else 1
    try:
        return datetime.fromtimestamp(value / unit, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def from_iso(text: object) -> datetime | None:
    """An ISO 8601 text, with or without a zone."""
    try:
        return datetime.fromisoformat(str(text).strip())
    except (ValueError, OverflowError):
        return None


def in_utc(moment: datetime) -> datetime | None:
    """The same moment in UTC; one without a zone is taken as UTC. ``None`` at the ends of the calendar."""
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def if_real(moment: datetime | None) -> datetime | None:
    """A time at which something can have happened at a vendor; ``None`` for the first and last ones of the calendar."""
    return moment if moment and _FIRST_YEAR <= moment.year <= _LAST_YEAR else None


def parse_http_date(text: str | None) -> datetime | None:
    """A date such as ``Sat, 21 Nov 2026 00:18:17 GMT``; in UTC if it has no zone."""
    if not text:
        return None
    try:
        return in_utc(parsedate_to_datetime(text))
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
