"""A server that answers with given raw bytes, one request after the other."""

from __future__ import annotations

import socketserver
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.support.serving import serving

LOGINS = ("/login", "/auth/tokens", "/authorize")


@dataclass
class Seen:
    """A request, and the status and body that answered it."""

    method: str
    target: str
    status: int
    body: bytes


@dataclass(frozen=True)
class Raw:
    """:param content: all that is sent, before the connection ends or is kept.
    :param status: that it holds, 0 if none.
    :param body: that it holds, before it was packed or cut.
    """

    content: bytes
    status: int = 0
    body: bytes = b""
    keeps: bool = True


@dataclass
class Script:
    """:param answers: in a circle; a function answers to the target of a request.
    :param login: what logins are answered with; ``None`` for whatever comes next.
    """

    answers: Sequence[Raw | Callable[[str], Raw]] = ()
    login: Raw | None = None
    seen: list[Seen] = field(default_factory=list)
    count: int = 0

    def next(self, method: str, target: str) -> Raw:
        if self.login and any(part in target for part in LOGINS):
            return self.login
        step = self.answers[self.count % len(self.answers)]
        answer = step(target) if callable(step) else step
        self.count += 1
        self.seen.append(Seen(method, target, answer.status, answer.body))
        return answer


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    timeout = 30
    server: _Server

    def handle(self) -> None:
        with suppress(OSError, ValueError):
            while (line := self.rfile.readline()).strip():
                length = 0
                while (header := self.rfile.readline()).strip():
                    name, _, value = header.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                self.rfile.read(length)
                method, target, _ = line.decode("latin-1").split(" ", 2)
                answer = self.server.script.next(method, target)
                self.wfile.write(answer.content)
                if not answer.keeps:
                    return


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64
    block_on_close = False
    script: Script


@contextmanager
def running_server() -> Iterator[_Server]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.script = Script()
    with serving(server):
        yield server
