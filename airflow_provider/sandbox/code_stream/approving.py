"""The life of an approval: opened for a waiting task, then answered, withdrawn or expired. No routes."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider.sandbox.code_stream.models import Approval, Execution, Task
from airflow_provider.sandbox.code_stream.state import State


class Approving:
    def __init__(self, state: State) -> None:
        self._state = state

    def open(self, execution: Execution, task: Task, at: float, ended: Callable[[str | None, float], None]) -> None:
        """Opens an approval for a task; ``ended`` is called with the outcome."""
        approval = Approval(execution, task, at, ended)
        self._state.approvals[approval.id] = approval
        self._state.at(approval.expires_at, lambda when: self._expire(approval, when))

    def withdraw(self, task: Task, at: float) -> None:
        """Cancels the approval of a task whose execution has ended without it."""
        for approval in self._state.approvals.values():
            if approval.task is task and approval.status == "ACTIVE":
                approval.status, approval.updated_at = "CANCELED", at

    def answer(self, approval: Approval, status: str, user: str, message: str, *, cancel_previous: bool) -> None:
        """:param status: ``APPROVED`` or ``REJECTED``
        :param cancel_previous: end the older approvals of the same task of the pipeline
        """
        now = self._state.now
        approval.status = status
        approval.responded_by, approval.responded_at, approval.updated_at = user, now, now
        approval.response = message
        approval.cancel_previous = cancel_previous
        if status == "REJECTED":
            _end(approval, f"User Operation request has been rejected by {user}.", now)
            return
        _end(approval, None, now)
        if cancel_previous:
            for older in self._older(approval):
                older.status, older.updated_at = "CANCELED", now
                _end(older, "User Operation request has been canceled by a later approval.", now)

    def _older(self, approval: Approval) -> list[Approval]:
        return [
            each
            for each in self._state.approvals.values()
            if each.status == "ACTIVE"
            and each.task.key == approval.task.key
            and each.execution.pipeline_id == approval.execution.pipeline_id
            and each.requested_at < approval.requested_at
        ]

    def _expire(self, approval: Approval, at: float) -> None:
        if approval.status == "ACTIVE" and approval.id in self._state.approvals:
            approval.status, approval.updated_at = "EXPIRED", at
            _end(approval, "User Operation request has expired.", at)


def _end(approval: Approval, failure: str | None, at: float) -> None:
    if approval.task.status == "WAITING":
        approval.ended(failure, at)
