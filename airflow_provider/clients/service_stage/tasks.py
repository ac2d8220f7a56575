"""Stage and task names out of a release task's detail, whose inner shape the vendor does not document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def stage_tasks(detail: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names for ``selected_tasks``: ``{stage: [task, ...]}``, in order."""
    return {str(stage["name"]): [name for name, _ in _tasks(stage)] for stage in _stages(detail)}


def approval_tasks(detail: Mapping[str, Any]) -> list[str]:
    """The names for ``task_name``: the tasks that say they are approvals; all tasks where none says so."""
    tasks = [task for stage in _stages(detail) for task in _tasks(stage)]
    return [name for name, kind in tasks if "approv" in kind.lower()] or [name for name, _ in tasks]


def _stages(detail: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    declaration = detail.get("pipeline_declaration")
    holder = declaration if isinstance(declaration, dict) else detail
    stages = holder.get("stages")
    return [stage for stage in stages if isinstance(stage, dict) and stage.get("name")] if stages else []


def _tasks(node: object) -> Iterator[tuple[str, str]]:
    """Name and kind of every task below a node, however deep: groups, with or without names, may be in between."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        if isinstance(child, dict) and child.get("name") and "tasks" not in child:
            yield str(child["name"]), str(child.get("type") or "")
        yield from _tasks(child)
