"""Cleans a vendor's bytes before they are decoded, and decodes them within limits. No I/O.

Airflow stores results, events and XComs in PostgreSQL's JSONB and passes them on as msgpack. Neither accepts NUL,
lone surrogates, NaN or numbers of more than 64 bits, and a refused value can end more than the task it came
from.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from airflow_provider.storable import REPLACEMENT, storable_text

DEEPEST = 64
"""Levels of nesting; the vendors' documents have ten. Recursive readers have a limit of their own, and exceeding it
ends more than one call."""

MOST_LISTS = 200_000
MOST_VALUES = 500_000
MOST_ESCAPES = 1_000_000
"""Lists and objects, all values, and escapes of one answer. The vendors' largest documents, of 16 MB, have half as
many, because their values have thirty bytes and more. A document of nothing but brackets blocked the event loop for
seconds, because only one Python thread runs at a time."""

LONGEST_RUN = 150_000
"""Values without the end of an object among them. Other threads run only when an object ends (see :func:`loads`): the
maximum of values in one list of text blocked the event loop for 85 ms, this many for 26 ms."""

_PIECE = 262_144
"""Bytes that are processed before another thread may run."""

_MOST_DIGITS = 19
"""Of a 64-bit number. One with more digits becomes text, so that nothing is lost."""

_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED_ASCII = re.compile(rb"\\u00[2-7][0-9a-fA-F]")
_UNFIT_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})")
_LONGEST_ESCAPE = len(rb"\u0000")
_ALL_BUT_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'"[]{},')
_AS_BRACES = bytes.maketrans(b"[]", b"{}")
_AS_DIGITS = bytes(ord("0") if chr(byte).isdecimal() and byte < 128 else ord(" ") for byte in range(256))


class TooManyPartsError(Exception):
    """A document has more parts than can be decoded without blocking other threads."""


def clean_bytes(content: bytes) -> bytes:
    """JSON without escapes of NUL and of lone surrogates, for any decoder; other text without NUL.

    :raises TooManyPartsError: it has so many NULs that their replacements would be a multiple of what it may have.
    """
    if b"\0" in content:
        if content.count(b"\0") > MOST_ESCAPES:
            raise TooManyPartsError(f"it has more than {MOST_ESCAPES} NULs")
        content = b"".join(piece.replace(b"\0", REPLACEMENT.encode()) for piece in _pieces(content))
    # Too many escapes are refused: see ``check_size``.
    if b"\\u" in content and content.count(b"\\") <= MOST_ESCAPES and _has_escape(_UNFIT_ESCAPE, content):
        clean, end = bytearray(), 0
        for match in _ESCAPE.finditer(content):
            # A complete pair is longer than one half.
            if len(match[0]) == 6 and _UNFIT_ESCAPE.fullmatch(match[0]):
                clean += content[end : match.start()] + b"\\ufffd"
                end = match.end()
        content = bytes(clean + content[end:])
    return content


def without_escapes(content: bytes) -> bytes:
    """The same JSON, without escapes of ASCII characters that need none."""
    # Too many escapes are refused: see ``check_size``.
    if b"\\u00" not in content or content.count(b"\\") > MOST_ESCAPES or not _has_escape(_ESCAPED_ASCII, content):
        return content
    return _ESCAPE.sub(_plain_ascii, content)


def _has_escape(escape: re.Pattern[bytes], content: bytes) -> bool:
    starts = range(0, len(content), _PIECE)
    return any(escape.search(content, start, start + _PIECE + _LONGEST_ESCAPE) for start in starts)


def _plain_ascii(match: re.Match[bytes]) -> bytes:
    escape = match[0]
    if not _ESCAPED_ASCII.fullmatch(escape):
        return escape
    char = chr(int(escape[-2:], base=16)).encode()
    return escape if char in b'"\\\x7f' else char


def is_blank(content: bytes) -> bool:
    """Whether it is empty, or white space."""
    return not content or all(piece.isspace() for piece in _pieces(content))


def text_of(content: bytes) -> str:
    """A body that is not JSON, as storable text."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    pieces = (content[start : start + _PIECE] for start in range(0, len(content), _PIECE))
    return "".join([storable_text(decoder.decode(piece)) for piece in pieces] + [decoder.decode(b"", final=True)])


