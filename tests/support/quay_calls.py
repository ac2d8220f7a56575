"""A caller of the stand-in for Quay, who does not use our client."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

from tests.support.control import SystemControl
from tests.support.until import until

TOKEN = "sandbox-quay-oauth-token-0000000000000000"
READ_TOKEN = "sandbox-quay-read-token-00000000000000000"
SHOP = "/repository/acme/shop"
MISSING = "/repository/acme/missing"
FOREIGN = "/repository/elsewhere/app"
UNKNOWN_UUID = "11111111-2222-3333-4444-555555555555"
UNKNOWN_DIGEST = "sha256:" + "0" * 64
WEBHOOK = {"event": "repo_push", "method": "webhook", "config": {"url": "http://127.1:9/x"}, "eventConfig": {}}


class Api(SystemControl):
    """The stand-in, fresh; ``call`` speaks to API v1, the rest to the sandbox."""

    system = "quay"

    def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = TOKEN, **options: Any
    ) -> requests.Response:
        headers = ({"Authorization": f"Bearer {token}"} if token else {}) | options.pop("headers", {})
        if body is not None:
            options["json"] = body
        url = f"{self.url}/quay/api/v1{path}"
        return requests.request(method, url, headers=headers, timeout=60, allow_redirects=False, **options)

    def push(self, tag: str, repository: str = "acme/shop", **values: Any) -> str:
        return self.act("push_image", repository=repository, tag=tag, **values)["digest"]

    def token(self, *scopes: str, user: str = "admin") -> str:
        return self.act("issue_token", user=user, scopes=list(scopes))["token"]

    def notify(self, url: str, event: str = "repo_push", repository: str = SHOP, **fields: Any) -> dict[str, Any]:
        config = {"url": url} | fields.pop("config", {})
        body = WEBHOOK | {"event": event, "config": config} | fields
        reply = self.call("POST", f"{repository}/notification/", body)
        assert reply.status_code == 201, reply.text
        return reply.json()

    def failures(self, uuid: str) -> int:
        return self.call("GET", f"{SHOP}/notification/{uuid}").json()["number_of_failures"]

    def build(self, **body: Any) -> dict[str, Any]:
        reply = self.call("POST", f"{SHOP}/build/", {"archive_url": "https://example.com/a.tgz"} | body)
        assert reply.status_code == 201, reply.text
        return reply.json()

    def phase(self, build_id: str, *wanted: str) -> dict[str, Any]:
        return until(
            lambda: self.call("GET", f"{SHOP}/build/{build_id}").json(), lambda found: found["phase"] in wanted
        )


class Receiver:
    """A webhook receiver: ``answers`` maps a path to a status and, for redirects, a target."""

    def __init__(self) -> None:
        received: list[dict[str, Any]] = []
        answers: dict[str, tuple[int, str]] = {}

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                received.append(
                    {"method": self.command, "path": self.path, "headers": self.headers.items(), "raw": raw}
                )
                status, target = answers.get(self.path, (200, ""))
                self.send_response(status)
                if target:
                    self.send_header("Location", target)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - a redirect comes back as GET

            def log_message(self, *_: Any) -> None:
                pass

        self.received, self.answers = received, answers
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def bodies(self, count: int) -> list[dict[str, Any]]:
        until(lambda: len(self.received), lambda found: found >= count)
        return [json.loads(each["raw"]) for each in self.received]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def tags(api: Api, **query: Any) -> list[tuple[str, str]]:
    body = api.call("GET", f"{SHOP}/tag/", params=query).json()
    return [(tag["name"], tag["manifest_digest"]) for tag in body["tags"]]


def digest_of(api: Api, tag: str) -> str:
    return tags(api, specificTag=tag, onlyActiveTags="true")[0][1]
