"""Inserts executions that have already ended, to fill lists."""

from __future__ import annotations

from typing import Any

from airflow_provider.sandbox.code_stream.models import Execution, Stage, Task
from airflow_provider.sandbox.code_stream.running import Runner, fill_output
from airflow_provider.sandbox.code_stream.state import State

USER = "release-bot"
STARTED_BY = "seed"


class History:
    def __init__(self, state: State, runner: Runner) -> None:
        self._state = state
        self._runner = runner

    def insert(
        self,
        pipeline_id: str,
        *,
        status: str = "COMPLETED",
        at: float | None = None,
        inputs: dict[str, Any] | None = None,
    ) -> Execution:
        """:param status: how it ended
        :param at: when it was requested (epoch seconds)
        """
        pipeline = self._state.pipelines.objects[pipeline_id]
        at = self._state.now if at is None else at
        execution = self._runner.start(pipeline, inputs=inputs or {}, user=USER, at=at)
        # Voids its first step.
        execution.wake += 1
        execution.track.started_by = STARTED_BY
        parts: list[Stage | Task] = [*execution.stages, *execution.tasks]
        for each in parts:
            each.status, each.started_at, each.ended_at = "COMPLETED", at, at
        if status == "COMPLETED":
            execution.message = "Execution Completed."
            fill_output(execution)
        else:
            _fail_at_the_last_task(execution)
        execution.status, execution.ended_at = status, at
        execution.track.enter(status, at)
        return execution


def _fail_at_the_last_task(execution: Execution) -> None:
    stage = execution.stages[-1]
    execution.cursor = (len(execution.stages) - 1, len(stage.groups) - 1)
    task = execution.group[-1]
    task.status, task.message = "FAILED", "Script execution failed."
    stage.status, stage.message = "FAILED", f"{task.name}: {task.message}"
    execution.message = f"{task.key}: {task.message}"
