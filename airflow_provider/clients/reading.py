"""Reads a whole answer, including its headers, within one deadline and one limit of size.

The time limits of ``requests`` start anew with each packet, and it has no limit for the unpacked size.
"""

from __future__ import annotations

import io
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


def read_body(response: urllib3.BaseHTTPResponse, most: int) -> bytes:
    """The unpacked body; returns the connection to its pool.

    :param response: an unread response from :class:`BoundedAdapter`.
    :param most: bytes.
    :raises TooLargeError: it is larger.
    :raises UnknownEncodingError: it has an encoding that was not asked for.
    :raises urllib3.exceptions.HTTPError: it is incomplete, or did not arrive within the read time limit.
    """
    chunks: list[bytes] = []
    size = 0
    try:
        for chunk in _unpacked(response, most):
            chunks.append(chunk)
            size += len(chunk)
            if size > most:
                raise TooLargeError
    except BaseException:
        response.close()
        raise
    finally:
        response.release_conn()
    return b"".join(chunks)


def _unpacked(response: urllib3.BaseHTTPResponse, most: int) -> Iterator[bytes]:
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding in ("", "identity"):
        yield from _packets(response)
    elif encoding in ("gzip", "x-gzip", "deflate"):
        try:
            yield from _unzipped(response, most)
        except zlib.error as error:
            raise urllib3.exceptions.DecodeError(f"the body is not {encoding}") from error
    else:
        raise UnknownEncodingError


def _unzipped(response: urllib3.BaseHTTPResponse, most: int) -> Iterator[bytes]:
    unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
    for packet in _packets(response):
        packed = packet
        while packed:
            if unpacking.eof:
                # Several gzip members in a row are one body.
                unpacking = zlib.decompressobj(_GZIP_OR_ZLIB)
            yield unpacking.decompress(packed, most + 1)
            packed = unpacking.unconsumed_tail or unpacking.unused_data
    if not unpacking.eof:
        raise urllib3.exceptions.DecodeError("the packed body is truncated")


def _packets(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    while packet := response.read1(_CHUNK, decode_content=False):
        yield packet


class _TimedReader(io.RawIOBase):
    """Reads from a socket until a deadline, however many packets arrive."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock
        self._limit = sock.gettimeout()
        self._deadline = None if self._limit is None else time.monotonic() + self._limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is None:
            return self._raw.readinto(buffer)
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        try:
            return self._raw.readinto(buffer)
        finally:
            if self._sock.fileno() != -1:
                self._sock.settimeout(self._limit)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        raw = self.fp.detach()
        self.fp = io.BufferedReader(_TimedReader(raw, sock))


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
