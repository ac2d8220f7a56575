"""The state machine of an execution: stages, task groups, approvals, pause, cancel, rollback. No HTTP here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider.sandbox.core.execution import Track

if TYPE_CHECKING:
    from airflow_provider.sandbox.code_stream.system import CodeStreamSystem

TERMINAL = frozenset(
    {"COMPLETED", "FAILED", "CANCELED", "ROLLBACK_COMPLETED", "ROLLBACK_FAILED", "SKIPPED", "FAILED_CONTINUE"}
)
STATUSES = TERMINAL | {
    "NOT_STARTED",
    "QUEUED",
    "STARTED",
    "PREPARING_WORKSPACE",
    "RUNNING",
    "WAITING",
    "PAUSING",
    "PAUSED",
    "RESUMING",
    "CANCELING",
    "ROLLING_BACK",
}
DONE = frozenset({"COMPLETED", "SKIPPED", "FAILED_CONTINUE"})
_CONDITION = re.compile(r"""\s*\$\{input\.(\w+)\}\s*(==|!=)\s*['"]?([^'"]*)['"]?\s*$""")


@dataclass(slots=True)
class Task:
    """One task of a running pipeline; ``at`` values are epoch seconds."""

    id: str
    name: str
    stage: str
    spec: dict[str, Any]
    status: str = "NOT_STARTED"
    message: str = ""
    output: dict[str, Any] = field(default_factory=dict)
    started_at: float | None = None
    ended_at: float | None = None

    @property
    def key(self) -> str:
        return f"{self.stage}.{self.name}"

    @property
    def type(self) -> str:
        return str(self.spec.get("type", "CI"))


@dataclass(slots=True)
class Stage:
    id: str
    name: str
    task_order: list[str]
    groups: list[list[Task]]
    status: str = "NOT_STARTED"
    message: str = ""
    started_at: float | None = None
    ended_at: float | None = None


class Execution:
    """One run of a pipeline as it is now."""

    def __init__(
        self,
        *,
        id: str,  # noqa: A002
        index: int,
        pipeline_id: str,
        name: str,
        project: str,
        definition: dict[str, Any],
        inputs: dict[str, Any],
        comments: str,
        tags: list[Any],
        source: str,
        user: str,
        at: float,
        triggered_by: str = "",
        nested: bool = False,
        rollback: bool = False,
    ) -> None:
        self.id = id
        self.index = index
        self.pipeline_id = pipeline_id
        self.name = name
        self.project = project
        self.definition = definition
        self.inputs = inputs
        self.comments = comments
        self.tags = tags
        self.source = source
        self.user = user
        self.triggered_by = triggered_by
        self.nested = nested
        self.rollback = rollback
        self.output: dict[str, Any] = {}
        self.message = ""
        self.reason = ""
        self.canceled_by = user
        self.status = "NOT_STARTED"
        self.requested_at = self.updated_at = at
        self.ended_at: float | None = None
        self.resumed_at: float | None = None
        self.held = False
        self.counted = False
        self.cursor = (0, 0)
        self.wake = 0
        self.on_end: Callable[[Execution, float], None] | None = None
        self.kept: dict[str, Any] = {}
        self.track = Track(id, "pipeline execution", comments or user, self.status, at)
        self.stages = list(self._stages())

    def _stages(self) -> list[Stage]:
        stages = []
        for number, name in enumerate(self.definition.get("stageOrder") or self.definition.get("stages") or ()):
            spec = self.definition["stages"][name]
            order = list(spec.get("taskOrder") or spec.get("tasks") or ())
            groups: list[list[Task]] = []
            for group in order:
                groups.append([])
                for task in (each.strip() for each in group.split(",")):
                    place = sum(len(each) for each in groups)
                    task_id = f"{self.id}~{number}.{place}"
                    groups[-1].append(Task(task_id, task, name, (spec.get("tasks") or {}).get(task) or {}))
            stages.append(Stage(f"{self.id}~{number}", name, order, groups))
        return stages

    @property
    def over(self) -> bool:
        return self.status in TERMINAL

    @property
    def tasks(self) -> list[Task]:
        return [task for stage in self.stages for group in stage.groups for task in group]

    def task(self, task_id: str) -> Task:
        return next(task for task in self.tasks if task.id == task_id)


class Machine:
    """Drives executions along the timeline of the system; ``system.switches`` hold the durations."""

    def __init__(self, system: CodeStreamSystem) -> None:
        self._system = system

    # --- life ---

    def begin(self, execution: Execution, at: float) -> None:
        self._later(execution, at, 0.2, self._leave_not_started)

    def _leave_not_started(self, execution: Execution, at: float) -> None:
        if self._system.running[execution.pipeline_id] >= int(execution.definition.get("concurrency") or 10):
            self._enter(execution, "QUEUED", at)
            self._system.queues[execution.pipeline_id].append(execution)
        else:
            self._start(execution, at)

    def _start(self, execution: Execution, at: float) -> None:
        self._system.running[execution.pipeline_id] += 1
        execution.counted = True
        self._enter(execution, "STARTED", at)
        workspace = (execution.definition.get("workspace") or {}).get("image")
        self._later(execution, at, 0.4, self._prepare if workspace else self._run)

    def _prepare(self, execution: Execution, at: float) -> None:
        self._enter(execution, "PREPARING_WORKSPACE", at)
        self._later(execution, at, 0.4, self._run)

    def _run(self, execution: Execution, at: float) -> None:
        self._enter(execution, "RUNNING", at)
        self._start_group(execution, at)

    def _group(self, execution: Execution) -> list[Task]:
        stage, group = execution.cursor
        return execution.stages[stage].groups[group]

    def _start_group(self, execution: Execution, at: float) -> None:
        """Starts what the cursor points to, skipping past empty stages; ends the execution after the last."""
        number, group = execution.cursor
        while number < len(execution.stages) and group >= len(execution.stages[number].groups):
            self._end_stage(execution.stages[number], at)
            number, group = number + 1, 0
        execution.cursor = (number, group)
        if number >= len(execution.stages):
            self._complete(execution, at)
            return
        stage = execution.stages[number]
        if stage.status != "RUNNING":
            stage.status, stage.started_at = "RUNNING", stage.started_at or at
        for task in self._group(execution):
            if task.status not in DONE:
                self._start_task(execution, task, at)
        self._after_change(execution, at)

    def _start_task(self, execution: Execution, task: Task, at: float) -> None:
        if not _holds(task.spec.get("preCondition"), execution.inputs):
            task.status = "SKIPPED"
            return
        task.started_at, task.ended_at, task.message = at, None, ""
        script = self._system.script(execution, task)
        if task.type == "UserOperation" and "fails" not in script:
            task.status = "WAITING"
            self._system.operations.open(execution, task, at)
        elif task.type == "Pipeline":
            task.status = "RUNNING"
            self._start_nested(execution, task, at)
        else:
            task.status = "RUNNING"
            seconds = script.get("seconds", self._system.switches["task_seconds"])
            fails = script.get("fails")
            due = at + self._system.world.clock.pace(seconds)
            self._system.timeline.at(due, lambda when: self._finish_task(execution, task, at, fails, script, when))

    def _finish_task(
        self, execution: Execution, task: Task, begun: float, fails: str | None, script: dict[str, Any], at: float
    ) -> None:
        if task.status != "RUNNING" or task.started_at != begun or execution.held:
            return
        if not fails:
            task.output = dict(script.get("output", {}))
        self.end_task(execution, task, fails, at)

    def end_task(self, execution: Execution, task: Task, fails: str | None, at: float) -> None:
        """Ends a task; ``fails`` is the failure message."""
        task.ended_at = at
        if not fails:
            task.status = "COMPLETED"
        else:
            task.status = "FAILED_CONTINUE" if task.spec.get("ignoreFailure") else "FAILED"
            task.message = fails
        self._after_change(execution, at)

    def _start_nested(self, execution: Execution, task: Task, at: float) -> None:
        name = (task.spec.get("input") or {}).get("pipeline")
        pipeline = self._system.pipelines.named(name, execution.project)
        if pipeline is None:
            self.end_task(execution, task, f"Pipeline {name} not found.", at)
            return

        def ended(child: Execution, when: float) -> None:
            if task.status != "RUNNING":
                return
            task.output = dict(child.output)
            self.end_task(execution, task, None if child.status == "COMPLETED" else child.message, when)

        child = self._system.start(
            pipeline,
            inputs=(task.spec.get("input") or {}).get("inputProperties") or {},
            user=execution.user,
            comments=execution.comments,
            nested=True,
        )
        child.on_end = ended

    def _after_change(self, execution: Execution, at: float) -> None:
        """Moves on when the tasks of the present group say so."""
        if execution.over or execution.held or execution.status == "CANCELING":
            execution.kept.clear()
            return
        group = self._group(execution)
        execution.updated_at = at
        execution.kept.clear()
        failed = next((task for task in group if task.status == "FAILED"), None)
        if any(task.status == "RUNNING" for task in group):
            return
        if failed is not None:
            self._fail(execution, failed, at)
        elif any(task.status == "WAITING" for task in group):
            if execution.status == "RUNNING":
                self._enter(execution, "WAITING", at)
        elif execution.status == "PAUSING":
            self._enter(execution, "PAUSED", at)
            self._next_group(execution)
        elif execution.status == "WAITING":
            self._next_group(execution)
            self._enter(execution, "RESUMING", at)
            self._later(execution, at, 0.3, self._run)
        elif execution.status == "RUNNING":
            self._next_group(execution)
            self._start_group(execution, at)

    def _next_group(self, execution: Execution) -> None:
        execution.cursor = (execution.cursor[0], execution.cursor[1] + 1)

    def _end_stage(self, stage: Stage, at: float) -> None:
        tasks = [task for group in stage.groups for task in group]
        stage.status = "SKIPPED" if tasks and all(task.status == "SKIPPED" for task in tasks) else "COMPLETED"
        stage.ended_at = at

    def _complete(self, execution: Execution, at: float) -> None:
        execution.message = "Execution Completed."
        self._system.fill_output(execution)
        self._enter(execution, "COMPLETED", at)

    def _fail(self, execution: Execution, task: Task, at: float) -> None:
        stage = execution.stages[execution.cursor[0]]
        stage.status, stage.message, stage.ended_at = "FAILED", f"{task.name}: {task.message}", at
        execution.message = f"{task.key}: {task.message}"
        for other in self._group(execution):
            if other.status == "WAITING":
                other.status, other.ended_at = "CANCELED", at
                self._system.operations.withdraw(other, at)
        self._enter(execution, "FAILED", at)
        if self._system.switches["rollback"] != "none" and not execution.rollback:
            self._later(execution, at, 0.5, self._roll_back)

    def _roll_back(self, execution: Execution, at: float) -> None:
        self._enter(execution, "ROLLING_BACK", at)
        pipeline = self._system.pipelines.objects.get(execution.pipeline_id)
        ends_as = "ROLLBACK_COMPLETED" if self._system.switches["rollback"] == "completed" else "ROLLBACK_FAILED"
        if pipeline is None:
            self._enter(execution, "ROLLBACK_FAILED", at)
            return
        child = self._system.start(
            pipeline, inputs=execution.inputs, user=execution.user, comments=execution.comments, rollback=True
        )

        def ended(_: Execution, when: float) -> None:
            if execution.status == "ROLLING_BACK":
                self._enter(execution, ends_as, when)

        child.on_end = ended

    # --- actions ---

    def pause(self, execution: Execution, at: float) -> bool:
        """Whether the action fits the state, as for the other actions."""
        if execution.status not in ("STARTED", "PREPARING_WORKSPACE", "RUNNING", "WAITING"):
            return False
        started = execution.status in ("RUNNING", "WAITING")
        self._enter(execution, "PAUSING", at)
        self._later(execution, at, 0.3, self._pause_if_idle)
        if not started:
            execution.cursor = (0, -1)
        return True

    def _pause_if_idle(self, execution: Execution, at: float) -> None:
        group = self._group(execution) if execution.cursor[1] >= 0 else []
        if not any(task.status == "RUNNING" for task in group):
            self._enter(execution, "PAUSED", at)
            if all(task.status in DONE for task in group):
                self._next_group(execution)

    def resume(self, execution: Execution, at: float, *, failed_too: bool) -> bool:
        resumable = ("PAUSED", "FAILED") if failed_too else ("PAUSED",)
        if execution.status not in resumable:
            return False
        if execution.status == "FAILED":
            execution.ended_at = None
            execution.message = ""
            stage = execution.stages[execution.cursor[0]]
            stage.message, stage.ended_at = "", None
            self._system.running[execution.pipeline_id] += 1
            execution.counted = True
        execution.resumed_at = at
        execution.held = False
        self._enter(execution, "RESUMING", at)
        self._later(execution, at, 0.3, self._go_on)
        return True

    def _go_on(self, execution: Execution, at: float) -> None:
        waiting = [task for task in self._safe_group(execution) if task.status == "WAITING"]
        self._enter(execution, "RUNNING", at)
        if waiting:
            self._after_change(execution, at)
        else:
            self._start_group(execution, at)

    def _safe_group(self, execution: Execution) -> list[Task]:
        stage, group = execution.cursor
        if stage < len(execution.stages) and 0 <= group < len(execution.stages[stage].groups):
            return execution.stages[stage].groups[group]
        return []

    def cancel(self, execution: Execution, at: float) -> bool:
        execution.track.cancel_received(at)
        if execution.over or execution.status == "CANCELING":
            return False
        execution.held = False
        self._enter(execution, "CANCELING", at)
        if self._system.switches["cancel_loses_race"]:
            self._later(execution, at, 0.5, self._complete)
        else:
            self._later(execution, at, 0.5, self._cancelled)
        return True

    def _cancelled(self, execution: Execution, at: float) -> None:
        where = next((task for task in execution.tasks if task.status in ("RUNNING", "WAITING")), None)
        for task in execution.tasks:
            if task.status in ("RUNNING", "WAITING"):
                if task.status == "WAITING":
                    self._system.operations.withdraw(task, at)
                task.status, task.ended_at = "CANCELED", at
        for stage in execution.stages:
            if stage.status == "RUNNING":
                stage.status, stage.ended_at = "CANCELED", at
        place = f"{where.key}: " if where else ""
        execution.message = f"{place}Execution canceled by {execution.canceled_by}."
        self._enter(execution, "CANCELED", at)

    def force(self, execution: Execution, status: str, at: float) -> None:
        """Puts an execution into a state; it stays there until it is forced again. RUNNING lets it go on."""
        if status not in STATUSES:
            raise ValueError(f"one of {', '.join(sorted(STATUSES))}")
        execution.held = status not in TERMINAL and status != "RUNNING"
        execution.wake += 1
        if status in TERMINAL:
            execution.message = "Execution Completed." if status == "COMPLETED" else f"Forced to {status}."
            if status == "COMPLETED":
                self._system.fill_output(execution)
        self._enter(execution, status, at)
        if status == "RUNNING":
            self._go_on(execution, at)

    # --- helpers ---

    def _later(
        self, execution: Execution, at: float, seconds: float, action: Callable[[Execution, float], None]
    ) -> None:
        """One pending step an execution; a newer one, or a forced state, takes its place."""
        execution.wake += 1
        wake = execution.wake

        def run(when: float) -> None:
            if execution.wake == wake and execution.id in self._system.executions_by_id:
                action(execution, when)

        self._system.timeline.at(at + self._system.world.clock.pace(seconds), run)

    def _enter(self, execution: Execution, status: str, at: float) -> None:
        execution.status = status
        execution.updated_at = at
        execution.kept.clear()
        execution.track.enter(status, at)
        if execution.over:
            execution.ended_at = at
            for task in execution.tasks:
                if task.status == "WAITING":
                    self._system.operations.withdraw(task, at)
            self._system.slot_freed(execution, at)
            if execution.on_end is not None and not (status == "FAILED" and self._will_roll_back(execution)):
                execution.on_end(execution, at)
        else:
            execution.ended_at = None
        self._system.notify(execution, status)

    def _will_roll_back(self, execution: Execution) -> bool:
        return self._system.switches["rollback"] != "none" and not execution.rollback

    def leave_queue(self, execution: Execution, at: float) -> None:
        """A slot is free for a queued execution."""
        self._start(execution, at)


def _holds(condition: Any, inputs: dict[str, Any]) -> bool:
    """Evaluates ``${input.x} == 'y'`` and ``!=``; ``false`` is false, everything else holds."""
    if not isinstance(condition, str) or not condition.strip():
        return True
    match = _CONDITION.match(condition)
    if match is None:
        return condition.strip().lower() != "false"
    equal = str(inputs.get(match[1], "")) == match[3]
    return equal if match[2] == "==" else not equal
