"""Trigger events of Docker registries, Git and Gerrit: how they come in, rerun and resume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.responses import Response

from airflow_provider.sandbox.code_stream import formats
from airflow_provider.sandbox.code_stream.errors import RefusedError, not_found
from airflow_provider.sandbox.code_stream.lists import list_reply, select
from airflow_provider.sandbox.code_stream.machine import Execution
from airflow_provider.sandbox.core.replies import json_reply
from airflow_provider.sandbox.core.routing import Call, Router

if TYPE_CHECKING:
    from airflow_provider.sandbox.code_stream.system import CodeStreamSystem

REFUSED_DELIVERY = "Invalid Oauth Refresh token. Verify webhook configuration."
PREFIXES = {"docker": "registry-events", "git": "git-events", "gerrit": "gerrit-events"}
FIELDS: dict[str, dict[str, Any]] = {
    "docker": {"repo": "shop", "repoNamespace": "acme", "imageName": "shop", "tag": "latest", "owner": "acme"},
    "git": {
        "commitId": "9f1c0de",
        "targetBranch": "master",
        "subject": "Bump version",
        "repo": "shop",
        "owner": "Demo User",
        "httpURL": "https://git.example.com/retail/shop",
        "serverURL": "https://git.example.com",
        "serverWebhookId": "192837465",
    },
    "gerrit": {
        "changeNumber": 18823,
        "patchSetNumber": 1,
        "branch": "master",
        "gerritProject": "shop",
        "listener": "gerrit",
        "trigger": "shop-changes",
        "triggerType": "AUTOMATIC",
        "type": "patchset-created",
        "actionTaken": "",
        "subject": "Bump version",
        "owner": "Demo User",
        "properties": {"GERRIT_BRANCH": "master", "GERRIT_PROJECT": "shop"},
    },
}


class Event:
    """One event; ``inputs`` is what its payload gives to the pipeline."""

    def __init__(
        self,
        kind: str,
        name: str,
        project: str,
        pipeline: str,
        fields: dict[str, Any],
        inputs: dict[str, Any],
        at: float,
    ) -> None:
        self.id = formats.new_id()
        self.kind = kind
        self.name = name
        self.project = project
        self.pipeline = pipeline
        self.fields = FIELDS[kind] | fields
        self.inputs = inputs
        self.message = ""
        self.execution: Execution | None = None
        self.execution_snapshot = ""
        self.created_at = self.updated_at = at


class Events:
    """The routes below ``/registry-events``, ``/git-events`` and ``/gerrit-events``."""

    def __init__(self, system: CodeStreamSystem) -> None:
        self._system = system
        self.all: dict[str, Event] = {}

    def add_routes(self, router: Router, api: str) -> None:
        for kind, prefix in PREFIXES.items():
            root = f"{api}/{prefix}"
            router.add("GET", root, lambda call, kind=kind: self._list(call, kind))
            router.add(
                "GET", f"{root}/{{id}}", lambda call, kind=kind: json_reply(self.document(self._find(call, kind)))
            )
            router.add("POST", f"{root}/{{id}}", lambda call, kind=kind: self._act(call, kind))
            router.add("DELETE", f"{root}/{{id}}", lambda call, kind=kind: self._delete(call, kind))
        router.add("POST", f"{api}/gerrit-events", self._trigger_gerrit)
        router.add("POST", f"{api}/gerrit-manual-trigger", self._trigger_gerrit)

    def deliver(
        self,
        kind: str,
        *,
        name: str,
        project: str,
        pipeline: str,
        fields: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        refused: str | None = None,
        at: float | None = None,
    ) -> Event:
        """A webhook delivery arrives; ``refused`` is the message of a delivery that starts nothing."""
        event = Event(kind, name, project, pipeline, fields or {}, inputs or {}, at or self._system.now)
        self.all[event.id] = event
        if refused is not None:
            event.message = refused
        else:
            self._run(event, f"{kind} webhook")
        return event

    def _run(self, event: Event, user: str) -> Execution | None:
        """Starts the pipeline of an event and links the two; a missing or disabled pipeline fills ``message``."""
        pipeline = self._system.pipelines.named(event.pipeline, event.project)
        event.updated_at = self._system.now
        if pipeline is None or not pipeline.fields["enabled"]:
            event.message = f"Pipeline {event.pipeline} is {'disabled' if pipeline else 'not available'}."
            return None
        return self._link(event, self._execute(event, user))

    def _execute(self, event: Event, user: str) -> Execution:
        pipeline = self._system.pipelines.named(event.pipeline, event.project)
        if pipeline is None:
            raise RefusedError(500, f"Pipeline {event.pipeline} is not available")
        return self._system.start(
            pipeline,
            inputs=event.inputs,
            user=user,
            comments=f"Triggered by {event.kind} event {event.id}",
            triggered_by=event.kind.upper(),
        )

    def _link(self, event: Event, execution: Execution) -> Execution:
        event.execution = execution
        event.execution_snapshot = "STARTED"
        event.message = ""
        event.updated_at = self._system.now
        return execution

    def _find(self, call: Call, kind: str) -> Event:
        event = self.all.get(call.params["id"])
        if event is None or event.kind != kind:
            raise not_found(f"Event {call.params['id']}")
        return event

    def _list(self, call: Call, kind: str) -> Response:
        documents = [self.document(event) for event in self.all.values() if event.kind == kind]
        page, total = select(call, documents, self._system.switches)
        return list_reply(page, total, self._system.switches)

    def _delete(self, call: Call, kind: str) -> Response:
        event = self._find(call, kind)
        self._system.require_write(call.user, event.project)
        del self.all[event.id]
        return json_reply(self.document(event))

    def _act(self, call: Call, kind: str) -> Response:
        event = self._find(call, kind)
        self._system.require_write(call.user, event.project)
        words, action = self._system.words, call.query("action") or ""
        if self._is_word(action, words["rerun"]):
            event = self._rerun(event, call.user)
        elif self._is_word(action, words["resume"]):
            self._resume(event)
        else:
            raise RefusedError(400, f"Unknown action {action!r}: {words['resume']} or {words['rerun']}")
        return json_reply(self.document(event))

    def _is_word(self, said: str, word: str) -> bool:
        return said == word if self._system.switches["case_sensitive_actions"] else said.lower() == word.lower()

    def _rerun(self, event: Event, user: str) -> Event:
        """Returns the event that the answer tells of."""
        mode = self._system.switches["rerun"]
        pipeline = self._system.pipelines.named(event.pipeline, event.project)
        if mode == "message_only" or pipeline is None or not pipeline.fields["enabled"]:
            event.updated_at = self._system.now
            event.message = (
                REFUSED_DELIVERY if mode == "message_only" else f"Pipeline {event.pipeline} is not available."
            )
        elif mode == "link_in_reply":
            self._run(event, user)
        elif mode == "link_later":
            execution = self._execute(event, user)
            due = self._system.now + self._system.switches["rerun_delay"]
            self._system.timeline.at(due, lambda _: self._link(event, execution) and None)
        else:
            again = Event(
                event.kind, event.name, event.project, event.pipeline, event.fields, event.inputs, self._system.now
            )
            self.all[again.id] = again
            self._run(again, user)
            return again if mode == "new_event_in_reply" else event
        return event

    def _resume(self, event: Event) -> None:
        if event.execution is None:
            raise RefusedError(400, f"Event {event.id} has no execution to resume")
        resumed = self._system.switches["event_resume"] == "continues" and self._system.machine.resume(
            event.execution, self._system.now, failed_too=True
        )
        if not resumed and self._system.switches["wrong_state_status"] != 200:
            raise RefusedError(
                self._system.switches["wrong_state_status"],
                f"Execution {event.execution.id} in status {event.execution.status} cannot be resumed",
            )
        event.updated_at = self._system.now

    def _trigger_gerrit(self, call: Call) -> Response:
        try:
            body = call.json()
        except ValueError as error:
            raise RefusedError(400, f"Malformed JSON request: {error}") from None
        if not isinstance(body, dict) or any(not body.get(name) for name in ("changeId", "project", "trigger")):
            raise RefusedError(400, "changeId, project and trigger must not be null")
        trigger = self._system.gerrit_triggers.named(body["trigger"], body["project"])
        if trigger is None:
            raise not_found(f"Gerrit trigger {body['trigger']} in project {body['project']}")
        self._system.require_write(call.user, trigger.project)
        names = []
        for configuration in trigger.fields.get("configurations") or []:
            fields = {
                "trigger": trigger.name,
                "triggerType": "MANUAL",
                "branch": trigger.fields.get("branch", "master"),
                "gerritProject": trigger.fields.get("gerritProject", ""),
                "listener": trigger.fields.get("listener", ""),
                "type": configuration.get("eventType", "patchset-created"),
                "properties": {"GERRIT_CHANGE_ID": body["changeId"]},
            }
            self.deliver(
                "gerrit",
                name=trigger.name,
                project=trigger.project,
                pipeline=configuration["pipeline"],
                fields=fields,
                inputs=configuration.get("input") or {},
            )
            names.append(configuration["pipeline"])
        return json_reply({"message": "Manual Trigger Successful", "pipelinesTriggered": names})

    def document(self, event: Event) -> dict[str, Any]:
        switches = self._system.switches
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
