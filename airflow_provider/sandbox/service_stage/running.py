"""How a release runs: phases one after another, groups side by side, tasks of a group in turn. No HTTP."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider.sandbox.service_stage.models import (
    FAILED,
    INITIAL,
    PAUSED,
    RELEASING,
    RESTARTING,
    ROLLBACK_FAILED,
    ROLLED_BACK,
    ROLLING_BACK,
    SKIPPED,
    STATUSES,
    STOPPING,
    SUCCEEDED,
    TERMINAL,
    TO_APPROVE,
    Release,
    ReleaseTask,
    Task,
)
from airflow_provider.sandbox.service_stage.state import State

CHECKPOINTS = ("approval", "trigger")


class Runner:
    """Advances releases along the timeline."""

    def __init__(self, state: State) -> None:
        self._state = state

    def start(
        self, release_task: ReleaseTask, login: str, user: str, selected: dict[str, list[str]] | None, at: float
    ) -> Release:
        """:param selected: the names of the tasks to run, by the names of their stages; None: all"""
        release = self._state.add(release_task, login, user, at)
        if selected is not None:
            for phase in release.phases:
                for task in phase.tasks:
                    if task.name not in selected.get(phase.name, ()):
                        task.status = SKIPPED
        release.enter(RELEASING, at)
        self._later(release, at, 0.2, self._run_phase)
        return release

    def stop(self, release: Release, at: float) -> None:
        release.held = False
        release.enter(STOPPING, at)
        self._later(release, at, 0.5, self._stopped)

    def _stopped(self, release: Release, at: float) -> None:
        ends_as = FAILED if self._state.switches["stop_ends_failed"] else PAUSED
        for task in release.current_tasks:
            if task.status in (RELEASING, TO_APPROVE):
                task.status = ends_as
        release.enter(ends_as, at)

    def continue_(self, release: Release, at: float) -> None:
        """``continue`` of a paused release."""
        release.held = False
        release.enter(RELEASING, at)
        self._later(release, at, 0.2, self._run_phase)

    def retry(self, release: Release, login: str, user: str, at: float) -> Release:
        """Continues at the failed task, in the same record or in a new one."""
        if not self._state.switches["retry_keeps_id"]:
            again = self.start(release.release_task, login, user, None, at)
            again.phases, again.phase, release = release.phases, release.phase, again
        release.held = False
        release.release_task.triggers.append(at)
        release.enter(RESTARTING, at)
        self._later(release, at, 0.3, self.continue_)
        return release

    def roll_back(self, release: Release, at: float) -> None:
        release.held = False
        release.enter(ROLLING_BACK, at)
        ends_as = ROLLBACK_FAILED if self._state.switches["rollback_fails"] else ROLLED_BACK
        self._later(release, at, 2.0, lambda it, when: it.enter(ends_as, when))

    def answer(self, release: Release, task: Task, *, agreed: bool, at: float) -> None:
        """Answers a waiting checkpoint."""
        task.status = SUCCEEDED if agreed else FAILED
        release.enter(RELEASING if agreed else FAILED, at)
        if agreed:
            self._advance(release, at)

    def force(self, release: Release, status: str, at: float) -> None:
        """Forces a release into a status, where it stays until forced again. 4 lets it continue."""
        if not status.isdigit() or int(status) not in STATUSES:
            raise ValueError(f"must be one of {', '.join(str(each) for each in sorted(STATUSES))}")
        release.held = int(status) not in TERMINAL and int(status) != RELEASING
        release.wake += 1
        release.enter(int(status), at)
        if int(status) == RELEASING:
            self._run_phase(release, at)

    def _run_phase(self, release: Release, at: float) -> None:
        for task in release.current_tasks:
            if task.status not in (SUCCEEDED, SKIPPED, TO_APPROVE):
                task.status = INITIAL
        self._advance(release, at)

    def _advance(self, release: Release, at: float) -> None:
        """Starts the tasks that can start now; ends the phase or the release when its tasks are done."""
        if release.held or release.status not in (RELEASING, TO_APPROVE):
            return
        phase = release.phases[release.phase]
        for group in phase.groups:
            self._advance_group(release, group, at)
        statuses = {task.status for task in phase.tasks}
        stops = release.release_task.spec.get("fail_mode", "stop") == "stop" or not statuses & {RELEASING, TO_APPROVE}
        if FAILED in statuses and stops:
            for task in phase.tasks:
                if task.status in (RELEASING, TO_APPROVE):
                    task.status = PAUSED
            release.enter(FAILED, at)
        elif TO_APPROVE in statuses:
            release.enter(TO_APPROVE, at)
        elif RELEASING in statuses:
            release.enter(RELEASING, at)
        elif release.phase + 1 < len(release.phases):
            release.phase += 1
            self._advance(release, at)
        else:
            release.enter(SUCCEEDED, at)

    def _advance_group(self, release: Release, group: list[Task], at: float) -> None:
        for task in group:
            if task.status in (SUCCEEDED, SKIPPED):
                continue
            if task.status == INITIAL:
                self._start_task(release, task, at)
            return

    def _start_task(self, release: Release, task: Task, at: float) -> None:
        if task.type in CHECKPOINTS:
            task.status = TO_APPROVE
            return
        task.status = RELEASING
        task.begun += 1
        begun = task.begun
        script = self._state.script(release, task)

        def finish(when: float) -> None:
            goes_on = not release.held and release.status != STOPPING
            if task.status == RELEASING and task.begun == begun and goes_on:
                task.status = FAILED if script.get("fails") else SUCCEEDED
                self._advance(release, when)

        self._state.after(at, script.get("seconds", self._state.switches["task_seconds"]), finish)

    def _later(self, release: Release, at: float, seconds: float, action: Callable[[Release, float], None]) -> None:
        """Schedules the one pending step of a release; a newer step or a forced status replaces it."""
        release.wake += 1
        wake = release.wake

        def act(when: float) -> None:
            if release.wake == wake and str(release.id) in self._state.releases:
                action(release, when)

        self._state.after(at, seconds, act)
