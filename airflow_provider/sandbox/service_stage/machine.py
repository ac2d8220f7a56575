"""The state machine of a release: phases one after another, groups side by side, tasks of a group in turn. No HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider.sandbox.core.execution import Track

if TYPE_CHECKING:
    from airflow_provider.sandbox.service_stage.system import ServiceStageSystem

INITIAL, SUCCEEDED, FAILED, RELEASING, TO_APPROVE, PAUSED, SKIPPED = 1, 2, 3, 4, 5, 7, 9
ROLLING_BACK, ROLLED_BACK, ROLLBACK_FAILED, STOPPING, RESTARTING = 10, 11, 12, 13, 14
STATUSES = frozenset({1, 2, 3, 4, 5, 7, 9, 10, 11, 12, 13, 14})
TERMINAL = frozenset({SUCCEEDED, FAILED, SKIPPED, ROLLED_BACK, ROLLBACK_FAILED})
BUSY = frozenset({RELEASING, TO_APPROVE, ROLLING_BACK, STOPPING, RESTARTING})
CHECKPOINTS = ("approval", "trigger")


@dataclass(slots=True)
class Task:
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
    result = []
    for stage in stages:
        groups = [group.get("tasks") or [] for group in stage.get("groups") or [stage]]
        result.append(
            Phase(stage["name"], [[Task(task["name"], task.get("type", "")) for task in group] for group in groups])
        )
    return result


class Release:
    """A release task: its declaration and its runs, oldest first."""

    def __init__(self, id: str, project_id: str, spec: dict[str, Any], user: str, at: float) -> None:  # noqa: A002
        self.id = id
        self.project_id = project_id
        self.spec = spec
        self.creator = user
        self.version = 1
        self.created_at = self.updated_at = at
        self.triggers: list[float] = []
        self.runs: list[Run] = []
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
        """When it was triggered last, as seen then."""
        return next((trigger for trigger in reversed(self.triggers) if trigger <= at), None)

    def status_at(self, at: float) -> int:
        """What the status was then."""
        return next((status for status, since in reversed(self.history) if since <= at), INITIAL)


@dataclass(slots=True)
class Run:
    """One execution record."""

    id: int
    release: Release
    user: str
    at: float
    phases: list[Phase]
    track: Track
    status: int = RELEASING
    phase: int = 0
    held: bool = False
    wake: int = 0

    def status_at(self, at: float) -> int:
        """What the status was then."""
        return next((int(status) for status, since in reversed(self.track.states) if since <= at), RELEASING)


class Machine:
    """Drives runs along the timeline of the system."""

    def __init__(self, system: ServiceStageSystem) -> None:
        self._system = system

    def start(self, release: Release, login: str, user: str, selected: dict[str, list[str]] | None, at: float) -> Run:
        run_id = self._system.next_id()
        track = Track(str(run_id), "release", login, str(RELEASING), at)
        run = Run(run_id, release, user, at, phases(release.stages), track)
        if selected is not None:
            for phase in run.phases:
                for task in phase.tasks:
                    if task.name not in selected.get(phase.name, ()):
                        task.status = SKIPPED
        release.runs.append(run)
        release.triggers.append(at)
        self._system.runs[str(run_id)] = run
        self._enter(run, RELEASING, at)
        self._later(run, at, 0.2, self._run_phase)
        return run

    def stop(self, run: Run, at: float) -> None:
        run.held = False
        self._enter(run, STOPPING, at)
        self._later(run, at, 0.5, self._stopped)

    def _stopped(self, run: Run, at: float) -> None:
        fails = self._system.switches["stop_ends_failed"]
        for task in run.phases[run.phase].tasks:
            if task.status in (RELEASING, TO_APPROVE):
                task.status = FAILED if fails else PAUSED
        self._enter(run, FAILED if fails else PAUSED, at)

    def go_on(self, run: Run, at: float) -> None:
        """``continue`` of a paused run."""
        run.held = False
        self._enter(run, RELEASING, at)
        self._later(run, at, 0.2, self._run_phase)

    def retry(self, run: Run, login: str, user: str, at: float) -> Run:
        """Goes on at the failed task, in the same record or in a new one."""
        if not self._system.switches["retry_keeps_id"]:
            again = self.start(run.release, login, user, None, at)
            again.phases, again.phase, run = run.phases, run.phase, again
        run.held = False
        run.release.triggers.append(at)
        self._enter(run, RESTARTING, at)
        self._later(run, at, 0.3, self.go_on)
        return run

    def roll_back(self, run: Run, at: float) -> None:
        run.held = False
        self._enter(run, ROLLING_BACK, at)
        ends_as = ROLLBACK_FAILED if self._system.switches["rollback_fails"] else ROLLED_BACK
        self._later(run, at, 2.0, lambda it, when: self._enter(it, ends_as, when))

    def answer(self, run: Run, task: Task, *, agreed: bool, at: float) -> None:
        """Answers a checkpoint that waits."""
        if agreed:
            task.status = SUCCEEDED
            self._enter(run, RELEASING, at)
            self._advance(run, at)
        else:
            task.status = FAILED
            self._enter(run, FAILED, at)

    def waiting(self, run: Run) -> list[Task]:
        """The checkpoints that wait for an answer."""
        return [task for task in run.phases[run.phase].tasks if task.status == TO_APPROVE]

    def force(self, run: Run, status: int, at: float) -> None:
        """Puts a run into a status; it stays there until it is forced again. 4 lets it go on."""
        run.held = status not in TERMINAL and status != RELEASING
        run.wake += 1
        self._enter(run, status, at)
        if status == RELEASING:
            self._run_phase(run, at)

    def _run_phase(self, run: Run, at: float) -> None:
        for task in run.phases[run.phase].tasks:
            if task.status not in (SUCCEEDED, SKIPPED, TO_APPROVE):
                task.status = INITIAL
        self._advance(run, at)

    def _advance(self, run: Run, at: float) -> None:
        """Starts what can start now and sees whether the phase or the run is over."""
        if run.held or run.status not in (RELEASING, TO_APPROVE):
            return
        phase = run.phases[run.phase]
        for group in phase.groups:
            self._advance_group(run, group, at)
        statuses = {task.status for task in phase.tasks}
        failed = FAILED in statuses
        if failed and (run.release.spec.get("fail_mode", "stop") == "stop" or not statuses & {RELEASING, TO_APPROVE}):
            for task in phase.tasks:
                if task.status in (RELEASING, TO_APPROVE):
                    task.status = PAUSED
            self._enter(run, FAILED, at)
        elif TO_APPROVE in statuses:
            self._enter(run, TO_APPROVE, at)
        elif RELEASING in statuses:
            self._enter(run, RELEASING, at)
        elif run.phase + 1 < len(run.phases):
            run.phase += 1
            self._advance(run, at)
        else:
            self._enter(run, SUCCEEDED, at)

    def _advance_group(self, run: Run, group: list[Task], at: float) -> None:
        for task in group:
            if task.status in (SUCCEEDED, SKIPPED):
                continue
            if task.status == INITIAL:
                self._start_task(run, task, at)
            return

    def _start_task(self, run: Run, task: Task, at: float) -> None:
        if task.type in CHECKPOINTS:
            task.status = TO_APPROVE
            return
        task.status = RELEASING
        task.begun += 1
        begun = task.begun
        script = self._system.script(run, task)
        seconds = script.get("seconds", self._system.switches["task_seconds"])

        def finish(when: float) -> None:
            if task.status == RELEASING and task.begun == begun and not run.held and run.status != STOPPING:
                task.status = FAILED if script.get("fails") else SUCCEEDED
                self._advance(run, when)

        self._system.timeline.at(at + self._system.world.clock.pace(seconds), finish)

    def _later(self, run: Run, at: float, seconds: float, action: Callable[[Run, float], None]) -> None:
        """One pending step a run; a newer one, or a forced status, takes its place."""
        run.wake += 1
        wake = run.wake

        def act(when: float) -> None:
            if run.wake == wake and str(run.id) in self._system.runs:
                action(run, when)

        self._system.timeline.at(at + self._system.world.clock.pace(seconds), act)

    def _enter(self, run: Run, status: int, at: float) -> None:
        run.status = status
        run.track.enter(str(status), at)
        if run is run.release.runs[-1] and run.release.status != status:
            run.release.history.append((status, at))
