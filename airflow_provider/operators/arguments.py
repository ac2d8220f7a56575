"""What the arguments of every operator and sensor must be: durations that bound something, text that stayed text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

LONGEST = 10 * 365 * 86400
"""Seconds that a duration may have: ten years. Longer ones overflow the clocks that they are added to."""

NUMBER = (
    "must be text, got the number {value!r}, which may have been written in another way: 1.10 becomes 1.1. Quote it, "
    "and in a template with render_template_as_native_obj write {{{{ ... | tojson }}}}"
)
CHANGED = (
    "was {text!r}, but render_template_as_native_obj made {value!r} of it: to keep the text, write "
    "{{{{ ... | tojson }}}}"
)
MISSING = (
    "came out as None: what its template reads is missing, such as the XCom of a task that was skipped. Where that is "
    "fine, write {{{{ ... or '' }}}}"
)


def seconds_of(value: object, *, may_be_zero: bool = False) -> float:
    """The seconds of a duration given as number or ``timedelta``.

    :raises ValueError: it bounds nothing: not finite, negative, years long, or no duration at all.
    """
    if isinstance(value, timedelta):
        seconds: float = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = value
    else:
        raise ValueError(f"must be seconds or a timedelta, got {value!r}")
    if not 0 <= seconds <= LONGEST or (seconds == 0 and not may_be_zero):
        least = "0" if may_be_zero else "more than 0"
        raise ValueError(f"must be {least} and at most {LONGEST} seconds (ten years), got {value!r}")
    return float(seconds)


def is_number(value: object) -> bool:
    return isinstance(value, (int, float, complex)) and not isinstance(value, bool)


def text_problem(given: object, value: object) -> str | None:
    """What is wrong with an argument that holds text, ids or a mapping, after its templates were rendered.

    The values of a mapping may be numbers: a pipeline may have inputs that are.

    :param given: as it was before.
    """
    if value is None or value == "None":
        return None if given in (None, "", "None") else MISSING.format()
    if isinstance(value, float):
        return NUMBER.format(value=value)
    problems = (text_problem(each, rendered) for each, rendered in _parts(given, value))
    return next(filter(None, problems), None)


def _parts(given: object, value: object) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        before = given if isinstance(given, Mapping) else {}
        for name, each in value.items():
            # A number of the author's own is one; what a template made of a text is told where that happens.
            if not isinstance(each, float):
                yield before.get(name, each), each
    elif isinstance(value, (list, tuple)):
        before = given if isinstance(given, (list, tuple)) and len(given) == len(value) else value
        yield from zip(before, value, strict=True)
