"""Answers as bytes on the wire: cut, packed, chunked or without a length; and monsters, which are huge or too deep."""

from __future__ import annotations

import functools
import gzip
import zlib

CUT, PACKED, PACKED_AND_CUT, CHUNKED, NOTHING, TO_THE_END, PLAIN = range(7)
"""How an answer is sent; ``TO_THE_END`` has no length, and ends with the connection."""

_LARGE = 20_000_000
"""Bytes; more than any client should accept."""
_BOMB = 100_000_000
"""Unpacked bytes of a tenth of a megabyte."""
_LONG = 3_000_000
"""Bytes that a client may accept, but that must not block it."""


def wire(status: int, body: bytes, headers: dict[str, str], way: int) -> bytes:
    """An HTTP answer as bytes. :param status: 0 for an answer without one."""
    lines = [b"HTTP/1.1 %d X" % status if status else b"HTTP/1.1"]
    lines += [f"{name}: {value}".encode("utf-8", "replace") for name, value in headers.items()]
    sent = gzip.compress(body, 1) if way in (PACKED, PACKED_AND_CUT) else body
    if way in (PACKED, PACKED_AND_CUT):
        lines.append(b"Content-Encoding: gzip")
    if way == CHUNKED:
        lines.append(b"Transfer-Encoding: chunked")
        sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    elif way != TO_THE_END:
        lines.append(b"Content-Length: %d" % len(sent))
    if way == NOTHING:
        return b""
    return b"\r\n".join(lines) + b"\r\n\r\n" + (sent[: len(sent) // 2] if way in (CUT, PACKED_AND_CUT) else sent)


def _good(body: bytes, *lines: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *lines, b"", body))


def _large() -> bytes:
    return _good(b'{"a": "' + b"x" * _LARGE + b'"}')


@functools.cache
def _bomb() -> bytes:
    packing = zlib.compressobj(6, wbits=31)
    zeros = b" " * 1_000_000
    packed = [packing.compress(zeros) for _ in range(_BOMB // len(zeros))]
    return _good(b"".join(packed) + packing.flush(), b"Content-Encoding: gzip")


def _deep() -> bytes:
    return _good(b'{"a":' * 100_000 + b"1" + b"}" * 100_000)


def _long_list() -> bytes:
    return _good(b'{"documents": [' + b'"",' * (_LONG // 3) + b"0]}")


def _long_text() -> bytes:
    return _good(b'{"id": "' + b"\\u0000\\n" * (_LONG // 8) + b'"}')


def _many_headers() -> bytes:
    return _good(b"{}", *(b"X-%d: a" % number for number in range(5000)))


def _long_header() -> bytes:
    return _good(b"{}", b"X-Request-Id: " + b"x" * 1_000_000)


MONSTERS = (_large, _bomb, _deep, _long_list, _long_text, _many_headers, _long_header)
