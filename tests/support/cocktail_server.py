"""A stand-in for Cocktail whose answers a test can hold back, and that records which requests were concurrent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.serving import serving

LONGEST = 60.0
"""Seconds for which an answer may be held back, so that a test that fails also ends."""


class CocktailServer:
    """Runs of builds: ``states`` by number, ``builds`` the build that each belongs to.

    :param hold: called with kind (``single``, ``list``, ``log``) and number before each answer; may block.
    """

    url = ""

    def __init__(self) -> None:
        self.states: dict[int, str] = {}
        self.builds: dict[int, int] = {}
        self.logs: dict[int, list[str]] = {}
        self.asked: list[tuple[str, int]] = []
        self.most_at_once = 0
        self.hold: Callable[[str, int], None] = lambda kind, number: None
        self.answer: Callable[[str, int], tuple[int, dict[str, str]] | None] = lambda kind, number: None
        self._lock = threading.Lock()
        self._now = 0

    def start(self, count: int, *, builds: int | None = None) -> list[dict[str, str]]:
        """References of so many runs. :param builds: over which they are spread; default: one for each."""
        refs = []
        for number in range(1, count + 1):
            build = number % builds + 1 if builds else number
            self.states[number], self.builds[number] = "RUNNING", build
            refs.append(
                {"system": "cocktail", "kind": "build_run", "id": str(number), "build_seq": str(build), "tag": ""}
            )
        return refs

    def count(self, kind: str, number: int | None = None) -> int:
        return sum(each == kind and number in (None, of) for each, of in list(self.asked))

    def reply(self, path: str) -> tuple[int, dict[str, str], Any]:
        url = urlsplit(path)
        last = url.path.rpartition("/")[2]
        kind = "list" if last == "run" else "log" if "/log/" in url.path else "single"
        number = int(parse_qs(url.query)["buildSeq"][0]) if kind == "list" else int(last)
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            self.asked.append((kind, number))
        try:
            self.hold(kind, number)
        finally:
            with self._lock:
                self._now -= 1
        if refused := self.answer(kind, number):
            return *refused, None
        if kind == "list":
            runs = [self._run(each) for each, build in reversed(self.builds.items()) if build == number]
            return 200, {}, {"status": "ok", "result": runs}
        if kind == "log":
            steps = [
                {"stepOrder": 1, "stepType": "BUILD", "stepState": "DONE", "log": "\n".join(self.logs.get(number, []))}
            ]
            return 200, {}, {"status": "ok", "result": {"buildRunLogs": steps}}
        return 200, {}, {"status": "ok", "result": self._run(number)}

    def _run(self, number: int) -> dict[str, Any]:
        return {
            "buildRunSeq": number,
            "buildSeq": self.builds[number],
            "runType": "BUILD",
            "runState": self.states[number],
        }


@contextmanager
def running_cocktail() -> Iterator[CocktailServer]:
    cocktail = CocktailServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            status, headers, body = cocktail.reply(self.path)
            content = json.dumps(body).encode() if body else b""
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            """A client that has closed its connection."""

    server = Server(("127.0.0.1", 0), Handler)
    cocktail.url = f"http://127.0.0.1:{server.server_address[1]}"
    with serving(server):
        yield cocktail
