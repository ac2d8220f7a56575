"""Huawei Cloud ServiceStage, new release management: release tasks ("pipelines"), their actions and executions.

Signing, IAM, error bodies and the meaning of statuses live in the modules beside this one.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Unpack
from urllib.parse import urlsplit

from msgspec.structs import replace

from airflow_provider.clients.base import Found, Intent, Observation, concerns_one_execution
from airflow_provider.clients.listing import Listing
from airflow_provider.clients.memory import Recent, has_changed
from airflow_provider.clients.service_stage.actions import action_body
from airflow_provider.clients.service_stage.calls import ReleaseTaskCalls
from airflow_provider.clients.service_stage.credentials import HuaweiCredentials
from airflow_provider.clients.service_stage.errors import read_huawei_error
from airflow_provider.clients.service_stage.listing import Glance, decode_tasks
from airflow_provider.clients.service_stage.states import (
    ALLOWED_WHEN,
    IN_PROGRESS,
    STOPPING,
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
from airflow_provider.clients.transport import Transport, TransportOptions
from airflow_provider.clients.urls import page
from airflow_provider.exceptions import (
    Call,
    ConflictError,
    Effect,
    NotFoundError,
    ReleasePipelineError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState

KIND = "release"

UNCERTAIN = 10.0
"""Seconds until the records are asked again where the list and they do not agree yet."""
UNTIMED = 300.0
"""Seconds until the records are asked again where a list does not show that a release was triggered again."""


@dataclass(slots=True)
class _Told:
    """What a wait was told, what the list showed then, and when (monotonic) the list alone no longer will do."""

    execution: Execution
    glance: Glance | None
    due: float


class ServiceStageClient(ReleaseTaskCalls):
    """Release tasks of one IAM project. Authenticates with an access key, or with the password of an IAM user.

    :param base_url: scheme, host and path; default: the endpoint of ``region``.
    :param region: for example ``ap-southeast-3``.
    :param project_id: IAM project of the region (not a CodeArts project); default: asked of IAM once.
    :param iam_url: default: the IAM endpoint of ``region``.
    :param access_key: AK, with ``secret_key`` and, for temporary keys, ``security_token``.
    :param username: IAM user, with ``password`` and ``domain_name`` (the account); instead of an access key.
    :param ui_url: of an execution's page, with ``{base}``, ``{pipeline_id}`` and ``{id}``; default: none is known.
    :param options: ``timeout``, ``verify``, ``max_connections``, ``attempts`` and ``on_secret`` of its
        :class:`~airflow_provider.clients.transport.Transport`.
    :raises ConnectionConfigError: a value is missing or contradicts another one.

    https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0244.html
    """

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
        ui_url: str | None = None,
        **options: Unpack[TransportOptions],
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
            read_error=functools.partial(read_huawei_error, access_key=access_key),
            **options,
        )
        super().__init__(transport)
        transport.auth, self._learn_project_id = credentials.set_up(transport)
        self._ui_url = ui_url
        self._approvals: Recent[str, list[str]] = Recent()
        self._changed: Recent[tuple[str, str, str, bool], bool] = Recent()

    @property
    def place(self) -> str:
        return f"{super().place} project {self.project_id}"

    def check(self) -> str:
        """List the release tasks."""
        pipelines = self.list_pipelines()
        host = urlsplit(self.transport.base_url).netloc.rpartition("@")[2]
        return f"ServiceStage at {host} answers: project {self.project_id}, {len(pipelines)} release tasks"

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
        return self._with_url(execution(ref, Sighting(reply, certain=True)))

    def stop(self, name_or_id: str) -> Execution:
        """Stop what a release task does now, unless it is stopping, paused or over already, or becomes so meanwhile.

        :raises ConflictError: it was never executed.
        """
        item = self.find_pipeline(name_or_id)
        pipeline_id = str(item["id"])
        ref = self._ref(pipeline_id, "", "stop")
        last = self._look_at_the_last(ref, item)
        if last.status == "1":
            raise ConflictError(
                f"nothing to stop: release task {name_or_id!r} was never executed", call=Call(system=self.system)
            )
        if _is_stopped(last):
            return last
        try:
            return self.act(pipeline_id, "stop", before=item)
        except ReleasePipelineError as error:
            if error.effect is Effect.NONE:
                raise
            # Refused because it is so already, or taken although the answer was lost.
            last = self._look_at_the_last(ref, self._item(pipeline_id))
            if not _is_stopped(last):
                raise
            return last

    def before_action(self, name_or_id: str) -> dict[str, str]:
        """What an intent must hold from just before an action, for :meth:`find_started`.

        :return: ``pipeline_id``, ``newest_record`` ("" if there is none), ``status_before``, ``triggered_before``.
        :raises NotFoundError: as :meth:`find_pipeline`, like ``ConflictError``.
        """
        item = self.find_pipeline(name_or_id)
        pipeline_id = str(item["id"])
        return {
            "pipeline_id": pipeline_id,
            "newest_record": text_of(newest(self._records(pipeline_id)) or {}, "id"),
            "status_before": status_of(item),
            "triggered_before": triggered_at(item),
        }

    # Executions

    def _observe(self, ref: ExecutionRef) -> Execution:
        """What a release is doing: its record's status, or else the list item's where that is not an old one."""
        self._check_ref(ref)
        return self._look(ref, None)

    def shared_request(self, ref: ExecutionRef) -> str | None:
        return "release tasks"

    def _fetch(self, refs: Sequence[ExecutionRef]) -> list[Found]:
        """One list for all release tasks; records only where it says that something has moved, or is not certain."""
        listing = self._listing() if len(refs) > 1 else None
        now = time.monotonic()
        observations: list[Found] = []
        for ref, told in zip(refs, self._receipts.values_of(refs), strict=True):
            glance = listing.glance(ref.get("pipeline_id", "")) if listing else None
            if told and glance == told.glance and now < told.due:
                observations.append(None)
                continue
            item = listing.item(ref["pipeline_id"]) if listing and glance else None
            look = partial(self._look_now, ref, told, item, glance)
            observations.append(look() if item and _tells_enough(ref, item) else look)
        return observations

    def _look_now(
        self, ref: ExecutionRef, told: _Told | None, item: Mapping[str, Any] | None, glance: Glance | None
    ) -> Observation | None:
        try:
            self._check_ref(ref)
            return self._told_now(told, self._look(ref, item), glance)
        except ReleasePipelineError as error:
            if not concerns_one_execution(error):
                raise
            return error

    def _listing(self) -> Listing[Glance]:
        answer = self.transport.request("GET", self._path(""), headers=self._headers(), decode=decode_tasks).data
        if not isinstance(answer, Listing):
            raise self._unexpected("a list of pipelines", answer)
        return answer

    def _told_now(self, told: _Told | None, seen: Execution, glance: Glance | None) -> Execution | None:
        due = time.monotonic() + _seconds_until_next_look(seen, glance)
        if told and not seen.state.is_terminal and not has_changed(told.execution, seen):
            told.glance, told.due = glance, due
            return None
        return self._receipts.hand_out(seen, _Told(seen, glance, due))

    def _look(self, ref: ExecutionRef, item: Mapping[str, Any] | None) -> Execution:
        if not ref["id"]:
            return self._look_at_the_last(ref, item or self._item(ref["pipeline_id"]))
        if item and speaks_for(ref, item):
            return self._execution(ref, Sighting(item, certain=False))
        published = self._published_records(ref["pipeline_id"])
        records = published or []
        record = next((record for record in records if text_of(record, "id") == ref["id"]), None)
        if record and status_of(record):
            return self._execution(ref, Sighting(record, certain=True))
        is_told_by_nobody = record is None and not ref.get("since")
        if is_told_by_nobody and (published is not None or not ref["id"].isdecimal()):
            # Only of our own action it is known that the list may tell of it before the records do.
            raise NotFoundError(
                f"release task {ref['pipeline_id']!r} has no execution {ref['id']!r}", call=Call(system=self.system)
            )
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
            self._changed.put(key, True)
        moved = self._changed.get(key) is not None
        seen = execution(ref, sighting, has_changed=moved, approvals=self._approvals_of(ref, sighting))
        if seen.state.is_terminal:
            self._changed.drop(key)
        return self._with_url(seen)

    def _with_url(self, seen: Execution) -> Execution:
        return replace(seen, url=page(self._ui_url, self.transport.base_url, seen.ref))

    def _approvals_of(self, ref: ExecutionRef, sighting: Sighting) -> list[str]:
        """The tasks that may wait for an approval; asked once for each wait, and never a reason to fail it."""
        pipeline_id = ref["pipeline_id"]
        if sighting.status != "5":
            self._approvals.drop(pipeline_id)
            return []
        names = self._approvals.get(pipeline_id)
        if names is None:
            try:
                names = self.list_approval_tasks(pipeline_id)
            except ReleasePipelineError:
                names = []
            self._approvals.put(pipeline_id, names)
        return names

    def _cancel(self, ref: ExecutionRef, reason: str) -> None:
        """Stop the release task, but only while this very execution is its last one; ``reason`` has no place to go."""
        self._check_ref(ref)
        if not ref["id"]:
            raise self.bad_request("only a release with an execution id can be canceled")
        if ref.get("action") == "stop":
            return
        if self._needs_no_stop(ref):
            return
        try:
            self._write("POST", "/{pipeline_id}/action", {"action_id": "stop"}, body={}, pipeline_id=ref["pipeline_id"])
        except ReleasePipelineError as error:
            if error.effect is not Effect.REFUSED or not self._needs_no_stop(ref):
                raise

    def _needs_no_stop(self, ref: ExecutionRef) -> bool:
        """Whether it is over, stopped or stopping already: a triggerer that stalled asks late."""
        records = self._records(ref["pipeline_id"])
        if newer_than(records, ref["id"]):
            return True
        return _is_stopped(self._look(ref, None))

    def _find_started(self, intent: Intent) -> list[Execution]:
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
            sighting = Sighting(record, certain=bool(status_of(later[0])))
            return [self._execution({**ref, "id": text_of(record, "id")}, sighting)]
        same = next((record for record in records if before and text_of(record, "id") == before), {})
        status_now = (status_of(same) if action != "start" else "") or status_of(item)
        changed = status_now != status_before and status_now not in ALLOWED_WHEN.get(action, ())
        if action != "start" and same and changed and not later:
            return [self._execution({**ref, "id": before}, Sighting({**_state_of(item), **same}, certain=True))]
        # Without a new record, an ended status is that of the execution before; only one in progress raises a doubt.
        running = changed and (action != "start" or status_now in IN_PROGRESS)
        if not later and not running and triggered_at(item) == ref["triggered_before"]:
            return []
        seen = ", ".join(text_of(record, "id") for record in later) or "none"
        raise ConflictError(
            f"cannot tell whether the action {action!r} took effect: release task {pipeline_id} was in status "
            f"{status_before or 'unknown'} with the last execution {before or 'none'}, is now in status "
            f"{status_now} ({WORDS.get(status_now, 'unknown')}), and has these later executions: {seen}",
            call=Call(system=self.system),
        )

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


def _tells_enough(ref: ExecutionRef, item: Mapping[str, Any]) -> bool:
    """Whether the list item alone tells how the execution stands."""
    is_any = not ref.get("id") and status_of(item) in (*IN_PROGRESS, "1")
    return is_any or speaks_for(ref, item)


def _is_stopped(seen: Execution) -> bool:
    """Whether it is over, stopped or stopping: a stop would be refused."""
    return seen.state.is_terminal or seen.state is ExecutionState.PAUSED or seen.status == STOPPING


def _seconds_until_next_look(seen: Execution, glance: Glance | None) -> float:
    """How long an unchanged list item means an unchanged execution."""
    if glance is None:
        return 0.0
    may_be_old = seen.state is ExecutionState.QUEUED and bool(seen.id)
    if may_be_old or seen.status != status_of({"status": glance.status}):
        return UNCERTAIN
    return math.inf if glance.tells_time else UNTIMED


def _state_of(item: Mapping[str, Any]) -> dict[str, Any]:
    """What a list item says about the last execution, under the names of a record."""
    return {
        "pipeline_id": item.get("id"),
        "status": item.get("status"),
        "trigger_at": item.get("last_trigger_at"),
    }
