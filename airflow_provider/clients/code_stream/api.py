"""The operations of the Code Stream API as typed methods. What all systems do alike stands in ``client.py``."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Unpack

from airflow_provider.clients.code_stream.calls import PAGE, Calls, equal, read_error
from airflow_provider.clients.code_stream.events import EVENT_PATHS, event_time, was_triggered_by_hand
from airflow_provider.clients.code_stream.executions import execution_ref, request_time, to_execution
from airflow_provider.clients.code_stream.fields import Json, id_from_link, id_of
from airflow_provider.clients.code_stream.logins import NO_SERVICE, OnPremLogin, SaasLogin
from airflow_provider.clients.code_stream.resources import (
    CloneableResource,
    GerritListeners,
    PatchableResource,
    Pipelines,
    Resource,
)
from airflow_provider.clients.code_stream.words import Words
from airflow_provider.clients.one_piece import OnePieceClient
from airflow_provider.clients.transport import Transport, TransportOptions
from airflow_provider.clients.urls import path
from airflow_provider.clients.waitable import concerns_one_execution
from airflow_provider.exceptions import (
    BadRequestError,
    Call,
    ConflictError,
    ConnectionConfigError,
    Effect,
    NotFoundError,
    PermissionDeniedError,
    ReleasePipelineError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionState

NEWEST_EXECUTION_FIRST = "_requestTimeInMicros desc"
NEWEST_FIRST = "_createTimeInMicros desc"
_FEW = 10
"""Older events in a row after which a list that has kept its order holds no younger ones."""
UI_URL = "{base}/automation/#/codestream/executions/{id}"

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class CodeStreamApi(OnePieceClient):
    """VMware Code Stream / Aria Automation Pipelines 8.x, one method for every operation.

    :param base_url: of the appliance or the SaaS API, such as ``https://vra.example.com``.
    :param username: with ``password``, and ``domain`` for a directory user.
    :param refresh_token: instead: an API token; with ``token_url`` one of the SaaS token service.
    :param api_prefix: ``/codestream/api`` or its older alias ``/pipeline/api``.
    :param ui_url: of an execution's page, with ``{base}`` and ``{id}``.
    :param words: the server's words for ``rerun``, ``resume``, ``approve`` and ``reject``, where it has others than
        :data:`~airflow_provider.clients.code_stream.words.WORDS`.
    :param options: ``timeout``, ``verify``, ``max_connections``, ``attempts`` and ``on_secret`` of its
        :class:`~airflow_provider.clients.transport.Transport`.
    :raises ConnectionConfigError: the credentials are incomplete or contradict each other, or a word is unusable.
    """

    system = "code_stream"

    def __init__(
        self,
        base_url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        domain: str | None = None,
        refresh_token: str | None = None,
        api_prefix: str = "/codestream/api",
        api_version: str = "2019-10-17",
        token_url: str | None = None,
        ui_url: str | None = None,
        words: Mapping[str, str] | None = None,
        **options: Unpack[TransportOptions],
    ) -> None:
        _check_credentials(username, password, domain, refresh_token, token_url)
        self._words = Words(words)
        transport = Transport(
            self.system,
            base_url,
            read_error=read_error,
            **options,
        )
        super().__init__(transport)
        if token_url:
            transport.auth = SaasLogin(transport, token_url=token_url, refresh_token=str(refresh_token))
        else:
            transport.auth = OnPremLogin(
                transport, username=username, password=password, domain=domain, refresh_token=refresh_token
            )
        self._ui_url = (ui_url or UI_URL).replace("{base}", transport.base_url)
        self._calls = Calls(transport, api_prefix, api_version)
        self.pipelines = Pipelines(self._calls, "/pipelines")
        self.variables = Resource(self._calls, "/variables")
        self.git_webhooks = Resource(self._calls, "/git-webhooks")
        self.registry_webhooks = PatchableResource(self._calls, "/registry-webhooks")
        self.gerrit_listeners = GerritListeners(self._calls, "/gerrit-listeners")
        self.gerrit_triggers = CloneableResource(self._calls, "/gerrit-triggers")

    def execution_url(self, execution_id: str) -> str:
        return self._ui_url.replace("{id}", execution_id)

    def about(self) -> Json:
        """:raises NotFoundError: this host has no Pipelines service; says why that may be."""
        try:
            return self._calls.get("/about")
        except NotFoundError as error:
            raise NotFoundError(NO_SERVICE, call=error.call) from None

    # --- pipelines ---

    def list_pipelines(self, where: str | None = None, *, limit: int | None = None) -> list[Json]:
        """:param where: the ``$filter``, such as ``project eq 'retail'``."""
        return self.pipelines.list(where, limit=limit)

    def get_pipeline(self, pipeline_id: str) -> Json:
        return self.pipelines.get(pipeline_id)

    def find_pipeline(self, name_or_id: str, project: str | None = None) -> Json:
        """The one enabled pipeline of this name or id.

        :raises NotFoundError: there is none; names similar ones.
        :raises ConflictError: several projects have one of this name, or it is disabled.
        """
        if not name_or_id.strip():
            raise self.bad_request("pipeline must not be empty")
        found = self._pipelines_called(name_or_id, project)
        if not found:
            near = self._near_names(name_or_id, project)
            raise NotFoundError(
                f"there is no pipeline {name_or_id!r}" + (f" in project {project!r}" if project else "") + near,
                call=Call(system=self.system),
            )
        if len(found) > 1:
            projects = ", ".join(sorted(repr(str(each.get("project"))) for each in found))
            raise ConflictError(
                f"pipeline {name_or_id!r} is in the projects {projects}: say which with `project`",
                call=Call(system=self.system),
            )
        if found[0].get("enabled") is False:
            raise ConflictError(
                f"pipeline {found[0].get('name')!r} of project {found[0].get('project')!r} is disabled",
                call=Call(system=self.system),
            )
        return found[0]

    def _pipelines_called(self, name_or_id: str, project: str | None) -> list[Json]:
        is_uuid = bool(_UUID.fullmatch(name_or_id))
        found = self._pipeline_of_id(name_or_id) if is_uuid else []
        if not found:
            # How a quote is escaped in a filter is not documented.
            where = None if "'" in name_or_id + (project or "") else equal({"name": name_or_id, "project": project})
            found = [each for each in self.list_pipelines(where) if each.get("name") == name_or_id]
        if not found and not is_uuid:
            # Ids are texts of any form.
            found = self._pipeline_of_id(name_or_id)
        return [each for each in found if project is None or each.get("project") == project]

    def _pipeline_of_id(self, pipeline_id: str) -> list[Json]:
        with contextlib.suppress(NotFoundError, BadRequestError):
            return [self.get_pipeline(pipeline_id)]
        return []

    def _near_names(self, name: str, project: str | None) -> str:
        names = {str(each.get("name")) for each in self.list_pipelines() if project in (None, each.get("project"))}
        by_lower = {each.lower(): each for each in sorted(names)}
        near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
        return f"; similar: {', '.join(repr(by_lower[each]) for each in near)}" if near else ""

    def run_pipeline(
        self,
        pipeline_id: str,
        *,
        inputs: Mapping[str, Any] | None = None,
        comments: str | None = None,
        tags: Sequence[str] | None = None,
    ) -> Execution:
        """Start an execution. Never repeated: look for ``comments`` with ``find_started`` after a lost answer.

        :param inputs: those left out take the pipeline's defaults.
        :param comments: begins with the marker of the start, if there is one: the server may cut a long text.
        """
        if inputs is not None and not isinstance(inputs, Mapping):
            raise self.bad_request(f"inputs must be a mapping, but is a {type(inputs).__name__}")
        if isinstance(tags, str):
            raise self.bad_request("tags must be a list of texts, but is one text")
        body = {"input": inputs, "comments": comments, "tags": list(tags) if tags else None}
        where = path("/pipelines/{pipeline_id}/executions", pipeline_id=pipeline_id)
        given = {name: value for name, value in body.items() if value is not None}
        reply = self._calls.send("POST", where, body=given, attempts=1)
        # Older servers answer with the link only.
        execution_id = str(reply.get("executionId") or "") or id_from_link(reply.get("executionLink"))
        if not execution_id:
            raise UnexpectedResponseError(
                "the start was answered without an executionId or executionLink",
                call=Call(system=self.system, method="POST", path=where),
                effect=Effect.UNKNOWN,
            )
        return Execution(
            execution_ref(execution_id), ExecutionState.QUEUED, status="", url=self.execution_url(execution_id)
        )

    # --- executions ---

    def list_executions(self, where: str | None = None, *, limit: int | None = None) -> list[Json]:
        """Newest first. :param where: the ``$filter``, such as ``status eq 'FAILED' and _nested eq 'false'``."""
        return list(self._calls.rows("/executions", where=where, order=NEWEST_EXECUTION_FIRST, limit=limit))

    def _runs_since(self, name: str, project: str, since: datetime) -> Iterator[Json]:
        """The executions of a pipeline that were requested since then, newest first, but for nested and rollback ones.

        None where the server refuses to list them: that says nothing about them.
        """
        if not name:
            return
        # How a quote is escaped in a filter is not documented.
        where = None if "'" in name + project else equal({"name": name, "project": project})
        rows = self._calls.rows("/executions", where=where, order=NEWEST_EXECUTION_FIRST)
        try:
            for row in _down_to(since, rows, request_time):
                is_of_pipeline = (row.get("name"), row.get("project")) == (name, project)
                if is_of_pipeline and not row.get("_nested") and not row.get("_rollback"):
                    yield row
        except ReleasePipelineError as error:
            if not concerns_one_execution(error):
                raise

    def get_execution(self, execution_id: str) -> Json:
        """With its stages and tasks."""
        return self._calls.get(
            path("/executions/{execution_id}", execution_id=execution_id), {"expand": "PIPELINE_STAGE_TASK"}
        )

    def act_on_execution(
        self, execution_id: str, action: Literal["cancel", "pause", "resume"], reason: str | None = None
    ) -> Execution:
        """:returns: the state right after acceptance (``CANCELING``, ...), not the final one."""
        if action not in ("cancel", "pause", "resume"):
            raise self.bad_request(f"action must be cancel, pause or resume, but is {action!r}")
        return self._act(execution_id, action, {"reason": reason} if reason else {})

    def tag_execution(self, execution_id: str, tags: Sequence[str]) -> Execution:
        """Replace the tags of an execution."""
        return self._act(execution_id, "tag", {"tags": list(tags)})

    def delete_execution(self, execution_id: str) -> Json:
        return self._calls.send("DELETE", path("/executions/{execution_id}", execution_id=execution_id))

    def _act(self, execution_id: str, action: str, body: Json) -> Execution:
        where = path("/executions/{execution_id}", execution_id=execution_id)
        return self._execution(self._calls.send("POST", where, {"action": action}, body))

    def _execution(self, document: Json) -> Execution:
        return to_execution(document, self.execution_url(id_of(document)))

    # --- trigger events ---

    def list_events(
        self,
        event_type: str,
        where: str | None = None,
        *,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> list[Json]:
        """Trigger events, newest first.

        :param event_type: ``docker``, ``git`` or ``gerrit``.
        :param since: aware; older ones are left out, and not read where the server keeps to the order asked for.
        """
        return list(self._events(event_type, where, since, limit))

    def _events(
        self, event_type: str, where: str | None = None, since: datetime | None = None, limit: int | None = None
    ) -> Iterator[Json]:
        return _down_to(
            since,
            self._calls.rows(self._event_path(event_type), where=where, order=NEWEST_FIRST, limit=limit),
            event_time,
        )

    def get_event(self, event_type: str, event_id: str) -> Json:
        return self._calls.get(self._event_path(event_type) + path("/{event_id}", event_id=event_id))

    def delete_event(self, event_type: str, event_id: str) -> Json:
        return self._calls.send("DELETE", self._event_path(event_type) + path("/{event_id}", event_id=event_id))

    def rerun_event(
        self,
        event_type: str,
        event_id: str,
        action: Literal["rerun", "resume"] = "rerun",
    ) -> Json:
        """Start the event's pipeline anew, or continue the execution that the event led to. Never repeated.

        Vendor pages: "Resume Or Rerun Event Using POST" (Docker), "... POST 1" (Gerrit), "... POST 2" (Git).

        :returns: the event, which may still point to the old execution: ``before_rerun`` tells how that is seen.
        """
        self._check_event_action(action)
        where = self._event_path(event_type) + path("/{event_id}", event_id=event_id)
        # The operation declares that it takes JSON, though it has no body.
        headers = {"Content-Type": "application/json"}
        return self._calls.send("POST", where, {"action": self._words[action]}, headers=headers, attempts=1)

    def _check_event_action(self, action: str) -> None:
        if action not in ("rerun", "resume"):
            raise self.bad_request(f"action must be rerun or resume, but is {action!r}")

    def trigger_gerrit(self, change_id: str, project: str, trigger: str) -> Json:
        """Trigger by hand what a Gerrit change would.

        :returns: ``message`` and ``pipelinesTriggered``, which holds names only.
        """
        body = {"changeId": change_id, "project": project, "trigger": trigger}
        for name, value in {"change_id": change_id, "project": project, "trigger": trigger}.items():
            if not value:
                raise self.bad_request(f"{name} must not be empty")
        return self._calls.send("POST", "/gerrit-events", body=body)

    def triggered_by_hand(self, change_id: str, project: str, trigger: str) -> list[Json]:
        """The newest Gerrit events that manual triggers of this change may have led to, newest first."""
        events = self.list_events("gerrit", limit=PAGE)
        return [each for each in events if was_triggered_by_hand(each, change_id, project, trigger)]

    def _event_path(self, event_type: str) -> str:
        if event_type not in EVENT_PATHS:
            raise self.bad_request(f"event_type must be {', '.join(EVENT_PATHS)}, but is {event_type!r}")
        return EVENT_PATHS[event_type]

    # --- user operations: approvals ---

    def list_user_operations(self, where: str | None = None, *, limit: int | None = None) -> list[Json]:
        """:param where: the ``$filter``, such as ``status eq 'ACTIVE'``."""
        rows = self._calls.rows("/user-operations", where=where, limit=limit)
        return [self._calls.keep_secret(row) for row in rows]

    def get_user_operation(self, user_operation_id: str) -> Json:
        return self._calls.keep_secret(self._calls.get(_user_operation(user_operation_id)))

    def delete_user_operation(self, user_operation_id: str) -> Json:
        return self._calls.keep_secret(self._calls.send("DELETE", _user_operation(user_operation_id)))

    def answer_user_operation(self, user_operation_id: str, approve: bool, message: str | None = None) -> Json:
        """Approve or reject, and check that it took. The same answer given twice is taken once.

        :returns: the user operation as it is afterwards.
        :raises PermissionDeniedError: the answer was ignored: the login is not one of the approvers.
        :raises ConflictError: it was answered otherwise, expired or was withdrawn.
        """
        answer = _answer(approve)
        before = self.get_user_operation(user_operation_id)
        if _status(before) != "ACTIVE":
            return self._answered(before, answer)
        body = {"status": self._words[answer], "responseMessage": message or ""}
        try:
            self._calls.keep_secret(self._calls.send("PATCH", _user_operation(user_operation_id), body=body))
        except ReleasePipelineError as error:
            if not error.effect.is_open:
                raise
            after = self.get_user_operation(user_operation_id)
            if _status(after) == "ACTIVE":
                raise
        else:
            after = self.get_user_operation(user_operation_id)
        return self._answered(after, answer)

    def _answered(self, operation: Json, answer: str) -> Json:
        if self._words.is_taken(answer, _status(operation)):
            return operation
        name = f"user operation {operation.get('index') or operation.get('id')}"
        if _status(operation) == "ACTIVE":
            approvers = operation.get("approvers")
            raise PermissionDeniedError(
                f"the answer to {name} was ignored: the connection's login is probably not one of its approvers "
                f"({', '.join(approvers) if isinstance(approvers, list) else approvers})",
                call=Call(system=self.system),
            )
        by = f" by {operation['respondedBy']}" if operation.get("respondedBy") else ""
        raise ConflictError(f"{name} is already {_status(operation)}{by}", call=Call(system=self.system))

    def batch_user_operations(
        self, user_operation_ids: Sequence[str], approve: bool, message: str | None = None
    ) -> Json:
        """Answer many at once; an answer that was not taken is no error here.

        :returns: ``success`` and ``failure`` as counts, ``errors`` as objects with ``id`` (may be ``None``) and
            ``error``.
        """
        if isinstance(user_operation_ids, str) or not user_operation_ids:
            raise self.bad_request("user_operation_ids must be a list of ids")
        word = self._words[_answer(approve)]
        body = {"ids": list(user_operation_ids), "status": word, "responseMessage": message or ""}
        reply = self._calls.send("POST", "/batch-user-operations", body=body)
        errors = reply.get("errors") or []
        reply["errors"] = [each if isinstance(each, dict) else {"id": None, "error": str(each)} for each in errors]
        return reply


def _down_to(
    since: datetime | None, newest_first: Iterable[Json], time_of: Callable[[Json], datetime | None]
) -> Iterator[Json]:
    """The documents that are not older than ``since``, read on while a list may hold some.

    Times may have lost the fraction of their second.
    """
    older = 0
    is_ordered, last = True, None
    for document in newest_first:
        moment = time_of(document)
        if since is None or (moment is not None and moment >= since.replace(microsecond=0)):
            yield document
        elif (older := older + 1) >= (_FEW if is_ordered else PAGE):
            return
        is_ordered &= moment is not None and (last is None or moment.replace(microsecond=0) <= last)
        last = moment


def _answer(approve: bool) -> str:
    return "approve" if approve else "reject"


def _user_operation(user_operation_id: str) -> str:
    return path("/user-operations/{user_operation_id}", user_operation_id=user_operation_id)


def _status(operation: Json) -> str:
    return str(operation.get("status") or "").upper()


def _check_credentials(
    username: str | None, password: str | None, domain: str | None, refresh_token: str | None, token_url: str | None
) -> None:
    wrong = None
    if refresh_token and (username or password):
        wrong = "give username and password, or refresh_token, not both"
    elif token_url and not refresh_token:
        wrong = "token_url needs refresh_token"
    elif domain and not username:
        wrong = "domain needs username and password"
    elif not refresh_token and not (username and password):
        wrong = "username and password are needed, or refresh_token"
    if wrong:
        raise ConnectionConfigError(wrong, call=Call(system="code_stream"))
