"""What the tests of the Code Stream client share: a scripted API by routes, and ways to start and to wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState
from tests.support.scripted import Received, Reply, Scripted
from tests.support.until import until

LOGIN: Reply = (200, {}, {"tokenType": "Bearer", "token": "bearer-1"})


class Api:
    """Answers from ``routes``: method and path below the prefix; a value, a reply, or a function of the request."""

    def __init__(self, scripted: Scripted) -> None:
        self.routes: dict[tuple[str, str], Any] = {("POST", "/iaas/api/login"): LOGIN}
        self.scripted = scripted
        scripted.always = self._answer
        self.client = CodeStreamClient(scripted.url, refresh_token="refresh-token-1")

    def _answer(self, request: Received) -> Reply:
        route = self.routes.get((request.method, request.path.removeprefix("/codestream/api")), (404, {}, None))
        route = route(request) if callable(route) else route
        return route if isinstance(route, tuple) else (200, {}, route)

    def called(self, method: str, path: str = "") -> list[Received]:
        return [each for each in self.scripted.requests if each.method == method and each.path.endswith(path)]


def listing(rows: list[dict[str, Any]], total: int | None = None, prefix: str = "/codestream/api/x") -> dict[str, Any]:
    links = [f"{prefix}/{row['id']}" for row in rows]
    documents = dict(zip(links, rows, strict=True))
    shuffled = dict(sorted(documents.items(), key=lambda item: item[0][::-1]))
    return {
        "count": len(rows),
        "totalCount": len(rows) if total is None else total,
        "links": links,
        "documents": shuffled,
    }


def run(client: CodeStreamClient, pipeline: str = "Deploy shop", **options: Any) -> Execution:
    return client.pipelines.run(client.pipelines.find(pipeline, "retail")["id"], **options)


def until_it_is(observe: Callable[[], Execution], *states: ExecutionState) -> Execution:
    return until(observe, lambda seen: seen.state in states)


def of(execution_id: str) -> ExecutionRef:
    return {"system": "code_stream", "kind": "execution", "id": execution_id}
