"""A vendor reports the ends of executions to a webhook, which ends the waits for them: step for step as webhooks/ does.

A report is only a hint: it may be lost, come late, twice or too early, or be forged.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_provider.core.canceling import RESUMED
from airflow_provider.core.waiting import Outcome, Wait, named_exactly
from airflow_provider.exceptions import ReleasePipelineError
from airflow_provider.execution import Execution, ExecutionState
from airflow_provider.webhooks.handling import POLL_DELAYS
from tests.simulation.airflow import NOTICED, Airflow, Task
from tests.simulation.carrying_out import MARKER_XCOM
from tests.simulation.triggerers import Trigger
from tests.simulation.world import Machine, Process, Steps, World

if TYPE_CHECKING:
    from tests.simulation.jobs import Job
from tests.simulation.server import Server

LATEST = 120.0
"""Seconds after which a report comes at the latest."""


class Pushes:
    """The reports of one vendor, and the API server that gets them."""

    task = None
    policy = SimpleNamespace(system="vendor")
    """It is no process of a task, but polls as one would."""

    def __init__(self, world: World, airflow: Airflow, server: Server) -> None:
        self.world, self.airflow, self.server = world, airflow, server
        self.machine = Machine(world, "API server")

    def __str__(self) -> str:
        return "webhook"

    # What the vendor does

    def watch(self, job: Job) -> None:
        if self.world.random.random() < 0.3:
            self.world.after(self.world.between(0.0, 100.0), self._arrive, job)
        self.world.after(1.0, self._watch, job)

    def _watch(self, job: Job) -> None:
        if not job.is_over:
            # Nobody ends what is paused after the evening.
            if self.world.at_evening or job.state is not ExecutionState.PAUSED:
                self.world.after(max(1.0, min(300.0, (self.world.now - job.begun) / 10)), self._watch, job)
            return
        reports = self.world.random.choices((0, 1, 2), (1, 6, 3))[0]
        for _ in range(reports):
            self.world.after(self.world.between(0.0, 1.0) ** 3 * LATEST, self._arrive, job)

    # What the API server does

    def _arrive(self, job: Job) -> None:
        self.world.point("push", None)
        if not self.airflow.is_away:
            self.world.note("webhook", f"receives a report about {job}, which is {job.state}")
            Process(self.machine, self._handle(job))

    def _handle(self, job: Job) -> Steps[None]:
        ref = {"system": job.system or "vendor", "kind": "execution", "id": job.id, "place": self.server.place}
        claims_end = job.is_over
        seen = yield from self._observed(ref)
        for pause in POLL_DELAYS if claims_end else ():
            if seen and seen.state.is_terminal:
                break
            yield pause
            seen = yield from self._observed(ref)
            self.world.counted["looks at an end that was reported before it showed"] += 1
        finished = self._finished(seen)
        if finished is None:
            return
        for task in self.airflow.tasks:
            trigger = task.trigger
            if trigger and trigger.net is not None and named_exactly(trigger.ref) == named_exactly(finished.ref):
                yield from self._end_wait(task, trigger)

    def _observed(self, ref: dict[str, str]) -> Steps[Execution | None]:
        try:
            seen: Execution = yield from self.server.observe(self, ref)
        except ReleasePipelineError:
            return None
        return seen

    def _finished(self, seen: Execution | None) -> Execution | None:
        """The execution, if it has ended for good."""
        return None if seen is None or not seen.state.is_terminal or self.server.settling_of(seen) else seen

    def _end_wait(self, task: Task, trigger: Trigger) -> Steps[None]:
        since = task.changed_at
        seen = self._finished((yield from self._observed(trigger.ref)))
        outcome = self._outcome(trigger, seen)
        if outcome is None:
            return
        is_finished = trigger.may_finish and outcome.is_success
        if not is_finished and self.world.now - since < NOTICED:
            return
        yield self.world.between(0.01, 0.3)
        if task.trigger is not trigger or task.state != "deferred":
            return
        if trigger.marker:
            task.xcoms[MARKER_XCOM] = RESUMED + trigger.marker
        self.world.counted["waits that a push has ended"] += 1
        self.world.judge.wakes(task, is_finished=is_finished)
        self.airflow.fire(trigger, outcome, "finish")

    def _outcome(self, trigger: Trigger, seen: Execution | None) -> Outcome | None:
        if seen is None:
            return None
        return Wait(dict(trigger.ref), trigger.policy.poll_interval).update(seen, self.machine.now)


def push_from(world: World, airflow: Airflow, servers: list[Any]) -> None:
    """Let vendors report, if the tasks of this life ask for it."""
    if world.plan.policy.get("callback"):
        for server in servers:
            server.pushes = Pushes(world, airflow, server)
