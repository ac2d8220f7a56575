"""Actions on a running execution: pause, resume, cancel, and force into a state."""

from __future__ import annotations

from airflow_provider.sandbox.code_stream.approving import Approving
from airflow_provider.sandbox.code_stream.models import DONE, STATUSES, TERMINAL, Execution
from airflow_provider.sandbox.code_stream.running import Runner, fill_output
from airflow_provider.sandbox.code_stream.state import State


class Steering:
    """``pause``, ``resume`` and ``cancel`` return whether the action is allowed in the current state."""

    def __init__(self, state: State, approving: Approving, runner: Runner) -> None:
        self._state = state
        self._approving = approving
        self._runner = runner

    def pause(self, execution: Execution, at: float) -> bool:
        if execution.status not in ("STARTED", "PREPARING_WORKSPACE", "RUNNING", "WAITING"):
            return False
        started = execution.status in ("RUNNING", "WAITING")
        self._runner.enter(execution, "PAUSING", at)
        self._runner.later(execution, at, 0.3, self._pause_if_idle)
        if not started:
            execution.cursor = (0, -1)
        return True

    def _pause_if_idle(self, execution: Execution, at: float) -> None:
        if not any(task.status == "RUNNING" for task in execution.group):
            self._runner.enter(execution, "PAUSED", at)
            if all(task.status in DONE for task in execution.group):
                execution.next_group()

    def resume(self, execution: Execution, at: float, *, failed_too: bool) -> bool:
        if execution.status not in (("PAUSED", "FAILED") if failed_too else ("PAUSED",)):
            return False
        if execution.status == "FAILED":
            execution.ended_at = None
            execution.message = execution.stage.message = ""
            execution.stage.ended_at = None
            self._runner.take_slot(execution)
        execution.resumed_at = at
        execution.held = False
        self._runner.enter(execution, "RESUMING", at)
        self._runner.later(execution, at, 0.3, self._go_on)
        return True

    def _go_on(self, execution: Execution, at: float) -> None:
        waits = any(task.status == "WAITING" for task in execution.group)
        self._runner.enter(execution, "RUNNING", at)
        if waits:
            self._runner.after_change(execution, at)
        else:
            self._runner.start_group(execution, at)

    def cancel(self, execution: Execution, at: float) -> bool:
        execution.track.cancel_received(at)
        if execution.over or execution.status == "CANCELING":
            return False
        execution.held = False
        self._runner.enter(execution, "CANCELING", at)
        too_late = self._state.switches["cancel_loses_race"]
        self._runner.later(execution, at, 0.5, self._runner.complete if too_late else self._canceled)
        return True

    def _canceled(self, execution: Execution, at: float) -> None:
        where = next((task for task in execution.tasks if task.status in ("RUNNING", "WAITING")), None)
        for task in execution.tasks:
            if task.status in ("RUNNING", "WAITING"):
                if task.status == "WAITING":
                    self._approving.withdraw(task, at)
                task.status, task.ended_at = "CANCELED", at
        for stage in execution.stages:
            if stage.status == "RUNNING":
                stage.status, stage.ended_at = "CANCELED", at
        place = f"{where.key}: " if where else ""
        execution.message = f"{place}Execution canceled by {execution.canceled_by}."
        self._runner.enter(execution, "CANCELED", at)

    def force(self, execution: Execution, status: str, at: float) -> None:
        """Forces an execution into a state, where it stays until forced again. RUNNING lets it continue."""
        if status not in STATUSES:
            raise ValueError(f"must be one of {', '.join(sorted(STATUSES))}")
        execution.held = status not in TERMINAL and status != "RUNNING"
        execution.wake += 1
        if status in TERMINAL:
            execution.message = "Execution Completed." if status == "COMPLETED" else f"Forced to {status}."
            if status == "COMPLETED":
                fill_output(execution)
        self._runner.enter(execution, status, at)
        if status == "RUNNING":
            self._go_on(execution, at)
