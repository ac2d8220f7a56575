"""A Code Stream whose executions a test changes, for what the sandbox does not offer: odd servers, shifting pages."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from airflow_provider.clients.code_stream import CodeStreamClient
from airflow_provider.execution import ExecutionRef
from tests.support.scripted import Received, Reply, Scripted

LOGIN: Reply = (200, {}, {"tokenType": "Bearer", "token": "bearer-1"})
PREFIX = "/codestream/api"
SECOND = 1_000_000


class Clock:
    """The client's own clock, which a test sets."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now


class Server:
    """Executions that a test moves. The knobs say what the server makes of ``$orderby`` and ``$filter``.

    :ivar now: the server's clock, in epoch microseconds; it moves with every change.
    :ivar lists: rows of the other lists by path; given in their own order, whatever is asked for.
    :ivar total: how it writes the number of rows of a list.
    :ivar before_page: called before each page of the list of updates with its ``$skip``.
    """

    def __init__(self, scripted: Scripted, *, order: str = "kept", filter_: str = "kept") -> None:
        self.order, self.filter = order, filter_
        self.now = 1_767_323_045 * SECOND
        self.rows: dict[str, dict[str, Any]] = {}
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.before_page: Callable[[int], None] = lambda skip: None
        self.refuse: Reply | None = None
        self.total: Callable[[int], object] = int
        self.scripted = scripted
        scripted.always = self._answer
        self.client = CodeStreamClient(scripted.url, refresh_token="refresh-token-1", attempts=1)

    def start(self, execution_id: str, status: str = "RUNNING") -> ExecutionRef:
        self.rows[execution_id] = {"id": execution_id, "name": "Deploy", "_requestTimeInMicros": self.now}
        self.move(execution_id, status)
        return of(execution_id)

    def start_many(self, count: int) -> list[ExecutionRef]:
        return [self.start(f"e{number}") for number in range(count)]

    def move(self, execution_id: str, status: str, *, later: int = SECOND) -> None:
        self.now += later
        self.rows[execution_id] |= {"status": status, "statusMessage": "", "_updateTimeInMicros": self.now}

    def idle(self, seconds: int = 60) -> None:
        """Change an execution that nobody waits for."""
        self.now += (seconds - 1) * SECOND
        self.rows.setdefault("nobody", {"id": "nobody", "name": "Other", "_requestTimeInMicros": self.now})
        self.move("nobody", "RUNNING")

    def asked(self) -> list[str]:
        """What was asked for since this was last called: ``updates``, ``newest``, ``filter``, an execution's id, or the
        path of another list."""
        asked, self.scripted.requests[:] = [self._kind(each) for each in self.scripted.requests], []
        return [each for each in asked if each != "login"]

    def _kind(self, request: Received) -> str:
        below = request.path.removeprefix(PREFIX)
        if below in self.lists:
            return below
        if below != "/executions":
            return "login" if request.method == "POST" else below.rpartition("/")[2]
        if "$filter" in request.query:
            return "filter"
        return "updates" if "_updateTimeInMicros" in request.query["$orderby"] else "newest"

    def _answer(self, request: Received) -> Reply:
        kind = self._kind(request)
        if kind == "login":
            return LOGIN
        if self.refuse:
            return self.refuse
        if kind in self.lists:
            skip, top = int(request.query["$skip"]), int(request.query["$top"])
            return self._page(kind, self.lists[kind], skip, top)
        if kind in ("updates", "newest", "filter"):
            return self._list(request.query, kind)
        row = self.rows.get(kind)
        return (200, {}, {**row, "output": {"id": kind}}) if row else (404, {}, None)

    def _list(self, query: dict[str, str], kind: str) -> Reply:
        rows = list(self.rows.values())
        skip, top = int(query["$skip"]), int(query["$top"])
        if kind == "filter":
            if self.filter.isdecimal():
                return int(self.filter), {}, None
            wanted = re.findall("id eq '([^']*)'", query["$filter"])
            wanted = wanted[:1] if self.filter == "first term" else wanted
            rows = rows if self.filter == "ignored" else [row for row in rows if row["id"] in wanted]
        elif self.order.isdecimal() and kind == "updates":
            return int(self.order), {}, None
        elif kind == "updates":
            self.before_page(skip)
            rows = list(self.rows.values())
        if self.order == "kept" and kind != "filter":
            field = query["$orderby"].partition(" ")[0]
            rows.sort(key=lambda row: row[field], reverse=True)
        return self._page("/executions", rows, skip, top)

    def _page(self, path: str, rows: list[dict[str, Any]], skip: int, top: int) -> Reply:
        page = rows[skip : skip + top]
        links = [f"{PREFIX}{path}/{row['id']}" for row in page]
        documents = {link: dict(row) for link, row in zip(links, page, strict=True)}
        total = self.total(len(rows))
        return 200, {}, {"count": len(page), "totalCount": total, "links": links, "documents": documents}


def of(execution_id: str) -> ExecutionRef:
    return {"system": "code_stream", "kind": "execution", "id": execution_id}
