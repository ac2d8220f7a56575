"""Huawei Cloud ServiceStage, new release management: release tasks ("pipelines"), their actions and executions.

Signing, IAM, error bodies and the meaning of statuses live in the modules beside this one.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Unpack
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from airflow_provider.clients.listing import Listing
from airflow_provider.clients.memory import Recent, has_changed
from airflow_provider.clients.service_stage.actions import action_body
from airflow_provider.clients.service_stage.calls import ReleaseTaskCalls
from airflow_provider.clients.service_stage.credentials import HuaweiCredentials
from airflow_provider.clients.service_stage.errors import read_huawei_error
from airflow_provider.clients.service_stage.listing import Glance, decode_tasks
from airflow_provider.clients.service_stage.states import (
    IN_PROGRESS,
    STOPPING,
    TO_BE_APPROVED,
    Progress,
    Sighting,
    accepted,
    execution,
    is_number,
    is_of_another,
    is_old,
    is_triggered_later,
    newer_than,
    newest,
    overtaken,
    progress_of,
    speaks_for,
    status_of,
    text_of,
    triggered_at,
)
from airflow_provider.clients.service_stage.tasks import asking_tasks, stage_tasks
from airflow_provider.clients.service_stage.traces import Traces, Window
from airflow_provider.clients.transport import Transport, TransportOptions
from airflow_provider.clients.urls import page
from airflow_provider.clients.waitable import Found, Intent, Observation, concerns_one_execution
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


class _Told(msgspec.Struct):
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
        self._progress: Recent[tuple[str, str, str, bool], Progress] = Recent()

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
        moment = self._moment()
        reply = self._act(pipeline_id, action, body)
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
            **moment,
        }
        return self._placed(self._with_url(accepted(ref, reply)))

    def what_a_stop_ends(self, name_or_id: str) -> Execution:
        """The execution that a stop of this release task would act on now, for :meth:`stop`.

        Its reference holds the id of the record; "" where no record tells of what the list shows, and then the time at
        which that was triggered (``triggered``).

        :raises ConflictError: it was never executed.
        """
        item = self.find_pipeline(name_or_id)
        pipeline_id = str(item["id"])
        record = newest(self._records(pipeline_id)) or {}
        if not record and status_of(item) == "1":
            raise ConflictError(
                f"nothing to stop: release task {name_or_id!r} was never executed", call=Call(system=self.system)
            )
        if record and not is_of_another(record, item):
            ref = self._ref(pipeline_id, text_of(record, "id"), "stop")
            return self._placed(self._execution(ref, _sighting(record, item)))
        ref = {**self._ref(pipeline_id, "", "stop"), "triggered": triggered_at(item)}
        return self._placed(self._execution(ref, Sighting(item, certain=False)))

    def stop(self, ref: ExecutionRef) -> Execution:
        """Stop this execution, unless it is stopping, stopped or over, or becomes so meanwhile; never a later one.

        :param ref: as of :meth:`what_a_stop_ends`.
        :raises ConflictError: nothing tells whether it is still the last one; or it is of another system.
        """
        self.check_place(ref)
        self._check_ref(ref)
        return self._placed(self._stop(ref))

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

    def list_waiting_approvals(self, ref: ExecutionRef) -> list[str]:
        """The tasks whose answer this release waits for now; all that may be those, where nothing tells."""
        return self._asking(ref)[0]

    def is_waiting_for(self, ref: ExecutionRef, task_name: str) -> bool | None:
        """Whether this release waits for the answer to this task; ``None``: it waits, but maybe for another one.

        The documented API tells that a release waits, and not for which task: that is known only where no other task
        can ask. ``False`` after an answer says that it was taken.
        """
        asking, is_told = self._asking(ref)
        if is_told:
            return task_name in asking
        return True if asking == [task_name] else None

    def describe_approval(self, waiting: Execution, task_name: str) -> dict[str, Any]:
        """What a person must know who is to answer it, by names for people.

        :param waiting: a release that waits for the approval.
        """
        ref = waiting.ref
        detail = self.get_pipeline(ref["pipeline_id"])
        return {
            "Release task": f"{text_of(detail, 'name')} ({ref['pipeline_id']})".strip(),
            "Description": text_of(detail, "description"),
            "Execution": waiting.id,
            "Approval": task_name,
            "Stage": ", ".join(stage for stage, tasks in stage_tasks(detail).items() if task_name in tasks),
            "Stages": ", ".join(stage_tasks(detail)),
            "Started": waiting.started_at.strftime("%Y-%m-%d %H:%M UTC") if waiting.started_at else None,
            "Asked by": text_of(waiting.outputs, "trigger_user", "create_user", "creator"),
            "Link": waiting.url,
        }

    def _asking(self, ref: ExecutionRef) -> tuple[list[str], bool]:
        # By the status: an execution that still shows the one from before an answer waits, too.
        if self.look(ref).status != TO_BE_APPROVED:
            return [], True
        records = self._records(ref["pipeline_id"])
        record = next((record for record in records if text_of(record, "id") == ref["id"]), {})
        return asking_tasks(record, self.get_pipeline(ref["pipeline_id"]))

    # Executions

    def _observe(self, ref: ExecutionRef) -> Execution:
        """What a release is doing: its record's status, or else the list item's where that is not an old one."""
        self._check_ref(ref)
        return self._look(ref, None)

    def needs_cancel(self, execution: Execution) -> bool:
        """Not where it is over, stopped or stopping; nobody goes on with it then but by an action of its own."""
        return not _is_stopped(execution)

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
        try:
            answer = self.transport.request("GET", self._path(""), headers=self._headers(), decode=decode_tasks).data
        except NotFoundError as error:
            raise self._not_answered(error) from None
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
        return self._look_at_records(ref, item, self._published_records(ref["pipeline_id"]))

    def _look_at_records(
        self, ref: ExecutionRef, item: Mapping[str, Any] | None, published: Sequence[Mapping[str, Any]] | None
    ) -> Execution:
        records = published or []
        record = next((record for record in records if text_of(record, "id") == ref["id"]), None)
        if record and status_of(record):
            return self._execution(ref, Sighting(record, certain=True))
        is_told_by_nobody = record is None and not ref.get("since")
        if is_told_by_nobody and (published is not None or not is_number(ref["id"])):
            # Only of our own action it is known that the list may tell of it before the records do.
            raise NotFoundError(
                f"release task {ref['pipeline_id']!r} has no execution {ref['id']!r}", call=Call(system=self.system)
            )
        if is_number(ref["id"]) and (later := newer_than(records, ref["id"])):
            return overtaken(ref, f"the execution {text_of(later[0], 'id')}")
        item = item or self._item(ref["pipeline_id"])
        return self._execution(ref, _sighting({**(record or {}), "id": ref["id"]}, item))

    def _look_at_the_last(self, ref: ExecutionRef, item: Mapping[str, Any]) -> Execution:
        if ref.get("triggered", triggered_at(item)) != triggered_at(item):
            return overtaken(ref, "another action")
        if status_of(item) in IN_PROGRESS or status_of(item) == "1":
            return self._execution(ref, Sighting(item, certain=False))
        record = newest(self._records(ref["pipeline_id"])) or {}
        return self._execution({**ref, "id": text_of(record, "id")}, _sighting(record, item))

    def _execution(self, ref: ExecutionRef, sighting: Sighting) -> Execution:
        # List and records may lag on their own: what one has shown says nothing about the other.
        key = (ref["pipeline_id"], ref["id"], ref.get("since", ""), sighting.certain)
        progress = progress_of(ref, sighting, self._progress.get(key))
        if progress:
            self._progress.put(key, progress)
        may_be_old = progress != "begun" and is_old(ref, sighting, self._now(ref))
        seen = execution(ref, sighting, may_be_old=may_be_old, approvals=self._approvals_of(ref, sighting))
        if seen.state.is_terminal:
            self._progress.drop(key)
        return self._with_url(seen)

    def _moment(self) -> dict[str, str]:
        """The present for a reference, and whose clock told it."""
        told = self.server_time()
        return {
            "since": f"{time.time() if told is None else told:.3f}",
            "clock": "worker" if told is None else "vendor",
        }

    def _now(self, ref: ExecutionRef) -> float:
        """The present by the clock of the reference's ``since``: those of two machines may be minutes apart."""
        told = self.server_time() if ref.get("clock") == "vendor" else None
        return time.time() if told is None else told

    def _with_url(self, seen: Execution) -> Execution:
        return replace(seen, url=page(self._ui_url, self.transport.base_url, seen.ref))

    def _approvals_of(self, ref: ExecutionRef, sighting: Sighting) -> list[str]:
        """The tasks that may wait for an approval; asked once for each wait, and never a reason to fail it."""
        pipeline_id = ref["pipeline_id"]
        if sighting.status != TO_BE_APPROVED:
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
        if ref.get("action") != "stop":
            self._stop(ref)

    def _stop(self, ref: ExecutionRef) -> Execution:
        if settled := self._if_settled(ref):
            return settled
        try:
            reply = self._act(ref["pipeline_id"], "stop", {})
        except ReleasePipelineError as error:
            # Refused because it is so already, or taken although the answer was lost.
            if error.effect is Effect.NONE or not (settled := self._if_settled(ref)):
                raise
            return settled
        return self._with_url(accepted(ref, reply))

    def _if_settled(self, ref: ExecutionRef) -> Execution | None:
        """How an execution stands for which no stop may be sent: it is over, stopped, stopping, or not the last one."""
        if not ref["id"]:
            seen = self._look_at_the_last(ref, self._item(ref["pipeline_id"]))
            if _is_stopped(seen):
                return seen
            self._refuse_unless_last(ref, is_last=bool(ref.get("triggered")))
            return None
        published = self._published_records(ref["pipeline_id"])
        later = newer_than(published or [], ref["id"])
        item = self._item(ref["pipeline_id"]) if published is None else None
        if item:
            self._refuse_unless_last(ref, is_last=not is_triggered_later(ref, item))
        seen = self._look_at_records(ref, item, published)
        if _is_stopped(seen):
            return seen
        return overtaken(ref, f"the execution {text_of(later[0], 'id')}") if later else None

    def _refuse_unless_last(self, ref: ExecutionRef, *, is_last: bool) -> None:
        if not is_last:
            raise ConflictError(
                f"cannot tell whether release {ref['id'] or 'without a record'} is still the last one of release task "
                f"{ref['pipeline_id']}: nothing was stopped",
                call=Call(system=self.system),
            )

    def _act(self, pipeline_id: str, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
        # Pauses and repeats of what starts something are the caller's, who knows whether it may still be started.
        attempts = None if action in ("stop", "approval") else 1
        return self._object(
            self._write(
                "POST",
                "/{pipeline_id}/action",
                {"action_id": action},
                body=body,
                attempts=attempts,
                pipeline_id=pipeline_id,
            )
        )

    def _find_started(self, intent: Intent) -> list[Execution]:
        """The executions that an action may have led to whose answer was lost.

        :param intent: also holds ``pipeline_id``, ``action``, and from just before the action ``newest_record`` (an id,
            "" if there was none), ``status_before`` and ``triggered_before``.
        :raises ConflictError: something happened, but not certainly by this action.
        """
        pipeline_id, action, before = str(intent["pipeline_id"]), str(intent["action"]), str(intent["newest_record"])
        item, published = self._item(pipeline_id), self._published_records(pipeline_id)
        window = Window.of(intent, vendor_now=self.server_time(), worker_now=time.time())
        records = published or []
        traces = Traces(
            action=action,
            status_before=str(intent["status_before"]),
            triggered_before=str(intent["triggered_before"]),
            item=item,
            same=next((record for record in records if before and text_of(record, "id") == before), {}),
            later=newer_than(records, before),
            are_complete=published is not None,
        )
        found = traces.candidates(window)
        if found is None:
            raise ConflictError(
                f"cannot tell whether the action {action!r} took effect: release task {pipeline_id} was in status "
                f"{traces.status_before or 'unknown'} with the last execution {before or 'none'}, {traces}",
                call=Call(system=self.system),
            )
        ref = {
            **self._ref(pipeline_id, "", action),
            "status_before": traces.status_before,
            "triggered_before": traces.triggered_before,
            "since": f"{float(intent['since']):.3f}",
            "clock": str(intent.get("clock") or "worker"),
        }
        return [self._execution({**ref, "id": text_of(each, "id")}, _sighting(each, item)) for each in found]

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
    """Whether it is over, stopped or stopping: a stop would be refused, or stop a later one."""
    return seen.state.is_terminal or seen.state is ExecutionState.PAUSED or seen.status == STOPPING


def _sighting(record: Mapping[str, Any], item: Mapping[str, Any]) -> Sighting:
    """The status of a record, or of the list item where the record has none."""
    if status_of(record):
        return Sighting({**_state_of(item), **record}, certain=True)
    return Sighting({**record, **_state_of(item)}, certain=False)


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
