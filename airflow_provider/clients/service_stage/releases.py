"""Releases of ServiceStage: the executions of a release task, and the actions that start, stop and answer them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from msgspec.structs import replace

from airflow_provider.clients.rows import Rows
from airflow_provider.clients.service_stage.documents import ReleaseRecord
from airflow_provider.clients.service_stage.references import RELEASE, SYSTEM, release_reference
from airflow_provider.clients.service_stage.release_action import action_body, check_action
from airflow_provider.clients.service_stage.release_observer import ReleaseObserver, sighting_of
from airflow_provider.clients.service_stage.release_records import list_records, published_records
from airflow_provider.clients.service_stage.release_states import (
    Sighting,
    accepted,
    is_of_another,
    is_stopped,
    is_triggered_later,
    newer_than,
    newest,
    overtaken,
    status_of,
    text_of,
    triggered_at,
)
from airflow_provider.clients.service_stage.release_tasks import ReleaseTasks, item_of
from airflow_provider.clients.service_stage.wire import Json, Wire
from airflow_provider.exceptions import (
    Call,
    ConflictError,
    Effect,
    ReleasePipelineError,
    UnexpectedResponseError,
)
from airflow_provider.execution import Execution, ExecutionRef


class Releases:
    """:param placed: gives an execution its place, and takes secrets out of its texts.
    :param check_place: refuses a reference of another system.
    """

    def __init__(
        self,
        wire: Wire,
        tasks: ReleaseTasks,
        observer: ReleaseObserver,
        *,
        placed: Callable[[Execution], Execution],
        check_place: Callable[[ExecutionRef], None],
    ) -> None:
        self._wire, self._tasks, self._observer = wire, tasks, observer
        self._placed, self._check_place = placed, check_place

    def list(self, pipeline_id: str) -> Rows[ReleaseRecord]:
        """The executions of a release task: ``id``, who triggered it, and where the API says it when and ``status``.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0290.html
        """
        return cast("Rows[ReleaseRecord]", list_records(self._wire, pipeline_id))

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
        :param before: ``status_before`` and ``triggered_before``, as of :meth:`intent`; default: they are read here.
        :raises BadRequestError: an argument is wrong, or the task's status does not allow the action.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0248.html
        """
        try:
            body = action_body(action, selected_tasks, task_name, approval_type, message)
        except ValueError as error:
            raise self._wire.bad_request(str(error)) from None
        self._wire.need(pipeline_id, "pipeline_id")
        if before is None:
            before = _before(item_of(self._tasks, pipeline_id))
        moment = self._moment()
        reply = self._act(pipeline_id, action, body)
        execution_id = text_of(reply, "id")
        if not execution_id:
            raise UnexpectedResponseError(
                f"the answer to the action {action!r} has no usable execution id",
                call=Call(system=SYSTEM, method="POST", status=200),
                effect=Effect.UNKNOWN,
            )
        ref = {
            **release_reference(pipeline_id, execution_id, action),
            "status_before": str(before.get("status_before") or ""),
            "triggered_before": str(before.get("triggered_before") or ""),
            **moment,
        }
        return self._placed(self._accepted(ref, reply))

    def find_stoppable(self, name_or_id: str) -> Execution:
        """The execution that a stop of this release task would act on now, for :meth:`stop`.

        Its reference holds the id of the record; if there is none for what the list shows, "" and the time at which
        that was triggered (``triggered``).

        :raises ConflictError: it was never executed.
        """
        item = self._tasks.find(name_or_id)
        pipeline_id = str(item["id"])
        record = newest(self._observer.records(pipeline_id)) or {}
        if not record and status_of(item) == "1":
            raise ConflictError(
                f"nothing to stop: release task {name_or_id!r} was never executed", call=Call(system=SYSTEM)
            )
        if record and not is_of_another(record, item):
            ref = release_reference(pipeline_id, text_of(record, "id"), "stop")
            return self._placed(self._observer.execution(ref, sighting_of(record, item)))
        ref = {**release_reference(pipeline_id, "", "stop"), "triggered": triggered_at(item)}
        return self._placed(self._observer.execution(ref, Sighting(item, certain=False)))

    def stop(self, ref: ExecutionRef) -> Execution:
        """Stop this execution, unless it has ended, or is stopped or stopping by then; never a later one.

        :param ref: as returned by :meth:`find_stoppable`.
        :raises ConflictError: it is not known whether it is still the latest; or it is of another system.
        """
        self._check_place(ref)
        return self._placed(self._stop(ref))

    def intent(self, name_or_id: str, action: str) -> dict[str, str]:
        """What ``find_started`` must know about an action: also what was the case just before.

        :return: ``pipeline_id``, ``newest_record`` ("" if there is none), ``status_before`` and others.
        :raises BadRequestError: there is no such action.
        :raises NotFoundError: as :meth:`ReleaseTasks.find`, like ``ConflictError``.
        """
        try:
            check_action(action)
        except ValueError as error:
            raise self._wire.bad_request(str(error)) from None
        item = self._tasks.find(name_or_id)
        pipeline_id = str(item["id"])
        return {
            "kind": RELEASE,
            "action": action,
            "pipeline_id": pipeline_id,
            "newest_record": text_of(newest(self._observer.records(pipeline_id)) or {}, "id"),
            **_before(item),
        }

    def _moment(self) -> dict[str, str]:
        """The current time for a reference, and whose clock it is from."""
        server_time = self._wire.transport.server_time()
        return {
            "since": f"{time.time() if server_time is None else server_time:.3f}",
            "clock": "worker" if server_time is None else "vendor",
        }

    def _stop(self, ref: ExecutionRef) -> Execution:
        if settled := self._if_settled(ref):
            return settled
        try:
            reply = self._act(ref["pipeline_id"], "stop", {})
        except ReleasePipelineError as error:
            # It may be refused because it is already stopped, or accepted although the answer was lost.
            if error.effect is Effect.NONE or not (settled := self._if_settled(ref)):
                raise
            return settled
        return self._accepted(ref, reply)

    def _if_settled(self, ref: ExecutionRef) -> Execution | None:
        """An execution for which no stop may be sent: it has ended, is stopped or stopping, or is not the last one."""
        if not ref["id"]:
            seen = self._observer.observe_last(ref, item_of(self._tasks, ref["pipeline_id"]))
            if is_stopped(seen):
                return seen
            self._refuse_unless_last(ref, is_last=bool(ref.get("triggered")))
            return None
        published = published_records(self._wire, ref["pipeline_id"])
        later = newer_than(published or [], ref["id"])
        item = item_of(self._tasks, ref["pipeline_id"]) if published is None else None
        if item:
            self._refuse_unless_last(ref, is_last=not is_triggered_later(ref, item))
        seen = self._observer.observe_records(ref, item, published)
        if is_stopped(seen):
            return seen
        return overtaken(ref, f"the execution {text_of(later[0], 'id')}") if later else None

    def _refuse_unless_last(self, ref: ExecutionRef, *, is_last: bool) -> None:
        if not is_last:
            raise ConflictError(
                f"could not find out whether release {ref['id'] or 'without a record'} is still the latest of "
                f"release task {ref['pipeline_id']}; nothing was stopped",
                call=Call(system=SYSTEM),
            )

    def _accepted(self, ref: ExecutionRef, reply: Json) -> Execution:
        seen = accepted(ref, reply)
        return replace(seen, url=self._wire.page(seen.ref))

    def _act(self, pipeline_id: str, action: str, body: Mapping[str, Any]) -> dict[str, Any]:
        # Retries of actions that start something are left to the caller, who knows whether they may still be sent.
        attempts = None if action in ("stop", "approval") else 1
        return self._wire.object_in(
            self._wire.send(
                "POST",
                "/{pipeline_id}/action",
                {"action_id": action},
                body=body,
                attempts=attempts,
                pipeline_id=pipeline_id,
            )
        )


def _before(item: Mapping[str, Any]) -> dict[str, str]:
    return {"status_before": status_of(item), "triggered_before": triggered_at(item)}
