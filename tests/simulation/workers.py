"""Workers: a task's process and its supervisor on one machine; how they begin, get SIGTERM, die and freeze."""

from __future__ import annotations

from typing import Any

from airflow_provider.core.record import read_record
from airflow_provider.core.task_states import OVER
from airflow_provider.core.waiting import WAITED_FOR
from airflow_provider.exceptions import ReleasePipelineError
from tests.simulation.airflow import (
    DETECTION,
    HEARTBEAT,
    HEARTBEAT_TIMEOUT,
    Airflow,
    AirflowError,
    Task,
)
from tests.simulation.carrying_out import KEY, AttemptOver, CommonCarrier, Deferred
from tests.simulation.starting import StartCarrier
from tests.simulation.world import Machine, Process, Steps

SIGKILL_AFTER = 5.0
"""Seconds from SIGTERM to SIGKILL."""


class Worker:
    """One process of a task, with its supervisor.

    :param client: what its connection leads to.
    """

    is_trigger = False
    carrier_class: type[Any] = StartCarrier

    def __init__(self, airflow: Airflow, task: Task, client: Any) -> None:
        self.airflow = airflow
        self.world = airflow.world
        self.task = task
        self.client = client
        self.id = task.id
        self.generation = task.generation
        self.number = len(task.workers) + 1
        clocks = self.world.plan.condition("worker clocks")
        self.machine = Machine(self.world, f"{task.name} w{self.number}", clocks if self.number % 2 else 0.0)
        self.may_retry = False
        self.is_terminating = False
        self.is_deferring = False
        self.scheduler = airflow.scheduler
        """Number of the one whose executor learns of its end."""
        self.carrier: CommonCarrier | None = None
        self._is_server_terminated = False
        self._is_noticing = False
        self.main = Process(self.machine, self._run(), self._ended)

    def __str__(self) -> str:
        return f"{self.task.name} w{self.number}"

    @property
    def is_over(self) -> bool:
        return self.main.is_over

    @property
    def is_gone(self) -> bool:
        """Whether what it has sent can reach it no longer."""
        return self.main.is_over

    @property
    def policy(self) -> Any:
        return self.carrier.policy if self.carrier else None

    @property
    def is_orphan(self) -> bool:
        """Whether the scheduler whose executor runs it is gone, so that nobody learns of its end."""
        return self.scheduler < self.airflow.scheduler

    @property
    def stands(self) -> bool:
        """Whether Airflow has not given it up."""
        return self.task.id == self.id and self.task.state not in OVER

    def frozen_for(self) -> float:
        return self.machine.frozen_for(60.0)

    # What its process does

    def _run(self) -> Steps[None]:
        world, task = self.world, self.task
        yield world.between(0.2, 2.0)
        if not (yield from self.airflow.begin(self)):
            return
        yield world.between(0.3, 1.5)
        way = task.next
        if way is None:
            world.point("xcoms", self)
            if self.stands:
                task.xcoms.clear()
        try:
            result = yield from self._attempt(way)
        except Deferred:
            return
        except (AirflowError, AttemptOver) as error:
            world.note(str(self), f"ends: {error}")
            if self.carrier and not self.carrier.has_judged:
                yield from self.carrier.on_kill(timed_out=False)
            if self.stands:
                task.is_ended_by_machine = not self.may_retry
            yield from self._report(None)
            return
        except ReleasePipelineError as error:
            task.warn(f"{type(error).__name__}: {error}")
            if self.carrier:
                world.judge.fails(self, error)
            is_final = self.carrier is not None and self.carrier.is_final_after(error)
            yield from self._report(None, is_final=is_final)
            return
        yield from self._report(result)

    def _attempt(self, way: tuple[str, Any] | None) -> Steps[dict[str, Any]]:
        stored = yield from self.airflow.read(self, KEY)
        record = read_record(stored, self.airflow.policy["system"])
        self.carrier = carrier = self.carrier_class(self, record)
        start = carrier.start
        if way is None:
            return (yield from carrier.run(start.execute()))
        method, argument = way
        if self._is_of_another_wait(argument):
            method, argument = "resume", "Airflow delivered the event of another wait"
        if record:
            yield from carrier.take_responsibility(record)
        if method == "finish":
            return (yield from carrier.run(start.finish(argument)))
        if method == "answered":
            return (yield from carrier.run(start.answered(argument)))
        if record is None or record.ref is None:
            raise AirflowError(f"TaskDeferralError: {argument}")
        return (yield from carrier.run(start.resume(argument)))

    def _is_of_another_wait(self, event: Any) -> bool:
        """As ``event_or_mismatch`` of operators/base.py."""
        event_of = event.get(WAITED_FOR) if isinstance(event, dict) else getattr(event, WAITED_FOR, None)
        return bool(event_of) and event_of != self.task.waited_for

    def _report(self, result: dict[str, Any] | None, *, is_final: bool = False) -> Steps[None]:
        self.world.point("finish", self)
        for _ in range(3):
            try:
                yield from self.airflow.finish(self, result, is_final=is_final)
            except AirflowError:
                continue
            return
        self.will_be_missed()

    def _ended(self) -> None:
        self.task.settled_at = self.world.now
        self.airflow.process_ended(self, is_clean=True)

    # How it is ended

    def notice(self) -> None:
        """Airflow has given it up, or is away: its supervisor learns of that at a heartbeat, and not while frozen."""
        if self._is_noticing or self.is_over or self.machine.is_dead:
            return
        self._is_noticing = True
        Process(self.machine, self._heartbeat())

    def _heartbeat(self) -> Steps[None]:
        failures = 0
        yield self.world.between(0.0, HEARTBEAT)
        while not self.is_over and not self.is_terminating:
            if self.airflow.is_away:
                failures += 1
                if failures == 3:
                    self.terminate("three heartbeats have failed", is_by_server=False)
            elif self.task.id != self.id or self.task.state != "running":
                self.terminate("Airflow says that it should not be running", is_by_server=True)
            else:
                break
            yield HEARTBEAT
        self._is_noticing = False

    def terminate(self, why: str, *, is_by_server: bool, limit: float = SIGKILL_AFTER) -> None:
        """SIGTERM, and SIGKILL some seconds later."""
        if self.is_over or self.is_terminating or self.machine.is_dead:
            return
        self.world.note(str(self), f"gets SIGTERM: {why}")
        self.is_terminating = True
        self._is_server_terminated = is_by_server
        self.world.after(limit, self.kill)
        if self.carrier:
            self.main.is_held = True
            Process(self.machine, self.carrier.on_kill(timed_out=False), self._proceed)
        else:
            self.main.is_held = False

    def _proceed(self) -> None:
        """After on_kill the interrupted code continues, until SIGKILL."""
        self.main.is_held = False
        self.main.proceed()

    def time_out(self) -> None:
        """Its ``execution_timeout`` has passed."""
        if self.is_over or self.is_terminating or self.carrier is None or not self.stands:
            return
        self.world.note(str(self), "its execution_timeout has passed")
        self.is_terminating = True
        self.world.judge.times_out(self.task, self.generation)
        self.main.is_over = True
        self.main = Process(self.machine, self._end_timed_out(self.carrier), self._ended)

    def _end_timed_out(self, carrier: CommonCarrier) -> Steps[None]:
        yield from carrier.on_kill(timed_out=True)
        yield from self._report(None)

    # How it dies

    def kill(self) -> None:
        """SIGKILL to the process; its supervisor survives and reports how it ended."""
        if self.is_over or self.machine.is_dead:
            return
        if self.machine.is_frozen:
            self.world.after(1.0, self.kill)
            return
        self.world.note(str(self), "is killed")
        self.task.settled_at = self.world.now
        self.world.judge.dies(self)
        for process in self.machine.processes:
            process.kill()
        if self._is_server_terminated:
            self.airflow.process_ended(self, is_clean=True)
        else:
            Process(self.machine, self._report_death())

    def _report_death(self) -> Steps[None]:
        yield self.world.between(0.05, 1.0)
        task = self.task
        # A supervisor leaves it to the executor to report one that has tries left.
        is_reported = not (self.is_orphan and self.may_retry)
        if is_reported and task.id == self.id and task.state == "running":
            task.is_ended_by_machine = not self.may_retry
            yield from self._report(None)
        if task.worker is self:
            self.airflow.process_ended(self, is_clean=False)

    def die(self) -> None:
        """Its machine is gone, supervisor and all."""
        if self.machine.is_dead or self.is_over:
            return
        self.world.note(str(self), "its machine dies")
        self.world.judge.dies(self)
        self.machine.die()
        self.will_be_missed()

    def freeze(self, seconds: float) -> None:
        if self.machine.is_dead or self.is_over or self.machine.is_frozen:
            return
        self.world.note(str(self), f"its machine freezes for {seconds:.0f} s")
        self.machine.freeze(seconds)
        if seconds > HEARTBEAT_TIMEOUT:
            self.will_be_missed()
        self.world.after(seconds, self.notice)

    def will_be_missed(self) -> None:
        """Nobody reports its end: the scheduler will miss its heartbeats."""
        self.world.after(HEARTBEAT_TIMEOUT + self.world.between(0.0, DETECTION), self._miss)

    def _miss(self) -> None:
        if self.is_over or self.machine.is_frozen:
            self.airflow.find_no_heartbeat(self)
