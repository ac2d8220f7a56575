"""A caller of the stand-in for Code Stream, who does not use our client."""

from __future__ import annotations

from typing import Any

import requests

from airflow_provider.sandbox.app import SandboxServer
from tests.support.control import Control
from tests.support.until import until

API = "/codestream/api"
TERMINAL = {"COMPLETED", "FAILED", "CANCELED", "ROLLBACK_COMPLETED", "ROLLBACK_FAILED"}


class CodeStream:
    """A logged-in caller of the stand-in."""

    def __init__(self, sandbox: SandboxServer, control: Control, user: str = "release-bot") -> None:
        self.root = f"{sandbox.url}/code_stream"
        self.sandbox = sandbox
        self.control = control
        self.headers = {"Authorization": f"Bearer {self.bearer(user)}"}

    def bearer(self, user: str) -> str:
        reply = self.login("/csp/gateway/am/api/login?access_token", username=user, password=f"{user}-password")
        return self.login("/iaas/api/login", refreshToken=reply.json()["refresh_token"]).json()["token"]

    def login(self, path: str, **body: Any) -> requests.Response:
        return requests.post(f"{self.root}{path}", json=body, timeout=60)

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> requests.Response:
        url = f"{self.root}{API}{path}"
        return requests.request(method, url, json=body, params=query, headers=self.headers, timeout=60)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        reply = self.call("GET", path, **query)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def rows(self, path: str, **query: Any) -> list[dict[str, Any]]:
        page = self.get(path, **{f"${name}": value for name, value in query.items()})
        return [page["documents"][link] for link in page["links"]]

    def switch(self, **switches: Any) -> None:
        self.control.post("switches", system="code_stream", **switches)

    def do(self, action: str, **values: Any) -> Any:
        return self.control.post("actions", system="code_stream", action=action, **values)

    def force(self, execution_id: str, state: str) -> None:
        self.control.post(f"executions/code_stream/{execution_id}", state=state)

    def start(self, name: str = "Deploy shop", project: str = "retail", **body: Any) -> str:
        reply = self.call("POST", f"/pipelines/{project}/{name}/executions", body)
        assert reply.status_code == 202, reply.text
        return reply.json()["executionId"]

    def execution(self, execution_id: str, **query: Any) -> dict[str, Any]:
        return self.get(f"/executions/{execution_id}", **query)

    def reaches(self, execution_id: str, *statuses: str) -> dict[str, Any]:
        return until(lambda: self.execution(execution_id), lambda seen: seen["status"] in statuses)

    def ended(self, execution_id: str) -> dict[str, Any]:
        return self.reaches(execution_id, *TERMINAL)

    def states(self, execution_id: str) -> list[str]:
        return [each["state"] for each in self.track(execution_id)["states"]]

    def track(self, execution_id: str) -> dict[str, Any]:
        return next(each for each in self.control.get("executions", system="code_stream") if each["id"] == execution_id)

    def act(self, execution_id: str, action: str, body: Any = None) -> requests.Response:
        return self.call("POST", f"/executions/{execution_id}", body, action=action)

    def operation(self, execution_id: str) -> dict[str, Any]:
        return until(
            lambda: [row for row in self.rows("/user-operations") if row["executionId"] == execution_id], bool
        )[0]

    def create_pipeline(self, name: str, tasks: dict[str, Any], **fields: Any) -> str:
        stage = {"taskOrder": list(tasks), "tasks": tasks}
        spec = {"name": name, "project": "retail", "enabled": True, "stageOrder": ["One"], "stages": {"One": stage}}
        reply = self.call("POST", "/pipelines", spec | fields)
        assert reply.status_code == 200, reply.text
        return reply.json()["id"]
