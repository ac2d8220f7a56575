"""What every request passes first: the journal, faults, real TCP resets and truncated bodies, doubled slashes."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from email.utils import formatdate
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_provider.sandbox.core.calls import EXPIRED, Call
from airflow_provider.sandbox.core.faults import Fault
from airflow_provider.sandbox.core.hostile import Hostile
from airflow_provider.sandbox.core.journal import Entry
from airflow_provider.sandbox.core.redaction import redact, redact_query
from airflow_provider.sandbox.core.replies import decode_json, json_reply
from airflow_provider.sandbox.core.system import System
from airflow_provider.sandbox.core.world import World

BODY_KEPT = 16_384
HTML = b"<!DOCTYPE html>\n<html><head><title>Service</title></head><body>The service is starting</body></html>\n"


class Edge:
    """Pure ASGI around the mounted systems, so that it can reach the transport behind uvicorn's ``send``.

    Each answer of a system has a ``Date`` by the clock of the sandbox, which may differ from that of the client.
    """

    def __init__(self, app: ASGIApp, world: World) -> None:
        self.app = app
        self.world = world

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent_path: str = scope["path"]
        scope["path"] = re.sub("/{2,}", "/", sent_path)
        name, _, below = scope["path"].lstrip("/").partition("/")
        system = self.world.systems.get(name)
        if system is None:
            await self.app(scope, receive, send)
            return
        await self._serve(system, f"/{below}", sent_path, scope, receive, send)

    async def _serve(
        self, system: System, below: str, sent_path: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        with self.world.lock:
            now = self.world.clock.now()
            system.tick(now)
            who = system.who(Call(scope, now=now, switches=system.switches))
        query = redact_query(scope["query_string"].decode("latin-1"))
        entry = Entry(now, system.name, scope["method"], sent_path, query, who)
        self.world.journal.add(entry)
        fault = None
        for struck in self.world.faults.strike(system.name, scope["method"], below, sent_path):
            entry.fault = struck.fault
            if struck.fault == "latency":
                await asyncio.sleep(struck.seconds)
            else:
                fault = struck
        if fault is None:
            await self._reach(entry, scope, receive, send)
        else:
            await self._carry_out(fault, system, entry, scope, receive, send)

    async def _reach(self, entry: Entry, scope: Scope, receive: Receive, send: Send) -> None:
        body = bytearray()

        async def receive_noting() -> Message:
            message = await receive()
            if message["type"] == "http.request" and len(body) < BODY_KEPT:
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    entry.body = _for_journal(bytes(body))
            return message

        async def send_noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
                message = {**message, "headers": [*message["headers"], (b"date", self._date().encode())]}
            await send(message)

        entry.reached = True
        await self.app(scope, receive_noting, send_noting)

    async def _carry_out(
        self, fault: Fault, system: System, entry: Entry, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if fault.fault == "reset_before":
            await _reset(receive, send)
        elif fault.fault in ("reset_after", "truncate"):
            start, body = await self._capture(entry, scope, receive)
            if fault.fault == "reset_after":
                entry.status = None
                await _reset(receive, send)
            else:
                await _cut(start, body, receive, send)
        elif fault.fault == "expire_token":
            with self.world.lock:
                system.expire_tokens()
            scope[EXPIRED] = True
            await self._reach(entry, scope, receive, send)
        elif fault.fault == "hostile":
            await self._be_hostile(fault.hostile, entry, scope, receive, send)
        elif fault.fault == "html":
            entry.status = fault.status or 200
            headers = {"content-type": "text/html;charset=utf-8", "date": self._date()} | fault.headers
            await _answer(entry.status, headers, HTML, send)
        else:
            if fault.fault == "status_after":
                # Like a gateway that times out before its backend has finished.
                await self._capture(entry, scope, receive)
            entry.status = fault.status or 500
            headers, body = _faulty_answer(fault)
            await _answer(entry.status, {"date": self._date()} | headers, body, send)

    async def _be_hostile(self, hostile: Hostile, entry: Entry, scope: Scope, receive: Receive, send: Send) -> None:
        """Writes to the connection directly: uvicorn sends only valid HTTP."""
        seed = hostile.next_seed()
        start, body = await self._capture(entry, {**scope, "query_string": b""} if seed % 8 == 0 else scope, receive)
        answer = hostile.answer(seed, start["status"], body)
        entry.status = answer.status or None
        transport = _transport(send)
        for piece in answer.pieces:
            await asyncio.sleep(answer.pauses)
            transport.write(piece)
        transport.close()
        await _disconnected(receive)

    def _date(self) -> str:
        return formatdate(self.world.clock.now(), usegmt=True)

    async def _capture(self, entry: Entry, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
        start: Message = {}
        body = bytearray()

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                body.extend(message.get("body", b""))

        await self._reach(entry, scope, receive, keep)
        return start, bytes(body)


def _for_journal(raw: bytes) -> Any:
    try:
        return redact(decode_json(raw)) if raw else None
    except ValueError:
        return None


def _faulty_answer(fault: Fault) -> tuple[dict[str, str], bytes]:
    if fault.body is None or isinstance(fault.body, str):
        return fault.headers, (fault.body or "").encode()
    return {"content-type": "application/json"} | fault.headers, bytes(json_reply(fault.body).body)


async def _answer(status: int, headers: dict[str, str], body: bytes, send: Send) -> None:
    lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    if b"content-length" not in dict(lines):
        lines.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


def _transport(send: Send) -> asyncio.Transport:
    return send.__self__.transport  # type: ignore[attr-defined,no-any-return]


async def _reset(receive: Receive, send: Send) -> None:
    """Ends the connection with a TCP RST: no answer, not even an orderly close."""
    transport = _transport(send)
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()
    await _disconnected(receive)


async def _cut(start: Message, body: bytes, receive: Receive, send: Send) -> None:
    """Announces the whole body, sends half of it and closes."""
    headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
    headers.append((b"content-length", str(max(len(body), 1)).encode()))
    head = b"".join([b"HTTP/1.1 %d \r\n" % start["status"], *(b"%b: %b\r\n" % line for line in headers), b"\r\n"])
    transport = _transport(send)
    transport.write(head + body[: len(body) // 2])
    transport.close()
    await _disconnected(receive)


async def _disconnected(receive: Receive) -> None:
    """Uvicorn answers 500 for an application that returns silently on an open connection, so wait for its end."""
    while (await receive())["type"] != "http.disconnect":
        pass
