"""The router of the stand-ins: paths with parameters, the lock around each call, refusals turned into answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from airflow_provider.sandbox.core.calls import Call, Match, Refused, Route, Unlocked
from airflow_provider.sandbox.core.environment import Environment

Handler = Callable[[Call], Response | Unlocked]
Admit = Callable[[Call], Response | None]

_PARAMETER = re.compile(r"{(\w+)(?::(\w+))?}")
_KINDS = {
    None: r"[^/]+",
    # Two segments or more, but as few as possible.
    "path": r"[^/]+(?:/[^/]+)+?",
    "digest": r"[\w+.-]+:[0-9a-fA-F]+",
}


class Router:
    """Patterns such as ``/executions/{id}``. The first that matches wins.

    ``{name}`` is one segment, ``{name:path}`` two or more, ``{name:digest}`` the digest of an image. A pattern that
    ends in a slash redirects the path without it. Handlers run in the event loop, with the lock of the sandbox held.

    :param admit: called before each call, even without a route: raises ``Refused``, returns an answer, or returns
        None to let the handler answer
    :param complete: called with each answer, to add headers
    :param encoded: segments are split before they are decoded, so that names may contain slashes
    :param prefix: returns the current prefix of all paths
    :param also_allowed: methods to list as allowed for every path
    """

    def __init__(
        self,
        environment: Environment,
        switches: Mapping[str, Any],
        admit: Admit,
        *,
        complete: Callable[[Call, Response], None] | None = None,
        encoded: bool = False,
        prefix: Callable[[], str] = str,
        also_allowed: tuple[str, ...] = (),
    ) -> None:
        self._environment = environment
        self._switches = switches
        self._admit = admit
        self._complete = complete
        self._encoded = encoded
        self._prefix = prefix
        self._also_allowed = also_allowed
        self._patterns: dict[str, _Pattern] = {}
        self._fitting: dict[int, list[_Pattern]] = {}

    def add(self, methods: str, pattern: str, handler: Handler, rule: Any = None) -> None:
        """Adds a route, unless the pattern already has one for the method.

        :param methods: separated by spaces
        :param rule: what the gate needs to know about this route
        """
        self._fitting.clear()
        known = self._patterns.setdefault(pattern, _Pattern(pattern))
        for method in methods.split():
            known.routes.setdefault(method, Route(handler, rule))

    @property
    def rules(self) -> set[Any]:
        """The rules of all routes."""
        return {route.rule for pattern in self._patterns.values() for route in pattern.routes.values()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        with self._environment.lock:
            now = self._environment.clock.now()
            reply = self._answer(Call(scope, body, now=now, switches=self._switches, match=self._match(scope)))
        response = await run_in_threadpool(reply.finish) if isinstance(reply, Unlocked) else reply
        await response(scope, receive, send)

    def _answer(self, call: Call) -> Response | Unlocked:
        try:
            reply: Response | Unlocked | None = self._admit(call)
            if reply is None:
                if call.match.route is None:
                    raise LookupError(f"the gate admits {call.method} {call.path}, which has no route")
                reply = call.match.route.handler(call)
        except Refused as refused:
            reply = refused.reply(call)
        if self._complete and isinstance(reply, Response):
            self._complete(call, reply)
        return reply

    def _match(self, scope: Scope) -> Match:
        path, root, prefix = scope["path"], scope.get("root_path", ""), self._prefix()
        if self._encoded:
            raw: bytes = scope.get("raw_path") or path.encode()
            segments = _segments(raw.decode("latin-1"))[len(_segments(root)) :]
            path = "/" + "/".join(segments)
        else:
            path = path.removeprefix(root)
        return self._find(scope["method"], path.removeprefix(prefix)) if path.startswith(f"{prefix}/") else Match()

    def _find(self, method: str, path: str) -> Match:
        allowed: list[str] = []
        for pattern in self._of_length(len(_segments(path))):
            found = pattern.expression.fullmatch(path)
            if found is None:
                if pattern.slashed and method in pattern.routes and pattern.expression.fullmatch(f"{path}/"):
                    return Match(redirect=f"{path}/")
                continue
            if method in pattern.routes:
                params = found.groupdict()
                if self._encoded:
                    params = {name: unquote(value) for name, value in params.items()}
                return Match(pattern.routes[method], params)
            allowed += [each for each in (*pattern.routes, *self._also_allowed) if each not in allowed]
        return Match(allowed=tuple(allowed))

    def _of_length(self, count: int) -> list[_Pattern]:
        if count not in self._fitting:
            self._fitting[count] = [each for each in self._patterns.values() if each.may_have(count)]
        return self._fitting[count]


class _Pattern:
    """One path, with the routes of its methods."""

    def __init__(self, text: str) -> None:
        self.routes: dict[str, Route] = {}
        self.slashed = text.endswith("/")
        self.expression = re.compile(_expression(text))
        self._segments = len(_segments(text))
        self._longer_too = ":path}" in text

    def may_have(self, count: int) -> bool:
        """Whether a path of ``count`` segments can match."""
        return count == self._segments or (self._longer_too and count > self._segments)


def _expression(text: str) -> str:
    parts, end = [], 0
    for each in _PARAMETER.finditer(text):
        parts += [re.escape(text[end : each.start()]), f"(?P<{each[1]}>{_KINDS[each[2]]})"]
        end = each.end()
    return "".join([*parts, re.escape(text[end:])])


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]
