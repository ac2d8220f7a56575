"""The body of an action on a release task, checked before anything is sent. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

ACTIONS = ("start", "stop", "retry", "approval", "continue", "rollback")
APPROVAL_TYPES = ("agree", "refuse")


def check_action(action: str) -> None:
    """
    :raises ValueError: there is no such action.
    """
    if action not in ACTIONS:
        raise ValueError(f"action must be one of {', '.join(ACTIONS)}, got {action!r}")


def action_body(
    action: str,
    selected_tasks: Mapping[str, Sequence[str]] | None,
    task_name: str | None,
    approval_type: str | None,
    message: str | None,
) -> dict[str, Any]:
    """
    :raises ValueError: names the argument that is wrong or does not belong to the action.
    """
    check_action(action)
    if selected_tasks is not None and action != "start":
        raise ValueError(f"selected_tasks is valid only with the action start, got {action}")
    if action != "approval":
        for name, value in (("task_name", task_name), ("approval_type", approval_type), ("message", message)):
            if value is not None:
                raise ValueError(f"{name} is valid only with the action approval, got {action}")
        # Never without a body: a sister service refuses such requests.
        return {} if selected_tasks is None else {"selected_tasks": _selection(selected_tasks)}
    if not task_name or not task_name.strip():
        raise ValueError("task_name must not be empty for the action approval")
    if approval_type not in APPROVAL_TYPES:
        raise ValueError(f"approval_type must be agree or refuse, got {approval_type!r}")
    answer = {"task_name": task_name, "approval_type": approval_type}
    return answer if message is None else {**answer, "message": message}


def _selection(selected_tasks: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    if not isinstance(selected_tasks, Mapping) or not selected_tasks:
        raise ValueError(
            "selected_tasks must be {stage: [task, ...]} with a stage in it; leave it out to run all tasks"
        )
    for stage, tasks in selected_tasks.items():
        if not _is_name(stage):
            raise ValueError("selected_tasks: the name of a stage must not be empty")
        is_list = isinstance(tasks, Collection) and not isinstance(tasks, str)
        if not is_list or not tasks or not all(_is_name(task) for task in tasks):
            raise ValueError(f"selected_tasks[{stage!r}] must be a list of task names, got {tasks!r}")
    return [{"stage_name": stage, "tasks": list(tasks)} for stage, tasks in selected_tasks.items()]


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
