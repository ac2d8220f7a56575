"""How an execution runs: from the queue through stages and groups of tasks to its end or rollback. No HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider.sandbox.code_stream.approving import Approving
from airflow_provider.sandbox.code_stream.expressions import fill, holds
from airflow_provider.sandbox.code_stream.models import DONE, Execution, Stage, Stored, Task
from airflow_provider.sandbox.code_stream.notices import Notices
from airflow_provider.sandbox.code_stream.state import State


class Runner:
    """Advances executions along the timeline. Pause, resume and cancel are in steering.py."""

    def __init__(self, state: State, approving: Approving, notices: Notices) -> None:
        self._state = state
        self._approving = approving
        self._notices = notices

    def start(
        self,
        pipeline: Stored,
        *,
        inputs: dict[str, Any],
        user: str,
        comments: str = "",
        tags: list[Any] | None = None,
        source: str = "",
        triggered_by: str = "",
        nested: bool = False,
        rollback: bool = False,
        at: float | None = None,
    ) -> Execution:
        """A new execution of a pipeline; every call makes one."""
        at = self._state.now if at is None else at
        execution = Execution(
            index=self._state.next_index(pipeline),
            pipeline=pipeline,
            inputs=inputs,
            comments=comments,
            tags=tags or [],
            source=source,
            user=user,
            at=at,
            triggered_by=triggered_by,
            nested=nested,
            rollback=rollback,
        )
        self._state.executions[execution.id] = execution
        self.later(execution, at, 0.2, self._leave_not_started)
        return execution

    def forget(self, execution: Execution) -> None:
        """Deletes an execution and stops its pending steps."""
        self._free_slot(execution, self._state.now)
        del self._state.executions[execution.id]

    # --- the queue, and the way to the first task

    def _leave_not_started(self, execution: Execution, at: float) -> None:
        if self._state.running[execution.pipeline_id] >= int(execution.definition.get("concurrency") or 10):
            self.enter(execution, "QUEUED", at)
            self._state.queues[execution.pipeline_id].append(execution)
        else:
            self._leave_queue(execution, at)

    def _leave_queue(self, execution: Execution, at: float) -> None:
        self.take_slot(execution)
        self.enter(execution, "STARTED", at)
        workspace = (execution.definition.get("workspace") or {}).get("image")
        self.later(execution, at, 0.4, self._prepare if workspace else self._run)

    def _prepare(self, execution: Execution, at: float) -> None:
        self.enter(execution, "PREPARING_WORKSPACE", at)
        self.later(execution, at, 0.4, self._run)

    def _run(self, execution: Execution, at: float) -> None:
        self.enter(execution, "RUNNING", at)
        self.start_group(execution, at)

    def take_slot(self, execution: Execution) -> None:
        """Occupies a slot of the pipeline's concurrency."""
        self._state.running[execution.pipeline_id] += 1
        execution.counted = True

    def _free_slot(self, execution: Execution, at: float) -> None:
        """Frees its slot; the first execution in the queue starts."""
        if not execution.counted:
            return
        execution.counted = False
        self._state.running[execution.pipeline_id] -= 1
        queue = self._state.queues[execution.pipeline_id]
        while queue:
            first = queue.popleft()
            if first.status == "QUEUED" and not first.held and first.id in self._state.executions:
                self._leave_queue(first, at)
                break

    # --- groups and tasks

    def start_group(self, execution: Execution, at: float) -> None:
        """Starts the group at the cursor, skipping empty stages; ends the execution after the last."""
        number, group = execution.cursor
        while number < len(execution.stages) and group >= len(execution.stages[number].groups):
            _end_stage(execution.stages[number], at)
            number, group = number + 1, 0
        execution.cursor = (number, group)
        if number >= len(execution.stages):
            self.complete(execution, at)
            return
        stage = execution.stage
        if stage.status != "RUNNING":
            stage.status, stage.started_at = "RUNNING", stage.started_at or at
        for task in execution.group:
            if task.status not in DONE:
                self._start_task(execution, task, at)
        self.after_change(execution, at)

    def _start_task(self, execution: Execution, task: Task, at: float) -> None:
        if not holds(task.spec.get("preCondition"), execution.inputs):
            task.status = "SKIPPED"
            return
        task.started_at, task.ended_at, task.message = at, None, ""
        script = self._state.script(execution, task)
        if task.type == "UserOperation" and "fails" not in script:
            task.status = "WAITING"
            self._approving.open(
                execution, task, at, lambda failure, when: self._end_task(execution, task, failure, when)
            )
            return
        task.status = "RUNNING"
        if task.type == "Pipeline":
            self._start_nested(execution, task, at)
            return
        seconds = script.get("seconds", self._state.switches["task_seconds"])
        self._state.after(at, seconds, lambda when: self._finish_task(execution, task, at, script, when))

    def _finish_task(self, execution: Execution, task: Task, begun: float, script: dict[str, Any], at: float) -> None:
        if task.status != "RUNNING" or task.started_at != begun or execution.held:
            return
        fails = script.get("fails")
        if not fails:
            task.output = dict(script.get("output", {}))
        self._end_task(execution, task, fails, at)

    def _end_task(self, execution: Execution, task: Task, fails: str | None, at: float) -> None:
        """:param fails: the message of a failure"""
        task.ended_at = at
        if not fails:
            task.status = "COMPLETED"
        else:
            task.status = "FAILED_CONTINUE" if task.spec.get("ignoreFailure") else "FAILED"
            task.message = fails
        self.after_change(execution, at)

    def _start_nested(self, execution: Execution, task: Task, at: float) -> None:
        name = str((task.spec.get("input") or {}).get("pipeline"))
        pipeline = self._state.pipelines.named(name, execution.project)
        if pipeline is None:
            self._end_task(execution, task, f"Pipeline {name} not found.", at)
            return

        def ended(child: Execution, when: float) -> None:
            if task.status != "RUNNING":
                return
            task.output = dict(child.output)
            self._end_task(execution, task, None if child.status == "COMPLETED" else child.message, when)

        child = self.start(
            pipeline,
            inputs=(task.spec.get("input") or {}).get("inputProperties") or {},
            user=execution.user,
            comments=execution.comments,
            nested=True,
        )
        child.on_end = ended

    def after_change(self, execution: Execution, at: float) -> None:
        """Continues with the next group once the tasks of the current one allow it."""
        execution.kept.clear()
        if execution.over or execution.held or execution.status == "CANCELING":
            return
        group = execution.group
        execution.updated_at = at
        failed = next((task for task in group if task.status == "FAILED"), None)
        if any(task.status == "RUNNING" for task in group):
            return
        if failed is not None:
            self._fail(execution, failed, at)
        elif any(task.status == "WAITING" for task in group):
            if execution.status == "RUNNING":
                self.enter(execution, "WAITING", at)
        elif execution.status == "PAUSING":
            self.enter(execution, "PAUSED", at)
            execution.next_group()
        elif execution.status == "WAITING":
            execution.next_group()
            self.enter(execution, "RESUMING", at)
            self.later(execution, at, 0.3, self._run)
        elif execution.status == "RUNNING":
            execution.next_group()
            self.start_group(execution, at)

    # --- ends

    def complete(self, execution: Execution, at: float) -> None:
        execution.message = "Execution Completed."
        fill_output(execution)
        self.enter(execution, "COMPLETED", at)

    def _fail(self, execution: Execution, task: Task, at: float) -> None:
        stage = execution.stage
        stage.status, stage.message, stage.ended_at = "FAILED", f"{task.name}: {task.message}", at
        execution.message = f"{task.key}: {task.message}"
        for other in execution.group:
            if other.status == "WAITING":
                other.status, other.ended_at = "CANCELED", at
                self._approving.withdraw(other, at)
        self.enter(execution, "FAILED", at)
        if self._will_roll_back(execution):
            self.later(execution, at, 0.5, self._roll_back)

    def _will_roll_back(self, execution: Execution) -> bool:
        return self._state.switches["rollback"] != "none" and not execution.rollback

    def _roll_back(self, execution: Execution, at: float) -> None:
        self.enter(execution, "ROLLING_BACK", at)
        pipeline = self._state.pipelines.objects.get(execution.pipeline_id)
        ends_as = "ROLLBACK_COMPLETED" if self._state.switches["rollback"] == "completed" else "ROLLBACK_FAILED"
        if pipeline is None:
            self.enter(execution, "ROLLBACK_FAILED", at)
            return
        child = self.start(
            pipeline, inputs=execution.inputs, user=execution.user, comments=execution.comments, rollback=True
        )

        def ended(_: Execution, when: float) -> None:
            if execution.status == "ROLLING_BACK":
                self.enter(execution, ends_as, when)

        child.on_end = ended

    # --- one step after another

    def later(
        self, execution: Execution, at: float, seconds: float, action: Callable[[Execution, float], None]
    ) -> None:
        """Schedules the one pending step of an execution; a newer step or a forced state replaces it."""
        execution.wake += 1
        wake = execution.wake

        def run(when: float) -> None:
            if execution.wake == wake and execution.id in self._state.executions:
                action(execution, when)

        self._state.after(at, seconds, run)

    def enter(self, execution: Execution, status: str, at: float) -> None:
        """Enters ``status``, with all its consequences."""
        execution.status = status
        execution.updated_at = at
        execution.kept.clear()
        execution.track.enter(status, at)
        if execution.over:
            execution.ended_at = at
            for task in execution.tasks:
                if task.status == "WAITING":
                    self._approving.withdraw(task, at)
            self._free_slot(execution, at)
            if execution.on_end is not None and not (status == "FAILED" and self._will_roll_back(execution)):
                execution.on_end(execution, at)
        else:
            execution.ended_at = None
        self._notices.send(execution, status)


def fill_output(execution: Execution) -> None:
    """The output of a pipeline: its definition with inputs filled in, and the output of its tasks."""
    output = {name: fill(value, execution.inputs) for name, value in execution.definition.get("output", {}).items()}
    for task in execution.tasks:
        output |= task.output
    execution.output = output


def _end_stage(stage: Stage, at: float) -> None:
    skipped = bool(stage.tasks) and all(task.status == "SKIPPED" for task in stage.tasks)
    stage.status = "SKIPPED" if skipped else "COMPLETED"
    stage.ended_at = at
