"""Waits for a release task of ServiceStage to ask for an approval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from airflow_provider.clients.listing import Remembered
from airflow_provider.clients.service_stage.references import APPROVAL, release_reference
from airflow_provider.clients.service_stage.release_list import decode_tasks, excerpts_of_tasks
from airflow_provider.clients.service_stage.release_observer import ReleaseObserver
from airflow_provider.clients.service_stage.release_states import TO_BE_APPROVED, WORDS, newest, status_of, text_of
from airflow_provider.clients.service_stage.release_tasks import ReleaseTasks, item_of
from airflow_provider.clients.service_stage.wire import Wire
from airflow_provider.clients.waitable import Found, Intent, Waitable
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState


class ApprovalWaits(Waitable):
    """References hold the ``pipeline_id``, and as ``id`` the release that asks; "" while none does.

    A release that asks is the success of the wait. Its outputs are ``execution_id``, ``task_names`` (the approval tasks
    that may be asking, short generated ids; none if the release task does not show its tasks) and ``task_name``, if
    there is only one.
    """

    kind: ClassVar[str] = APPROVAL

    def __init__(self, wire: Wire, tasks: ReleaseTasks, observer: ReleaseObserver) -> None:
        self._wire, self._tasks, self._observer = wire, tasks, observer
        self._decode = Remembered(decode_tasks)

    def observe(self, ref: ExecutionRef) -> Execution:
        return self._judged(ref, item_of(self._tasks, ref["pipeline_id"]))

    def group(self, ref: ExecutionRef) -> str | None:
        return "approvals"

    def fetch(self, refs: Sequence[ExecutionRef], seen: Sequence[Execution | None]) -> list[Found]:
        """One list for all release tasks; more requests only for those that ask, or are not in it."""
        listing = excerpts_of_tasks(self._wire, self._decode)
        found: list[Found] = []
        for ref, last in zip(refs, seen, strict=True):
            excerpt = listing.excerpt(ref["pipeline_id"])
            status = text_of({"status": excerpt.status}, "status") if excerpt else TO_BE_APPROVED
            if status == TO_BE_APPROVED:
                found.append(partial(self.observe_or_error, ref))
            else:
                found.append(last or _not_asked_yet(ref, status))
        return found

    def cancel(self, ref: ExecutionRef, reason: str) -> None:
        raise self._wire.bad_request("an approval cannot be canceled")

    def find_started(self, intent: Intent) -> list[Execution]:
        raise self._wire.bad_request("an approval cannot be started")

    def _judged(self, ref: ExecutionRef, item: Mapping[str, Any]) -> Execution:
        pipeline_id, status = ref["pipeline_id"], status_of(item)
        if status != TO_BE_APPROVED:
            return _not_asked_yet(ref, status)
        execution_id = text_of(newest(self._observer.records(pipeline_id)) or {}, "id")
        release = release_reference(pipeline_id, execution_id, "approval")
        asking, is_certain = self._observer.asking(release)
        if not asking and is_certain:
            return _not_asked_yet(ref, status)
        return Execution(
            {**ref, "id": execution_id},
            ExecutionState.SUCCEEDED,
            status,
            url=self._wire.page(release),
            message=f"{WORDS[status]}: {', '.join(asking)}" if asking else WORDS[status],
            outputs={
                "execution_id": execution_id,
                "task_name": asking[0] if len(asking) == 1 else None,
                "task_names": asking,
            },
        )


def _not_asked_yet(ref: ExecutionRef, status: str) -> Execution:
    return Execution(ref, ExecutionState.QUEUED, status, message="has no pending approval")
