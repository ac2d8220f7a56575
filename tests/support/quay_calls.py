"""A caller of the stand-in for Quay, who does not use our client."""

from __future__ import annotations

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


def tags(api: Api, **query: Any) -> list[tuple[str, str]]:
    body = api.call("GET", f"{SHOP}/tag/", params=query).json()
    return [(tag["name"], tag["manifest_digest"]) for tag in body["tags"]]


def digest_of(api: Api, tag: str) -> str:
    return tags(api, specificTag=tag, onlyActiveTags="true")[0][1]
