"""Callbacks as the Cocktail server makes them: where they go, with which headers and body, in which order.

When each leaves is in delivering.py; nothing here retries.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from airflow_provider.sandbox.cocktail.models import ACCOUNT_SEQ, Build, BuildRun

USER_SUFFIX = "?user-id=3&user-role=DEVOPS&user-workspace=3"


def stored_url(callback_url: str | None) -> str:
    """The server appends its own query. Without a URL, it stores the word null before that query."""
    return f"{callback_url or 'null'}{USER_SUFFIX}"


@dataclass(frozen=True)
class Message:
    url: str
    headers: dict[str, str]
    body: dict[str, Any]
    about: str


def messages(stored: str, body: dict[str, Any], about: str) -> list[Message]:
    """Each of the URLs joined by ``|``; what follows the last ``?`` becomes headers, anything between is lost."""
    found = []
    for piece in stored.split("|"):
        address = unquote(piece) if "%3a%2f%2f" in piece.lower() else piece
        target, _, _ = address.partition("?")
        query = address.rpartition("?")[2] if "?" in address else ""
        headers = {"Content-Type": "application/json", "Accept": "application/json", **dict(parse_qsl(query))}
        found.append(Message(target, headers, body, about))
    return found


def run_body(run: BuildRun, tagged_url: bool) -> dict[str, Any]:
    data = run.view(tagged_url=tagged_url)
    data["beginTime"] = _callback_date(run.begin)
    data["endTime"] = _callback_date(run.end)
    return {
        "event": "BUILD_RUN_STATE",
        "target": {
            "accountSeq": ACCOUNT_SEQ,
            "serviceSeqs": [2],
            "buildSeq": run.build.build_seq,
            "buildRunSeq": run.run_seq,
        },
        "data": {key: value for key, value in data.items() if value is not None},
    }


def build_body(build: Build) -> dict[str, Any]:
    return {
        "event": "BUILD_STATE",
        "target": {"accountSeq": ACCOUNT_SEQ, "serviceSeqs": [2], "buildSeq": build.build_seq},
        "data": {key: value for key, value in build.view().items() if value is not None},
    }


def _callback_date(at: float | None) -> str | None:
    """Another JSON library writes the callbacks: the offset has no colon."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


class CallbackLine:
    """Sends one message at a time, as a synchronous server does: the next one leaves once the previous is answered."""

    def __init__(self, send: Callable[[Message, Callable[[int | None], None]], None]) -> None:
        self._send = send
        self._waiting: deque[Message] = deque()
        self._busy = False
        self._lock = threading.Lock()

    def hold(self) -> None:
        """Holds messages back until ``release``."""
        with self._lock:
            self._busy = True

    def deliver_first(self, send_now: Callable[[Message], None]) -> None:
        """Delivers the messages that are waiting now, in the caller's thread."""
        with self._lock:
            first = list(self._waiting)
            self._waiting.clear()
        for message in first:
            send_now(message)

    def release(self) -> None:
        with self._lock:
            self._busy = False
        self._next()

    def add(self, message: Message) -> None:
        with self._lock:
            self._waiting.append(message)
        self._next()

    def _next(self) -> None:
        with self._lock:
            if self._busy or not self._waiting:
                return
            self._busy = True
            message = self._waiting.popleft()
        self._send(message, lambda _status: self.release())
