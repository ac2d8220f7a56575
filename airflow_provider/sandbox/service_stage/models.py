"""What ServiceStage stores: release tasks and their releases, which remember their history; components and plans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider.sandbox.core.execution import Track

INITIAL, SUCCEEDED, FAILED, RELEASING, TO_APPROVE, PAUSED, SKIPPED = 1, 2, 3, 4, 5, 7, 9
ROLLING_BACK, ROLLED_BACK, ROLLBACK_FAILED, STOPPING, RESTARTING = 10, 11, 12, 13, 14
STATUSES = frozenset({1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13, 14})
TERMINAL = frozenset({SUCCEEDED, FAILED, SKIPPED, ROLLED_BACK, ROLLBACK_FAILED})
JOB_RUNNING, JOB_SUCCEEDED, JOB_FAILED = "RUNNING", "SUCCEEDED", "FAILED"
BUSY = frozenset({RELEASING, TO_APPROVE, ROLLING_BACK, STOPPING, RESTARTING})


@dataclass(slots=True)
class Task:
    """One task of a release; ``begun`` counts how often it was started."""

    name: str
    type: str
    status: int = INITIAL
    begun: int = 0


@dataclass(slots=True)
class Phase:
    """One stage: groups run side by side, the tasks of a group one after another."""

    name: str
    groups: list[list[Task]]

    @property
    def tasks(self) -> list[Task]:
        return [task for group in self.groups for task in group]


def phases(stages: list[dict[str, Any]]) -> list[Phase]:
    """The phases of a declaration; a stage holds ``groups`` of ``tasks``, or ``tasks`` alone, which are one group."""
    found = []
    for stage in stages:
        groups = [group.get("tasks") or [] for group in stage.get("groups") or [stage]]
        found.append(
            Phase(stage["name"], [[Task(task["name"], task.get("type", "")) for task in group] for group in groups])
        )
    return found


class ReleaseTask:
    """A release task: its declaration, and its releases, oldest first."""

    def __init__(self, id: str, project_id: str, spec: dict[str, Any], user: str, at: float) -> None:  # noqa: A002
        self.id = id
        self.project_id = project_id
        self.spec = spec
        self.creator = user
        self.version = 1
        self.created_at = self.updated_at = at
        self.triggers: list[float] = []
        self.releases: list[Release] = []
        self.history: list[tuple[int, float]] = [(INITIAL, at)]

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def stages(self) -> list[dict[str, Any]]:
        return self.spec.get("stages") or []

    @property
    def status(self) -> int:
        return self.history[-1][0]

    def triggered_at(self, at: float) -> float | None:
        """When it was last triggered, as of ``at``."""
        return next((trigger for trigger in reversed(self.triggers) if trigger <= at), None)

    def status_at(self, at: float) -> int:
        """What the status was at ``at``."""
        return next((status for status, since in reversed(self.history) if since <= at), INITIAL)


@dataclass(slots=True)
class Release:
    """One execution record. While ``held``, by a forced status, it does not advance."""

    id: int
    release_task: ReleaseTask
    user: str
    at: float
    phases: list[Phase]
    track: Track
    status: int = RELEASING
    phase: int = 0
    held: bool = False
    wake: int = 0

    @property
    def current_tasks(self) -> list[Task]:
        """The tasks of the current phase."""
        return self.phases[self.phase].tasks

    def status_at(self, at: float) -> int:
        """What the status was at ``at``."""
        return next((int(status) for status, since in reversed(self.track.states) if since <= at), RELEASING)

    def enter(self, status: int, at: float) -> None:
        self.status = status
        self.track.enter(str(status), at)
        if self is self.release_task.releases[-1] and self.release_task.status != status:
            self.release_task.history.append((status, at))


@dataclass(slots=True)
class Component:
    """A component of an application."""

    id: str
    project_id: str
    application_id: str
    spec: dict[str, Any]
    creator: str
    created_at: float


@dataclass(slots=True)
class Job:
    """A job that does something with a component."""

    id: str
    component: Component
    action: str
    at: float
    status: str = JOB_RUNNING
    ended_at: float | None = None


@dataclass(slots=True)
class ReleasePlan:
    """A plan of the older release management, and what was done with it last: ``execute``, ``rollback``, ``abort``."""

    id: str
    project_id: str
    spec: dict[str, Any]
    creator: str
    created_at: float
    updated_at: float
    executed_at: float | None = None
    action: str = ""
    job_id: str = ""
    job_status: str = "CREATED"
