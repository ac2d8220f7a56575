"""Reads a whole answer, including its headers, within one deadline and one limit of size.

The time limits of ``requests`` start anew with each packet, and it has no limit for the unpacked size.
"""

from __future__ import annotations

import io
import mmap
import socket
import time
import zlib
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

ENCODINGS = "gzip"
"""What requests ask for: its size can be limited while it is unpacked."""

LARGE = 500_000
"""Bytes of a body from which on it is large; most lists have a tenth of that."""

_CHUNK = 65536
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class TooLargeError(Exception):
    """The body of an answer is larger than allowed."""


class UnknownEncodingError(Exception):
    """The body of an answer has an encoding that was not asked for."""


class BoundedAdapter(HTTPAdapter):
    """An adapter whose answers, headers included, must arrive within the read time limit.

    It does not warn of unchecked certificates, as ``urllib3`` does with every request: :class:`Transport` warns once.
    """

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager


class Body:
    """The body of an answer. A large one is read into memory of its own, which goes back to the system at once.

    In that of the thread that reads it, it would leave a hole: glibc gives threads heaps of their own, and keeps in
    each what the largest answer has ever needed.
    """

    def __init__(self, most: int) -> None:
        """:param most: bytes."""
        self._most = most
        self._small = io.BytesIO()
        self._large: mmap.mmap | None = None
        self.size = 0

    @property
    def is_large(self) -> bool:
        return self._large is not None

    def add(self, piece: bytes) -> None:
        """:raises TooLargeError: the body is larger than allowed."""
        self.size += len(piece)
        if self.size > self._most:
            raise TooLargeError
        if self._large is None and self.size > LARGE:
            self._large = mmap.mmap(-1, self._most, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            self._large.write(self._small.getbuffer())
            self._small = io.BytesIO()
        (self._large or self._small).write(piece)

    def take(self) -> bytes:
        """The whole body, once."""
        content = self._large[: self.size] if self._large else self._small.getvalue()
        self.close()
        return content

    def close(self) -> None:
        self._small = io.BytesIO()
        if self._large:
            self._large.close()
            self._large = None


def read_body(response: urllib3.BaseHTTPResponse, most: int) -> Body:
    """The unpacked body; returns the connection to its pool.

    :param response: an unread response from :class:`BoundedAdapter`.
    :param most: bytes.
    :raises TooLargeError: it is larger.
    :raises UnknownEncodingError: it has an encoding that was not asked for.
    :raises urllib3.exceptions.HTTPError: it is incomplete, or did not arrive within the read time limit.
    """
    body = Body(most)
    try:
        for piece in _unpacked(response):
            body.add(piece)
    except BaseException:
        body.close()
        response.close()
        raise
    finally:
        response.release_conn()
    return body


def _unpacked(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity"):
        yield from _packets(response)
    elif encoding in ("gzip", "x-gzip", "deflate"):
        try:
            yield from _unzipped(response)
        except zlib.error as error:
            raise urllib3.exceptions.DecodeError(f"the body is not {encoding}") from error
    else:
        raise UnknownEncodingError


def _unzipped(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
    for packet in _packets(response):
        packed = packet
        while packed:
            if unpacking.eof:
                # Several gzip members in a row are one body.
                unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
            # In one piece, the megabytes of a small packet would be copied without letting other threads run.
            yield unpacking.decompress(packed, _CHUNK)
            packed = unpacking.unconsumed_tail or unpacking.unused_data
    if not unpacking.eof:
        raise urllib3.exceptions.DecodeError("the packed body is truncated")


def _packets(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    while packet := response.read1(_CHUNK, decode_content=False):
        yield packet


class TimedReader(io.RawIOBase):
    """Reads from a socket until a deadline, however many packets arrive."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock
        limit = sock.gettimeout()
        self._deadline = None if limit is None else time.monotonic() + limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is None:
            return self._raw.readinto(buffer)
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        # `urllib3` sets the limit of the next request before it sends that.
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        raw = self.fp.detach()
        self.fp = io.BufferedReader(TimedReader(raw, sock))


class _Connection(HTTPConnection):
    response_class = _TimedResponse


class _TlsConnection(HTTPSConnection):
    response_class = _TimedResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection

    def _validate_conn(self, conn: Any) -> None:
        if conn.is_closed:
            conn.connect()


_POOLS = {"http": _Pool, "https": _TlsPool}
