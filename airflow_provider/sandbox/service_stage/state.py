"""The state of ServiceStage: release tasks, releases, components, plans and scripts. No routes, no logins."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider.sandbox.core.clock import Clock
from airflow_provider.sandbox.core.execution import Track
from airflow_provider.sandbox.core.scripts import Scripts
from airflow_provider.sandbox.core.timeline import Timeline
from airflow_provider.sandbox.service_stage.models import (
    JOB_FAILED,
    JOB_RUNNING,
    JOB_SUCCEEDED,
    RELEASING,
    Component,
    Job,
    Release,
    ReleasePlan,
    ReleaseTask,
    Task,
    phases,
)

FIRST_ID = 286541


class State:
    """:ivar releases: by their ids as text
    :ivar scripts: by the id of the release task and the name of a task: ``seconds``, ``fails``, ``times``; by the name
        of a component or a release plan and what is done with it
    """

    def __init__(self, clock: Clock, switches: Mapping[str, Any]) -> None:
        self.switches = switches
        self._clock = clock
        self._timeline = Timeline()
        self.clear()

    def clear(self) -> None:
        self._timeline.clear()
        self.release_tasks: dict[str, ReleaseTask] = {}
        self.releases: dict[str, Release] = {}
        self.components: dict[str, Component] = {}
        self.jobs: dict[str, Job] = {}
        self.release_plans: dict[str, ReleasePlan] = {}
        self.scripts = Scripts()
        self._next_id = FIRST_ID

    @property
    def now(self) -> float:
        return self._clock.now()

    def tick(self, now: float) -> None:
        self._timeline.run(now)

    def after(self, at: float, seconds: float, action: Callable[[float], None]) -> None:
        """``action`` is due ``seconds`` of nominal time after ``at``."""
        self._timeline.at(at + self._clock.pace(seconds), action)

    def create(
        self, spec: dict[str, Any], project_id: str, user: str, release_task_id: str | None = None
    ) -> ReleaseTask:
        """A new release task; only the seed passes an id."""
        made = ReleaseTask(release_task_id or str(uuid.uuid4()), project_id, spec, user, self.now)
        self.release_tasks[made.id] = made
        return made

    def named(self, name: str) -> ReleaseTask | None:
        """The release task of an id or a name."""
        return next((each for each in self.release_tasks.values() if name in (each.id, each.name)), None)

    def add(self, release_task: ReleaseTask, login: str, user: str, at: float) -> Release:
        """A new release of ``release_task``."""
        release_id = self._next_id
        self._next_id += 1
        track = Track(str(release_id), "release", login, str(RELEASING), at)
        release = Release(release_id, release_task, user, at, phases(release_task.stages), track)
        release_task.releases.append(release)
        release_task.triggers.append(at)
        self.releases[str(release_id)] = release
        return release

    def script(self, release: Release, task: Task) -> dict[str, Any]:
        """How a test has scripted a task: ``seconds``, ``fails``; ``times`` limits how often."""
        return self.scripts.take(release.release_task.id, task.name)

    # --- components and release plans

    def add_component(self, project_id: str, application_id: str, spec: dict[str, Any], user: str) -> Component:
        made = Component(str(uuid.uuid4()), project_id, application_id, spec, user, self.now)
        self.components[made.id] = made
        return made

    def start_job(self, component: Component, action: str, at: float) -> Job:
        """A new job, which ends by itself."""
        job = Job(f"JOB{uuid.uuid4()}", component, action, at)
        self.jobs[job.id] = job
        script = self.scripts.take(str(component.spec["name"]), action)

        def end(now: float) -> None:
            job.status, job.ended_at = JOB_FAILED if script.get("fails") else JOB_SUCCEEDED, now

        self.after(at, script.get("seconds", self.switches["task_seconds"]), end)
        return job

    def add_plan(self, project_id: str, spec: dict[str, Any], user: str) -> ReleasePlan:
        made = ReleasePlan(str(uuid.uuid4()), project_id, spec, user, self.now, self.now)
        self.release_plans[made.id] = made
        return made

    def deploy(self, plan: ReleasePlan, action: str, at: float) -> None:
        """Executes a plan, or rolls it back; ends by itself unless it is aborted."""
        job_id = f"JOB{uuid.uuid4()}"
        plan.action, plan.job_id, plan.job_status, plan.executed_at = action, job_id, JOB_RUNNING, at
        script = self.scripts.take(str(plan.spec["name"]), action)

        def end(_now: float) -> None:
            if plan.job_id == job_id:
                plan.job_status = JOB_FAILED if script.get("fails") else JOB_SUCCEEDED

        self.after(at, script.get("seconds", self.switches["task_seconds"]), end)
