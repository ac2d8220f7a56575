"""Types of ServiceStage's answers, as documented. Other fields that a server sends stay in them.

Times are epoch milliseconds. Ids and statuses of releases may be numbers or texts.
"""

from __future__ import annotations

from typing import Any, TypedDict


class ReleaseTask(TypedDict, total=False):
    """An item of the list; only the list has the ``status``."""

    id: str
    name: str
    description: str
    create_time: int
    update_time: int
    version: str
    model_version: int
    config_mode: str
    status: int
    creator: str
    last_trigger_at: int | None
    enterprise_project_id: str


class Declaration(TypedDict, total=False):
    sources: list[dict[str, Any]]
    stages: list[dict[str, Any]]


class ReleaseTaskDetail(TypedDict, total=False):
    id: str
    name: str
    description: str
    model_version: int
    config_mode: str
    fail_mode: str
    enterprise_project_id: str
    pipeline_declaration: Declaration


class ReleaseRecord(TypedDict, total=False):
    """``status`` and ``trigger_at`` are not documented, but sent."""

    id: int | str
    pipeline_id: str
    trigger: str
    version: int
    trigger_at: int
    status: int


class ReleasePlan(TypedDict, total=False):
    id: str
    name: str
    desc: str
    action: str
    status: str
    swimlane_id: str
    fail_strategy: str
    components: list[dict[str, Any]]
    create_time: int
    modify_time: int
    execute_time: int
    creator: str


class ComponentDeployment(TypedDict, total=False):
    id: str
    name: str
    seq: int
    version: str
    status: str
    job_id: str
    job_status: str
    start_time: int
    end_time: int
    fail_message: str
    rollback_job_id: str
    rollback_job_status: str
    rollback_start_time: int
    rollback_end_time: int
    rollback_fail_message: str


class PlanDeployment(TypedDict, total=False):
    id: str
    components: list[ComponentDeployment]


class Component(TypedDict, total=False):
    """A component; only one that is read on its own has all fields."""

    id: str
    name: str
    labels: list[dict[str, Any]]
    runtime_stack: dict[str, Any]
    status: dict[str, Any]
    environment_id: str
    environment_name: str
    application_id: str
    application_name: str
    creator: str
    source: dict[str, Any]
    version: str
    platform_type: str


class ComponentJob(TypedDict, total=False):
    """The answer to a request about a component."""

    job_id: str
    component_id: str


class Job(TypedDict, total=False):
    """``job`` has the ``execution_status``: ``SUBMITTED``, ``RUNNING``, ``SUCCEEDED``, ``FAILED``, ..."""

    job: dict[str, Any]
    task_count: int
    tasks: list[dict[str, Any]]