def check_size(content: bytes) -> None:
    """
    :raises TooManyPartsError: decoding the JSON would block other threads for too long.
    :raises ValueError: it is nested too deeply.
    """
    most_lists = content.count(b"[") + content.count(b"{")
    most_values = most_lists + content.count(b",")
    most_escapes = content.count(b"\\")
    if most_escapes > MOST_ESCAPES:
        raise TooManyPartsError(f"it has more than {MOST_ESCAPES} escapes")
    if most_lists <= DEEPEST and most_values <= LONGEST_RUN:
        return
    structure = _structure(content)
    lists = structure.count(b"[") + structure.count(b"{")
    if lists > MOST_LISTS or lists + structure.count(b",") > MOST_VALUES:
        raise TooManyPartsError(f"it has more than {MOST_LISTS} lists and objects, or {MOST_VALUES} values")
    if b"," * (LONGEST_RUN + 1) in structure.translate(None, b"[]{"):
        raise TooManyPartsError(f"it has more than {LONGEST_RUN} values without the end of an object among them")
    left = structure.replace(b",", b"").translate(_AS_BRACES)
    for _ in range(DEEPEST):
        before, left = left, left.replace(b"{}", b"")
        if not left:
            return
        if len(left) == len(before):
            break
    raise ValueError(f"the JSON is incomplete, or has more than {DEEPEST} levels")


def _structure(content: bytes) -> bytes:
    """The brackets, braces and commas outside strings."""
    found, is_in_text = [], False
    for piece in _pieces(content):
        # Backslashes come in pairs; one that is left over escapes the quote after it.
        bare = piece.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _ALL_BUT_STRUCTURE)
        parts = bare.split(b'"')
        found.append(b"".join(parts[is_in_text::2]))
        is_in_text ^= len(parts) % 2 == 0
    return b"".join(found)


def _pieces(content: bytes) -> Iterator[bytes]:
    """Pieces that do not split an escaped quote, and are small enough to be processed quickly."""
    start, size = 0, len(content)
    while start < size:
        end = min(start + _PIECE, size)
        while end < size and content[end - 1 : end] == b"\\":
            end += 1
        yield content[start:end]
        start = end


def loads(content: bytes | str) -> Any:
    """Decoded JSON whose numbers are finite and have at most 64 bits: others become ``None`` or text.

    :raises ValueError: it is not JSON, or nested too deeply.
    """
    # While a Python function is called, other threads may run; without one, they would wait for the whole document.
    hooks: dict[str, Any] = {"object_hook": _as_it_is} if len(content) > _PIECE else {}
    try:
        return json.loads(content, parse_int=_integer, parse_float=_finite, parse_constant=_nothing, **hooks)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def decoder(wanted: Any) -> Callable[[bytes], Any]:
    """A decoder into a type of ``msgspec`` that accepts whatever :func:`loads` accepts.

    The function raises ``msgspec.ValidationError`` for JSON of another type, and ``ValueError`` for anything else.
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
            # Stricter than `json`, even about strings that it skips.
            pass
        return msgspec.convert(loads(content), wanted)

    return decode


def in_parts(content: bytes, wanted: Any, otherwise: Callable[[bytes], Any] = loads) -> Any:
    """JSON as a type of ``msgspec`` whose ``Raw`` parts stay JSON until :func:`part` decodes them one at a time.

    :param otherwise: decodes all of it at once where ``msgspec`` is stricter than `json`, even about strings that it
        skips.
    """
    try:
        return msgspec.json.decode(content, type=wanted)
    except (msgspec.DecodeError, RecursionError):
        return otherwise(content)


def part(found: Any, decode: Callable[[bytes], Any] = loads) -> Any:
    """A part of :func:`in_parts`, decoded.

    :raises ValueError: it cannot be decoded, although the rest could.
    """
    return decode(bytes(found)) if isinstance(found, msgspec.Raw) else found


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


def _as_it_is(found: dict[str, Any]) -> dict[str, Any]:
    return found
