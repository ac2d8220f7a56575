"""A small router that matches percent-encoded path segments, so that names may hold blanks and slashes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from airflow_provider.sandbox.core.replies import decode_json


class Call:
    """One request; ``user`` and ``login`` are empty until an ``around`` has checked who calls."""

    def __init__(self, scope: Scope, body: bytes, params: dict[str, str]) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = Headers(scope=scope)
        self.body = body
        self.params = params
        self.pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        self.user = ""
        self.login = ""

    def query(self, name: str) -> str | None:
        """The last value of a query parameter."""
        return dict(self.pairs).get(name)

    def json(self) -> Any:
        """The JSON body, None when empty; ValueError when malformed."""
        return decode_json(self.body) if self.body else None


Handler = Callable[[Call], Response]


class Router:
    """Patterns such as ``/executions/{id}``; a handler runs inside the event loop and must not block.

    :param around: gets the call and its handler (None: no such path) and answers; the place for authentication
    """

    def __init__(self, around: Callable[[Call, Handler | None], Response]) -> None:
        self._around = around
        self._routes: dict[tuple[str, int], list[tuple[list[str], Handler]]] = {}

    def add(self, methods: str, pattern: str, handler: Handler) -> None:
        """``methods`` separated by blanks; the first pattern that matches wins."""
        segments = [segment for segment in pattern.split("/") if segment]
        for method in methods.split():
            self._routes.setdefault((method, len(segments)), []).append((segments, handler))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        segments = [unquote(segment) for segment in raw.decode("latin-1").split("/") if segment]
        mounted = len([segment for segment in scope.get("root_path", "").split("/") if segment])
        handler, params = self._find(scope["method"], segments[mounted:])
        body = await Request(scope, receive).body()
        response = self._around(Call(scope, body, params), handler)
        await response(scope, receive, send)

    def _find(self, method: str, segments: list[str]) -> tuple[Handler | None, dict[str, str]]:
        for pattern, handler in self._routes.get((method, len(segments)), ()):
            params: dict[str, str] = {}
            for expected, actual in zip(pattern, segments, strict=True):
                if expected.startswith("{"):
                    params[expected[1:-1]] = actual
                elif expected != actual:
                    break
            else:
                return handler, params
        return None, {}
