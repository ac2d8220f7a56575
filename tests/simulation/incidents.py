"""Carries out the incidents of a plan: machines that fail, people at Airflow, colleagues at the vendor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider.execution import ExecutionState
from tests.simulation.airflow import ORPHANS, Airflow, Task
from tests.simulation.plan import Incident
from tests.simulation.server import Server
from tests.simulation.triggerers import Triggerers, TriggerRun
from tests.simulation.workers import Worker
from tests.simulation.world import World

RESUMED_BY = 1800.0
"""Seconds within which a colleague resumes, or ends, what a colleague has paused."""
NEED_AIRFLOW = ("clear", "clear without run", "clear another", "mark failed", "mark success")
"""Incidents that go through Airflow's API server."""
OVER = ("success", "failed", "skipped", "removed", "upstream_failed")


class Incidents:
    """Carries out the incidents of a plan."""

    def __init__(self, world: World, airflow: Airflow, triggerers: Triggerers, servers: list[Server]) -> None:
        self.world = world
        self.airflow = airflow
        self.triggerers = triggerers
        self.servers = servers
        self._incidents: dict[str, Callable[[Incident, Any], None]] = {
            "kill process": lambda incident, subject: self._on_worker(incident, subject, Worker.kill),
            "kill machine": lambda incident, subject: self._on_worker(incident, subject, Worker.die),
            "freeze worker": lambda incident, subject: self._on_worker(
                incident, subject, lambda w: w.freeze(incident.value)
            ),
            "drain": lambda incident, subject: self._on_worker(
                incident, subject, lambda w: self._drain(w, incident.value)
            ),
            "execution_timeout": lambda incident, subject: self._on_worker(incident, subject, Worker.time_out),
            "airflow away": lambda incident, subject: self._airflow_away(incident.value),
            "scheduler restarts": self._restart_scheduler,
            "store away": lambda incident, subject: self._store_away(incident.value),
            "vendor down": lambda incident, subject: self._servers_down(incident.value),
            "gateway away": lambda incident, subject: self._gateway_away(incident.value),
            "move trigger": self._move_trigger,
            "restart triggerer": self._restart_triggerer,
            "stall triggerer": self._stall_triggerer,
            "triggerers down": lambda incident, subject: self._stop_triggerers(incident.value),
            "trigger crashes": self._crash_trigger,
            "deferral times out": self._time_deferral_out,
            "clear": lambda incident, subject: self._clear(self._task(incident, subject)),
            "clear without run": lambda incident, subject: self._clear(self._task(incident, subject), leaves_run=True),
            "clear another": self._clear_another,
            "mark failed": lambda incident, subject: self._mark(self._task(incident, subject), "failed"),
            "mark success": lambda incident, subject: self._mark(self._task(incident, subject), "success"),
            "skip": lambda incident, subject: self._skip(self._task(incident, subject)),
            "deploy retries": self._deploy_retries,
            "change connection": lambda incident, subject: self._change_connection(),
            "replace operator": lambda incident, subject: self._replace_operator(),
            "colleague starts": self._colleague_starts,
            "colleague cancels": self._colleague_cancels,
            "colleague pauses": self._colleague_pauses,
            "colleague resumes": self._colleague_resumes,
            "colleague answers": self._colleague_answers,
            "colleague withdraws": lambda incident, subject: self._server.approvals.withdraw(),
            "colleague triggers": lambda incident, subject: self._server.events.trigger(),
            "crowd": self._crowd,
        }

    def perform(self, incident: Incident, subject: Any) -> None:
        if incident.kind in NEED_AIRFLOW and self.airflow.is_away:
            self.world.after(5.0, self.perform, incident, subject)
            return
        self._incidents[incident.kind](incident, subject)

    def _task(self, incident: Incident, subject: Any) -> Task:
        task = subject if isinstance(subject, Task) else getattr(subject, "task", None)
        tasks = self.airflow.tasks
        if task is None or incident.task:
            return tasks[incident.task % len(tasks)]
        return task

    @property
    def _server(self) -> Server:
        return self.airflow.connection

    # Machines

    def _on_worker(self, incident: Incident, subject: Any, what: Callable[[Worker], None]) -> None:
        if isinstance(subject, Worker):
            what(subject)
            return
        task = self._task(incident, subject)
        if task.worker:
            what(task.worker)

    def _drain(self, worker: Worker, grace: float) -> None:
        worker.terminate("its machine is drained", is_by_server=False, limit=grace)

    def _airflow_away(self, seconds: float) -> None:
        if self.airflow.is_away:
            return
        self.world.note("Airflow", f"is away for {seconds:.0f} s")
        self.airflow.is_away = True
        self.world.after(seconds, self._airflow_back)
        for task in self.airflow.tasks:
            for worker in task.workers:
                worker.notice()

    def _airflow_back(self) -> None:
        self.world.note("Airflow", "is back")
        self.airflow.is_away = False

    def _store_away(self, seconds: float) -> None:
        self.world.note("state store", f"is away for {seconds:.0f} s")
        self.airflow.store_is_away = True

        def back() -> None:
            self.airflow.store_is_away = False

        self.world.after(seconds, back)

    def _restart_scheduler(self, incident: Incident, subject: Any) -> None:
        """The processes of tasks that it runs itself die with it, or survive it."""
        self.airflow.restart_scheduler(incident.value)
        if self.world.random.random() < 0.5:
            for task in self.airflow.tasks:
                if task.worker and task.state in ORPHANS:
                    task.worker.die()

    def _servers_down(self, seconds: float) -> None:
        self.world.note("vendor", f"is down for {seconds:.0f} s")
        for server in self.servers:
            server.network.go_down(seconds)

    def _gateway_away(self, seconds: float) -> None:
        self.world.note("gateway", f"does not find the path of executions for {seconds:.0f} s")
        for server in self.servers:
            # Of the four, only Code Stream documents a 404 without a body.
            looks_alike = self.world.plan.character == "marked" and self.world.plan.seed % 2 == 0
            server.network.lose_route(seconds, looks_like_the_systems_own=looks_alike)

    def _move_trigger(self, incident: Incident, subject: Any) -> None:
        if trigger := self._task(incident, subject).trigger:
            self.triggerers.move(trigger)

    def _restart_triggerer(self, incident: Incident, subject: Any) -> None:
        trigger = self._task(incident, subject).trigger
        if trigger and trigger.triggerer in self.triggerers.machines:
            self.triggerers.restart(trigger.triggerer)

    def _stall_triggerer(self, incident: Incident, subject: Any) -> None:
        trigger = self._task(incident, subject).trigger
        machine = subject.machine if isinstance(subject, TriggerRun) else trigger.triggerer if trigger else None
        if machine in self.triggerers.machines:
            self.triggerers.stall(machine, incident.value)

    def _stop_triggerers(self, seconds: float) -> None:
        for machine in self.triggerers.machines:
            self.triggerers.stall(machine, seconds)

    def _crash_trigger(self, incident: Incident, subject: Any) -> None:
        task = self._task(incident, subject)
        if task.state == "deferred" and task.trigger and task.trigger.is_run and not self.airflow.is_away:
            for run in task.trigger.runs:
                run.main.kill()
            self.airflow.resume(task, "resume", "Trigger failure", "its trigger has crashed")

    def _time_deferral_out(self, incident: Incident, subject: Any) -> None:
        task = self._task(incident, subject)
        if task.state == "deferred":
            self.airflow.resume(task, "resume", "Trigger timeout", "its deferral has timed out")

    # People at Airflow

    def _clear(self, task: Task, *, leaves_run: bool = False) -> None:
        """As ``clear_task_instances``."""
        self.world.judge.person_acts(task, "clears")
        numbers = task.max_tries, task.run.clear_number
        # No record shows a success that a person has marked.
        was_success = task.state == "success" and task.is_ended_by_itself
        by_trigger = was_success and task.is_ended_by_trigger
        task.generation += 1
        task.id = next(self.airflow.ids)
        task.is_ended_by_machine = False
        if not leaves_run:
            task.run.clear_number += 1
        if task.state == "running":
            task.to("restarting", "a person clears it")
        else:
            task.max_tries = task.try_number + task.retries
            task.next = task.trigger = task.worker = None
            task.to(None, "a person clears it")
            self.airflow.schedule(task)
        is_hidden = numbers == (task.max_tries, task.run.clear_number)
        task.was_ended_in_triggerer = is_hidden and (by_trigger or task.was_ended_in_triggerer)
        self.world.judge.clears(task, numbers, was_success=was_success)
        for worker in task.workers:
            worker.notice()

    def _clear_another(self, incident: Incident, subject: Any) -> None:
        task = self._task(incident, subject)
        task.run.clear_number += 1
        self.world.note("a person", f"clears another task of the run of {task}")

    def _mark(self, task: Task, state: str) -> None:
        if task.state == state:
            return
        self.world.judge.person_acts(task, f"marks {state}")
        task.is_ended_by_machine = False
        task.next = task.trigger = None
        task.to(state, "a person marks it")
        self._interrupt(task)

    def _skip(self, task: Task) -> None:
        """What ``dagrun_timeout`` does."""
        if task.state not in OVER:
            self.world.judge.person_acts(task, "skips")
            task.next = task.trigger = None
            task.to("skipped", "dagrun_timeout has passed")
            self._interrupt(task)

    def _interrupt(self, task: Task) -> None:
        self.airflow.notify_triggers(task)
        for worker in task.workers:
            worker.notice()

    def _deploy_retries(self, incident: Incident, subject: Any) -> None:
        self.world.note("a person", f"deploys the DAG with retries={incident.value:.0f}")
        for task in self.airflow.tasks:
            task.retries = int(incident.value)

    def _change_connection(self) -> None:
        """To the other server, on which the same small numbers are colleagues' executions."""
        before = self.airflow.connection
        other = next(each for each in self.servers if each is not before)
        self.airflow.connection = other
        self.world.note("a person", f"changes the connection to {other.place}")
        has_failed = self.world.random.random() < 0.3
        for _ in range(len(before.jobs) - len(other.jobs) + (not has_failed)):
            other.start_by_colleague(*((0.1, "failed") if has_failed else (3600.0, "succeeded")))

    def _replace_operator(self) -> None:
        """By one of another system; which one does not matter here."""
        self.world.note("a person", "deploys another operator under the same task_id")
        self.airflow.policy = {**self.airflow.policy, "system": "another vendor"}

    # Colleagues at the vendor

    def _colleague_starts(self, incident: Incident, subject: Any) -> None:
        self._server.start_by_colleague(60.0 + 600.0 * incident.value)

    def _crowd(self, incident: Incident, subject: Any) -> None:
        for _ in range(int(10 * incident.value)):
            self._server.start_by_colleague(20.0)

    def _colleague_cancels(self, incident: Incident, subject: Any) -> None:
        if job := self._server.newest():
            self.world.note("a colleague", f"cancels {job}")
            job.cancel(2.0, self._server.stop_leaves, "colleague")
            if self._server.stop_leaves is ExecutionState.PAUSED:
                self.world.after(RESUMED_BY * incident.value, job.resume)

    def _colleague_pauses(self, incident: Incident, subject: Any) -> None:
        if job := self._server.newest():
            self.world.note("a colleague", f"pauses {job}")
            if self._server.stop_leaves is ExecutionState.PAUSED:
                job.cancel(0.0, ExecutionState.PAUSED, "colleague")
            else:
                job.pause()
            self.world.after(RESUMED_BY * incident.value, job.resume)

    def _colleague_resumes(self, incident: Incident, subject: Any) -> None:
        if job := self._server.newest():
            self.world.note("a colleague", f"resumes {job}")
            job.resume()

    def _colleague_answers(self, incident: Incident, subject: Any) -> None:
        for job in self._server.jobs:
            if job.state is ExecutionState.WAITING and (number := job.open_gate) is not None:
                self.world.note("a colleague", f"answers gate {number} of {job}")
                job.answer_gate(number, "approve" if incident.value < 0.8 else "reject")
                return
        if self.world.plan.policy.get("approve"):
            return
        self._server.approvals.answer_by_colleague("approved" if incident.value < 0.8 else "rejected")
