"""A caller of the stand-in for ServiceStage, who does not use our client."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import requests

from airflow_provider.sandbox.app import SandboxServer
from tests.support.control import Control
from tests.support.until import until

PROJECT = "77b6a44cba5143ab91d13ab9a8ff44fd"
AK, SK = "SANDBOXACCESSKEY0001", "sandbox-secret-key-0001"
SHOP = "caf409b1-10df-483a-b14d-7b05f7e12c88"
JSON = {"Content-Type": "application/json;charset=utf8"}


def encode(text: str) -> str:
    return quote(text, safe="-_.~")


def signature_headers(
    method: str, url: str, body: bytes, headers: dict[str, str], ak: str, sk: str, at: float
) -> dict[str, str]:
    """The headers of a signed request, written from the contract alone."""
    parts = urlsplit(url)
    date = datetime.fromtimestamp(at, UTC).strftime("%Y%m%dT%H%M%SZ")
    sent = headers | {"X-Sdk-Date": date}
    signed = {name.lower(): value for name, value in sent.items()} | {"host": parts.netloc}
    path = "/".join(encode(segment) for segment in unquote(parts.path).split("/")) + "/"
    pairs = sorted(parse_qsl(parts.query.replace("+", "%2B"), keep_blank_values=True))
    canonical = "\n".join(
        (
            method,
            path,
            "&".join(f"{encode(name)}={encode(value)}" for name, value in pairs),
            "".join(f"{name}:{signed[name]}\n" for name in sorted(signed)),
            ";".join(sorted(signed)),
            hashlib.sha256(body).hexdigest(),
        )
    )
    text = f"SDK-HMAC-SHA256\n{date}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(sk.encode(), text.encode(), hashlib.sha256).hexdigest()
    names = ";".join(sorted(signed))
    return sent | {"Authorization": f"SDK-HMAC-SHA256 Access={ak}, SignedHeaders={names}, Signature={signature}"}


class ServiceStage:
    """A signing caller of the stand-in."""

    def __init__(self, sandbox: SandboxServer, control: Control) -> None:
        self.root = f"{sandbox.url}/service_stage"
        self.control = control
        self.pipelines = f"/v3/{PROJECT}/pipeline/pipelines"

    def signed(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        ak: str = AK,
        sk: str = SK,
        skew: float = 0.0,
    ) -> requests.Response:
        url = self.root + path
        sent = signature_headers(method, url, body, JSON if headers is None else headers, ak, sk, time.time() + skew)
        return requests.request(method, url, data=body, headers=sent, timeout=60)

    def action(self, action: str | None, body: Any = None, pipeline: str = SHOP) -> requests.Response:
        query = f"?action_id={action}" if action is not None else ""
        raw = json.dumps({} if body is None else body).encode()
        return self.signed("POST", f"{self.pipelines}/{pipeline}/action{query}", raw)

    def do(self, action: str, body: Any = None, pipeline: str = SHOP) -> dict[str, Any]:
        reply = self.action(action, body, pipeline)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def get(self, path: str = "") -> Any:
        reply = self.signed("GET", f"{self.pipelines}{path}")
        assert reply.status_code == 200, reply.text
        return reply.json()

    def item(self, pipeline: str = SHOP) -> dict[str, Any]:
        return next(each for each in self.get()["pipelines"] if each["id"] == pipeline)

    def named(self, name: str) -> str:
        return next(each["id"] for each in self.get()["pipelines"] if each["name"] == name)

    def reaches(self, status: int, pipeline: str = SHOP) -> dict[str, Any]:
        return until(lambda: self.get(f"/{pipeline}/records")["records"][0], lambda seen: seen["status"] == status)

    def switch(self, **switches: Any) -> None:
        self.control.post("switches", system="service_stage", **switches)

    def script(self, task: str, pipeline: str = "shop-release", **values: Any) -> None:
        self.control.post("actions", system="service_stage", action="script", pipeline=pipeline, task=task, **values)

    def states(self, execution_id: int) -> list[str]:
        every = self.control.get("executions", system="service_stage")
        return [state["state"] for each in every if each["id"] == str(execution_id) for state in each["states"]]

    def token_request(self, **user: Any) -> dict[str, Any]:
        person = {"name": "release-bot", "password": "release-bot-password", "domain": {"name": "sandbox-account"}}
        return {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": person | user}},
                "scope": {"project": {"name": "sandbox-1"}},
            }
        }

    def log_in(self, body: Any = None, prefix: str = "/iam") -> requests.Response:
        url = f"{self.root}{prefix}/v3/auth/tokens?nocatalog=true"
        return requests.post(url, json=body or self.token_request(), timeout=60)

    def with_token(self, token: str, project: str = PROJECT) -> requests.Response:
        url = f"{self.root}/v3/{project}/pipeline/pipelines"
        return requests.get(url, headers={"X-Auth-Token": token}, timeout=60)


def refusal(reply: requests.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["error_code"]
