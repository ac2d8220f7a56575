"""A server that takes what the stand-ins send to others: webhooks and callbacks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.serving import serving
from tests.support.until import until


class Receiver:
    """What has come, in ``received``; ``answers`` maps a path to a status and, for redirects, a target.

    ``hold`` is called before anything is answered.

    :param port: where it listens.
    """

    def __init__(self, port: int) -> None:
        # Quay takes no URL that names 127.0.0.1; this is another way to write it.
        self.url = f"http://127.1:{port}"
        self.received: list[dict[str, Any]] = []
        self.answers: dict[str, tuple[int, str]] = {}
        self.hold: Callable[[], object] = lambda: None

    def bodies(self, count: int = 0) -> list[Any]:
        """What was sent, once it is at least so much."""
        until(lambda: len(self.received), lambda found: found >= count)
        return [json.loads(each["raw"]) for each in self.received]


@contextmanager
def receiving() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            came = {"method": self.command, "path": self.path, "headers": self.headers.items(), "raw": raw}
            receiver.hold()
            receiver.received.append({**came, "at": time.monotonic()})
            status, target = receiver.answers.get(self.path, (200, ""))
            self.send_response(status)
            if target:
                self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST  # noqa: N815 - a redirect comes back as GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(server.server_port)
    with serving(server):
        yield receiver
