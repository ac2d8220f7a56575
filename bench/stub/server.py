"""HTTP/1.1 as little as it takes, over TLS, with every request and connection counted."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qsl, unquote

from bench.stub.systems import Cocktail, CodeStream, Quay, ServiceStage
from bench.stub.vendors import NOT_FOUND, Databricks, DbtCloud, PlainHttp, Reply, Vendor

VENDORS: dict[str, type[Vendor]] = {
    "dbt_cloud": DbtCloud,
    "databricks": Databricks,
    "http": PlainHttp,
    "code_stream": CodeStream,
    "service_stage": ServiceStage,
    "cocktail": Cocktail,
    "quay": Quay,
}
"""Ours are reached below ``/<system>/<connection>``, the peers at the paths that their hooks use."""


class Site:
    """All vendors of one measurement, and what was asked of them."""

    def __init__(self) -> None:
        self.vendors: dict[tuple[str, str], Vendor] = {}
        self.open = 0
        self.clear()

    def clear(self) -> None:
        self.vendors.clear()
        self.requests: Counter[tuple[str, str]] = Counter()
        self.connections = 0

    def answer(self, method: str, target: str, body: bytes) -> Reply:
        path, _, text = target.partition("?")
        system, connection, rest = _place(unquote(path))
        vendor = self.vendors.get((system, connection))
        query = dict(parse_qsl(text, keep_blank_values=True))
        reply = NOT_FOUND if vendor is None else vendor.answer(method, rest, query, body, time.time())
        self.requests[connection, reply.kind] += 1
        return reply


def _place(path: str) -> tuple[str, str, str]:
    if path.startswith("/api/v2/accounts/"):
        return "dbt_cloud", "0", path
    if path.startswith("/api/2."):
        return "databricks", "0", path
    if path.startswith("/http/"):
        return "http", "0", path
    system, _, rest = path.lstrip("/").partition("/")
    connection, _, rest = rest.partition("/")
    return system, connection, "/" + rest


class HttpProtocol(asyncio.Protocol):
    """One connection; it stays open until the client leaves."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._site.connections += 1
        self._site.open += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._site.open -= 1

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._received[:end].decode("latin-1").split("\r\n")
            length = next((int(line[15:]) for line in lines if line[:15].lower() == "content-length:"), 0)
            if len(self._received) < end + 4 + length:
                return
            body = self._received[end + 4 : end + 4 + length]
            self._received = self._received[end + 4 + length :]
            method, target, _ = first.split(" ", 2)
            self._send(self._site.answer(method, target, body))

    def _send(self, reply: Reply) -> None:
        head = (
            f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(reply.body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + reply.body)
