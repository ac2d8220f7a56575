"""Reads the names of stages and tasks from a release task's detail, whose format the vendor does not document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from airflow_provider.clients.service_stage.release_states import TO_BE_APPROVED, status_of

CHECKPOINTS = ("approv", "trigger")
"""Parts of the types of tasks that wait for an answer."""


class Task(NamedTuple):
    """:param status: "" if the document does not have it."""

    name: str
    kind: str
    status: str


def stage_tasks(detail: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names for ``selected_tasks``: ``{stage: [task, ...]}``, in order."""
    return {str(stage["name"]): [task.name for task in _tasks(stage)] for stage in _stages(detail)}


def approval_tasks(detail: Mapping[str, Any]) -> list[str]:
    """The names for ``task_name``: the tasks whose type is an approval, or all tasks if none is."""
    tasks = _all_tasks(detail)
    return [task.name for task in tasks if "approv" in task.kind.lower()] or [task.name for task in tasks]


def asking_tasks(record: Mapping[str, Any], detail: Mapping[str, Any]) -> tuple[list[str], bool]:
    """The tasks whose answer a release waits for, and whether that is certain; if not, all that it may wait for.

    :param record: of the execution that waits; the vendor does not document whether it contains its tasks.
    """
    for document in (record, detail):
        if waiting := [task.name for task in _all_tasks(document) if task.status == TO_BE_APPROVED]:
            return waiting, True
    tasks = _all_tasks(detail)
    asking = [task.name for task in tasks if any(word in task.kind.lower() for word in CHECKPOINTS)]
    return asking or [task.name for task in tasks], False


def _all_tasks(document: Mapping[str, Any]) -> list[Task]:
    return [task for stage in _stages(document) for task in _tasks(stage)]


def _stages(detail: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    declaration = detail.get("pipeline_declaration")
    holder = declaration if isinstance(declaration, dict) else detail
    stages = holder.get("stages")
    found = stages if isinstance(stages, list) else []
    return [stage for stage in found if isinstance(stage, dict) and stage.get("name")]


def _tasks(node: object) -> Iterator[Task]:
    """Every task below a node, however deep: groups, with or without names, may be in between."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        if isinstance(child, dict) and child.get("name") and "tasks" not in child:
            yield Task(str(child["name"]), str(child.get("type") or ""), status_of(child))
        yield from _tasks(child)
