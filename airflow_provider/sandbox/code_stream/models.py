"""What Code Stream stores: documents, executions with their stages and tasks, approvals, trigger events."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from airflow_provider.sandbox.code_stream.formats import new_id
from airflow_provider.sandbox.core.execution import Track

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
UNITS = {"MINUTES": 60, "HOURS": 3600, "DAYS": 86400}
EVENT_FIELDS: dict[str, dict[str, Any]] = {
    "docker": {"repo": "shop", "repoNamespace": "acme", "imageName": "shop", "tag": "latest", "owner": "acme"},
    "git": {
        "commitId": "9f1c0de",
        "targetBranch": "master",
        "subject": "Bump version",
        "repo": "shop",
        "owner": "Demo User",
        "httpURL": "https://git.example.com/retail/shop",
        "serverURL": "https://git.example.com",
        "serverWebhookId": "192837465",
    },
    "gerrit": {
        "changeNumber": 18823,
        "patchSetNumber": 1,
        "branch": "master",
        "gerritProject": "shop",
        "listener": "gerrit",
        "trigger": "shop-changes",
        "triggerType": "AUTOMATIC",
        "type": "patchset-created",
        "actionTaken": "",
        "subject": "Bump version",
        "owner": "Demo User",
        "properties": {"GERRIT_BRANCH": "master", "GERRIT_PROJECT": "shop"},
    },
}


class Stored:
    """One document: its writable ``fields``, and the values of its base fields."""

    def __init__(self, id: str, name: str, project: str, fields: dict[str, Any], at: float, user: str) -> None:  # noqa: A002
        self.id = id
        self.name = name
        self.project = project
        self.fields = fields
        self.created_at = self.updated_at = at
        self.created_by = self.updated_by = user


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
    """Groups of tasks: those of a group run side by side, the groups one after another."""

    id: str
    name: str
    task_order: list[str]
    groups: list[list[Task]]
    status: str = "NOT_STARTED"
    message: str = ""
    started_at: float | None = None
    ended_at: float | None = None

    @property
    def tasks(self) -> list[Task]:
        return [task for group in self.groups for task in group]


class Execution:
    """One run of a pipeline.

    :ivar cursor: the numbers of its current stage and group
    :ivar held: a forced status keeps it from advancing
    :ivar counted: whether it occupies a slot of the pipeline's concurrency
    :ivar wake: the number of its pending step; older steps are void
    :ivar kept: its cached document for lists
    """

    def __init__(
        self,
        *,
        index: int,
        pipeline: Stored,
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
        self.id = new_id()
        self.index = index
        self.pipeline_id = pipeline.id
        self.name = pipeline.name
        self.project = pipeline.project
        self.definition = pipeline.fields
        self.inputs = pipeline.fields["input"] | inputs
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
        self.track = Track(self.id, "pipeline execution", comments or user, self.status, at)
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
        return [task for stage in self.stages for task in stage.tasks]

    @property
    def stage(self) -> Stage:
        """The current one."""
        return self.stages[self.cursor[0]]

    @property
    def group(self) -> list[Task]:
        """The tasks of the current group; empty before the first group and after the last."""
        stage, group = self.cursor
        if stage < len(self.stages) and 0 <= group < len(self.stages[stage].groups):
            return self.stages[stage].groups[group]
        return []

    def next_group(self) -> None:
        self.cursor = (self.cursor[0], self.cursor[1] + 1)


class Approval:
    """A user operation: one request for an answer, which a task of an execution waits for.

    :param ended: called when it is answered or has expired, with the failure message, or None if approved
    """

    def __init__(self, execution: Execution, task: Task, at: float, ended: Callable[[str | None, float], None]) -> None:
        spec = task.spec.get("input") or {}
        self.id = new_id()
        self.index = uuid.uuid4().hex[:6]
        self.execution = execution
        self.task = task
        self.ended = ended
        self.status = "ACTIVE"
        self.summary = str(spec.get("summary", ""))
        self.description = str(spec.get("description", ""))
        approvers = spec.get("approvers") or []
        self.approvers = [each.strip() for each in approvers.split(",")] if isinstance(approvers, str) else approvers
        self.expiration = int(spec.get("expiration", 3))
        self.unit = str(spec.get("expirationUnit", "DAYS"))
        self.requested_at = self.updated_at = at
        self.expires_at = at + self.lifetime
        self.responded_by: str | None = None
        self.responded_at: float | None = None
        self.response = ""
        self.cancel_previous = False

    @property
    def lifetime(self) -> int:
        """Seconds."""
        return self.expiration * UNITS[self.unit]


class Event:
    """One trigger event; ``inputs`` are those that its payload supplies to the pipeline."""

    def __init__(
        self,
        kind: str,
        name: str,
        project: str,
        pipeline: str,
        fields: dict[str, Any],
        inputs: dict[str, Any],
        at: float,
    ) -> None:
        self.id = new_id()
        self.kind = kind
        self.name = name
        self.project = project
        self.pipeline = pipeline
        self.fields = EVENT_FIELDS[kind] | fields
        self.inputs = inputs
        self.message = ""
        self.execution: Execution | None = None
        self.execution_snapshot = ""
        self.created_at = self.updated_at = at

    def link(self, execution: Execution, at: float) -> None:
        """Records the execution that the event has started."""
        self.execution = execution
        self.execution_snapshot = "STARTED"
        self.message = ""
        self.updated_at = at
