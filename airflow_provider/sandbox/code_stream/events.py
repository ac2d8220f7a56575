"""The routes of trigger events, of Docker registries, Git and Gerrit: list, get, rerun, resume, delete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import Response

from airflow_provider.sandbox.code_stream import formats
from airflow_provider.sandbox.code_stream.access import require_write
from airflow_provider.sandbox.code_stream.lists import listed
from airflow_provider.sandbox.code_stream.models import Event
from airflow_provider.sandbox.code_stream.refusals import Refusal, not_found
from airflow_provider.sandbox.code_stream.state import State
from airflow_provider.sandbox.code_stream.steering import Steering
from airflow_provider.sandbox.code_stream.switches import words
from airflow_provider.sandbox.code_stream.triggering import Triggering
from airflow_provider.sandbox.core.calls import Call
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Router

PREFIXES = {"docker": "registry-events", "git": "git-events", "gerrit": "gerrit-events"}


class Events:
    """The routes below ``/registry-events``, ``/git-events`` and ``/gerrit-events``; the rule of each is its kind."""

    def __init__(self, state: State, triggering: Triggering, steering: Steering) -> None:
        self._state = state
        self._triggering = triggering
        self._steering = steering

    def add_routes(self, router: Router, api: str) -> None:
        for kind, prefix in PREFIXES.items():
            root = f"{api}/{prefix}"
            router.add("GET", root, self._list, kind)
            router.add("GET", f"{root}/{{id}}", self._get, kind)
            router.add("POST", f"{root}/{{id}}", self._act, kind)
            router.add("DELETE", f"{root}/{{id}}", self._delete, kind)

    def _find(self, call: Call) -> Event:
        event = self._state.events.get(call.params["id"])
        if event is None or event.kind != _kind(call):
            raise not_found(f"Event {call.params['id']}")
        return event

    def _writable(self, call: Call) -> Event:
        event = self._find(call)
        require_write(call.user, event.project)
        return event

    def _list(self, call: Call) -> Response:
        found = [event for event in self._state.events.values() if event.kind == _kind(call)]
        return listed(call, [document_of(event, call.switches) for event in found])

    def _get(self, call: Call) -> Response:
        return json_reply(document_of(self._find(call), call.switches))

    def _delete(self, call: Call) -> Response:
        event = self._writable(call)
        del self._state.events[event.id]
        return json_reply(document_of(event, call.switches))

    def _act(self, call: Call) -> Response:
        event = self._writable(call)
        known, action = words(call.switches), call.query("action") or ""
        if _is_word(call, action, known["rerun"]):
            event = self._triggering.rerun(event, call.user)
        elif _is_word(call, action, known["resume"]):
            self._resume(call, event)
        else:
            raise Refusal(400, f"Unknown action {action!r}: {known['resume']} or {known['rerun']}")
        return json_reply(document_of(event, call.switches))

    def _resume(self, call: Call, event: Event) -> None:
        if event.execution is None:
            raise Refusal(400, f"Event {event.id} has no execution to resume")
        resumed = call.switches["event_resume"] == "continues" and self._steering.resume(
            event.execution, call.now, failed_too=True
        )
        status = call.switches["wrong_state_status"]
        if not resumed and status != 200:
            raise Refusal(
                status, f"Execution {event.execution.id} in status {event.execution.status} cannot be resumed"
            )
        event.updated_at = call.now


def _kind(call: Call) -> str:
    return str(call.match.route.rule) if call.match.route else ""


def _is_word(call: Call, sent: str, word: str) -> bool:
    return sent == word if call.switches["case_sensitive_actions"] else sent.lower() == word.lower()


def document_of(event: Event, switches: Mapping[str, Any]) -> dict[str, Any]:
    execution = event.execution
    document = formats.base(
        id=event.id,
        name=event.name,
        project=event.project,
        prefix=PREFIXES[event.kind],
        created_at=event.created_at,
        updated_at=event.updated_at,
        created_by="release-bot",
        switches=switches,
    )
    status = None
    if execution is not None:
        status = event.execution_snapshot if switches["event_status_lags"] else execution.status
    message = event.message
    if event.kind == "gerrit" and execution is not None:
        message = execution.message or "Execution Started"
    at: str | int = formats.event_text(event.created_at)
    if switches["event_time"] == "int":
        at = formats.micros(event.created_at)
    document |= event.fields
    document |= {
        "pipeline": event.pipeline,
        "executionIndex": execution.index if execution else None,
        "executionLink": formats.execution_link(execution.id, switches["execution_links"]) if execution else None,
        "executionStatus": status,
        "message": message,
        "createdOn" if event.kind == "gerrit" else "timeStampInMicros": at,
    }
    if event.kind == "git" and switches["server_url"] == "object":
        document["serverURL"] = _uri_object(document["serverURL"])
    return document


def _uri_object(text: str) -> dict[str, Any]:
    parts = urlsplit(text)
    specific = text.partition(":")[2]
    return {
        "absolute": True,
        "authority": parts.netloc,
        "fragment": parts.fragment,
        "host": parts.hostname,
        "opaque": False,
        "path": parts.path,
        "port": parts.port or -1,
        "query": parts.query,
        "rawAuthority": parts.netloc,
        "rawFragment": parts.fragment,
        "rawPath": parts.path,
        "rawQuery": parts.query,
        "rawSchemeSpecificPart": specific,
        "rawUserInfo": parts.username or "",
        "scheme": parts.scheme,
        "schemeSpecificPart": specific,
        "userInfo": parts.username or "",
    }
