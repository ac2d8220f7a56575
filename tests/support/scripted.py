"""A tiny HTTP server that plays a script, for answers that the sandbox has no switch for."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.serving import serving


@dataclass
class Received:
    """One request as it came: ``target`` is the request line's path and query, unchanged; ``client`` its TCP port."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    client: int

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {
            name: values[-1] for name, values in parse_qs(urlsplit(self.target).query, keep_blank_values=True).items()
        }

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Reply = tuple[int, dict[str, str], Any]
"""Status, headers, body: bytes and text are sent as they are, anything else as JSON, ``None`` as no body at all."""

Step = Reply | Callable[[Received], Reply | None] | Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        received = Received(
            self.command, self.path, dict(self.headers.items()), self.rfile.read(length), self.client_address[1]
        )
        reply = self.server.scripted.next(received, self)
        if reply is not None:
            self.send(*reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815

    def send(self, status: int, headers: dict[str, str], body: Any) -> None:
        if body is None:
            content = b""
        elif isinstance(body, bytes):
            content = body
        else:
            content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        lengths = {"Content-Length": str(len(content)), "Content-Type": "application/json"}
        for name, value in {**lengths, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    scripted: Scripted


@dataclass
class Scripted:
    """Answers with ``script`` in order, then with ``always``; a request beyond that is answered 500 and noted.

    A step is a reply, or a function of the request (one parameter called ``request``) or of the handler (called
    ``handler``, for what is no HTTP) that returns a reply or ``None`` when it did the answering itself.
    """

    server: Server
    script: list[Any] = field(default_factory=list)
    always: Any = None
    requests: list[Received] = field(default_factory=list)
    unexpected: list[Received] = field(default_factory=list)
    scheme: str = "http"
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server.server_address[1]}"

    def next(self, received: Received, handler: Handler) -> Reply | None:
        with self._lock:
            self.requests.append(received)
            step = self.script.pop(0) if self.script else self.always
            if step is None:
                self.unexpected.append(received)
                return 500, {}, {"message": "the script has no answer to this"}
        if callable(step):
            wants_handler = "handler" in step.__code__.co_varnames[: step.__code__.co_argcount]
            answer: Reply | None = step(handler) if wants_handler else step(received)
            return answer
        return step

    def use_tls(self, certificate: Path) -> None:
        """Speak TLS from now on.

        :param certificate: with its key, in one file.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.scheme = "https"


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    server = Server(("127.0.0.1", 0), Handler)
    server.scripted = Scripted(server)
    with serving(server):
        yield server.scripted
