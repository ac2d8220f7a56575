"""Huawei Cloud ServiceStage, new release management: release tasks ("pipelines"), their actions and executions.

Signing, IAM, error bodies and the meaning of statuses live in the modules beside this one.
"""

from __future__ import annotations

import difflib
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from airflow_provider.clients.base import Intent, Observation, ReleaseClient, concerns_one_execution
from airflow_provider.clients.huawei_credentials import HuaweiCredentials
from airflow_provider.clients.huawei_errors import read_huawei_error
from airflow_provider.clients.service_stage_actions import action_body
from airflow_provider.clients.service_stage_states import (
    ALLOWED_WHEN,
    IN_PROGRESS,
    WORDS,
    Sighting,
    execution,
    newer_than,
    newest,
    speaks_for,
    status_of,
    text_of,
    triggered_at,
)
from airflow_provider.clients.service_stage_tasks import approval_tasks, stage_tasks
from airflow_provider.clients.transport import ATTEMPTS, Transport
from airflow_provider.clients.urls import path
from airflow_provider.exceptions import (
    Call,
    ConflictError,
    Effect,
    NotFoundError,
    ReleasePipelineError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

HEADERS = {"Content-Type": "application/json;charset=utf8"}
"""Spelled as the vendor's pages do: the value is signed."""
KIND = "release"


class ServiceStageClient(ReleaseClient):
    """Release tasks of one IAM project. Authenticates with an access key, or with the password of an IAM user.

    :param base_url: scheme, host and path; default: the endpoint of ``region``.
    :param region: for example ``ap-southeast-3``.
    :param project_id: IAM project of the region (not a CodeArts project); default: asked of IAM once.
    :param iam_url: default: the IAM endpoint of ``region``.
    :param access_key: AK, with ``secret_key`` and, for temporary keys, ``security_token``.
    :param username: IAM user, with ``password`` and ``domain_name`` (the account); instead of an access key.
    :param timeout: seconds for one attempt.
    :param verify: ``True``, ``False`` or the path of a CA bundle.
    :param max_connections: connections at once.
    :param attempts: tries for one call.
    :param on_secret: told every secret, those obtained at run time too.
    :raises ConnectionConfigError: a value is missing or contradicts another one.

    https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0244.html
    """

    system = "service_stage"

    def __init__(
        self,
        base_url: str | None = None,
        *,
        region: str | None = None,
        project_id: str | None = None,
        iam_url: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        security_token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        domain_name: str | None = None,
        timeout: float = 30.0,
        verify: bool | str = True,
        max_connections: int = 8,
        attempts: int = ATTEMPTS,
        on_secret: Callable[[str], None] | None = None,
    ) -> None:
        credentials = HuaweiCredentials(
            region=region,
            project_id=project_id,
            iam_url=iam_url,
            access_key=access_key,
            secret_key=secret_key,
            security_token=security_token,
            username=username,
            password=password,
            domain_name=domain_name,
        )
        credentials.check()
        transport = Transport(
            self.system,
            base_url or credentials.endpoint("servicestage", "host"),
            timeout=timeout,
            verify=verify,
            max_connections=max_connections,
            attempts=attempts,
            read_error=functools.partial(read_huawei_error, access_key=access_key),
            on_secret=on_secret,
        )
        super().__init__(transport)
        transport.auth, self._learn_project_id = credentials.set_up(transport, attempts)
        self._approvals: dict[str, list[str]] = {}
        self._changed: set[tuple[str, str, str, bool]] = set()

    @property
    def project_id(self) -> str:
        """The IAM project whose release tasks these are; asks IAM once where it was not given."""
        return self._learn_project_id()

    def check(self) -> str:
        """List the release tasks."""
        pipelines = self.list_pipelines()
        host = urlsplit(self.transport.base_url).netloc.rpartition("@")[2]
        return f"ServiceStage at {host} answers: project {self.project_id}, {len(pipelines)} release tasks"

    # Release tasks

    def list_pipelines(self) -> list[dict[str, Any]]:
        """All release tasks of the project, with ``id``, ``name``, ``status`` and ``last_trigger_at`` (milliseconds).

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0246.html
        """
        return self._objects(self._get(""), "pipelines")

    def get_pipeline(self, pipeline_id: str) -> dict[str, Any]:
        """The detail of a release task: its stages and tasks, but not its status.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0249.html
        """
        return self._object(self._get("/{pipeline_id}", pipeline_id=pipeline_id))

    def list_stage_tasks(self, pipeline_id: str) -> dict[str, list[str]]:
        """The names that ``selected_tasks`` takes: ``{stage: [task, ...]}``."""
        return stage_tasks(self.get_pipeline(pipeline_id))

    def list_approval_tasks(self, pipeline_id: str) -> list[str]:
        """The names that ``task_name`` takes; of all tasks, where none is marked as an approval."""
        return approval_tasks(self.get_pipeline(pipeline_id))

    def create_pipeline(self, pipeline: Mapping[str, Any]) -> dict[str, Any]:
        """Create a release task.

        :param pipeline: the vendor's object: ``name``, ``config_mode`` (``ui`` with ``stages``, ``template`` with
            ``sources``), ``description``, ``enterprise_project_id``; ``model_version`` is 2 where it is not given.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0245.html
        """
        return self._object(self._write("POST", "", body={"model_version": 2, **pipeline}))

    def update_pipeline(self, pipeline_id: str, pipeline: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a release task; ``pipeline`` as for :meth:`create_pipeline`.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0247.html
        """
        body = {"model_version": 2, **pipeline}
        return self._object(self._write("PUT", "/{pipeline_id}", body=body, pipeline_id=pipeline_id))

    def delete_pipeline(self, pipeline_id: str) -> None:
        """Delete a release task."""
        self._write("DELETE", "/{pipeline_id}", pipeline_id=pipeline_id)

    def list_records(self, pipeline_id: str) -> list[dict[str, Any]]:
        """The executions of a release task: ``id``, who triggered it, and where the API says it when and ``status``.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0290.html
        """
        return self._objects(self._get("/{pipeline_id}/records", pipeline_id=pipeline_id), "records")

    def find_pipeline(self, name_or_id: str) -> dict[str, Any]:
        """The list item of a release task.

        :raises NotFoundError: none has this id or name; says which names are near.
        :raises ConflictError: several have this name; says their ids.
        """
        if not name_or_id.strip():
            raise self.bad_request("pipeline must not be empty")
        pipelines = self.list_pipelines()
        found = [item for item in pipelines if item.get("id") == name_or_id]
        found = found or [item for item in pipelines if item.get("name") == name_or_id]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(str(item.get("id")) for item in found)
            raise ConflictError(
                f"{len(found)} release tasks are called {name_or_id!r}: give the id, one of {ids}",
                call=Call(system=self.system),
            )
        names = sorted({str(item.get("name")) for item in pipelines})
        near = ", ".join(difflib.get_close_matches(name_or_id, names, n=5, cutoff=0.4) or names[:5])
        raise NotFoundError(
            f"no release task has the id or name {name_or_id!r}" + (f"; there are {near}" if near else ""),
            call=Call(system=self.system),
        )

    # Actions

    def act(
        self,
        pipeline_id: str,
        action: str,
        *,
        selected_tasks: Mapping[str, Sequence[str]] | None = None,
        task_name: str | None = None,
        approval_type: str | None = None,
        message: str | None = None,
        before: Mapping[str, Any] | None = None,
    ) -> Execution:
        """Start, stop, retry, continue or roll back a release task, or answer an approval. Accepted is not done.

        :param action: ``start``, ``stop``, ``retry``, ``approval``, ``continue`` or ``rollback``.
        :param selected_tasks: only for ``start``: ``{stage: [task, ...]}``; default: all tasks.
        :param task_name: only for ``approval``, which needs it: name of the approval task.
        :param approval_type: only for ``approval``, which needs it: ``agree`` or ``refuse``.
        :param message: only for ``approval``: a comment.
        :param before: the list item just before, as of :meth:`find_pipeline`; default: it is read here.
        :raises BadRequestError: an argument is wrong, or the task's status does not allow the action.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0248.html
        """
        try:
            body = action_body(action, selected_tasks, task_name, approval_type, message)
        except ValueError as error:
            raise self.bad_request(str(error)) from None
        self._need(pipeline_id, "pipeline_id")
        item = self._item(pipeline_id) if before is None else before
        since = time.time()
        reply = self._object(
            self._write("POST", "/{pipeline_id}/action", {"action_id": action}, body=body, pipeline_id=pipeline_id)
        )
        execution_id = text_of(reply, "id")
        if not execution_id:
            raise UnexpectedResponseError(
                f"the answer to the action {action!r} names no execution",
                call=Call(system=self.system, method="POST", status=200),
                effect=Effect.UNKNOWN,
            )
        ref = {
            **self._ref(pipeline_id, execution_id, action),
            "status_before": status_of(item),
            "triggered_before": triggered_at(item),
            "since": f"{since:.3f}",
        }
        return execution(ref, Sighting(reply, certain=True))

    def stop(self, pipeline: str) -> Execution:
        """Stop a release task; one that has ended or is paused already counts as stopped.

        :param pipeline: its name or id.
        """
        item = self.find_pipeline(pipeline)
        pipeline_id = str(item["id"])
        try:
            return self.act(pipeline_id, "stop", before=item)
        except ReleasePipelineError as error:
            if error.effect is not Effect.REFUSED:
                raise
            seen = self._look_at_the_last(self._ref(pipeline_id, "", "stop"), self._item(pipeline_id))
            if not seen.state.is_terminal:
                raise
            return seen

    def before_action(self, pipeline: str) -> dict[str, str]:
        """What an intent must hold from just before an action, for :meth:`find_started`.

        :param pipeline: name or id of the release task.
        :return: ``pipeline_id``, ``newest_record`` ("" if there is none), ``status_before``, ``triggered_before``.
        """
        item = self.find_pipeline(pipeline)
        pipeline_id = str(item["id"])
        return {
            "pipeline_id": pipeline_id,
            "newest_record": text_of(newest(self._records(pipeline_id)) or {}, "id"),
            "status_before": status_of(item),
            "triggered_before": triggered_at(item),
        }

    # Executions

    def look(self, ref: ExecutionRef) -> Execution:
        """What a release is doing: its record's status, or else the list item's where that is not an old one."""
        self._check_ref(ref)
        return self._look(ref, None)

    def fetch(self, refs: Sequence[ExecutionRef]) -> list[Observation]:
        """One list for all release tasks; records only where it does not settle what an execution is doing."""
        if len(refs) < 2:
            return super().fetch(refs)
        items = {str(item.get("id")): item for item in self.list_pipelines()}
        observations: list[Observation] = []
        for ref in refs:
            try:
                self._check_ref(ref)
                observations.append(self._look(ref, items.get(ref["pipeline_id"])))
            except ReleasePipelineError as error:
                if not concerns_one_execution(error):
                    raise
                observations.append(error)
        return observations

    def _look(self, ref: ExecutionRef, item: Mapping[str, Any] | None) -> Execution:
        if not ref["id"]:
            return self._look_at_the_last(ref, item or self._item(ref["pipeline_id"]))
        if item and speaks_for(ref, item):
            return self._execution(ref, Sighting(item, certain=False))
        records = self._records(ref["pipeline_id"])
        record = next((record for record in records if text_of(record, "id") == ref["id"]), None)
        if record and status_of(record):
            return self._execution(ref, Sighting(record, certain=True))
        if ref["id"].isdecimal() and (later := newer_than(records, ref["id"])):
            return Execution(
                ref,
                ExecutionState.UNKNOWN,
                "",
                message=f"the records do not say how it ended before the execution {text_of(later[0], 'id')} came",
            )
        item = item or self._item(ref["pipeline_id"])
        return self._execution(ref, Sighting({**(record or {}), **_state_of(item), "id": ref["id"]}, certain=False))

    def _look_at_the_last(self, ref: ExecutionRef, item: Mapping[str, Any]) -> Execution:
        if status_of(item) in IN_PROGRESS or status_of(item) == "1":
            return self._execution(ref, Sighting(item, certain=False))
        record = newest(self._records(ref["pipeline_id"])) or {}
        about = {**_state_of(item), **record}
        return self._execution({**ref, "id": text_of(record, "id")}, Sighting(about, certain=bool(status_of(record))))

    def _execution(self, ref: ExecutionRef, sighting: Sighting) -> Execution:
        # List and records may lag on their own: what one has shown says nothing about the other.
        key = (ref["pipeline_id"], ref["id"], ref.get("since", ""), sighting.certain)
        if sighting.status != ref.get("status_before", ""):
            self._changed.add(key)
        seen = execution(ref, sighting, has_changed=key in self._changed, approvals=self._approvals_of(ref, sighting))
        if seen.state.is_terminal:
            self._changed.discard(key)
        return seen

    def _approvals_of(self, ref: ExecutionRef, sighting: Sighting) -> list[str]:
        """The tasks that may wait for an approval; asked once for each wait, and never a reason to fail it."""
        pipeline_id = ref["pipeline_id"]
        if sighting.status != "5":
            self._approvals.pop(pipeline_id, None)
            return []
        if pipeline_id not in self._approvals:
            try:
                self._approvals[pipeline_id] = self.list_approval_tasks(pipeline_id)
            except ReleasePipelineError:
                self._approvals[pipeline_id] = []
        return self._approvals.get(pipeline_id, [])

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        """Stop the release task, but only while this very execution is its last one; ``reason`` has no place to go."""
        self._check_ref(ref)
        if not ref["id"]:
            raise self.bad_request("only a release with an execution id can be canceled")
        if ref.get("action") == "stop":
            return
        if self._is_over(ref):
            return
        try:
            self._write("POST", "/{pipeline_id}/action", {"action_id": "stop"}, body={}, pipeline_id=ref["pipeline_id"])
        except ReleasePipelineError as error:
            if error.effect is not Effect.REFUSED or not self._is_over(ref):
                raise

    def _is_over(self, ref: ExecutionRef) -> bool:
        records = self._records(ref["pipeline_id"])
        if newer_than(records, ref["id"]):
            return True
        state = self._look(ref, None).state
        return state.is_terminal or state is ExecutionState.PAUSED

    def find_started(self, intent: Intent) -> Execution | None:
        """The execution that an action led to whose answer was lost.

        :param intent: also holds ``pipeline_id``, ``action``, and from just before the action ``newest_record`` (an id,
            "" if there was none), ``status_before`` and ``triggered_before``.
        :raises ConflictError: something happened, but not certainly by this action.
        """
        pipeline_id, action = str(intent["pipeline_id"]), str(intent["action"])
        before, status_before = str(intent["newest_record"]), str(intent["status_before"])
        item, records = self._item(pipeline_id), self._records(pipeline_id)
        later = newer_than(records, before)
        ref = {
            **self._ref(pipeline_id, "", action),
            "status_before": status_before,
            "triggered_before": str(intent["triggered_before"]),
            "since": f"{float(intent['since']):.3f}",
        }
        if len(later) == 1 and action not in ("stop", "approval"):
            record = {**_state_of(item), **later[0]}
            return self._execution(
                {**ref, "id": text_of(record, "id")}, Sighting(record, certain=bool(status_of(later[0])))
            )
        same = next((record for record in records if before and text_of(record, "id") == before), {})
        status_now = (status_of(same) if action != "start" else "") or status_of(item)
        changed = status_now != status_before and status_now not in ALLOWED_WHEN.get(action, ())
        if action != "start" and same and changed and not later:
            return self._execution({**ref, "id": before}, Sighting({**_state_of(item), **same}, certain=True))
        # Without a new record, an ended status is that of the execution before; only one in progress raises a doubt.
        running = changed and (action != "start" or status_now in IN_PROGRESS)
        if not later and not running and triggered_at(item) == ref["triggered_before"]:
            return None
        seen = ", ".join(text_of(record, "id") for record in later) or "none"
        raise ConflictError(
            f"cannot tell whether the action {action!r} took effect: release task {pipeline_id} was in status "
            f"{status_before or 'unknown'} with the last execution {before or 'none'}, is now in status "
            f"{status_now} ({WORDS.get(status_now, 'unknown')}), and has these later executions: {seen}",
            call=Call(system=self.system),
        )

    # Calls

    def _get(self, below: str, **values: str) -> Any:
        return self.transport.get(self._path(below, **values), headers=self._headers())

    def _write(
        self, method: str, below: str, params: Mapping[str, str] | None = None, *, body: object = None, **values: str
    ) -> Any:
        return self.transport.request(
            method, self._path(below, **values), params, body=body, headers=self._headers()
        ).data

    def _path(self, below: str, **values: str) -> str:
        for name, value in values.items():
            self._need(value, name)
        return path("/v3/{project_id}/pipeline/pipelines" + below, project_id=self.project_id, **values)

    def _headers(self) -> dict[str, str]:
        return {**HEADERS, "X-Project-Id": self.project_id}

    def _records(self, pipeline_id: str) -> list[dict[str, Any]]:
        """The records; none where the region does not publish that call, which is younger than the others."""
        try:
            return self.list_records(pipeline_id)
        except NotFoundError as error:
            if not (error.code or "").startswith("APIG"):
                raise
            return []

    def _item(self, pipeline_id: str) -> dict[str, Any]:
        item = next((item for item in self.list_pipelines() if item.get("id") == pipeline_id), None)
        if item is None:
            raise NotFoundError(f"no release task has the id {pipeline_id!r}", call=Call(system=self.system))
        return item

    def _ref(self, pipeline_id: str, execution_id: str, action: str) -> ExecutionRef:
        return {
            "system": self.system,
            "kind": KIND,
            "id": execution_id,
            "pipeline_id": pipeline_id,
            "action": action,
        }

    def _check_ref(self, ref: ExecutionRef) -> None:
        if ref.get("kind") != KIND:
            raise self.bad_request(f"kind must be {KIND!r}, but is {ref.get('kind')!r}")
        self._need(ref.get("pipeline_id"), "pipeline_id")

    def _need(self, value: str | None, name: str) -> None:
        if not value or not value.strip():
            raise self.bad_request(f"{name} must not be empty")

    def _object(self, body: Any) -> dict[str, Any]:
        if not isinstance(body, dict):
            raise self._unexpected("an object", body)
        return body

    def _objects(self, body: Any, name: str) -> list[dict[str, Any]]:
        """A list that comes in an object under ``name``, or bare: the vendor's pages show both."""
        items = body.get(name) if isinstance(body, dict) else body
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise self._unexpected(f"a list of {name}", body)
        return items

    def _unexpected(self, wanted: str, body: Any) -> UnexpectedResponseError:
        return UnexpectedResponseError(
            f"the answer should be {wanted}, but is {'empty' if body is None else type(body).__name__}",
            call=Call(system=self.system),
            effect=Effect.UNKNOWN,
        )


def _state_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """What a list item says about the last execution, under the names of a record."""
    return {
        "pipeline_id": item.get("id"),
        "status": item.get("status"),
        "trigger_at": item.get("last_trigger_at"),
    }
