"""Reads the bodies of webhooks: JSON, bounded while it is read, also when it is chunked or compressed."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeVar

import msgspec

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
MessageT = TypeVar("MessageT")

MOST_BYTES = 4 * 1024 * 1024
"""Of a body, also after unpacking. Cocktail's callbacks may hold the logs of their steps; Quay's have a kilobyte."""

_GZIP = 16 + zlib.MAX_WBITS


class RefusedError(Exception):
    """:param status: to answer with.
    :param reason: for the log; quotes nothing that was sent.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class SenderGoneError(Exception):
    """The sender hung up before its message was complete."""


async def read_body(receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
    """The whole body, unpacked.

    :param headers: names in lower case.
    :raises RefusedError: it is too large, its type is not JSON, or its encoding is unknown.
    :raises SenderGoneError: it is incomplete.
    """
    _check_type(headers)
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    if encoding not in (b"", b"identity", b"gzip"):
        raise RefusedError(415, "its Content-Encoding is neither gzip nor identity")
    _check_length(headers)
    # Received and unpacked bytes are counted too: a length may be missing, and a small body may unpack to a large one.
    unpack = zlib.decompressobj(_GZIP) if encoding == b"gzip" else None
    body = bytearray()
    received = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise SenderGoneError
        piece = message.get("body", b"")
        received += len(piece)
        if received > MOST_BYTES:
            raise _too_large()
        body += _unpacked(unpack, piece, MOST_BYTES + 1 - len(body)) if unpack else piece
        if len(body) > MOST_BYTES:
            raise _too_large()
        if not message.get("more_body", False):
            break
    if unpack and not unpack.eof:
        raise RefusedError(400, "its gzip body is truncated")
    return bytes(body)


def decode(body: bytes, kind: type[MessageT]) -> MessageT:
    """A message of this type; fields that the type does not name are skipped.

    :raises RefusedError: it is not JSON, or does not fit the type.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        # The text names the field and what it must be; of what was sent, it shows types only.
        raise RefusedError(400, f"it does not have the form of such a message: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RefusedError(400, "it is not JSON") from None


def _check_type(headers: Mapping[bytes, bytes]) -> None:
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != b"application/json":
        raise RefusedError(415, "its Content-Type is not application/json")


def _check_length(headers: Mapping[bytes, bytes]) -> None:
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and (len(length) > len(str(MOST_BYTES)) or int(length) > MOST_BYTES):
        raise _too_large()


def _unpacked(unpack: Any, piece: bytes, most: int) -> bytes:
    try:
        # One byte more than is allowed, which shows that there is more.
        unpacked: bytes = unpack.decompress(piece, most)
    except zlib.error:
        raise RefusedError(400, "its body is not gzip") from None
    if unpack.unused_data:
        raise RefusedError(400, "its gzip body is followed by something else")
    return unpacked


def _too_large() -> RefusedError:
    return RefusedError(413, f"it has more than {MOST_BYTES // 1024 // 1024} MB")
