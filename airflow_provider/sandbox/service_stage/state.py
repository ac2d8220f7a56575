"""The state of ServiceStage: release tasks, their releases, and scripts for tasks. No routes, no logins."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider.sandbox.core.clock import Clock
from airflow_provider.sandbox.core.execution import Track
from airflow_provider.sandbox.core.scripts import Scripts
from airflow_provider.sandbox.core.timeline import Timeline
from airflow_provider.sandbox.service_stage.models import RELEASING, Release, ReleaseTask, Task, phases

FIRST_ID = 286541


class State:
    """:ivar releases: by their ids as text
    :ivar scripts: by the id of the release task and the name of a task: ``seconds``, ``fails``, ``times``
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
