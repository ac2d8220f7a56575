"""A caller of the stand-in for Cocktail, who does not use our client."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

from tests.support.control import SystemControl
from tests.support.until import until

TOKEN = {"Authorization": "Bearer sandbox-cocktail-token"}
SHOP, AUTOTAG, BROKEN, NO_DIGEST = 12, 13, 14, 15


class Api(SystemControl):
    """The stand-in, fresh; ``call`` speaks to the build API, the rest to the sandbox."""

    system = "cocktail"
    speed = 40

    def call(self, method: str, path: str, headers: dict[str, str] | None = None, **query: Any) -> requests.Response:
        url = f"{self.url}/cocktail/v1{path}"
        return requests.request(method, url, params=query, headers=TOKEN if headers is None else headers, timeout=60)

    def start(self, build_seq: int = SHOP, tag: str = "1.0", **query: Any) -> dict[str, Any]:
        return self.call("POST", f"/build/run/{build_seq}", tagName=tag, **query).json()

    def ended(self, run_seq: int) -> dict[str, Any]:
        return until(
            lambda: self.call("GET", f"/build/run/{run_seq}").json(), lambda run: run["runState"] in ("DONE", "ERROR")
        )

    def deliveries(self) -> list[dict[str, Any]]:
        return requests.get(f"{self.url}/_sandbox/deliveries", params={"system": "cocktail"}, timeout=60).json()


class Receiver:
    """A callback receiver that answers 200 and keeps what came."""

    def __init__(self) -> None:
        received: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                received.append(
                    {"path": self.path, "headers": dict(self.headers), "body": body, "at": time.monotonic()}
                )
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.received = received
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def states(self) -> list[str]:
        return [each["body"]["data"]["runState"] for each in self.received]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
