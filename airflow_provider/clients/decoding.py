"""What of a vendor's bytes is taken in: cleaned before anybody decodes them, and decoded within bounds. No I/O.

Airflow keeps results, events and XComs in PostgreSQL's JSONB and hands them on as msgpack. Neither takes NUL, halves of
surrogate pairs, NaN or numbers of more than 64 bits, and what they refuse ends more than the task it came from.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

import msgspec

from airflow_provider.storable import REPLACEMENT

DEEPEST = 64
"""Objects and lists inside each other; the vendors' documents have ten. What reads them by recursion has a limit of
its own, which ends more than one call."""

_MOST_DIGITS = 19
"""Of a number of 64 bits. One with more digits becomes text: nothing of it is lost."""

_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_UNFIT_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})")
_ANY_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_STRING = re.compile(rb'"[^"]*"')
_ALL_BUT_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'"[]{}')
_AS_BRACES = bytes.maketrans(b"[]", b"{}")
_AS_DIGITS = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else ord(" ") for byte in range(256))


def clean_bytes(content: bytes) -> bytes:
    """JSON without escapes of NUL and of halves of surrogate pairs, whoever decodes it; other text without NUL."""
    if b"\0" in content:
        content = content.replace(b"\0", REPLACEMENT.encode())
    if b"\\u" in content and _UNFIT_ESCAPE.search(content):
        content = _ESCAPE.sub(lambda match: _clean_escape(match[0]), content)
    return content


def _clean_escape(escape: bytes) -> bytes:
    # A whole pair is longer than its halves.
    return b"\\ufffd" if len(escape) == 6 and _UNFIT_ESCAPE.fullmatch(escape) else escape


def check_depth(content: bytes) -> None:
    """
    :raises ValueError: the JSON is nested too deeply.
    """
    if content.count(b"[") + content.count(b"{") <= DEEPEST:
        return
    if b"\\" in content:
        content = _ANY_ESCAPE.sub(b"", content)
    structure = content.translate(None, _ALL_BUT_STRUCTURE).replace(b'""', b"")
    left = _STRING.sub(b"", structure).translate(_AS_BRACES)
    for _ in range(DEEPEST):
        before, left = left, left.replace(b"{}", b"")
        if not left:
            return
        if len(left) == len(before):
            break
    raise ValueError(f"the JSON is no whole one of at most {DEEPEST} levels")


def loads(content: bytes | str) -> Any:
    """Decoded JSON whose numbers are finite and have at most 64 bits: ``None`` and text stand in for others.

    :raises ValueError: it is no JSON, or nested too deeply.
    """
    try:
        return json.loads(content, parse_int=_integer, parse_float=_finite, parse_constant=_nothing)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def decoder(wanted: Any) -> Callable[[bytes], Any]:
    """A decoder into a type of ``msgspec``, which takes what :func:`loads` takes.

    Its function raises ``msgspec.ValidationError`` for JSON of another type and ``ValueError`` for what is none.
    """
    fast = msgspec.json.Decoder(wanted)

    def decode(content: bytes) -> Any:
        try:
            if not _has_long_number(content):
                return fast.decode(content)
        except msgspec.ValidationError as error:
            if "out of range" not in str(error):
                raise
        except (msgspec.DecodeError, RecursionError):
            # Stricter than `json`, even about texts that it passes over.
            pass
        return msgspec.convert(loads(content), wanted)

    return decode


def _has_long_number(content: bytes) -> bool:
    return b"0" * _MOST_DIGITS in content.translate(_AS_DIGITS)


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= _MOST_DIGITS else _long_integer(text)


def _long_integer(text: str) -> int | str:
    if len(text.lstrip("-")) > _MOST_DIGITS:
        return text
    number = int(text)
    return number if number >= -(2**63) else text


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _nothing(_: str) -> None:
    return None
