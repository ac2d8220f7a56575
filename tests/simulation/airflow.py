"""Simulated Airflow: task instances, their numbers and states, state store, XComs and scheduler, as 3.3.2 does it.

Held to the real one by tests/airflow_facts. Workers are in ``workers.py``, triggerers in ``triggerers.py``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow_provider.core.task_states import NO_STATE
from airflow_provider.core.waiting import named_exactly
from tests.simulation.world import Steps, World

if TYPE_CHECKING:
    from tests.simulation.people import RequiredAction
    from tests.simulation.triggerers import Trigger
    from tests.simulation.workers import Worker

HEARTBEAT = 5.0
"""Seconds between two heartbeats of a supervisor."""
HEARTBEAT_TIMEOUT = 300.0
DETECTION = 10.0
"""Seconds between two searches of the scheduler for workers without a heartbeat."""
API_RETRIES = 15.0
"""Seconds for which a supervisor tries to reach the API server."""
NOTICED = 7.0
"""Seconds after a deferral within which the end of its process is noticed; nothing may fire before."""

ORPHANS = ("queued", "running", "restarting")
"""States in which a new scheduler resets what one before it has queued, where its executor cannot adopt."""

SAY_SO = ("its process says so", "its trigger says so")


class AirflowError(Exception):
    """Airflow did not do what an attempt asked of it: it is away, or refuses a stale attempt. Ends the attempt."""


class StaleError(AirflowError):
    """The API server does not know this attempt any more."""


class Run:
    """A DAG run."""

    def __init__(self) -> None:
        self.clear_number = 0


class Task:
    """A task instance, and what the world knows of it besides.

    :param generation: how often a person has cleared it, which Airflow does not report.
    """

    def __init__(self, airflow: Airflow, name: str, run: Run, retries: int) -> None:
        self.airflow = airflow
        self.name = name
        self.run = run
        self.retries = self.max_tries = retries
        self.id = next(airflow.ids)
        self.state: str | None = None
        self.changed_at = self.settled_at = 0.0
        """When its state changed last, and when any process of it did something last."""
        self.try_number = 0
        self.generation = 0
        self.store: dict[str, Any] = {}
        self.xcoms: dict[str, str] = {}
        self.next: tuple[str, Any] | None = None
        """How it resumes after a deferral: the method and its argument."""
        self.trigger: Trigger | None = None
        self.action: RequiredAction | None = None
        """What people are asked, if it has ever asked."""
        self.waited_for = ""
        """What its last deferral was to wait for: an argument with which it goes on."""
        self.workers: list[Worker] = []
        self.worker: Worker | None = None
        """The one that Airflow believes to run it."""
        self.queued_by = 0
        """Number of the scheduler that has queued it last."""
        self.warnings: list[str] = []
        """Warnings of its logs and its errors, as people can read them."""
        self.is_ended_by_machine = self.is_ended_by_itself = self.is_ended_by_trigger = False
        self.was_ended_in_triggerer = False
        """Whether a trigger reported its last success, and a clear since then shows in no number."""

    def __str__(self) -> str:
        return self.name

    def to(self, state: str | None, why: str) -> None:
        world = self.airflow.world
        self.state = state
        self.changed_at = self.settled_at = world.now
        self.is_ended_by_itself = why in SAY_SO
        self.is_ended_by_trigger = why == SAY_SO[1]
        if world.keeps_story:
            numbers = f"try {self.try_number}, max_tries {self.max_tries}, clear_number {self.run.clear_number}"
            world.note(self.name, f"is {state or NO_STATE}: {why} ({numbers})")
        world.point(f"state {state}", self)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
        self.airflow.world.note(self.name, f"log: {text}")


class Airflow:
    """The API server, the scheduler and their database.

    :param policy: the arguments in the DAG file, as it is deployed now.
    """

    def __init__(self, world: World, policy: dict[str, Any]) -> None:
        self.world = world
        self.policy = policy
        self.ids = itertools.count(1)
        self.tasks: list[Task] = []
        self.is_away = self.store_is_away = False
        self.scheduler = 1
        self.retry_delay = world.plan.retry_delay
        self.connection: Any
        """The server to which Airflow's connection leads."""
        self.spawn: Callable[[Task], object]
        self.start_trigger: Callable[[Task, Trigger], None]
        self.on_success: Callable[[Task, Worker | None, dict[str, Any]], None]
        self._queue = world.plan.condition("slow queue")
        self._reuses_numbers = bool(world.plan.conditions("trigger ids are reused"))
        self._trigger_numbers = itertools.count(1)

    # What the scheduler does

    def schedule(self, task: Task) -> None:
        """A task without a state, or one whose retry is due, gets its next try.

        Only then do triggerers learn of a clear.
        """
        number, state = task.id, task.state

        def schedule() -> None:
            if (task.id, task.state) == (number, state):
                task.try_number += 1
                task.next = None
                self._enqueue(task, "scheduled")
                self.notify_triggers(task)

        self.world.after(self.world.between(0.3, 3.0), schedule)

    def _enqueue(self, task: Task, why: str) -> None:
        task.queued_by = self.scheduler
        task.to("queued", why)
        number = task.id

        def run() -> None:
            if task.id == number and task.state == "queued":
                self.spawn(task)

        self.world.after(self.world.between(0.5, 4.0) + self._queue * self.world.random.random(), run)

    def retry_later(self, task: Task) -> None:
        task.to("up_for_retry", "failed, and has tries left")
        number = task.id

        def retry() -> None:
            if (task.id, task.state) == (number, "up_for_retry"):
                self.schedule(task)

        self.world.after(self.retry_delay, retry)

    def handle_failure(self, task: Task, why: str) -> None:
        """The scheduler's ``TaskInstance.handle_failure``: what it does about a process that ended without a report."""
        is_eligible = task.state == "restarting" or (task.retries > 0 and task.try_number <= task.max_tries)
        task.next, task.trigger = None, None
        if not is_eligible:
            task.is_ended_by_machine = True
            task.to("failed", why)
            return
        if task.state == "running":
            task.id = next(self.ids)
        self.retry_later(task)

    def find_no_heartbeat(self, worker: Worker) -> None:
        """Called when a worker has sent no heartbeat for the heartbeat time-out."""
        task = worker.task
        if task.worker is worker and task.state in ("running", "restarting"):
            self.handle_failure(task, "no heartbeat")

    def restart_scheduler(self, until_reset: float) -> None:
        """Another one takes its place, with a LocalExecutor, which knows nothing of the processes of the one before.

        :param until_reset: seconds until it resets what was queued by the one before.
        """
        self.world.note("scheduler", "dies, and another one takes its place")
        self.scheduler += 1
        self.world.after(until_reset, self._reset_orphans)

    def _reset_orphans(self) -> None:
        """As ``adopt_or_reset_orphaned_tasks``."""
        for task in self.tasks:
            if task.state in ORPHANS and task.queued_by < self.scheduler:
                task.id = next(self.ids)
                task.next = task.worker = None
                task.to(None, "its scheduler is gone")
                for worker in task.workers:
                    worker.notice()
                self.schedule(task)

    def resume(self, task: Task, method: str, argument: Any, why: str) -> None:
        """After a deferral: another process continues."""
        task.trigger, task.next = None, (method, argument)
        self._enqueue(task, why)
        self.notify_triggers(task)

    def notify_triggers(self, task: Task) -> None:
        """Triggerers stop within a second what no task instance waits for any more."""
        for trigger in list(self.triggers_of(task)):
            if trigger is not task.trigger or task.state != "deferred":
                trigger.remove()

    def _next_trigger_number(self) -> int:
        """As SQLite does it, perhaps the number of a trigger that was deleted."""
        if not self._reuses_numbers:
            return next(self._trigger_numbers)
        there = [trigger.number for task in self.tasks for trigger in self.triggers_of(task)]
        return max(there, default=0) + 1

    def triggers_of(self, task: Task) -> list[Trigger]:
        return task.__dict__.setdefault("_triggers", [])

    # What processes ask of the API server

    def call(self, *, needs_store: bool = False) -> Steps[None]:
        """One call; fails after some tries while Airflow is away."""
        yield self.world.between(0.01, 0.06)
        if self.is_away or (needs_store and self.store_is_away):
            yield self.world.between(0.5, API_RETRIES)
            if self.is_away or (needs_store and self.store_is_away):
                raise AirflowError("Airflow does not answer")

    def read(self, worker: Worker, key: str) -> Steps[Any]:
        """A stale attempt finds nothing, without a reason."""
        yield from self.call(needs_store=True)
        return worker.task.store.get(key) if worker.task.id == worker.id else None

    def write(self, worker: Worker, key: str, value: Any) -> Steps[None]:
        yield from self.call(needs_store=True)
        if worker.task.id != worker.id:
            raise StaleError("HTTP 404: this task instance is not there any more")
        if value is None:
            worker.task.store.pop(key, None)
        else:
            worker.task.store[key] = value

    def push(self, worker: Worker, key: str, value: str) -> Steps[None]:
        yield from self.call()
        worker.task.xcoms[key] = value

    def state_of(self, task: Task) -> Steps[str]:
        yield from self.call()
        return task.state or NO_STATE

    def begin(self, worker: Worker) -> Steps[bool]:
        """A worker's process reports that it runs the task; refused if somebody has acted meanwhile."""
        task = worker.task
        try:
            yield from self.call()
        except AirflowError:
            if task.id == worker.id and task.state == "queued":
                self.handle_failure(task, "its supervisor did not reach Airflow")
            return False
        if task.id != worker.id or task.state != "queued":
            return False
        worker.may_retry = task.max_tries != 0 and task.try_number <= task.max_tries
        task.worker = worker
        task.workers.append(worker)
        worker.scheduler = task.queued_by
        task.to("running", f"{worker} has it")
        return True

    def defer(self, worker: Worker, trigger: Trigger) -> Steps[None]:
        yield from self.call()
        task = worker.task
        if task.id != worker.id or task.state != "running":
            raise AirflowError("HTTP 409: not running")
        task.trigger, task.worker = trigger, None
        trigger.number, task.waited_for = self._next_trigger_number(), named_exactly(trigger.ref)
        self.triggers_of(task).append(trigger)
        task.to("deferred", "waits in the triggerer")
        self.start_trigger(task, trigger)

    def finish(self, worker: Worker, result: dict[str, Any] | None, *, is_final: bool = False) -> Steps[None]:
        """A process reports how its attempt ended; ignored if somebody else has ended it meanwhile.

        :param result: of a success.
        :param is_final: a failure that no retry mends.
        """
        yield from self.call()
        task = worker.task
        if task.id != worker.id or task.state != "running":
            return
        task.worker, task.next = None, None
        if result is not None:
            self.on_success(task, worker, result)
            task.to("success", "its process says so")
        elif worker.may_retry and not is_final:
            task.id = next(self.ids)
            self.retry_later(task)
        else:
            task.to("failed", "its process says so")

    def process_ended(self, worker: Worker, *, is_clean: bool) -> None:
        """The executor reports to the scheduler that a worker's process is over.

        :param is_clean: whether its supervisor ended well: it does not if Airflow refuses the state of a process that
            was killed.
        """
        if worker.is_orphan:
            worker.will_be_missed()
            return

        def handle() -> None:
            task = worker.task
            if task.worker is not worker or task.state not in ("running", "restarting"):
                return
            if task.state == "restarting" and is_clean:
                task.max_tries = task.try_number + task.retries
                task.worker = None
                task.to(None, "cleared, and its process has ended")
                self.schedule(task)
            elif task.state == "restarting" or not is_clean:
                self.handle_failure(task, "its process has ended without a report")

        self.world.after(self.world.between(0.1, 2.0), handle)

    def _waiting_for(self, trigger: Trigger) -> Task | None:
        for task in self.tasks:
            if task.trigger and task.trigger.number == trigger.number and task.state == "deferred":
                return task
        return None

    def fire(self, trigger: Trigger, event: Any, method: str) -> None:
        """A trigger's event reaches Airflow, which knows a trigger by its number alone.

        :param method: with which the task resumes.
        """
        task = self._waiting_for(trigger)
        if task is None:
            return
        if task.trigger is not trigger:
            if trigger.may_finish and event.is_success:
                self.world.counted["window: an earlier trigger of the same id would end the task"] += 1
                return
            self.world.counted["late events of earlier triggers of the same id"] += 1
        if trigger.may_finish and event.is_success:
            self.on_success(task, None, event.execution or {})
            task.trigger = None
            task.to("success", "its trigger says so")
            self.notify_triggers(task)
        else:
            self.resume(task, method, event, "its trigger has fired")
