"""Approvals of releases of ServiceStage: which one a release waits for, its answer, and whether that was accepted."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from airflow_provider.clients.service_stage.references import SYSTEM, release_reference
from airflow_provider.clients.service_stage.release_observer import ReleaseObserver
from airflow_provider.clients.service_stage.release_states import is_stopped, newest, text_of
from airflow_provider.clients.service_stage.release_task_stages import stage_tasks
from airflow_provider.clients.service_stage.release_tasks import ReleaseTasks
from airflow_provider.clients.service_stage.releases import Releases
from airflow_provider.clients.service_stage.wire import Json, Names
from airflow_provider.core import lines
from airflow_provider.core.approving import APPROVE, REJECT, decided_at_the_vendor
from airflow_provider.exceptions import (
    BadRequestError,
    Call,
    ConflictError,
    PermissionDeniedError,
    ReleasePipelineError,
)
from airflow_provider.execution import Execution, ExecutionRef, ExecutionState
from airflow_provider.storable import storable_text

log = structlog.get_logger(logger_name=__name__)

ACCEPTED_WITHIN = 30.0
"""Seconds in which a release must stop waiting for an approval after ServiceStage took its answer."""
POLL_PAUSE = 1.0
"""Seconds between two polls for that."""


class Approvals:
    """An answer names an approval task, and reaches whatever release of the release task waits for it then.

    :param releases: sends the answers.
    :param observe: observes a release, as the client does.
    """

    def __init__(
        self,
        tasks: ReleaseTasks,
        releases: Releases,
        observer: ReleaseObserver,
        *,
        observe: Callable[[ExecutionRef], Execution],
    ) -> None:
        self._tasks, self._releases, self._observer, self._observe = tasks, releases, observer, observe

    def find_waiting(self, name_or_id: str) -> Execution:
        """The last execution of a release task, which waits for an approval.

        :raises ConflictError: it has no pending approval.
        """
        pipeline_id = str(self._tasks.find(name_or_id)["id"])
        record = newest(self._observer.records(pipeline_id)) or {}
        seen = self._observe(release_reference(pipeline_id, text_of(record, "id"), "approval"))
        if seen.state is not ExecutionState.WAITING:
            raise _none_pending(f"release task {name_or_id!r}", seen)
        return seen

    def list_waiting(self, ref: ExecutionRef) -> Names:
        """The tasks whose answer this release waits for now; if that is not known, all that it may wait for."""
        return self._observer.asking(ref)[0]

    def is_waiting_for(self, ref: ExecutionRef, task_name: str) -> bool | None:
        """Whether this release waits for the answer to this task; ``None``: it waits, but maybe for another one.

        The documented API shows that a release waits, but not for which task, which is known only if no other task can
        ask. ``False`` after an answer means that it was accepted.
        """
        asking, is_certain = self._observer.asking(ref)
        if is_certain:
            return task_name in asking
        return True if asking == [task_name] else None

    def require_waiting(self, ref: ExecutionRef, task_name: str) -> None:
        """Refuse an answer that would reach whatever waits now, such as the approval of a later execution.

        :raises ConflictError: this release certainly does not wait for it.
        """
        if self.is_waiting_for(ref, task_name) is False:
            raise _none_pending(f"release {ref['id']} of release task {ref['pipeline_id']}", self._observe(ref))

    def describe(self, waiting: Execution, task_name: str) -> Json:
        """What a person must know to answer it, by names for people.

        :param waiting: a release that waits for the approval.
        """
        pipeline_id = waiting.ref["pipeline_id"]
        detail = self._tasks.get(pipeline_id)
        stages = stage_tasks(detail)
        return {
            "Release task": f"{text_of(detail, 'name')} ({pipeline_id})".strip(),
            "Description": text_of(detail, "description"),
            "Execution": waiting.id,
            "Approval": storable_text(task_name),
            "Stage": ", ".join(stage for stage, tasks in stages.items() if task_name in tasks),
            "Stages": ", ".join(stages),
            "Started": waiting.started_at.strftime("%Y-%m-%d %H:%M UTC") if waiting.started_at else None,
            "Link": waiting.url,
        }

    def answer(self, ref: ExecutionRef, task_name: str, approve: bool, message: str | None = None) -> None:
        """Send the answer to what a release waits for; :meth:`wait_until_accepted` verifies it.

        :raises BadRequestError: refused; the error says what the release waits for.
        :raises ReleasePipelineError: it is not known whether it was accepted.

        https://support.huaweicloud.com/intl/en-us/api-servicestage/servicestage_06_0248.html
        """
        try:
            self._releases.act(
                ref["pipeline_id"],
                "approval",
                task_name=task_name,
                approval_type="agree" if approve else "refuse",
                message=message,
            )
        except BadRequestError as error:
            summary = f"the answer to task_name {task_name!r} was refused; {self._waiting_for(ref)}"
            raise BadRequestError(summary, call=error.call) from error
        except ReleasePipelineError as error:
            if not error.effect.is_open or not self._was_accepted(ref, task_name, approve):
                raise

    def wait_until_accepted(self, ref: ExecutionRef, task_name: str) -> bool:
        """Wait until a release no longer waits for an answer that was sent; returns whether that is certain.

        :raises PermissionDeniedError: it still does, so the answer was ignored.
        """
        deadline = time.monotonic() + ACCEPTED_WITHIN
        while (is_waiting := self.is_waiting_for(ref, task_name)) is not False and time.monotonic() < deadline:
            time.sleep(POLL_PAUSE)
        if is_waiting:
            raise PermissionDeniedError(
                f"the answer to {task_name!r} was ignored: release task {ref['pipeline_id']} is still waiting for it "
                f"after {ACCEPTED_WITHIN:g} s; the connection's user is probably not one of its approvers",
                call=Call(system=SYSTEM),
            )
        return is_waiting is False

    def check_decision(self, ref: ExecutionRef, task_name: str, approve: bool) -> Execution:
        """Check that a release which no longer waits for an answer goes on as it would after this one.

        For an answer that an earlier attempt may have sent, but perhaps did not.

        :raises ConflictError: somebody else has answered otherwise, or stopped it.
        """
        decision, seen = APPROVE if approve else REJECT, self._observe(ref)
        # If it waits again, it does for the next approval. One that is being stopped still counts as running.
        is_next = seen.state is ExecutionState.WAITING
        is_stopping = seen.state is ExecutionState.RUNNING and is_stopped(seen)
        if is_stopping or (APPROVE if is_next else decided_at_the_vendor(seen.state)) != decision:
            raise ConflictError(
                f"somebody else may have answered {task_name!r}: release {seen.id} "
                f"{lines.doing(seen.state, seen.status)}, which is inconsistent with the answer {decision}",
                call=Call(system=SYSTEM),
            )
        return seen

    def _was_accepted(self, ref: ExecutionRef, task_name: str, approve: bool) -> bool:
        """Whether an answer was accepted, as far as the release shows; a failed poll says nothing."""
        try:
            if self.is_waiting_for(ref, task_name) is not False:
                return False
            self.check_decision(ref, task_name, approve)
        except ReleasePipelineError as error:
            log.warning("Could not find out whether the answer was accepted: %s", error)
            return False
        return True

    def _waiting_for(self, ref: ExecutionRef) -> str:
        """For the text of an error, which a failed poll must not replace."""
        try:
            return f"the release is waiting for: {', '.join(self.list_waiting(ref)) or 'none'}"
        except ReleasePipelineError as error:
            return f"what the release is waiting for is not known: {error.summary}"


def _none_pending(name: str, seen: Execution) -> ConflictError:
    return ConflictError(
        f"{name} has no pending approval; it {lines.doing(seen.state, seen.status)}", call=Call(system=SYSTEM)
    )
